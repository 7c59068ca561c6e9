/*
 * A filter that waits for a call of the gateway's own, over the simulated network: forward auth and
 * introspection, each kind of answer, clients that leave and services that break off at every point
 * (THREATS.md F18 to F20). The one who decides is 10.0.0.2, the shop 10.0.0.1.
 */
#include "core/authenticator.h"
#include "core/call.h"
#include "filter/authenticate.h"
#include "identity/forward.h"
#include "identity/introspect.h"
#include "back/proxy.h"
#include "play.h"
#include <string.h>

/* The configuration as the loader would fill it: shipped values, and what the test says. */
static void fill(const struct auth_kind *kind, void *conf, const char *key, const void *value) {
    for (unsigned i = 0; i < kind->form->fields; i++) {
        const struct schema_field *f = &kind->form->field[i];
        if (strcmp(f->key, key) == 0)
            memcpy((char *)conf + f->offset, value, f->width);
    }
}

static uint64_t owner = 7;

static const struct outbound *outbound_to(struct snapshot *s, const struct service_conf *id) {
    struct outbound *o = arena_zero(&s->arena, sizeof *o);
    o->host = SPAN("id.test");
    o->path = SPAN("/decide");
    outbound_aim(o, id, &proxy_back);
    return o;
}

/* Two services in the place of one: the shop and who decides. */
static const struct service_conf *with_judge(struct service_conf *shop, struct snapshot *s) {
    struct service_conf *both = arena_zero(&s->arena, 2 * sizeof *both);
    struct endpoint_conf *e = arena_zero(&s->arena, sizeof *e);
    both[0] = both[1] = *shop;
    *e = (struct endpoint_conf){.address_text = SPAN("10.0.0.2:80"), .weight = 1};
    must(address_parse(e->address_text, &e->address));
    both[1].name = SPAN("id");
    both[1].endpoint = e;
    both[1].endpoint_count = 1;
    both[1].keepalive_idle_ms = 1; /* a play that ends finds nothing of it */
    s->service = both;
    s->service_count = 2;
    const struct forward_conf *f = s->route->plan.back_conf;
    ((struct target *)(uintptr_t)f->target)->service = &both[0];
    return &both[1];
}

/* What everybody asks for at the end of a play is nobody's matter. */
static enum verdict request(struct step *s) {
    return span_eq(s->x->req.path, SPAN("/last")) ? NEXT : authenticate_ops.request(s);
}
static struct filter_ops ops;

static void guard(struct service_conf *shop, struct snapshot *s, const struct auth_kind *kind,
                  uint64_t cache_ms) {
    const struct outbound *to = outbound_to(s, with_judge(shop, s));
    struct authenticator *by = arena_zero(&s->arena, sizeof *by);
    const struct authenticator **list = arena_zero(&s->arena, sizeof *list);
    struct authenticate_conf *c = arena_zero(&s->arena, sizeof *c);
    struct filter *f = arena_zero(&s->arena, sizeof *f);
    struct route *r = (struct route *)(uintptr_t)s->route;
    uint64_t timeout = 2000, size = 8192;
    struct span method = SPAN("GET");
    *by = (struct authenticator){
        .name = SPAN("it"), .kind = kind, .forward = true, .lasting = &owner};
    by->conf = arena_zero(&s->arena, kind->size);
    fill(kind, by->conf, "url", &to);
    fill(kind, by->conf, "timeout", &timeout);
    fill(kind, by->conf, "cache", &cache_ms);
    fill(kind, by->conf, "max_size", &size);
    fill(kind, by->conf, "method", &method);
    must(!kind->finish(&s->arena, by->conf));
    list[0] = by;
    *c = (struct authenticate_conf){.by = list, .count = 1};
    ops = authenticate_ops;
    ops.request = request;
    *f = (struct filter){.ops = &ops, .conf = c};
    r->plan.filter = f;
    r->plan.count = 1;
    r->plan.steps_size = (authenticate_ops.step_size + 15) & ~(size_t)15;
}

static void forward(struct service_conf *shop, struct snapshot *s) {
    guard(shop, s, &auth_forward, 0);
}
static void forward_cached(struct service_conf *shop, struct snapshot *s) {
    guard(shop, s, &auth_forward, 60000);
}
static void introspection(struct service_conf *shop, struct snapshot *s) {
    guard(shop, s, &auth_introspection, 60000);
}

/* ---- what is said ---- */

#define ASK "GET /a HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer t\r\n\r\n"
#define YES "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define ACTIVE "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"active\":true}"

static void shop_answers(struct play *p, int c) {
    int s = play_accept(p, 0);
    play_head(p, s, "GET /a HTTP/1.1");
    play_send(p, s, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ngoods");
    play_head(p, c, "HTTP/1.1 200 OK");
    play_expect(p, c, "goods");
    play_close(p, s);
}

static int judge_asked(struct play *p) {
    int j = play_accept(p, 1);
    play_head(p, j,
              "GET /decide HTTP/1.1\nHost: id.test\nX-Forwarded-Uri: /a\n!X-Forwarded-Host: b");
    return j;
}

static void calls_agree(struct play *p) {
    play_quiet(p);
    play_check(p, rig_sum(p->rig, calls_started) == rig_sum(p->rig, calls_answered) +
                                                        rig_sum(p->rig, calls_failed) +
                                                        rig_sum(p->rig, calls_cancelled));
}

static void yes(struct play *p) {
    int c = play_client(p);
    play_send(p, c, ASK);
    int j = judge_asked(p);
    play_send(p, j, YES);
    shop_answers(p, c);
    play_close(p, j);
    play_close(p, c);
    calls_agree(p);
}

static void no(struct play *p) {
    int c = play_client(p);
    play_send(p, c, ASK);
    int j = judge_asked(p);
    play_send(p, j, "HTTP/1.1 403 Forbidden\r\nX-A: b\r\nContent-Length: 2\r\n\r\nno");
    play_head(p, c, "HTTP/1.1 403 Forbidden\n!X-A");
    play_expect(p, c, "no");
    play_close(p, j);
    play_close(p, c);
    calls_agree(p);
}

static void silence(struct play *p) {
    int c = play_client(p);
    play_send(p, c, ASK);
    int j = judge_asked(p);
    play_time(p, 2100);
    play_head(p, c, "HTTP/1.1 503");
    play_end(p, j);
    play_close(p, c);
    calls_agree(p);
}

/* The client is gone while the answer is on its way: the call is, too. */
static void left_alone(struct play *p) {
    int c = play_client(p);
    play_send(p, c, ASK);
    int j = judge_asked(p);
    play_send(p, j, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    play_quiet(p);
    play_reset(p, c);
    play_quiet(p);
    play_check(p, rig_sum(p->rig, calls_cancelled) == 1);
    play_close(p, j);
    calls_agree(p);
}

/* Two ask the same: one call. The first one leaves, the other is answered. */
static void together(struct play *p) {
    int a = play_client(p), b = play_client(p);
    play_send(p, a, ASK);
    int j = judge_asked(p);
    play_send(p, b, ASK);
    play_quiet(p);
    play_reset(p, a);
    play_quiet(p);
    play_send(p, j, YES);
    shop_answers(p, b);
    play_check(p, rig_sum(p->rig, calls_started) == 1);
    play_close(p, j);
    play_close(p, b);
    calls_agree(p);
}

static void active(struct play *p) {
    int c = play_client(p);
    play_send(p, c, ASK);
    int j = play_accept(p, 1);
    play_head(p, j, "POST /decide HTTP/1.1\nContent-Length: 7");
    play_expect(p, j, "token=t");
    play_send(p, j, ACTIVE);
    shop_answers(p, c);
    play_close(p, j);
    play_send(p, c, ASK); /* again: it is remembered */
    shop_answers(p, c);
    play_check(p, rig_sum(p->rig, calls_started) == 1);
    play_close(p, c);
    calls_agree(p);
}

static const struct scene scenes[] = {
    {"it may pass", yes, {.tune = forward}, false},
    {"it may not pass", no, {.tune = forward}, false},
    {"nobody decides", silence, {.tune = forward}, false},
    {"the client leaves", left_alone, {.tune = forward}, false},
    {"one call for two", together, {.tune = forward_cached}, false},
    {"an active token", active, {.tune = introspection}, false},
};

int main(int argc, char **argv) {
    return play_main("forward auth", scenes, array_len(scenes), argc > 1 ? argv[1] : NULL);
}
