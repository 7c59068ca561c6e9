/*
 * A hostile service of HTTP/2 before the whole gateway, over streams in memory: which requests are
 * under way, what the service says, byte by byte or frame by frame, who leaves and when time passes
 * are the fuzzer's. Whatever it was: when all have left nothing may be left, every exchange has
 * ended once, and a service that behaves is served from.
 *
 * The input: a byte of settings, then acts. Each is a byte and what belongs to it; see `act`.
 */
#include "world.h"

static const char *const client_says[] = {
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "HEAD /h HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123",
    "456789",
    "POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "PUT /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "0\r\n\r\n",
    ("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"),
};

static const struct frame frames[] = {
    {4, 0, "", 0},                                          /* SETTINGS */
    {4, 1, "", 0},                                          /* its ACK */
    {1, 4, "\x88", 1},                                      /* :status: 200 */
    {1, 5, "\x89", 1},                                      /* :status: 204, END_STREAM */
    {1, 4, "\x88\x0f\x0d\x01\x35", 5},                      /* content-length: 5 */
    {0, 0, "hello", 5},                                     /* DATA */
    {0, 1, "", 0},                                          /* its end */
    {0, 1, "12345", 5},                                     /* both */
    {1, 5, "\x00\x03x-a\x01z", 7},                          /* trailers */
    {1, 4, "\x08\x03\x31\x30\x33\x00\x04link\x04</a>", 15}, /* 103 */
    {3, 0, "\0\0\0\7", 4},                                  /* RST_STREAM REFUSED_STREAM */
    {3, 0, "\0\0\0\2", 4},                                  /* INTERNAL_ERROR */
    {7, 0, "\0\0\0\1\0\0\0\0", 8},                          /* GOAWAY, the first one was seen */
    {7, 0, "\0\0\0\0\0\0\0\13", 8},                         /* none, ENHANCE_YOUR_CALM */
    {8, 0, "\0\0\x10\0", 4},                                /* WINDOW_UPDATE */
    {4, 0, "\0\3\0\0\0\1\0\4\0\0\0\0\0\10\0\0\0\1", 18},    /* few streams, no window, CONNECT */
    {6, 0, "12345678", 8},                                  /* PING */
    {1, 0, "\x88", 1},                                      /* a block that goes on */
    {9, 4, "\x0f\x0d\x01\x35", 4},                          /* CONTINUATION */
    {5, 4, "\0\0\0\2\x88", 5},                              /* PUSH_PROMISE */
    {4, 0, "\0\4\0\0\xff\xff\0\1\0\0\0\0", 12},             /* the window opens, no table */
    {2, 0, "\0\0\0\3\1", 5},                                /* PRIORITY */
};

static void on_client(unsigned what, int *c) {
    switch (what) {
    case 0:
        leave(c, true);
        break;
    case 1:
        leave(c, false);
        break;
    case 2:
        listen_to(*c);
        break;
    default:
        connect_one(c);
        say_text(*c, client_says[what % 8]);
    }
}

static void on_service(unsigned what, int *s) {
    switch (what) {
    case 0:
        leave(s, true);
        break;
    case 1:
        leave(s, false);
        break;
    case 2:
        if (*s >= 0)
            actor_shut(*s);
        break;
    case 3:
        listen_to(*s);
        break;
    default:
        accept_one();
    }
}

/* 00..3f: raw bytes of a service follow (a length, then they); 40..bf: a whole frame of it, and a
 * byte that says on which stream; c0..df: a client; e0..ef: a service; f0..: the world. */
static void act(const uint8_t **at, const uint8_t *end) {
    unsigned op = *(*at)++;
    size_t left = (size_t)(end - *at);
    if (op < 0x40) {
        say_raw(service[op % 3], at, end);
    } else if (op < 0xc0) {
        unsigned stream = left ? *(*at)++ % 10 : 0;
        say_frame(service[(op >> 6) - 1], &frames[(op & 0x3f) % array_len(frames)], stream);
    } else if (op < 0xe0) {
        on_client(op & 7, &client[op >> 3 & 3]);
    } else if (op < 0xf0) {
        on_service(op >> 1 & 7, &service[op & 1]);
    } else {
        on_world(op & 15);
    }
    settle();
}

static void plain(struct service_conf *c, struct snapshot *s) {
    (void)s;
    c->protocol = PROTOCOL_H2;
}
static void tight(struct service_conf *c, struct snapshot *s) {
    plain(c, s);
    c->max_connections = 1;
    c->max_pending = 2;
    c->h2_streams = 2;
    c->keepalive_requests = 3;
    s->limits.h2_glitch_burst = 40;
    s->limits.h2_reset_burst = 2;
}

static void still_serves(void) {
    static char buf[4096];
    connect_one(&client[0]);
    say_text(client[0], client_says[0]);
    settle();
    accept_one();
    must(service[0] >= 0);
    say_frame(service[0], &frames[0], 0);
    say_frame(service[0], &frames[3], 1);
    must(heard(client[0], buf, sizeof buf) > 12 && memcmp(buf, "HTTP/1.1 204", 12) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    const uint8_t *at = data + 1, *end = data + n;
    if (n < 2 || n > 4096)
        return 0;
    begin_world((struct rig_conf){.workers = 1, .tune = data[0] & 32 ? tight : plain}, data[0]);
    on_client(8, &client[0]); /* a GET */
    settle();
    accept_one();
    while (at < end)
        act(&at, end);
    all_leave();
    still_serves();
    end_world();
    return 0;
}
