/*
 * Rate limits on the virtual clock: bursts at the edge of a window (THREATS.md I03), turns that
 * come when they are due, Retry-After that tells the truth, and clients who leave while they wait,
 * before every event.
 */
#include "filter/rate_limit.h"
#include "play.h"
#include <string.h>

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define OK_2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

/* What everybody asks for at the end of a play is nobody's matter. */
static enum verdict request(struct step *s) {
    return span_eq(s->x->req.path, SPAN("/last")) ? NEXT : rate_limit_policy.ops->request(s);
}

static void limit(struct snapshot *s, struct rate_limit_conf as) {
    static struct filter_ops ops;
    struct rate_limit_conf *c = arena_zero(&s->arena, sizeof *c);
    struct filter *f = arena_zero(&s->arena, sizeof *f);
    struct route *r = (struct route *)(uintptr_t)s->route;
    *c = as;
    c->headers = true;
    c->keys = 16;
    must(!rate_limit_finish(&s->arena, c));
    ops = *rate_limit_policy.ops;
    ops.request = request;
    *f = (struct filter){.ops = &ops, .conf = c, .place = SPAN("route all rate_limit")};
    r->plan.filter = f;
    r->plan.count = 1;
    r->plan.steps_size = (ops.step_size + 15) & ~(size_t)15;
}

static const struct schema_rate five_in_10s = {5, 10000}, one_a_second = {1, 1000};
static const struct schema_rate two_speeds[] = {{2, 1000}, {3, 60000}};

static void gcra(struct service_conf *shop, struct snapshot *s) {
    (void)shop;
    limit(s, (struct rate_limit_conf){.rate = &five_in_10s, .rates = 1});
}
static void sliding(struct service_conf *shop, struct snapshot *s) {
    (void)shop;
    limit(s, (struct rate_limit_conf){
                 .rate = &five_in_10s, .rates = 1, .algorithm = LIMIT_SLIDING_WINDOW});
}
static void windows(struct service_conf *shop, struct snapshot *s) {
    (void)shop;
    limit(s, (struct rate_limit_conf){.rate = two_speeds, .rates = 2});
}
static void delayed(struct service_conf *shop, struct snapshot *s) {
    (void)shop;
    limit(s, (struct rate_limit_conf){
                 .rate = &one_a_second, .rates = 1, .delay = {.max_wait_ms = 2500, .queue = 2}});
}
static void deadline(struct service_conf *shop, struct snapshot *s) {
    delayed(shop, s);
    ((struct route *)(uintptr_t)s->route)->request_timeout_ms = 500;
}

/* ---- refusing ---- */

struct talk {
    int c, s; /* of one client; s: the one connection to the shop, -1: not yet */
};

static struct talk begin(struct play *p) {
    return (struct talk){play_client(p), -1};
}

static void served(struct play *p, struct talk *t) {
    if (t->s < 0)
        t->s = play_accept(p, 0);
    play_head(p, t->s, "GET /");
    play_send(p, t->s, OK_2);
    play_head(p, t->c, "HTTP/1.1 200 OK\nRateLimit: \"default\nRateLimit-Policy: \"default");
    play_expect(p, t->c, "ok");
}

static void pass(struct play *p, struct talk *t, unsigned n) {
    while (n--) {
        play_send(p, t->c, GET);
        served(p, t);
    }
}

/* Returns Retry-After. */
static uint64_t refused(struct play *p, struct talk *t) {
    uint64_t after = 0, length = 0;
    char body[2048];
    play_send(p, t->c, GET);
    play_head(p, t->c, "HTTP/1.1 429 \nRetry-After: \nRateLimit: \"default\n;r=0;t=");
    if (p->tolerant)
        return 1;
    play_check(p, parse_dec(play_field("Retry-After"), 100000, &after) && after);
    play_check(p, parse_dec(play_field("Content-Length"), sizeof body, &length));
    for (uint64_t have = 0, got; have < length; have += got)
        if (!(got = play_hear(p, t->c, body, (size_t)(length - have), "a problem")))
            break;
    return after;
}

static void over(struct play *p, struct talk *t) {
    play_close(p, t->c);
    if (t->s >= 0)
        play_close(p, t->s);
}

/* I03: what one window lets come at its end, the next one does not let come again at its beginning.
 * 9.8 s have passed, 0.1 s before a window's end; 0.2 s later not one more may come. */
static void edge_of_a_window(struct play *p) {
    struct talk t = begin(p);
    play_time(p, 9800);
    pass(p, &t, 5);
    refused(p, &t);
    play_time(p, 200);
    refused(p, &t);
    over(p, &t);
}

/* Who waits as long as he is told gets what he asks for; who comes earlier does not. */
static void retry_after_is_true(struct play *p) {
    struct talk t = begin(p);
    pass(p, &t, 5);
    uint64_t after = refused(p, &t);
    play_check(p, p->tolerant || after == 2); /* five in ten seconds */
    play_time(p, 1500);
    refused(p, &t);
    play_time(p, 501); /* the play counts whole milliseconds */
    pass(p, &t, 1);
    refused(p, &t);
    over(p, &t);
}

static void refilled_is_no_more_than_the_burst(struct play *p) {
    struct talk t = begin(p);
    pass(p, &t, 1);
    play_time(p, 40000);
    pass(p, &t, 5);
    refused(p, &t);
    over(p, &t);
}

/* 2/s and 3/m: the second stops by the second, then by the minute; what one refuses the other
 * keeps. */
static void two_windows(struct play *p) {
    struct talk t = begin(p);
    pass(p, &t, 2);
    uint64_t after = refused(p, &t);
    play_check(p, p->tolerant || after == 1);
    play_time(p, 1000);
    pass(p, &t, 1);
    after = refused(p, &t);
    play_check(p, p->tolerant || (after >= 18 && after <= 20)); /* 20 s for each of the minute's */
    play_time(p, 20000);
    pass(p, &t, 1);
    over(p, &t);
}

/* ---- waiting ---- */

static void turns_come_when_due(struct play *p) {
    struct talk t = begin(p), u = {play_client(p), 0};
    pass(p, &t, 1);
    play_send(p, t.c, GET);
    play_quiet(p);
    u.s = t.s;
    play_send(p, u.c, GET);
    play_nothing(p, t.s);
    play_time(p, 900);
    play_nothing(p, t.s);
    play_time(p, 200);
    served(p, &t);
    play_time(p, 800);
    play_nothing(p, t.s);
    play_time(p, 200);
    served(p, &u);
    play_close(p, u.c);
    over(p, &t);
}

/* Two wait (1 s and 2 s); a third would have to wait for 3 s, which is too long, until one leaves.
 */
static void who_leaves_gives_his_turn_back(struct play *p) {
    struct talk t = begin(p), third = {play_client(p), 0};
    int u = play_client(p), v = play_client(p);
    pass(p, &t, 1);
    third.s = t.s;
    play_send(p, u, GET);
    play_quiet(p);
    play_send(p, v, GET);
    play_quiet(p);
    refused(p, &third);
    play_reset(p, v);
    play_quiet(p);
    play_send(p, third.c, GET);
    play_quiet(p);
    play_time(p, 1100);
    t.c = u;
    served(p, &t);
    play_time(p, 1000);
    served(p, &third);
    play_close(p, third.c);
    over(p, &t);
}

/* A turn that comes behind the request's own deadline is no turn. */
static void not_beyond_the_deadline(struct play *p) {
    struct talk t = begin(p);
    pass(p, &t, 1);
    refused(p, &t);
    over(p, &t);
}

static const struct scene scenes[] = {
    {"I03 edge of a window, gcra", edge_of_a_window, {.tune = gcra}, false},
    {"I03 edge of a window, sliding window", edge_of_a_window, {.tune = sliding}, false},
    {"Retry-After is true", retry_after_is_true, {.tune = gcra}, false},
    {"refilled is no more than the burst",
     refilled_is_no_more_than_the_burst,
     {.tune = gcra},
     false},
    {"two windows", two_windows, {.tune = windows}, false},
    {"turns come when they are due", turns_come_when_due, {.tune = delayed}, false},
    /* not tortured: who only stops talking still waits, and is served when the shop is asked for
       more */
    {"who leaves gives his turn back", who_leaves_gives_his_turn_back, {.tune = delayed}, true},
    {"not beyond the deadline", not_beyond_the_deadline, {.tune = deadline}, false},
};

int main(int argc, char **argv) {
    return play_main("rate limits", scenes, array_len(scenes), argc > 1 ? argv[1] : NULL);
}
