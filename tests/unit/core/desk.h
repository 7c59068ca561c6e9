/*
 * desk - one thread, a snapshot made by hand, and a front that writes down what it is told: for
 * tests of what the core, filters and canned backs do with one exchange.
 */
#pragma once
#include "core/exchange.h"
#include "core/facts.h"
#include "core/problem.h"
#include "core/route.h"
#include "core/thread.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

struct desk {
    struct thread thread;
    struct snapshot *snapshot;
    struct listener_conf listener;
    char head[8192], body[65536]; /* "status\nname: value\n..." and the body, with NUL */
    int heads;
    bool failed;
    struct route route; /* of the exchanges, when a plan is set */
    struct filter filter[1];
};

static struct desk desk;

static void desk_head(struct exchange *x) {
    struct str s = str_on(desk.head, sizeof desk.head - 1);
    if (x->interim)
        return;
    desk.heads++;
    str_fmt(&s, "%d\n", x->resp.status);
    for (uint16_t i = 0; i < x->resp.count; i++)
        str_fmt(&s, "%.*s: %.*s\n", SPAN_ARG(field_name(&x->resp.field[i])),
                SPAN_ARG(field_value(&x->resp.field[i])));
    desk.head[s.n] = 0;
    body_want(x->down_half.sink);
}

static void desk_readable(struct exchange *x) {
    struct body *b = x->down_half.sink;
    struct iovec iov[BODY_IOV];
    size_t at = strlen(desk.body);
    for (int n; (n = body_get(b, iov, BODY_IOV, SIZE_MAX)) > 0;)
        for (int i = 0; i < n; i++) {
            assert_true(at + iov[i].iov_len < sizeof desk.body);
            memcpy(desk.body + at, iov[i].iov_base, iov[i].iov_len);
            at += iov[i].iov_len;
            desk.body[at] = 0;
            body_pop(b, iov[i].iov_len);
        }
    if (body_done(b))
        exchange_finish(x);
}

static void desk_room(struct exchange *x) {
    (void)x;
}

static void desk_failed(struct exchange *x) {
    (void)x;
    desk.failed = true;
}

static const struct front_ops desk_front = {"desk",    desk_head,   desk_readable,
                                            desk_room, desk_failed, false};

static inline void desk_open(void) {
    memset(&desk, 0, sizeof desk);
    assert_true(thread_init(&desk.thread, 0));
    me = &desk.thread.loop;
    memcpy(desk.thread.id_prefix, "00ff", 5);
    desk.snapshot = snapshot_create();
    desk.snapshot->limits.max_forwards_depth = 5;
    desk.snapshot->limits.max_body = 1 << 20;
    desk.listener = (struct listener_conf){.name = SPAN("public"), .scheme = SPAN("http")};
    desk.route = (struct route){.name = SPAN("r"), .max_body = 1 << 20};
    thread_use_snapshot(&desk.thread, desk.snapshot);
}

static inline void desk_close(void) {
    loop_drain(&desk.thread.loop);
    thread_finish(&desk.thread);
    me = NULL;
}

/* The other end of the connection, as the doors note it. */
static inline void desk_peer(struct exchange *x, const char *address) {
    struct address *p = &x->facts.peer;
    char *text = arena_alloc(&x->arena, ADDRESS_TEXT_MAX);
    assert_true(address_parse_ip(span_z(address), p) || address_parse(span_z(address), p));
    x->facts.peer_text = p->sa.sa_family == AF_UNIX ? SPAN_NONE : address_text(p, text, false);
}

/* "METHOD authority target", then fields as name, value, ..., NULL. */
static inline struct exchange *desk_exchange(const char *method, const char *authority,
                                             const char *target, ...) {
    struct exchange *x = exchange_create(&desk.thread, &desk_front, NULL);
    struct uri_limits lim = {0};
    va_list ap;
    assert_non_null(x);
    desk.head[0] = desk.body[0] = 0;
    desk.heads = 0;
    x->facts.listener = &desk.listener;
    x->facts.protocol = "HTTP/1.1";
    x->facts.http_minor = 11;
    desk_peer(x, "192.0.2.9:4711");
    x->req.method_text = span_z(method);
    x->req.method = method_lookup(x->req.method_text);
    x->req.scheme = desk.listener.scheme;
    if (*authority)
        assert_int_equal(uri_authority(&x->req, span_z(authority)), FAULT_NONE);
    assert_int_equal(uri_target(&x->req, span_z(target), &lim), FAULT_NONE);
    va_start(ap, target);
    for (const char *name; (name = va_arg(ap, const char *));)
        assert_int_equal(
            hdr_put(&x->req, span_z(name), span_z(va_arg(ap, const char *)), ORIGIN_CLIENT),
            FAULT_NONE);
    va_end(ap);
    return x;
}

/* Runs it to its end through a plan of one back and at most one filter. */
static inline void desk_run(struct exchange *x, const struct back_ops *back, const void *conf,
                            const struct filter_ops *ops, const void *filter_conf) {
    struct plan *p = &desk.route.plan;
    desk.filter[0] = (struct filter){.ops = ops, .conf = filter_conf};
    *p = (struct plan){desk.filter, ops ? 1 : 0, ops ? (ops->step_size + 15) & ~(size_t)15 : 0,
                       back, conf};
    x->plan = p;
    x->route = &desk.route;
    exchange_start(x);
    loop_drain(&desk.thread.loop);
}

/* Drops an exchange that was never started. */
static inline void desk_drop(struct exchange *x) {
    exchange_abort(x, FAULT_CLIENT_CLOSED);
    loop_drain(&desk.thread.loop);
}

static inline struct cidr *desk_trust(const char *text) {
    struct cidr *c = arena_alloc(&desk.snapshot->arena, sizeof *c);
    assert_true(cidr_parse(span_z(text), c));
    desk.snapshot->trusted = c;
    desk.snapshot->trusted_count = 1;
    return c;
}

static inline const struct template *desk_template(const char *text, enum template_place place,
                                                   unsigned scopes,
                                                   const struct fact_captures *captures) {
    struct facts_names names;
    struct expr_error e = {0};
    facts_names(&names, scopes, captures);
    const struct template *t =
        template_compile(&desk.snapshot->arena, span_z(text), place, &names.scope, &e);
    if (!t)
        fail_msg("%s: %s", text, e.text);
    return t;
}

/* A response field of the answer, "" when it is not there. */
static inline const char *desk_field(const char *name) {
    static char value[1024];
    char line[128];
    snprintf(line, sizeof line, "\n%s: ", name);
    const char *at = strstr(desk.head, line);
    if (!at)
        return "";
    at += strlen(line);
    snprintf(value, sizeof value, "%.*s", (int)strcspn(at, "\n"), at);
    return value;
}
