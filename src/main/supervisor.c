#include "main/supervisor.h"
#include "main/channel.h"
#include "main/pidfile.h"
#include "base/log.h"
#include "main/upgrade.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

struct child {
    pid_t pid; /* 0: none */
    int channel;
    bool ready;
};

struct supervisor {
    const struct cli_call *call;
    struct sockets sockets;
    struct systemd systemd;
    struct pidfile pidfile;
    struct child now, old; /* old: drains after an upgrade */
    struct crashes crashes;
    uint64_t restart_at; /* ms; 0: nothing to start */
    int signals, binary; /* binary: what is executed, as it was when this process began */
    char *path;          /* where an upgrade finds the next one */
    bool served;         /* some serving process was ready once */
    bool stopping, done;
    int code;
};

static uint64_t now_ms(void) {
    return env.now_ns() / 1000000;
}

unsigned restart_delay_ms(struct crashes *c, uint64_t now) {
    uint64_t *slot = &c->at_ms[c->count % CRASHES_MAX];
    uint64_t fifth_last = c->at_ms[(c->count + 1) % CRASHES_MAX];
    *slot = now;
    c->count++;
    if (c->count < CRASHES_MAX || now - fifth_last > CRASHES_WITHIN_S * 1000) {
        c->pause_ms = 0;
        return 0;
    }
    c->pause_ms = c->pause_ms ? c->pause_ms * 2 : RESTART_FIRST_MS;
    if (c->pause_ms > RESTART_MAX_MS)
        c->pause_ms = RESTART_MAX_MS;
    return c->pause_ms;
}

/* In the new process; only what is safe after fork. */
static _Noreturn void become_child(struct supervisor *s, int channel) {
    sigset_t none;
    sigemptyset(&none);
    setpgid(0, 0); /* Ctrl-C reaches the supervisor alone, which passes it on once */
    sigprocmask(SIG_SETMASK, &none, NULL);
    fcntl(channel, F_SETFD, 0);
    fexecve(s->binary, s->call->argv, environ);
    log_event(LEVEL_ERROR, "supervisor", "cannot execute the serving process: %s", strerror(errno));
    _exit(CLI_FAILED);
}

static bool start_child(struct supervisor *s) {
    int pair[2];
    if (!channel_pair(pair)) {
        log_event(LEVEL_ERROR, "supervisor", "no socket pair: %s", strerror(errno));
        return false;
    }
    channel_export(pair[1]);
    pid_t pid = fork();
    if (pid == 0)
        become_child(s, pair[1]);
    int err = errno;
    close(pair[1]);
    channel_unexport();
    if (pid < 0) {
        close(pair[0]);
        log_event(LEVEL_ERROR, "supervisor", "cannot start the serving process: %s", strerror(err));
        return false;
    }
    s->now = (struct child){.pid = pid, .channel = pair[0]};
    return true;
}

static void finish(struct supervisor *s, int code) {
    s->done = true;
    s->code = code;
}

static void start_later(struct supervisor *s) {
    unsigned pause = restart_delay_ms(&s->crashes, now_ms());
    if (pause)
        log_event(LEVEL_WARNING, "supervisor", "%d crashes within %d s: next start in %u ms",
                  CRASHES_MAX, CRASHES_WITHIN_S, pause);
    s->restart_at = now_ms() + pause;
}

static void start_now(struct supervisor *s) {
    s->restart_at = 0;
    if (start_child(s))
        return;
    if (s->served)
        start_later(s);
    else
        finish(s, CLI_FAILED);
}

static void describe_end(int status, pid_t pid) {
    if (WIFSIGNALED(status))
        log_event(LEVEL_ERROR, "supervisor", "the serving process %d was ended by signal %d (%s)",
                  (int)pid, WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        log_event(WEXITSTATUS(status) ? LEVEL_ERROR : LEVEL_INFO, "supervisor",
                  "the serving process %d ended with %d", (int)pid, WEXITSTATUS(status));
}

/* The serving process is gone: orderly, before it ever served, or by a crash. */
static void serving_ended(struct supervisor *s, int status) {
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : CLI_FAILED;
    bool ready = s->now.ready;
    pid_t pid = s->now.pid;
    close(s->now.channel);
    s->now = (struct child){.pid = 0};
    if (s->stopping || code == CLI_FINE || !s->served) {
        if (WIFSIGNALED(status))
            describe_end(status, pid);
        finish(s, code);
        return;
    }
    describe_end(status, pid);
    if (!ready && s->old.pid) {
        log_event(LEVEL_ERROR, "supervisor",
                  "the new serving process does not start; the old one goes on");
        s->now = s->old;
        s->old = (struct child){.pid = 0};
        return;
    }
    start_later(s);
}

static void reap(struct supervisor *s) {
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid == s->now.pid) {
            serving_ended(s, status);
        } else if (pid == s->old.pid) {
            describe_end(status, pid);
            close(s->old.channel);
            s->old = (struct child){.pid = 0};
        }
    }
}

static void pass_on(const struct supervisor *s, int number) {
    if (s->now.pid)
        kill(s->now.pid, number);
    if (s->old.pid)
        kill(s->old.pid, number);
}

static void stop(struct supervisor *s) {
    if (!s->now.pid) { /* between two starts */
        finish(s, CLI_FINE);
        return;
    }
    pass_on(s, SIGTERM);
    if (s->stopping)
        return;
    s->stopping = true;
    s->restart_at = 0;
    sockets_close_all(&s->sockets,
                      true); /* the serving process takes what is queued, then nobody listens */
}

static void upgrade(struct supervisor *s) {
    if (!s->now.pid || !s->now.ready || s->old.pid) {
        log_event(LEVEL_WARNING, "supervisor", "no upgrade now: %s",
                  s->old.pid ? "the last one is still draining" : "nothing serves yet");
        return;
    }
    struct inheritance i = {.child = s->now.pid,
                            .channel = s->now.channel,
                            .pidfile = s->pidfile.fd,
                            .sockets = &s->sockets,
                            .systemd = &s->systemd};
    upgrade_execute(s->path, s->call->argv, &i); /* returns only when it failed */
}

static void on_signal(struct supervisor *s) {
    struct signalfd_siginfo i;
    while (read(s->signals, &i, sizeof i) == (ssize_t)sizeof i) {
        if (i.ssi_signo == SIGCHLD)
            reap(s);
        else if (i.ssi_signo == SIGTERM || i.ssi_signo == SIGINT)
            stop(s);
        else if (i.ssi_signo == SIGUSR2)
            upgrade(s);
        else
            pass_on(s, (int)i.ssi_signo);
    }
}

static void became_ready(struct supervisor *s, struct child *c) {
    c->ready = s->served = true;
    if (c == &s->now && s->old.pid) {
        log_event(LEVEL_INFO, "supervisor", "process %d serves, %d drains", (int)s->now.pid,
                  (int)s->old.pid);
        kill(s->old.pid, SIGTERM);
    }
}

static void answer_listen(struct supervisor *s, struct child *c, const struct address *at,
                          unsigned count) {
    const struct held *h = NULL;
    int err = sockets_open(&s->sockets, at, count, &h);
    if (!channel_answer(c->channel, err, err ? NULL : h))
        log_event(LEVEL_ERROR, "supervisor", "cannot answer the serving process: %s",
                  strerror(errno));
}

static void on_channel(struct supervisor *s, struct child *c) {
    struct channel_record r;
    struct address at;
    if (!channel_receive(c->channel, &r, &at)) {
        /* Gone, or not to be understood; its end is told by SIGCHLD. */
        close(c->channel);
        c->channel = -1;
        return;
    }
    if (r.kind == CHANNEL_LISTEN)
        answer_listen(s, c, &at, r.count);
    else if (r.kind == CHANNEL_CLOSE && c == &s->now)
        sockets_close(&s->sockets, &at);
    else if (r.kind == CHANNEL_READY)
        became_ready(s, c);
    if (c == &s->now) /* one that drains after an upgrade is no news */
        channel_to_systemd(&s->systemd, r.kind);
}

static int wait_ms(const struct supervisor *s) {
    if (!s->restart_at)
        return -1;
    uint64_t now = now_ms();
    return s->restart_at > now ? (int)(s->restart_at - now) : 0;
}

static void turn(struct supervisor *s) {
    struct pollfd p[3] = {{.fd = s->signals, .events = POLLIN},
                          {.fd = s->now.pid ? s->now.channel : -1, .events = POLLIN},
                          {.fd = s->old.pid ? s->old.channel : -1, .events = POLLIN}};
    if (poll(p, array_len(p), wait_ms(s)) < 0 && errno != EINTR) {
        log_event(LEVEL_ERROR, "supervisor", "poll: %s", strerror(errno));
        return;
    }
    if (p[1].revents)
        on_channel(s, &s->now);
    if (p[2].revents)
        on_channel(s, &s->old);
    if (p[0].revents)
        on_signal(s);
    if (s->restart_at && now_ms() >= s->restart_at && !s->done)
        start_now(s);
}

static bool take_signals(struct supervisor *s) {
    static const int number[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < array_len(number); i++)
        sigaddset(&set, number[i]);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_SETMASK, &set, NULL);
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signals >= 0;
}

static bool find_binary(struct supervisor *s) {
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    s->binary = open("/proc/self/exe", O_PATH | O_CLOEXEC);
    if (n < 0 || s->binary < 0) {
        log_event(LEVEL_ERROR, "supervisor", "no /proc/self/exe (%s); --no-supervisor runs without",
                  strerror(errno));
        return false;
    }
    s->path = mem_text(path, (size_t)n);
    return true;
}

/* What a former supervisor left to this one, or a fresh start. */
static bool begin(struct supervisor *s) {
    struct inheritance i = {.sockets = &s->sockets, .systemd = &s->systemd};
    systemd_init(&s->systemd);
    if (upgrade_inherit(&i)) {
        s->old = (struct child){.pid = i.child, .channel = i.channel, .ready = true};
        s->served = true;
        s->pidfile = (struct pidfile){s->call->pid_file, i.pidfile};
        log_event(LEVEL_INFO, "supervisor", "%s took over", SLUICE_VERSION);
        return true;
    }
    s->pidfile.fd = -1;
    return (!s->call->pid_file || pidfile_take(&s->pidfile, s->call->pid_file)) &&
           systemd_sockets(&s->sockets);
}

int supervisor_run(const struct cli_call *call) {
    struct supervisor s = {
        .call = call, .signals = -1, .binary = -1, .code = CLI_FAILED, .pidfile.fd = -1};
    prctl(PR_SET_NAME, "sluice-super");
    if (take_signals(&s) && find_binary(&s) && begin(&s)) {
        start_now(&s);
        while (!s.done)
            turn(&s);
    }
    sockets_close_all(&s.sockets, true);
    pidfile_drop(&s.pidfile);
    mem_free(s.path);
    return s.code;
}
