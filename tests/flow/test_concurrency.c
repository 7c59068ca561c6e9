/*
 * Turns over the simulated network: the policy `concurrency` and the gate before a service, one at
 * a time and the others in the queue. Who leaves, fails or comes too late gives back what he has:
 * the tables and gates are closed at the end of each play, and look (limit/turns.h).
 */
#include "core/thread.h"
#include "filter/concurrency.h"
#include "limit/gate.h"
#include "play.h"

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static struct concurrency_conf conf;
static struct filter filter;

static void one_turn(struct snapshot *s, uint32_t queue, uint64_t max_wait_ms) {
    struct route *r = (struct route *)(uintptr_t)s->route;
    conf = (struct concurrency_conf){.limit = 1, .keys = 64, .name = SPAN("one")};
    conf.queue = (struct queue_conf){queue, max_wait_ms};
    filter = (struct filter){
        .ops = concurrency_policy.ops, .conf = &conf, .place = SPAN("route r concurrency")};
    r->plan.filter = &filter;
    r->plan.count = 1;
    r->plan.steps_size = (filter.ops->step_size + 15) & ~(size_t)15;
}

static void policy(struct service_conf *shop, struct snapshot *s) {
    (void)shop;
    one_turn(s, 2, 5000);
}
static void no_queue(struct service_conf *shop, struct snapshot *s) {
    (void)shop;
    one_turn(s, 0, 0);
}
static void short_route(struct service_conf *shop, struct snapshot *s) {
    (void)shop;
    one_turn(s, 2, 5000);
    ((struct route *)(uintptr_t)s->route)->request_timeout_ms = 2000;
}
static void gate(struct service_conf *shop, struct snapshot *s) {
    (void)s;
    shop->gate =
        (struct gate_conf){.limit = 1, .queue = {.size = 2, .max_wait_ms = 5000}, .ops = &gate_ops};
    must(!gate_complete(&shop->gate));
}
static void both(struct service_conf *shop, struct snapshot *s) {
    policy(shop, s);
    gate(shop, s);
}

static int ask(struct play *p) {
    int c = play_client(p);
    play_send(p, c, GET);
    return c;
}

static void answered(struct play *p, int c) {
    play_head(p, c, "HTTP/1.1 200");
    play_expect(p, c, "ok");
}

static void in_their_turn(struct play *p) {
    int a = ask(p), s = play_accept(p, 0);
    play_head(p, s, "GET /");
    int b = ask(p);
    play_nothing(p, b);
    play_time(p, 3000); /* the service answers late */
    play_nothing(p, b);
    play_send(p, s, OK);
    answered(p, a);
    play_head(p, s, "GET /"); /* on the same connection */
    play_send(p, s, OK);
    answered(p, b);
}

static void leaves_the_queue(struct play *p) {
    int a = ask(p), s = play_accept(p, 0);
    play_head(p, s, "GET /");
    int b = ask(p);
    play_nothing(p, b);
    int c = ask(p);
    play_nothing(p, c);
    play_reset(p, b);
    play_quiet(p);
    play_send(p, s, OK);
    answered(p, a);
    play_head(p, s, "GET /");
    play_send(p, s, OK);
    answered(p, c);
}

/* Its turn passes to the next when its client is gone, and when its service is. */
static void leaves_in_its_turn(struct play *p) {
    int a = ask(p), s = play_accept(p, 0);
    play_head(p, s, "GET /");
    int b = ask(p);
    play_nothing(p, b);
    play_reset(p, a);
    int t = play_accept(p, 0);
    play_head(p, t, "GET /");
    int c = ask(p);
    play_nothing(p, c);
    play_reset(p, t);
    play_head(p, b, "HTTP/1.1 502 ");
    int u = play_accept(p, 0);
    play_head(p, u, "GET /");
    play_send(p, u, OK);
    answered(p, c);
}

static void too_long_in_the_queue(struct play *p) {
    int a = ask(p), s = play_accept(p, 0);
    play_head(p, s, "GET /");
    int b = ask(p);
    play_nothing(p, b);
    play_time(p, 4000);
    play_nothing(p, b);
    play_time(p, 2000);
    play_head(p, b, "Retry-After: 1");
    play_check(p, p->lost || play_status() == 429 || play_status() == 503);
    play_send(p, s, OK);
    answered(p, a);
}

/* Both end by the route's deadline; who waits, whichever of the two is told him. */
static void beyond_its_deadline(struct play *p) {
    int a = ask(p), s = play_accept(p, 0);
    play_head(p, s, "GET /");
    int b = ask(p);
    play_time(p, 1000);
    play_nothing(p, b);
    play_time(p, 1500);
    play_head(p, a, "HTTP/1.1 504 ");
    play_head(p, b, "");
    play_check(p, p->lost || play_status() == 429 || play_status() == 504);
}

static void full(struct play *p) {
    int a = ask(p), s = play_accept(p, 0);
    play_head(p, s, "GET /");
    int b = ask(p);
    play_head(p, b, "HTTP/1.1 429 \nRetry-After: 1");
    play_send(p, s, OK);
    answered(p, a);
    int c = ask(p);
    play_head(p, s, "GET /");
    play_send(p, s, OK);
    answered(p, c);
}

/* A turn is had until the last byte of the answer has left. */
static void until_the_end(struct play *p) {
    int a = ask(p), s = play_accept(p, 0);
    play_head(p, s, "GET /");
    play_send(p, s, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok");
    play_head(p, a, "HTTP/1.1 200");
    play_expect(p, a, "ok");
    int b = ask(p);
    play_head(p, b, "HTTP/1.1 429 ");
    play_send(p, s, "ok");
    play_expect(p, a, "ok");
    int c = ask(p);
    play_head(p, s, "GET /");
    play_send(p, s, OK);
    answered(p, c);
}

/* Six clients, several workers: whoever they came to, one at a time. */
static void over_workers(struct play *p) {
    int a = ask(p), s = play_accept(p, 0);
    play_head(p, s, "GET /");
    int b = ask(p);
    play_nothing(p, b);
    int c = ask(p);
    play_nothing(p, c);
    int d = ask(p);
    play_head(p, d, "Retry-After: 1");
    play_reset(p, b);
    play_quiet(p);
    play_reset(p, s);
    play_head(p, a, "HTTP/1.1 502 ");
    int t = play_accept(p, 0);
    play_head(p, t, "GET /");
    play_send(p, t, OK);
    answered(p, c);
}

static const struct scene scenes[] = {
    {.name = "in their turn", .fn = in_their_turn, .rig = {.tune = policy}},
    {.name = "in their turn, gate", .fn = in_their_turn, .rig = {.tune = gate}},
    {.name = "in their turn, both", .fn = in_their_turn, .rig = {.tune = both}},
    {.name = "leaves the queue", .fn = leaves_the_queue, .rig = {.tune = policy}},
    {.name = "leaves the queue, gate", .fn = leaves_the_queue, .rig = {.tune = gate}},
    {.name = "leaves in its turn", .fn = leaves_in_its_turn, .rig = {.tune = policy}},
    {.name = "leaves in its turn, gate", .fn = leaves_in_its_turn, .rig = {.tune = gate}},
    {.name = "too long", .fn = too_long_in_the_queue, .rig = {.tune = policy}},
    {.name = "too long, gate", .fn = too_long_in_the_queue, .rig = {.tune = gate}},
    {.name = "beyond its deadline", .fn = beyond_its_deadline, .rig = {.tune = short_route}},
    {.name = "full", .fn = full, .rig = {.tune = no_queue}},
    {.name = "until the end", .fn = until_the_end, .rig = {.tune = no_queue}},
    {.name = "workers", .fn = over_workers, .rig = {.tune = policy, .workers = 2}},
    {.name = "workers, gate", .fn = over_workers, .rig = {.tune = gate, .workers = 3}},
};

int main(int argc, char **argv) {
    return play_main("flow/concurrency", scenes, array_len(scenes), argc > 1 ? argv[1] : NULL);
}
