/*
 * The whole server over streams in memory: what clients and services say, in which order, who
 * leaves and when time passes are all the fuzzer's. Whatever it was: when all have left nothing may
 * be left, every exchange has ended once, and a client that behaves is served.
 *
 * The input: a byte of settings, then acts. Each is a byte and what belongs to it; see `act`.
 */
#include "world.h"

/* Whole words, so that a mutation needs one byte for them. */
static const char *const client_says[] = {
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "HEAD /h HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n",
    "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    "PUT /p HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    ("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"),
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "0\r\nX-Sum: 1\r\n\r\n",
    "0123456789",
    "GET / HTTP/1.0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "\r\n",
    "X: y\r\n",
    "GET / HTTP/1.1\r\n",
    "Host: a\r\n",
};
static const char *const service_says[] = {
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
    ("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
     "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"),
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "0\r\nX-Sum: 1\r\n\r\n",
    "0123456789",
    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n",
    "\r\n",
    "HTTP/1.0 200 OK\r\n\r\n",
};

static void on_client(unsigned what, int *c) {
    switch (what) {
    case 0:
    case 1:
        connect_one(c);
        break;
    case 2:
        leave(c, true);
        break;
    case 3:
        leave(c, false);
        break;
    case 4:
        if (*c >= 0)
            actor_shut(*c);
        break;
    default:
        listen_to(*c);
    }
}

static void on_service(unsigned what, int *s) {
    switch (what) {
    case 0:
    case 1:
        accept_one();
        break;
    case 2:
        leave(s, true);
        break;
    case 3:
        leave(s, false);
        break;
    case 4:
        if (*s >= 0)
            actor_shut(*s);
        break;
    default:
        listen_to(*s);
    }
}

/* 00..3f: bytes of a client follow (a length, then they); 40..7f: of a service; 80..9f, a0..bf:
 * whole words of them; c0..df: what a client does; e0..ef: a service; f0..: the world. */
static void act(const uint8_t **at, const uint8_t *end) {
    unsigned op = *(*at)++, kind = op >> 5;
    bool of_client = kind < 2 || kind == 4 || kind == 6;
    int *who = of_client ? &client[op % 3] : &service[op % SERVICES];
    if (kind < 4) {
        say_raw(*who, at, end);
    } else if (kind < 6) {
        const char *text = (of_client ? client_says : service_says)[op % 16];
        who = of_client ? &client[op >> 4 & 1] : &service[op >> 4 & 1];
        say_text(*who, text);
    } else if (kind == 6) {
        on_client(op >> 2 & 7, &client[op & 3 ? (op & 3) - 1 : 0]);
    } else if (op < 0xf0) {
        on_service(op >> 1 & 7, &service[op & 1]);
    } else {
        on_world(op & 15);
    }
    if (!(op & 1) || kind >= 6)
        settle();
}

static void limit(struct service_conf *c, struct snapshot *s) {
    (void)s;
    c->max_connections = 1;
    c->max_pending = 2;
}

static void still_serves(void) {
    static const char asked[] = "GET / HTTP/1.1\r\nHost: a\r\n", answer[] = "HTTP/1.1 200 OK\r\n";
    static char buf[4096];
    connect_one(&client[0]);
    say_text(client[0], client_says[0]);
    settle();
    accept_one();
    must(service[0] >= 0 && heard(service[0], buf, sizeof buf) >= sizeof asked - 1);
    must(memcmp(buf, asked, sizeof asked - 1) == 0);
    say_text(service[0], service_says[0]);
    must(heard(client[0], buf, sizeof buf) >= sizeof answer - 1);
    must(memcmp(buf, answer, sizeof answer - 1) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    const uint8_t *at = data + 1, *end = data + n;
    if (n < 2 || n > 4096)
        return 0;
    begin_world(
        (struct rig_conf){.workers = data[0] & 1 ? 2 : 1, .tune = data[0] & 32 ? limit : NULL},
        data[0]);
    connect_one(&client[0]);
    while (at < end)
        act(&at, end);
    all_leave();
    still_serves();
    end_world();
    return 0;
}
