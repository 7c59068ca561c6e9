#include "main/pidfile.h"
#include "base/str.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static bool refuse(const struct pidfile *p, const char *what) {
    log_event(LEVEL_ERROR, "pid_file", "%s: %s: %s", p->path, what, strerror(errno));
    return false;
}

static bool locked_by_another(struct pidfile *p) {
    char text[16] = "";
    ssize_t n = pread(p->fd, text, sizeof text - 1, 0);
    struct span s = span_of(text, n > 0 ? (size_t)n : 0), pid = span_trim(span_split(&s, '\n'));
    log_event(LEVEL_ERROR, "pid_file", "%s: another gateway runs with it (process %.*s)", p->path,
              SPAN_ARG(pid));
    close(p->fd);
    p->fd = -1;
    return false;
}

bool pidfile_take(struct pidfile *p, const char *path) {
    char text[16];
    struct stat locked, named;
    p->path = path;
    for (;;) {
        p->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (p->fd < 0)
            return refuse(p, "cannot open");
        if (flock(p->fd, LOCK_EX | LOCK_NB) < 0)
            return errno == EWOULDBLOCK ? locked_by_another(p) : refuse(p, "cannot lock");
        /* The former owner may have removed it between the two calls: then the lock is on no file.
         */
        if (fstat(p->fd, &locked) == 0 && stat(path, &named) == 0 && locked.st_ino == named.st_ino)
            break;
        close(p->fd);
    }
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(p->fd, 0) < 0 || pwrite(p->fd, text, (size_t)n, 0) != n)
        return refuse(p, "cannot write");
    return true;
}

void pidfile_drop(struct pidfile *p) {
    if (p->fd < 0)
        return;
    unlink(p->path);
    close(p->fd);
    p->fd = -1;
}
