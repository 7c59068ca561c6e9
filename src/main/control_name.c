#include "main/control_name.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* FNV-1a: the name must be the same in two processes, so it cannot be the keyed hash of the tables.
 * Who makes another path with the same name reaches a gateway of his own user, no more. */
static uint64_t mix(uint64_t h, struct span s) {
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3u;
    return (h ^ 0xff) * 0x100000001b3u;
}

static uint64_t path_hash(const struct conf_options *o) {
    uint64_t h = 0xcbf29ce484222325u;
    char path[PATH_MAX];
    for (unsigned i = 0; i < o->files; i++)
        h = mix(h, span_z(realpath(o->file[i], path) ? path : o->file[i]));
    return h;
}

struct address control_address(const struct cli_call *call, uint32_t uid) {
    char text[ADDRESS_TEXT_MAX];
    struct str s = str_on(text, sizeof text);
    struct address a = {.len = 0};
    if (call->run_dir)
        str_fmt(&s, "unix:%s/control.sock", call->run_dir);
    else
        str_fmt(&s, "unix:@sluice/%u/%016llx", uid, (unsigned long long)path_hash(&call->conf));
    if (s.full || !address_parse(str_span(&s), &a))
        a.len = 0;
    return a;
}

static bool answers(const struct address *a) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool yes = fd >= 0 && (connect(fd, &a->sa, a->len) == 0 || errno == EAGAIN);
    if (fd >= 0)
        close(fd);
    return yes;
}

static int fail(int fd, int *err) {
    *err = errno;
    if (fd >= 0)
        close(fd);
    return -1;
}

int control_bind(const struct address *a, int *err) {
    bool file = a->len && a->un.sun_path[0];
    *err = ENAMETOOLONG;
    if (!a->len)
        return -1;
    if (file && !answers(a))
        unlink(a->un.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask = umask(0177);
    bool good = fd >= 0 && bind(fd, &a->sa, a->len) == 0;
    umask(mask);
    return good && listen(fd, 8) == 0 ? fd : fail(fd, err);
}

bool control_trusts(int fd, uint32_t also) {
    struct ucred who;
    socklen_t n = sizeof who;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 &&
           (who.uid == geteuid() || who.uid == also || who.uid == 0);
}
