#include "main/systemd.h"
#include "base/log.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { FIRST_FD = 3 };

static bool number_of(const char *name, uint64_t max, uint64_t *out) {
    const char *v = getenv(name);
    return v && parse_dec(span_z(v), max, out);
}

static void read_notify(struct systemd *d) {
    const char *path = getenv("NOTIFY_SOCKET");
    char text[ADDRESS_TEXT_MAX];
    struct str s = str_on(text, sizeof text);
    if (!path || (path[0] != '/' && path[0] != '@'))
        return;
    str_lit(&s, "unix:");
    str_add(&s, span_z(path));
    if (s.full || !address_parse(str_span(&s), &d->notify))
        d->notify.len = 0;
}

void systemd_init(struct systemd *d) {
    uint64_t pid = 0;
    *d = (struct systemd){.watchdog_us = 0};
    read_notify(d);
    if (!number_of("WATCHDOG_USEC", UINT64_MAX, &d->watchdog_us) ||
        (number_of("WATCHDOG_PID", INT32_MAX, &pid) && pid != (uint64_t)getpid()))
        d->watchdog_us = 0;
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_PID"); /* WATCHDOG_USEC stays: the serving process wants to know it, too */
}

bool systemd_sockets(struct sockets *s) {
    uint64_t count = 0, pid = 0;
    bool mine = number_of("LISTEN_PID", INT32_MAX, &pid) && pid == (uint64_t)getpid() &&
                number_of("LISTEN_FDS", SOCKETS_ADDRESSES, &count);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    for (int i = 0; mine && i < (int)count; i++) {
        int err = sockets_adopt(s, FIRST_FD + i);
        if (err) {
            log_event(LEVEL_ERROR, "systemd",
                      "socket %d of %d handed over by LISTEN_FDS is no listening stream socket: %s",
                      i + 1, (int)count, strerror(err));
            return false;
        }
    }
    return true;
}

static void tell(const struct systemd *d, const char *text, size_t n) {
    if (!d->notify.len)
        return;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (sendto(fd, text, n, MSG_NOSIGNAL, &d->notify.sa, d->notify.len) < 0)
        log_event(LEVEL_WARNING, "systemd", "cannot tell NOTIFY_SOCKET: %s", strerror(errno));
    close(fd);
}

#define TELL(d, lit) tell((d), (lit), sizeof(lit) - 1)

void systemd_ready(const struct systemd *d) {
    TELL(d, "READY=1\nSTATUS=Serving");
}
void systemd_stopping(const struct systemd *d) {
    TELL(d, "STOPPING=1\nSTATUS=Draining");
}
void systemd_alive(const struct systemd *d) {
    TELL(d, "WATCHDOG=1");
}

void systemd_reloading(const struct systemd *d) {
    char text[96];
    struct str s = str_on(text, sizeof text);
    str_fmt(&s, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)(env.now_ns() / 1000));
    tell(d, s.p, s.n);
}

void systemd_status(const struct systemd *d, const char *text) {
    char line[256];
    struct str s = str_on(line, sizeof line);
    str_fmt(&s, "STATUS=%s", text);
    tell(d, s.p, s.n);
}
