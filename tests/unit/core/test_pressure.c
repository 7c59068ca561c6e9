/* pressure: levels and their hysteresis; what the system's files say of memory. */
#include "base/env.h"
#include "core/pressure.h"
#include <errno.h>
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

static void levels(void **state) {
    static const struct {
        unsigned permille;
        enum overload_level then;
    } walk[] = {{0, OVERLOAD_NONE},     {799, OVERLOAD_NONE},   {800, OVERLOAD_SPARE},
                {751, OVERLOAD_SPARE},  {749, OVERLOAD_NONE},   {899, OVERLOAD_SPARE},
                {900, OVERLOAD_REFUSE}, {850, OVERLOAD_REFUSE}, {849, OVERLOAD_SPARE},
                {949, OVERLOAD_REFUSE}, {950, OVERLOAD_STOP},   {900, OVERLOAD_STOP},
                {899, OVERLOAD_REFUSE}, {1500, OVERLOAD_STOP},  {749, OVERLOAD_NONE},
                {1000, OVERLOAD_STOP},  {800, OVERLOAD_SPARE}};
    enum overload_level l = OVERLOAD_NONE;
    (void)state;
    for (size_t i = 0; i < array_len(walk); i++) {
        l = pressure_level(l, walk[i].permille);
        assert_int_equal(l, walk[i].then);
    }
}

/* ---- a system of files ---- */

struct file {
    const char *path, *text;
};
static const struct file *files;
static const char *open_text;
static int opens;

static int fake_open(const char *path, int flags, mode_t mode) {
    (void)flags;
    (void)mode;
    opens++;
    for (const struct file *f = files; f->path; f++)
        if (strcmp(f->path, path) == 0) {
            open_text = f->text;
            return 1000;
        }
    errno = ENOENT;
    return -1;
}
static ssize_t fake_read(int fd, void *p, size_t n) {
    assert_int_equal(fd, 1000);
    size_t all = strlen(open_text);
    n = all < n ? all : n;
    memcpy(p, open_text, n);
    return (ssize_t)n;
}
static int fake_close(int fd) {
    assert_int_equal(fd, 1000);
    return 0;
}

#define MIB (1024ull * 1024)
#define OWN                                                                                        \
    { "/proc/self/statm", "90000 25600 900 1 0 1 0\n" } /* 100 MiB in memory */
#define CG(path)                                                                                   \
    { "/proc/self/cgroup", path }
#define V2(dir, file) "/sys/fs/cgroup" dir "/memory." file
#define V1(dir, file) "/sys/fs/cgroup/memory" dir "/memory." file

static void looks(void **state) {
    static const struct {
        const char *what;
        uint64_t configured, used, budget; /* MiB; budget 0: the machine's */
        struct file file[10];
    } row[] = {
        {"nothing said", 0, 100, 0, {OWN}},
        {"no files at all", 0, 0, 0, {{NULL, NULL}}},
        {"configured", 200, 100, 200, {OWN}},
        {"v2 in a container",
         0,
         300,
         400, /* of 350, 50 can be dropped */
         {OWN,
          CG("0::/\n"),
          {V2("", "max"), "419430400\n"},
          {V2("", "current"), "367001600\n"},
          {V2("", "stat"), "anon 1\ninactive_file 52428800\nactive_file 5\n"}}},
        {"v2 without a limit", 0, 100, 0, {OWN, CG("0::/a\n"), {V2("/a", "max"), "max\n"}}},
        {"v2, a group around it",
         0,
         80,
         100,
         {OWN,
          CG("0::/a/b\n"),
          {V2("/a/b", "max"), "419430400\n"},
          {V2("/a/b", "current"), "104857600\n"},
          {V2("/a", "max"), "104857600\n"},
          {V2("/a", "current"), "83886080\n"}}},
        {"v2, and configured: the worse",
         110,
         100,
         110,
         {OWN, CG("0::/\n"), {V2("", "max"), "419430400\n"}, {V2("", "current"), "104857600\n"}}},
        {"v1",
         0,
         90,
         100,
         {OWN,
          CG("3:cpu:/x\n9:memory,hugetlb:/a\n0::/z\n"),
          {V1("/a", "limit_in_bytes"), "104857600\n"},
          {V1("/a", "usage_in_bytes"), "104857600\n"},
          {V1("/a", "stat"), "cache 1\ninactive_file 1\ntotal_inactive_file 10485760\n"}}},
        {"v1 without a limit",
         0,
         100,
         0,
         {OWN, CG("9:memory:/\n"), {V1("", "limit_in_bytes"), "9223372036854771712\n"}}},
        {"nonsense",
         0,
         100,
         0,
         {OWN, CG("::::\nmemory\n0::/a\n"), {V2("/a", "max"), "-5\n"}, {V2("", "max"), "0x10\n"}}},
        {"a path that leads nowhere", 0, 100, 0, {OWN, CG("0::/../..\n")}},
    };
    (void)state;
    env.open = fake_open;
    env.read = fake_read;
    env.close = fake_close;
    for (size_t i = 0; i < array_len(row); i++) {
        struct memory_use m;
        files = row[i].file;
        memory_look(row[i].configured * MIB, &m);
        if (m.used != row[i].used * MIB || (row[i].budget && m.budget != row[i].budget * MIB))
            fail_msg("%s: %llu of %llu", row[i].what, (unsigned long long)m.used,
                     (unsigned long long)m.budget);
        assert_true(m.budget >= row[i].budget * MIB && m.budget > 0);
        unsigned permille = (unsigned)(m.used * 1000 / m.budget);
        assert_in_range(m.permille, permille > 2 ? permille - 2 : 0, permille + 1);
    }
    env = env_os;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(levels), cmocka_unit_test(looks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
