#include "base/env.h"
#include "core/pressure.h"
#include <fcntl.h>
#include <unistd.h>

/* What the system says of memory. A file that cannot be read says nothing. */

enum { LINE = 512, STAT = 8192, GROUPS = 16 };

static struct span file_text(const char *path, char *buf, size_t size) {
    int fd = env.open(path, O_RDONLY, 0);
    if (fd < 0)
        return SPAN_NONE;
    ssize_t n = env.read(fd, buf, size);
    env.close(fd);
    return n > 0 ? span_of(buf, (size_t)n) : SPAN_NONE;
}

static bool number(struct span s, uint64_t *out) {
    return parse_dec(span_trim(s), UINT64_MAX >> 12, out);
}

static bool file_number(const char *path, uint64_t *out) {
    char buf[64];
    struct span s = file_text(path, buf, sizeof buf);
    return s.n && number(span_split(&s, '\n'), out);
}

/* The second number: pages in memory. */
static uint64_t resident(void) {
    char buf[128];
    uint64_t pages = 0;
    struct span rest = file_text("/proc/self/statm", buf, sizeof buf);
    if (!rest.n)
        return 0;
    span_split(&rest, ' ');
    return number(span_split(&rest, ' '), &pages) ? pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static uint64_t machine(void) {
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
}

static void worse(struct memory_use *m, uint64_t used, uint64_t budget) {
    unsigned permille = budget ? (unsigned)(used / (budget / 1000 + 1)) : 0;
    if (m->budget && permille <= m->permille)
        return;
    *m = (struct memory_use){used, budget, permille};
}

/* ---- cgroups ---------------------------------------------------------------------------------
 */

struct group_files {
    const char *root, *max, *used, *dropped;
};
static const struct group_files v2 = {"/sys/fs/cgroup", "memory.max", "memory.current",
                                      "inactive_file "};
static const struct group_files v1 = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes",
                                      "memory.usage_in_bytes", "total_inactive_file "};

/* "0::/a/b" (v2), "9:memory:/a/b" (v1). */
static const struct group_files *group_of(struct span text, struct span *path) {
    const struct group_files *found = NULL;
    for (struct span line; text.p && (line = span_split(&text, '\n')).n;) {
        struct span number = span_split(&line, ':'), names = span_split(&line, ':');
        bool memory = false;
        while (names.n)
            memory |= span_eq(span_split(&names, ','), SPAN("memory"));
        if (!memory && (found || !span_eq(number, SPAN("0"))))
            continue;
        found = memory ? &v1 : &v2;
        *path = line;
    }
    return found;
}

static void path_of(char out[LINE], const struct group_files *f, struct span group,
                    const char *file) {
    struct str s = str_on(out, LINE - 1);
    str_fmt(&s, "%s%.*s/%s", f->root, SPAN_ARG(group), file);
    out[s.n] = 0;
}

/* What the kernel drops before anything else is no use of memory. */
static uint64_t dropped_first(const struct group_files *f, struct span group) {
    char path[LINE], buf[STAT] unzeroed;
    uint64_t n = 0;
    path_of(path, f, group, "memory.stat");
    struct span text = file_text(path, buf, sizeof buf), key = span_z(f->dropped);
    while (text.p) {
        struct span line = span_split(&text, '\n');
        if (span_starts(line, key) && number(span_from(line, key.n), &n))
            return n;
    }
    return 0;
}

static void look_at_group(const struct group_files *f, struct span group, struct memory_use *m) {
    char path[LINE];
    uint64_t max, used;
    path_of(path, f, group, f->max);
    if (!file_number(path, &max) || max > machine()) /* v2 says "max", v1 a huge number */
        return;
    path_of(path, f, group, f->used);
    if (!file_number(path, &used))
        return;
    if (used > max / 2) { /* below that it does not matter, and the file is long */
        uint64_t less = dropped_first(f, group);
        used -= less < used ? less : used;
    }
    worse(m, used, max);
}

/* The group and those around it: any of them may have a limit. */
static void look_at_groups(struct memory_use *m) {
    char buf[4096];
    struct span group;
    const struct group_files *f = group_of(file_text("/proc/self/cgroup", buf, sizeof buf), &group);
    if (!f || group.n > LINE / 2)
        return;
    for (int i = 0; i < GROUPS; i++) {
        while (group.n && group.p[group.n - 1] == '/')
            group.n--;
        look_at_group(f, group, m);
        if (!group.n)
            return;
        while (group.n && group.p[group.n - 1] != '/')
            group.n--;
    }
}

void memory_look(uint64_t configured, struct memory_use *out) {
    uint64_t own = resident();
    *out = (struct memory_use){0};
    if (configured)
        worse(out, own, configured);
    look_at_groups(out);
    if (!out->budget)
        worse(out, own, machine());
}
