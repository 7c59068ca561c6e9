#include "main/control.h"
#include "base/log.h"
#include "main/control_name.h"
#include "main/gateway.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { RETRY_MS = 200 };

struct asker {
    struct watch watch;
    struct list node;
    struct timer patience; /* for the request line */
    struct deferred free;
    struct reload_waiter waiter;
    struct gateway *gateway;
    char line[CONTROL_LINE_MAX];
    size_t line_len;
    bool asked, json;
    struct str answer; /* mem_alloc'ed */
    size_t sent;
};

static uint64_t now_ms(const struct gateway *g) {
    return g->control.loop.now / 1000000;
}

static void asker_free(struct deferred *d) {
    struct asker *a = container_of(d, struct asker, free);
    mem_free(a->answer.p);
    mem_free(a);
}

static void asker_end(struct asker *a) {
    struct gateway *g = a->gateway;
    if (a->watch.closed)
        return;
    list_remove(&a->node);
    g->door.count--;
    reload_forget(&a->waiter);
    timer_stop(&a->patience);
    loop_unwatch(&g->control.loop, &a->watch);
    a->free.run = asker_free;
    loop_after_turn(&g->control.loop, &a->free);
}

static void send_rest(struct asker *a) {
    while (a->sent < a->answer.n) {
        ssize_t n = send(a->watch.fd, a->answer.p + a->sent, a->answer.n - a->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return; /* an edge comes when there is room */
        if (n < 0)
            break;
        a->sent += (size_t)n;
    }
    asker_end(a);
}

static void answer(struct asker *a, int code, struct span message, struct diag_list *diags) {
    struct str details = reload_text(diags, a->json ? DIAG_JSON : DIAG_TEXT);
    size_t max = message.n + details.n + 32;
    a->answer = str_on(mem_alloc(max), max);
    str_fmt(&a->answer, "%d ", code);
    str_add(&a->answer, message);
    str_char(&a->answer, '\n');
    str_add(&a->answer, str_span(&details));
    mem_free(details.p);
    send_rest(a);
}

static void reloaded(struct reload_waiter *w, const struct reload_outcome *o) {
    static const int code[] = {
        [RELOAD_DONE] = CLI_FINE, [RELOAD_FAILED] = CLI_FAILED, [RELOAD_REFUSED] = CLI_CONFIG};
    answer(container_of(w, struct asker, waiter), code[o->result], o->message, o->diags);
}

static void understand(struct asker *a, struct span line) {
    timer_stop(&a->patience);
    a->asked = true;
    a->json = span_eq(line, SPAN("reload json"));
    if (!a->json && !span_eq(line, SPAN("reload text"))) {
        answer(a, CLI_FAILED, SPAN("the gateway does not know this request"), NULL);
        return;
    }
    a->waiter.done = reloaded;
    reload_request(a->gateway, &a->waiter);
}

static void asker_ready(struct watch *w, uint32_t events) {
    struct asker *a = container_of(w, struct asker, watch);
    (void)events;
    if (a->asked) {
        char more;
        if (recv(w->fd, &more, 1, 0) == 0 || (events & (EPOLLHUP | EPOLLERR)))
            asker_end(a); /* nobody waits any more; the reload goes on */
        else if (a->answer.p)
            send_rest(a);
        return;
    }
    ssize_t n = recv(w->fd, a->line + a->line_len, sizeof a->line - a->line_len, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    a->line_len += n > 0 ? (size_t)n : 0;
    struct span got = span_of(a->line, a->line_len);
    ptrdiff_t end = span_find(got, '\n');
    if (end >= 0)
        understand(a, span_cut(got, 0, (size_t)end));
    else if (n <= 0 || a->line_len == sizeof a->line)
        asker_end(a);
}

static void out_of_patience(struct timer *t) {
    asker_end(container_of(t, struct asker, patience));
}

static void accept_one(struct gateway *g, int fd) {
    struct control *c = &g->door;
    if (c->count == CONTROL_ASKERS_MAX || !control_trusts(fd, c->starter)) {
        close(fd);
        return;
    }
    struct asker *a = mem_alloc(sizeof *a);
    a->gateway = g;
    a->watch.ready = asker_ready;
    if (!loop_watch(&g->control.loop, &a->watch, fd)) {
        close(fd);
        mem_free(a);
        return;
    }
    c->count++;
    list_append(&c->askers, &a->node);
    a->patience.fire = out_of_patience;
    timer_start(&g->control.loop.timers, &a->patience, now_ms(g), CONTROL_PATIENCE_MS);
}

static void door_ready(struct watch *w, uint32_t events) {
    struct gateway *g = container_of(w, struct gateway, door.watch);
    (void)events;
    for (int fd; (fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;)
        accept_one(g, fd);
}

void control_open(struct gateway *g) {
    struct control *c = &g->door;
    int err, fd = control_bind(&c->address, &err);
    if (fd >= 0 && loop_watch(&g->control.loop, &c->watch, fd)) {
        c->watch.closed = false;
        return;
    }
    if (fd >= 0)
        close(fd);
    c->watch.closed = true;
    if (err == EADDRINUSE) /* a gateway that drains, or a second one with the same file */
        timer_start(&g->control.loop.timers, &c->again, now_ms(g), RETRY_MS);
    else
        log_event(LEVEL_WARNING, "control", "sluice reload will not find this gateway: %s",
                  strerror(err));
}

static void open_again(struct timer *t) {
    control_open(container_of(t, struct gateway, door.again));
}

void control_init(struct gateway *g) {
    struct control *c = &g->door;
    list_init(&c->askers);
    c->starter = getuid();
    c->watch = (struct watch){.ready = door_ready, .fd = -1, .closed = true};
    c->again.fire = open_again;
    c->address = control_address(g->call, c->starter);
}

void control_close(struct gateway *g) {
    struct control *c = &g->door;
    timer_stop(&c->again);
    if (!c->watch.closed) {
        if (c->address.un.sun_path[0])
            unlink(c->address.un.sun_path);
        loop_unwatch(&g->control.loop, &c->watch);
    }
    for (struct list *n = c->askers.next, *next; n != &c->askers; n = next) {
        struct asker *a = container_of(n, struct asker, node);
        next = n->next;
        if (!a->answer.p) /* what is being told is told to its end */
            asker_end(a);
    }
}
