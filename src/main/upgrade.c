#include "main/upgrade.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static const char variable[] = "SLUICE_UPGRADE";
enum { TEXT_MAX = 64 * 1024, TRY_SECONDS = 5 };

static void keep_open(int fd, bool keep) {
    if (fd >= 0)
        fcntl(fd, F_SETFD, keep ? 0 : FD_CLOEXEC);
}

static void keep_all(const struct inheritance *i, bool keep) {
    keep_open(i->channel, keep);
    keep_open(i->pidfile, keep);
    for (unsigned a = 0; a < i->sockets->count; a++)
        for (unsigned n = 0; n < i->sockets->held[a]->count; n++)
            keep_open(i->sockets->held[a]->fd[n], keep);
}

/* "child channel pidfile [g|b]fd [g|b]fd ...": g was given to us, b bound by us. */
static char *describe(const struct inheritance *i) {
    char *text = mem_alloc(TEXT_MAX);
    struct str s = str_on(text, TEXT_MAX - 1);
    str_fmt(&s, "%d %d %d", (int)i->child, i->channel + 1, i->pidfile + 1);
    for (unsigned a = 0; a < i->sockets->count; a++) {
        const struct held *h = i->sockets->held[a];
        for (unsigned n = 0; n < h->count; n++)
            str_fmt(&s, " %c%d", h->given ? 'g' : 'b', h->fd[n]);
    }
    return s.full ? NULL : text;
}

/* Whether the binary runs at all: it is asked for its version, and given a few seconds. */
static bool try_binary(const char *path) {
    char name[] = "sluice", command[] = "help";
    char *argv[] = {name, command, NULL};
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t none;
        int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        dup2(quiet, STDOUT_FILENO);
        alarm(TRY_SECONDS);
        execv(path, argv);
        _exit(127);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    log_event(LEVEL_ERROR, "upgrade", "no upgrade: \"%s help\" fails; this version goes on", path);
    return false;
}

static void export_systemd(const struct systemd *d) {
    char text[ADDRESS_TEXT_MAX];
    if (d->notify.len) {
        struct span s = address_text(&d->notify, text, false);
        text[s.n < sizeof text ? s.n : sizeof text - 1] = 0;
        setenv("NOTIFY_SOCKET", text + sizeof "unix:" - 1, 1);
    }
}

void upgrade_execute(const char *path, char **argv, struct inheritance *i) {
    struct systemd again;
    if (!try_binary(path))
        return;
    char *text = describe(i);
    if (!text) {
        log_event(LEVEL_ERROR, "upgrade", "no upgrade: too many sockets to hand on");
        return;
    }
    setenv(variable, text, 1);
    mem_free(text);
    export_systemd(i->systemd);
    keep_all(i, true);
    execv(path, argv);
    log_event(LEVEL_ERROR, "upgrade", "no upgrade: cannot execute %s: %s", path, strerror(errno));
    keep_all(i, false);
    unsetenv(variable);
    systemd_init(&again); /* takes the variables out of the environment again */
}

static int next_number(struct span *rest) {
    uint64_t v = 0;
    return parse_dec(span_split(rest, ' '), INT32_MAX, &v) ? (int)v : 0;
}

static void inherit_sockets(struct sockets *s, struct span rest) {
    while (rest.p) {
        struct span word = span_split(&rest, ' ');
        uint64_t fd;
        if (word.n < 2 || !parse_dec(span_from(word, 1), INT32_MAX, &fd))
            continue;
        int err = sockets_adopt(s, (int)fd);
        if (err)
            log_event(LEVEL_ERROR, "upgrade", "socket %d was not handed on: %s", (int)fd,
                      strerror(err));
        else if (word.p[0] == 'b')
            s->held[s->count - 1]->given = false; /* one address stands in a row */
    }
}

bool upgrade_inherit(struct inheritance *i) {
    const char *text = getenv(variable);
    if (!text)
        return false;
    struct span rest = span_z(text);
    i->child = next_number(&rest);
    i->channel = next_number(&rest) - 1;
    i->pidfile = next_number(&rest) - 1;
    keep_open(i->channel, false);
    keep_open(i->pidfile, false);
    inherit_sockets(i->sockets, rest);
    unsetenv(variable);
    return i->child > 0;
}
