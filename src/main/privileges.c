#include "main/privileges.h"
#include "base/str.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MEMORY_PER_CONNECTION = 24 * 1024, CONNECTIONS_MIN = 64 };

static uint64_t group_memory(void) {
    char text[32];
    uint64_t v;
    int fd = open("/sys/fs/cgroup/memory.max", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return UINT64_MAX;
    ssize_t n = read(fd, text, sizeof text);
    close(fd);
    struct span s = span_of(text, n > 0 ? (size_t)n : 0);
    return parse_dec(span_trim(span_split(&s, '\n')), UINT64_MAX, &v) ? v : UINT64_MAX;
}

static uint64_t machine_memory(void) {
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : UINT64_MAX;
}

void resources_take(struct resources *out) {
    struct rlimit r = {1024, 1024};
    getrlimit(RLIMIT_NOFILE, &r);
    if (r.rlim_cur < r.rlim_max) {
        struct rlimit raised = {r.rlim_max, r.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            r = raised;
    }
    uint64_t group = group_memory(), machine = machine_memory();
    out->descriptors = r.rlim_cur;
    out->memory = (group < machine ? group : machine) / 2;
    uint64_t by_files = out->descriptors > UINT32_MAX ? UINT32_MAX : out->descriptors / 10 * 6;
    uint64_t by_memory = out->memory / MEMORY_PER_CONNECTION;
    uint64_t n = by_files < by_memory ? by_files : by_memory;
    out->max_connections = n < CONNECTIONS_MIN ? CONNECTIONS_MIN
                           : n > 1u << 30      ? 1u << 30
                                               : (uint32_t)n;
}

static bool find_group(const char *name, gid_t *out) {
    struct group g, *found = NULL;
    char buf[4096];
    int err = getgrnam_r(name, &g, buf, sizeof buf, &found);
    if (!found) {
        log_event(LEVEL_ERROR, "privileges", "--user: no group \"%s\"%s%s", name, err ? ": " : "",
                  err ? strerror(err) : "");
        return false;
    }
    *out = found->gr_gid;
    return true;
}

bool user_find(const char *text, struct user *out) {
    struct span group = span_z(text), name = span_split(&group, ':');
    struct passwd p, *found = NULL;
    char buf[4096];
    if (name.n == 0 || name.n >= sizeof out->name) {
        log_event(LEVEL_ERROR, "privileges", "--user: \"%s\" is no user name", text);
        return false;
    }
    memcpy(out->name, name.p, name.n);
    out->name[name.n] = 0;
    int err = getpwnam_r(out->name, &p, buf, sizeof buf, &found);
    if (!found) {
        log_event(LEVEL_ERROR, "privileges", "--user: no user \"%s\"%s%s", out->name,
                  err ? ": " : "", err ? strerror(err) : "");
        return false;
    }
    out->uid = found->pw_uid;
    out->gid = found->pw_gid;
    return !group.p || find_group(group.p, &out->gid);
}

static bool become(const struct user *u) {
    if (geteuid() == u->uid && getegid() == u->gid && getuid() == u->uid)
        return true;
    if (initgroups(u->name, u->gid) < 0 || setresgid(u->gid, u->gid, u->gid) < 0 ||
        setresuid(u->uid, u->uid, u->uid) < 0) {
        log_event(LEVEL_ERROR, "privileges", "--user: cannot become %s: %s", u->name,
                  strerror(errno));
        return false;
    }
    if (u->uid != 0 && setresuid(0, 0, 0) == 0) { /* what must not work */
        log_event(LEVEL_ERROR, "privileges", "--user: privileges can be taken back");
        return false;
    }
    return true;
}

static void drop_capabilities(void) {
    for (int c = 0; prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; c++)
        prctl(PR_CAPBSET_DROP, c, 0, 0,
              0); /* needs a capability itself; without it there is none to lose */
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

static void clear_capabilities(void) {
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
    syscall(SYS_capset, &head, none);
}

bool privileges_drop(const struct user *u) {
    if (u) {
        drop_capabilities();
        if (!become(u))
            return false;
        clear_capabilities();
    }
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
#ifndef SLUICE_TEST_BUILD /* the leak check of a test build traces its own process */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
    return true;
}
