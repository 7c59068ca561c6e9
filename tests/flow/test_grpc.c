/*
 * The grpc policy on a call: messages are checked as they pass, either way; gRPC-Web goes out as
 * gRPC and comes back, each message at once. The wire is HTTP/1.1: to the policy all are alike.
 */
#include "filter/grpc.h"
#include "h2_actor.h"
#include <stdio.h>
#include <string.h>

static const struct grpc_conf shipped = {.max_message = 4 << 20, .web = GRPC_WEB_ON};
static const struct grpc_conf small = {.max_message = 10, .web = GRPC_WEB_ON};
static const struct grpc_conf no_web = {.max_message = 10, .web = GRPC_WEB_OFF};
static const struct grpc_conf none = {.off = true, .max_message = 10, .web = GRPC_WEB_ON};

static void with(struct snapshot *s, const struct grpc_conf *conf) {
    struct route *r = (struct route *)(uintptr_t)s->route;
    struct plan *whole = arena_zero(&s->arena, sizeof *whole);
    struct filter *f = arena_zero(&s->arena, sizeof *f);
    *f = (struct filter){.ops = &grpc_ops, .conf = conf};
    *whole = r->plan;
    whole->filter = f;
    whole->count = 1;
    whole->steps_size = (grpc_ops.step_size + 15) & ~(size_t)15;
    r->whole = whole;
    r->max_body = 50; /* is not for calls */
}
#define CONF(name, conf)                                                                           \
    static void name(struct service_conf *c, struct snapshot *s) {                                 \
        (void)c;                                                                                   \
        with(s, &(conf));                                                                          \
    }
static void h2_conf(struct service_conf *c, struct snapshot *s) {
    c->protocol = PROTOCOL_H2;
    with(s, &small);
}
CONF(shipped_conf, shipped)
CONF(small_conf, small)
CONF(no_web_conf, no_web)
CONF(off_conf, none)

/* ---- what is said ---- */

#define CALL(type)                                                                                 \
    "POST /shop.Payment/Pay HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Type: "   \
    "application/" type "\r\nX-Grpc-Web: 1\r\n\r\n"
#define ANSWER "HTTP/1.1 200 OK\r\nContent-Type: application/grpc+proto\r\n"
#define CHUNKED ANSWER "Transfer-Encoding: chunked\r\n\r\n"
#define END "0\r\ngrpc-status: 0\r\nx-cost: 7\r\n\r\n"
#define ok_trailers "grpc-status: 0\r\nx-cost: 7\r\n"

static void chunk(struct play *p, int who, const void *bytes, size_t n) {
    char line[20];
    play_send_bytes(p, who, line, (size_t)snprintf(line, sizeof line, "%zx\r\n", n));
    play_send_bytes(p, who, bytes, n);
    play_send(p, who, "\r\n");
}
static void message(struct play *p, int who, const char *text, unsigned flags) {
    char bytes[300] = {(char)flags, 0, 0, 0, (char)strlen(text)};
    memcpy(bytes + 5, text, strlen(text));
    chunk(p, who, bytes, 5 + strlen(text));
}
static void text(struct play *p, int who, const char *base64) {
    chunk(p, who, base64, strlen(base64));
}
static void heard(struct play *p, int who, const char *text) {
    char bytes[300] = {0, 0, 0, 0, (char)strlen(text)};
    memcpy(bytes + 5, text, strlen(text));
    play_chunks_bytes(p, who, bytes, 5 + strlen(text));
}
/* The last frame of a gRPC-Web answer. */
static void heard_end(struct play *p, int who, const char *trailers) {
    char bytes[300] = {(char)0x80, 0, 0, 0, (char)strlen(trailers)};
    memcpy(bytes + 5, trailers, strlen(trailers));
    play_chunks_bytes(p, who, bytes, 5 + strlen(trailers));
    play_chunked(p, who, 0, "");
}
static void heard_text_end(struct play *p, int who, const char *trailers) {
    char bytes[300] = {(char)0x80, 0, 0, 0, (char)strlen(trailers)}, base64[404];
    struct base64_out b = {.have = 0};
    memcpy(bytes + 5, trailers, strlen(trailers));
    size_t n = base64_encode_some(&b, span_of(bytes, 5 + strlen(trailers)), base64);
    n += base64_encode_end(&b, base64 + n);
    play_chunks_bytes(p, who, base64, n);
    play_chunked(p, who, 0, "");
}

static void called(struct play *p, int *c, int *s, const char *call, const char *heads) {
    *c = play_client(p);
    play_send(p, *c, call);
    play_time(p, 1100); /* a chunked request pauses before it starts */
    *s = play_accept(p, 0);
    play_head(p, *s, heads);
}
#define PLAIN                                                                                      \
    CALL("grpc+proto"), "POST /shop.Payment/Pay HTTP/1.1\nContent-Type: "                          \
                        "application/grpc+proto\r\n"

static void status(struct play *p, enum fault fault, int code) {
    play_quiet(p);
    play_check(p, p->lost || p->rig->last_fault == fault);
    play_check(p, p->lost || p->rig->last_grpc == code);
}

/* ---- calls ---- */

/* Both ways in turn, and each message as it comes: no time passes. */
static void talk(struct play *p) {
    int c, s;
    called(p, &c, &s, PLAIN);
    message(p, c, "one", 0);
    heard(p, s, "one");
    play_send(p, s, CHUNKED);
    play_head(p, c, "HTTP/1.1 200 OK\nContent-Type: application/grpc+proto\r\n");
    message(p, s, "two", 0);
    heard(p, c, "two");
    message(p, s, "", 0);
    heard(p, c, "");
    message(p, c, "a third that is longer than max_body alone would let pass .........", 0);
    heard(p, s, "a third that is longer than max_body alone would let pass .........");
    play_send(p, c, "0\r\n\r\n");
    play_chunked(p, s, 0, "");
    play_send(p, s, END);
    play_chunked(p, c, 0, ok_trailers);
    play_end(p, c); /* the answer began before the request had come */
    status(p, FAULT_NONE, GRPC_OK);
}

/* One that is half a megabyte; its length is known, and stays so. */
static void long_message(struct play *p) {
    enum { N = 500000 };
    static const char head[] = {0, 0, (char)(N >> 16), (char)(N >> 8 & 255), (char)(N & 255)};
    int c = play_client(p), s;
    play_send(p, c,
              "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 500005\r\nContent-Type: "
              "application/grpc\r\n\r\n");
    play_send_bytes(p, c, head, 5);
    play_fill(p, c, N);
    s = play_accept(p, 0);
    play_head(p, s, "POST /a\nContent-Length: 500005\r\n");
    play_expect_bytes(p, s, head, 5);
    play_filled(p, s, N);
    play_send(p, s, ANSWER "grpc-status: 5\r\nContent-Length: 0\r\n\r\n");
    play_head(p, c, "HTTP/1.1 200 OK\ngrpc-status: 5\nContent-Length: 0\r\n");
    status(p, FAULT_NONE, GRPC_NOT_FOUND);
}

static void refused(struct play *p, int c, int s, enum fault why, const char *code, int number) {
    play_head(p, c, "HTTP/1.1 200 OK\nContent-Type: application/grpc\r\n\nContent-Length: 0\r\n");
    play_check(p, p->lost || span_eq(play_field("grpc-status"), span_z(code)));
    play_end(p, s);
    status(p, why, number);
}

/* Too long by its head alone; what came before has passed. */
static void too_long(struct play *p) {
    int c, s;
    called(p, &c, &s, PLAIN);
    message(p, c, "0123456789", 0);
    heard(p, s, "0123456789");
    chunk(p, c, "\0\0\0\0\x0b", 5);
    refused(p, c, s, FAULT_GRPC_MESSAGE_TOO_LARGE, "8", GRPC_RESOURCE_EXHAUSTED);
}
static void bad_flags(struct play *p) {
    int c, s;
    called(p, &c, &s, PLAIN);
    message(p, c, "a", 1); /* compressed, but no encoding was said */
    refused(p, c, s, FAULT_BAD_GRPC_FRAME, "13", GRPC_INTERNAL);
}
static void cut_short(struct play *p) {
    int c, s;
    called(p, &c, &s, PLAIN);
    chunk(p, c, "\0\0\0\0\5ab", 7);
    play_chunks_bytes(p, s, "\0\0\0\0\5ab", 7);
    play_send(p, c, "0\r\n\r\n");
    refused(p, c, s, FAULT_BAD_GRPC_FRAME, "13", GRPC_INTERNAL);
}

/* After the head of the answer there is nothing but to break off. */
static void too_long_later(struct play *p) {
    int c, s;
    called(p, &c, &s, PLAIN);
    play_send(p, s, CHUNKED);
    play_head(p, c, "HTTP/1.1 200 OK");
    message(p, c, "01234567890", 0);
    play_broken(p, c);
    status(p, FAULT_GRPC_MESSAGE_TOO_LARGE, -1);
}
static void too_long_of_the_service(struct play *p) {
    int c, s;
    called(p, &c, &s, PLAIN);
    play_send(p, s, CHUNKED);
    message(p, s, "0123456789", 0);
    play_head(p, c, "HTTP/1.1 200 OK");
    heard(p, c, "0123456789");
    message(p, s, "0123456789a", 0);
    play_broken(p, c);
    status(p, FAULT_UPSTREAM_TOO_LARGE, -1);
}
static void cut_short_of_the_service(struct play *p) {
    int c, s;
    called(p, &c, &s, PLAIN);
    play_send(p, s, CHUNKED);
    chunk(p, s, "\0\0\0\0\5ab", 7);
    play_head(p, c, "HTTP/1.1 200 OK");
    play_chunks_bytes(p, c, "\0\0\0\0\5ab", 7);
    play_send(p, s, END);
    play_broken(p, c);
    status(p, FAULT_UPSTREAM_TRUNCATED, GRPC_OK); /* what the service thought */
}

/* A call that says nothing at its end is told as unknown. */
static void without_status(struct play *p) {
    int c, s;
    called(p, &c, &s, PLAIN);
    play_send(p, s, CHUNKED);
    message(p, s, "a", 0);
    play_send(p, s, "0\r\nx-cost: 7\r\n\r\n");
    play_head(p, c, "HTTP/1.1 200 OK");
    heard(p, c, "a");
    play_chunked(p, c, 0,
                 "x-cost: 7\r\ngrpc-status: 2\r\n"
                 "grpc-message: the service sent no grpc-status\r\n");
    status(p, FAULT_NONE, GRPC_UNKNOWN);
}

/* A page of who stands in front of the service, and the status of a call from it. */
static void not_grpc(struct play *p, const char *call, const char *heads) {
    int c, s;
    called(p, &c, &s, call, heads);
    play_send(p, s,
              "HTTP/1.1 503 Busy\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\n<p>x");
    play_head(p, c, "HTTP/1.1 503 \nContent-Type: text/html\r\n\nContent-Length: 4\r\n");
    play_expect(p, c, "<p>x");
    status(p, FAULT_NONE, -1);
}
static void a_page(struct play *p) {
    not_grpc(p, PLAIN);
}

/* ---- HTTP/2 on both sides ---- */

static void h2_message(struct h2_actor *a, uint32_t stream, const char *text, unsigned flags) {
    char bytes[300] = {0, 0, 0, 0, (char)strlen(text)};
    memcpy(bytes + 5, text, strlen(text));
    h2_frame(a, NGHTTP2_DATA, flags, stream, bytes, 5 + strlen(text));
}
static void h2_heard(struct h2_actor *a, uint32_t stream, const char *text) {
    char bytes[300] = {0, 0, 0, 0, (char)strlen(text)};
    memcpy(bytes + 5, text, strlen(text));
    h2_expect_bytes(a, stream, 0, bytes, 5 + strlen(text));
}

static struct h2_actor *h2_called(struct play *p, struct h2_actor **s, uint32_t *stream) {
    struct h2_actor *c = h2_client(p);
    h2_post(c, 1, "/shop.Payment/Pay", "content-type: application/grpc\nte: trailers");
    *s = h2_service(p, play_accept(p, 0));
    *stream = h2_expect_request(*s, 0,
                                ":path: /shop.Payment/Pay\ncontent-type: application/grpc\n"
                                "te: trailers\n!content-length");
    return c;
}

/* Messages in turn, trailers both ways. */
static void h2_talk(struct play *p) {
    struct h2_actor *s, *c;
    uint32_t n = 0;
    c = h2_called(p, &s, &n);
    h2_message(c, 1, "one", 0);
    h2_heard(s, n, "one");
    h2_headers(s, n, 0, ":status: 200\ncontent-type: application/grpc");
    h2_expect(c, 1, 0, ":status: 200\ncontent-type: application/grpc");
    h2_message(s, n, "two", 0);
    h2_heard(c, 1, "two");
    h2_message(c, 1, "three", 0);
    h2_heard(s, n, "three");
    h2_headers(c, 1, H2_END, "x-sum: 12");
    h2_expect(s, n, H2_END, "x-sum: 12");
    h2_headers(s, n, H2_END, "grpc-status: 0\nx-cost: 7");
    h2_expect(c, 1, H2_END, "grpc-status: 0\nx-cost: 7");
    h2_nothing(c);
    status(p, FAULT_NONE, GRPC_OK);
}

/* The gateway's own error is an answer of one section, and the service's stream is given up. */
static void h2_too_long(struct play *p) {
    struct h2_actor *s, *c;
    uint32_t n = 0;
    c = h2_called(p, &s, &n);
    h2_message(c, 1, "01234567890", 0);
    h2_expect(c, 1, H2_END,
              ":status: 200\ncontent-type: application/grpc\ngrpc-status: 8\n"
              "grpc_message_too_large");
    h2_expect_rst(s, n, NGHTTP2_CANCEL);
    status(p, FAULT_GRPC_MESSAGE_TOO_LARGE, GRPC_RESOURCE_EXHAUSTED);
}

static void h2_too_long_of_the_service(struct play *p) {
    struct h2_actor *s, *c;
    uint32_t n = 0;
    c = h2_called(p, &s, &n);
    h2_headers(s, n, 0, ":status: 200\ncontent-type: application/grpc");
    h2_expect(c, 1, 0, ":status: 200");
    h2_message(s, n, "01234567890", 0);
    h2_expect_rst(c, 1, NGHTTP2_INTERNAL_ERROR);
    h2_expect_rst(s, n, NGHTTP2_CANCEL);
    status(p, FAULT_UPSTREAM_TOO_LARGE, -1);
}

/* ---- gRPC-Web ---- */

#define WEB                                                                                        \
    CALL("grpc-web+proto"), "POST /shop.Payment/Pay HTTP/1.1\nContent-Type: "                      \
                            "application/grpc+proto\r\n\nx-grpc-web: 1"
#define WEB_TEXT                                                                                   \
    CALL("grpc-web-text"), "POST /shop.Payment/Pay HTTP/1.1\nContent-Type: application/grpc\r\n"

static void web(struct play *p) {
    int c, s;
    called(p, &c, &s, WEB);
    message(p, c, "one", 0);
    heard(p, s, "one");
    play_send(p, c, "0\r\n\r\n");
    play_chunked(p, s, 0, "");
    play_send(p, s, CHUNKED);
    play_head(p, c, "HTTP/1.1 200 OK\nContent-Type: application/grpc-web+proto\r\n");
    message(p, s, "two", 0);
    heard(p, c, "two");
    play_send(p, s, END);
    heard_end(p, c, "grpc-status: 0\r\nx-cost: 7\r\n");
    play_nothing(p, c);
    status(p, FAULT_NONE, GRPC_OK);
}

/* Padding wherever a client flushes, and where we do: each message can be read at once. */
static void web_text(struct play *p) {
    int c, s;
    called(p, &c, &s, WEB_TEXT);
    text(p, c, "AAAAAANvbmU="); /* 0 0003 "one" */
    heard(p, s, "one");
    text(p, c, "AAAA");
    text(p, c, "AAJoaQ"); /* "hi", in pieces */
    text(p, c, "==");
    heard(p, s, "hi");
    play_send(p, c, "0\r\n\r\n");
    play_chunked(p, s, 0, "");
    play_send(p, s, CHUNKED);
    play_head(p, c, "HTTP/1.1 200 OK\nContent-Type: application/grpc-web-text+proto\r\n");
    message(p, s, "two", 0);
    play_chunks(p, c, "AAAAAAN0d28=");
    message(p, s, "three", 0);
    play_chunks(p, c, "AAAAAAV0aHJlZQ==");
    message(p, s, "2+2=", 0);
    play_chunks(p, c, "AAAAAAQyKzI9");
    play_send(p, s, END);
    heard_text_end(p, c, "grpc-status: 0\r\nx-cost: 7\r\n");
    play_nothing(p, c);
    status(p, FAULT_NONE, GRPC_OK);
}

static void web_text_that_is_none(struct play *p) {
    int c, s;
    called(p, &c, &s, WEB_TEXT);
    text(p, c, "AAAA*AAA");
    play_head(p, c, "HTTP/1.1 200 OK\nContent-Type: application/grpc-web-text+proto\r\n");
    play_end(p, s);
    status(p, FAULT_BAD_GRPC_FRAME, GRPC_INTERNAL);
}
static void web_text_cut_short(struct play *p) {
    int c, s;
    called(p, &c, &s, WEB_TEXT);
    text(p, c, "AAAAAANvbm");
    play_chunks_bytes(p, s, "\0\0\0\0\3on", 7);
    play_send(p, c, "0\r\n\r\n");
    play_head(p, c, "HTTP/1.1 200 OK\nContent-Type: application/grpc-web-text+proto\r\n");
    play_end(p, s);
    status(p, FAULT_BAD_GRPC_FRAME, GRPC_INTERNAL);
}

/* Half a megabyte, to a reader who waits: bounded on the way, and whole. */
static void web_text_long(struct play *p) {
    enum { N = 600000 };
    static const char head[] = {0, 0, (char)(N >> 16), (char)(N >> 8 & 255), (char)(N & 255)};
    static const char end[] = "\x80\0\0\0\x3fgrpc-status: 2\r\n"
                              "grpc-message: the service sent no grpc-status\r\n";
    static char got[N + 5 + sizeof end];
    struct base64_in b = {.bits = 0};
    int c = play_client(p), s;
    play_send(p, c,
              "POST /a HTTP/1.0\r\nHost: a\r\nContent-Length: 0\r\nContent-Type: "
              "application/grpc-web-text\r\n\r\n");
    s = play_accept(p, 0);
    play_head(p, s, "POST /a");
    play_send(p, s, ANSWER "Content-Length: 600005\r\n\r\n");
    play_send_bytes(p, s, head, 5);
    play_fill(p, s, N);
    play_head(p, c, "HTTP/1.1 200 OK\n!Content-Length");
    play_quiet(p);
    play_check(p, play_backlog(p, s) > N / 4);
    for (size_t n = 0; (n < sizeof got - 1 || !base64_ended(&b)) && !p->lost;) {
        char text[3000];
        size_t most = sizeof got - n, t = play_hear(p, c, text, most < 3000 ? most : 3000, "text");
        n += base64_decode_some(&b, span_of(text, t), got + n);
    }
    play_end(p, c);
    play_check(p, base64_ended(&b) && memcmp(got, head, 5) == 0);
    for (size_t i = 0; i < N; i++)
        play_check(p, got[5 + i] == play_pattern(i));
    play_check(p, memcmp(got + 5 + N, end, sizeof end - 1) == 0);
    status(p, FAULT_NONE, GRPC_UNKNOWN);
}

/* An answer that is only its end has its status in the head: a script may not see it there. */
static void web_only_the_end(struct play *p) {
    int c, s;
    called(p, &c, &s, WEB);
    play_send(p, s,
              ANSWER "grpc-status: 7\r\ngrpc-message: no%21\r\nx-cost: 7\r\nContent-Length: "
                     "0\r\n\r\n");
    play_head(p, c,
              "HTTP/1.1 200 OK\nContent-Type: application/grpc-web+proto\r\n\nx-cost: 7\n"
              "Transfer-Encoding: chunked\n!grpc-status\n!grpc-message\n!Content-Length");
    heard_end(p, c, "grpc-status: 7\r\ngrpc-message: no%21\r\n");
    status(p, FAULT_NONE, GRPC_PERMISSION_DENIED);
}

/* The gateway's own errors, before the policy and behind it. */
static void web_own_error(struct play *p) {
    play_refuse(p, 0);
    int c = play_client(p);
    play_send(p, c,
              "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Type: "
              "application/grpc-web\r\n\r\n");
    play_head(p, c, "HTTP/1.1 200 OK\nContent-Type: application/grpc-web+proto\r\n");
    char want[] = "\x80\0\0\0\x54grpc-status: 14\r\n"
                  "grpc-message: the service refused the connection (connect_failed)\r\n";
    want[4] = (char)(sizeof want - 6);
    play_expect_bytes(p, c, want, sizeof want - 1);
    status(p, FAULT_CONNECT_FAILED, GRPC_UNAVAILABLE);
}
static void web_page(struct play *p) {
    not_grpc(p, WEB);
}

/* Turned off it is any other body: neither text nor lengths mean anything. */
static void as_it_is(struct play *p) {
    int c, s;
    called(p, &c, &s, CALL("grpc-web-text"),
           "POST /shop.Payment/Pay HTTP/1.1\nContent-Type: application/grpc-web-text\r\n");
    text(p, c, "**************");
    play_chunks(p, s, "**************");
    play_send(p, s, CHUNKED);
    play_head(p, c, "Content-Type: application/grpc+proto");
    message(p, s, "longer than ten", 0);
    heard(p, c, "longer than ten");
    play_send(p, s, END);
    play_chunked(p, c, 0, ok_trailers);
}

#define SHIPPED .rig = {.tune = shipped_conf}
#define SMALL .rig = {.tune = small_conf}

static const struct scene scenes[] = {
    {.name = "talk", .fn = talk, SHIPPED},
    {.name = "long message", .fn = long_message, SHIPPED, .heavy = true},
    {.name = "too long", .fn = too_long, SMALL},
    {.name = "bad flags", .fn = bad_flags, SMALL},
    {.name = "cut short", .fn = cut_short, SMALL},
    {.name = "too long later", .fn = too_long_later, SMALL},
    {.name = "too long, of the service", .fn = too_long_of_the_service, SMALL},
    {.name = "cut short, of the service", .fn = cut_short_of_the_service, SMALL},
    {.name = "without status", .fn = without_status, SMALL},
    {.name = "a page", .fn = a_page, SMALL},
    {.name = "h2 talk", .fn = h2_talk, .rig = {.tune = h2_conf}},
    {.name = "h2, too long", .fn = h2_too_long, .rig = {.tune = h2_conf}},
    {.name = "h2, too long, of the service",
     .fn = h2_too_long_of_the_service,
     .rig = {.tune = h2_conf}},
    {.name = "web", .fn = web, SHIPPED},
    {.name = "web text", .fn = web_text, SHIPPED},
    {.name = "web text that is none", .fn = web_text_that_is_none, SHIPPED},
    {.name = "web text, cut short", .fn = web_text_cut_short, SHIPPED},
    {.name = "web text, long", .fn = web_text_long, SHIPPED, .heavy = true},
    {.name = "web, only the end", .fn = web_only_the_end, SHIPPED},
    {.name = "web, own error", .fn = web_own_error, SHIPPED},
    {.name = "web, a page", .fn = web_page, SHIPPED},
    {.name = "web turned off", .fn = as_it_is, .rig = {.tune = no_web_conf}},
    {.name = "turned off", .fn = as_it_is, .rig = {.tune = off_conf}},
};

int main(int argc, char **argv) {
    return play_main("flow/grpc", scenes, array_len(scenes), argc > 1 ? argv[1] : NULL);
}
