#include "main/listening.h"
#include "admin/admin.h"
#include "front/listener.h"
#include "main/gateway.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static bool has(const struct snapshot *s, const struct listener_conf *l, bool by_name) {
    for (uint32_t i = 0; s && i < s->listener_count; i++)
        if (address_eq(&s->listener[i].address, &l->address) &&
            (!by_name || span_eq(s->listener[i].name, l->name)))
            return true;
    return false;
}

static void say_why(struct str *message, struct span name, struct span address,
                    const struct where *at, int err) {
    str_fmt(message, "listener \"%.*s\"", SPAN_ARG(name));
    if (at && at->file)
        str_fmt(message, " (%s:%u)", at->file, at->line);
    str_fmt(message, ": cannot listen on %.*s: %s", SPAN_ARG(address), strerror(err));
    if (err == EADDRINUSE)
        str_lit(message, " (another process has it)");
    else if (err == EACCES)
        str_lit(message, " (ports below 1024 need root or CAP_NET_BIND_SERVICE)");
}

static void give(struct order *o, struct span name, int fd) {
    struct order_socket *more =
        mem_realloc(o->open, o->opens * sizeof *more, (o->opens + 1) * sizeof *more);
    more[o->opens++] = (struct order_socket){name, fd};
    o->open = more;
}

/* 0, or errno; the descriptors that were given stay with the orders. */
static int spread(struct order **order, unsigned workers, struct span name, const int *fd,
                  unsigned n) {
    must(n && workers);
    for (unsigned i = 0; i < n; i++)
        give(order[i % workers], name, fd[i]);
    for (unsigned w = n; w < workers; w++) {
        int copy = fcntl(fd[w % n], F_DUPFD_CLOEXEC, 0);
        if (copy < 0)
            return errno;
        give(order[w], name, copy);
    }
    return 0;
}

static void note_closes(const struct snapshot *old, const struct snapshot *next, struct order *o) {
    if (!old)
        return;
    o->close = mem_alloc((old->listener_count + 1) * sizeof *o->close);
    for (uint32_t i = 0; i < old->listener_count; i++)
        if (!has(next, &old->listener[i], true))
            o->close[o->closes++] = old->listener[i].name;
}

static void undo(struct gateway *g, const struct snapshot *old, const struct snapshot *next,
                 struct order **order) {
    for (unsigned w = 0; w < g->workers; w++) {
        while (order[w]->opens)
            close(order[w]->open[--order[w]->opens].fd);
        order[w]->closes = 0;
    }
    listening_settle(g, next, old); /* what only `next` has is given up again */
}

bool listening_change(struct gateway *g, const struct snapshot *old, const struct snapshot *next,
                      struct order **order, struct str *message) {
    for (uint32_t i = 0; i < next->listener_count; i++) {
        const struct listener_conf *l = &next->listener[i];
        int fd[SOCKETS_PER_ADDRESS];
        unsigned n;
        if (has(old, l, true))
            continue;
        int err = channel_listen(&g->channel, &l->address, g->workers, fd, &n);
        if (!err)
            err = spread(order, g->workers, l->name, fd, n);
        if (err) {
            say_why(message, l->name, l->address_text, &l->where, err);
            undo(g, old, next, order);
            return false;
        }
    }
    for (unsigned w = 0; w < g->workers; w++)
        note_closes(old, next, order[w]);
    return true;
}

static bool admin_on(const struct snapshot *s, const struct address *a) {
    return s && s->admin.len && address_eq(&s->admin, a);
}

void listening_settle(struct gateway *g, const struct snapshot *old, const struct snapshot *next) {
    for (uint32_t i = 0; old && i < old->listener_count; i++)
        if (!has(next, &old->listener[i], false) && !admin_on(next, &old->listener[i].address))
            channel_close_address(&g->channel, &old->listener[i].address);
}

bool listening_admin(struct gateway *g, const struct snapshot *old, const struct snapshot *next,
                     struct str *message) {
    static const struct span name = {"admin", 5};
    int fd[SOCKETS_PER_ADDRESS];
    unsigned n = 0;
    if (old && address_eq(&old->admin, &next->admin))
        return true;
    if (next->admin.len) {
        struct listener_conf same = {.address = next->admin};
        int err = has(next, &same, false) ? EADDRINUSE /* one of its own listeners */
                                          : channel_listen(&g->channel, &next->admin, 1, fd, &n);
        if (err) {
            say_why(message, name, next->admin_text, NULL, err);
            return false;
        }
    }
    if (old && old->admin.len) {
        listener_close(&g->control, SPAN_NONE);
        channel_close_address(&g->channel, &old->admin);
    }
    bool good = true;
    for (unsigned i = 0; i < n; i++)
        good = listener_open(&g->control, name, fd[i], &admin_plan) && good;
    if (!good)
        str_lit(message, "admin listener: no descriptor to be had");
    return good;
}
