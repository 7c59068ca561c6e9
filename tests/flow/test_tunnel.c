/*
 * WebSockets through the gateway, HTTP/1.1 on both sides: plays of opening one, of passing bytes
 * both ways, of ends in every order, and of services that agree to something else. Each is
 * performed as it is and then tortured.
 */
#include "tunnels.h"

static void both_ways(struct play *p) {
    int c, s;
    open_both(p, &c, &s);
    play_send(p, c, "to the service");
    play_expect(p, s, "to the service");
    play_send(p, s, "to the client");
    play_expect(p, c, "to the client");
    for (int i = 0; i < 3; i++) { /* more than any queue on the way holds */
        play_fill(p, c, 300000);
        play_fill(p, s, 300000);
        play_filled(p, c, 300000);
        play_filled(p, s, 300000);
    }
    play_close(p, s);
    play_end(p, c);
    play_close(p, c);
    nothing_kept(p);
}

/* What comes with the 101, and what the client has sent before it: never before it to the service.
 */
static void early_bytes(struct play *p) {
    int c = play_client(p);
    int s = ask(p, c);
    play_send(p, c, "impatient");
    play_nothing(p, s);
    agree(p, s, "at once");
    agreed(p, c);
    play_expect(p, c, "at once");
    play_expect(p, s, "impatient");
    play_close(p, c);
    play_end(p, s);
    play_close(p, s);
    nothing_kept(p);
}

static void service_ends_first(struct play *p) {
    int c, s;
    open_both(p, &c, &s);
    play_send(p, s, "bye");
    play_shut(p, s);
    play_expect(p, c, "bye");
    play_end(p, c);
    play_send(p, c, "not yet"); /* the other direction is still open */
    play_expect(p, s, "not yet");
    play_send(p, c, ".");
    play_shut(p, c);
    play_expect(p, s, ".");
    play_end(p, s);
    play_close(p, s);
    nothing_kept(p);
}

static void client_ends_first(struct play *p) {
    int c, s;
    open_both(p, &c, &s);
    play_send(p, c, "bye");
    play_shut(p, c);
    play_expect(p, s, "bye");
    play_end(p, s);
    play_fill(p, s, 200000);
    play_filled(p, c, 200000);
    play_close(p, s);
    play_end(p, c);
    nothing_kept(p);
}

static void a_reset_is_no_end(struct play *p) {
    int c, s;
    open_both(p, &c, &s);
    play_send(p, s, "half");
    play_expect(p, c, "half");
    play_reset(p, s);
    play_broken(p, c);
    play_quiet(p);
    play_check(p, p->rig->last_fault == FAULT_UPSTREAM_TRUNCATED);

    open_both(p, &c, &s);
    play_reset(p, c);
    play_broken(p, s);
    nothing_kept(p);
}

/* The service has ended and gone; what the client still says finds nobody, and that is the end. */
static void says_more_to_nobody(struct play *p) {
    int c, s;
    open_both(p, &c, &s);
    play_close(p, s);
    play_end(p, c);
    play_send(p, c, "hello?");
    play_quiet(p);
    play_close(p, c);
    nothing_kept(p);
}

static void refused(struct play *p, const char *answer, const char *to_client, enum fault why) {
    int c = play_client(p);
    int s = ask(p, c);
    play_send(p, c, "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    play_send(p, s, answer);
    play_head(p, c, to_client);
    play_quiet(p);
    play_check(p, p->rig->last_fault == why);
    play_check(p, p->rig->records == 1); /* what stood behind the upgrade was no request */
    play_check(p, rig_sum(p->rig, exchanges_accepted) == 1);
    play_close(p, c);
    play_close(p, s);
}

static void a_wrong_accept(struct play *p) {
    refused(p, AGREES "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            "HTTP/1.1 502 \n!Upgrade", FAULT_UPGRADE_NOT_ACCEPTED);
}
static void no_accept(struct play *p) {
    refused(p, AGREES "\r\n", "HTTP/1.1 502 \n!Upgrade", FAULT_UPGRADE_NOT_ACCEPTED);
}
static void another_protocol(struct play *p) {
    refused(p,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: x\r\n\r\n",
            "HTTP/1.1 502 \n!Upgrade", FAULT_UPSTREAM_UNASKED_UPGRADE);
}
static void an_ordinary_answer(struct play *p) {
    refused(p, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain",
            "HTTP/1.1 200 OK\nContent-Length: 5\n!Upgrade\n!Sec-WebSocket", FAULT_NONE);
}
static void a_refusal(struct play *p) {
    refused(p, "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 403 Forbidden\n!Upgrade\n!Sec-WebSocket", FAULT_NONE);
}

/* An unasked 101 is no tunnel. */
static void nobody_asked(struct play *p) {
    int c = play_client(p);
    play_send(p, c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    int s = play_accept(p, 0);
    play_head(p, s, "GET / HTTP/1.1\n!Upgrade\n!Sec-WebSocket-Key");
    play_send(p, s, AGREES "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
    play_head(p, c, "HTTP/1.1 502 \n!Upgrade");
    play_quiet(p);
    play_check(p, p->rig->last_fault == FAULT_UPSTREAM_UNASKED_UPGRADE);
    nothing_kept(p);
}

/* The service's own times end at the head; before it they hold as for any request. */
static void silence(struct play *p) {
    int c, s;
    open_both(p, &c, &s);
    play_time(p, 60000); /* idle_timeout 30 s, timeout 20 s */
    play_send(p, s, "still here");
    play_expect(p, c, "still here");
    play_send(p, c, "me too");
    play_expect(p, s, "me too");
    play_close(p, c);
    play_close(p, s);
    c = play_client(p);
    s = ask(p, c);
    play_time(p, 14000);
    play_nothing(p, c);
    play_time(p, 2000);
    play_head(p, c, "HTTP/1.1 504 ");
    play_check(p, p->rig->last_fault == FAULT_UPSTREAM_TIMEOUT);
}

/* A kept connection that the service closes at the same moment: asked for again on a new one. */
static void a_stale_connection(struct play *p) {
    int c = play_client(p), s, fresh;
    play_send(p, c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    s = play_accept(p, 0);
    play_head(p, s, "GET / ");
    play_send(p, s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    play_head(p, c, "HTTP/1.1 200 OK");
    play_expect(p, c, "ok");
    play_send(p, c, ASK);
    play_head(p, s, "GET /chat?x=1");
    play_close(p, s);
    fresh = play_accept(p, 0);
    play_head(p, fresh, "GET /chat?x=1");
    agree(p, fresh, "");
    agreed(p, c);
    play_close(p, c);
    play_close(p, fresh);
    nothing_kept(p);
}

static void short_timeout(struct service_conf *shop, struct snapshot *s) {
    (void)s;
    shop->timeout_ms = 20000;
}

static const struct scene scenes[] = {
    {.name = "both ways", .fn = both_ways, .rig = {.sim.buffer = 8192}, .heavy = true},
    {.name = "early bytes", .fn = early_bytes},
    {.name = "service ends first", .fn = service_ends_first},
    {.name = "client ends first", .fn = client_ends_first, .rig = {.sim.buffer = 32768}},
    {.name = "a reset is no end", .fn = a_reset_is_no_end},
    {.name = "says more to nobody", .fn = says_more_to_nobody},
    {.name = "a wrong accept", .fn = a_wrong_accept},
    {.name = "no accept", .fn = no_accept},
    {.name = "another protocol", .fn = another_protocol},
    {.name = "an ordinary answer", .fn = an_ordinary_answer},
    {.name = "a refusal", .fn = a_refusal},
    {.name = "nobody asked", .fn = nobody_asked},
    {.name = "silence", .fn = silence, .rig = {.tune = short_timeout}},
    {.name = "a stale connection", .fn = a_stale_connection},
};

int main(int argc, char **argv) {
    return play_main("flow/tunnel", scenes, array_len(scenes), argc > 1 ? argv[1] : NULL);
}
