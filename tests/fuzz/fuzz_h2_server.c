/*
 * A hostile client of HTTP/2 before the whole gateway, over streams in memory: what it says, byte
 * by byte or frame by frame, what services answer meanwhile, who leaves and when time passes are
 * the fuzzer's. Whatever it was: when all have left nothing may be left, every exchange has ended
 * once, and a client that behaves is served.
 *
 * The input: a byte of settings, then acts. Each is a byte and what belongs to it; see `act`.
 */
#include "world.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
/* :method, :scheme http, :path /, :authority a */
#define HEAD(method) method "\x86\x84\x01\1a"
#define GET HEAD("\x82")
#define POST HEAD("\x83")

static const struct frame frames[] = {
    {4, 0, "", 0},   /* SETTINGS */
    {4, 1, "", 0},   /* its ACK */
    {1, 5, GET, 6},  /* a whole request */
    {1, 4, POST, 6}, /* a body follows, of unknown length */
    {1, 4,
     POST "\x0f\x0d\1"
          "5",
     10}, /* of 5 bytes */
    {1, 4,
     POST "\x0f\x0d\1"
          "0",
     10},               /* of none */
    {0, 0, "hello", 5}, /* DATA */
    {0, 0, "12", 2},
    {0, 1, "", 0},                 /* its end */
    {0, 1, "345", 3},              /* both */
    {0, 8, "\3ab\0\0\0", 6},       /* with padding */
    {1, 5, "\0\3x-a\1z", 7},       /* trailers */
    {3, 0, "\0\0\0\10", 4},        /* RST_STREAM CANCEL */
    {7, 0, "\0\0\0\0\0\0\0\0", 8}, /* GOAWAY */
    {8, 0, "\0\1\0\0", 4},         /* WINDOW_UPDATE */
    {8, 0, "\0\0\0\1", 4},
    {8, 0, "\x7f\xff\xff\xff", 4},              /* too much of it */
    {4, 0, "\0\4\0\0\0\0", 6},                  /* no window */
    {4, 0, "\0\4\0\0\xff\xff\0\1\0\0\0\0", 12}, /* it opens, no table */
    {6, 0, "12345678", 8},                      /* PING */
    {6, 1, "\0\0\0\0\0\0\0\0", 8},              /* as if it were ours that comes back */
    {1, 0, GET, 6},                             /* a block that goes on */
    {9, 0, "\0\3x-b\1y", 7},                    /* CONTINUATION */
    {9, 4, "", 0},                              /* its end */
    {2, 0, "\0\0\0\3\1", 5},                    /* PRIORITY */
    {0x10, 0, "\0\0\0\1u=1", 7},                /* PRIORITY_UPDATE */
    {0x77, 0, "what?", 5},                      /* nobody knows it */
    {1, 5, "\x82\x86\x84", 3},                  /* no :authority */
    {1, 5, GET "\0\4X-Up\1z", 14},              /* upper case */
    {1, 4,
     "\x02\7CONNECT\0\11:protocol\11websocket\x86\x84\x01\1a"
     "\0\25sec-websocket-version\2"
     "13",
     59}, /* extended CONNECT */
    {1, 5, HEAD("\x02\4HEAD"), 11},
    {1, 4,
     POST "\0\6expect\14"
          "100-continue",
     27},
    {1, 5, GET "\x40\1a\1b\xbe\xbe", 13}, /* an entry, used twice */
};

static const char *const service_says[] = {
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
    "5\r\nhello\r\n",
    "0\r\nX-Sum: 1\r\n\r\n",
    "0123456789",
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
        if (*c >= 0)
            actor_shut(*c);
        break;
    case 3:
        listen_to(*c);
        break;
    default:
        connect_one(c);
        say_text(*c, PREFACE);
        say_frame(*c, &frames[0], 0);
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
        listen_to(*s);
        break;
    default:
        accept_one();
    }
}

/* 00..3f: raw bytes of a client follow (a length, then they); 40..9f: a whole frame of it, and a
 * byte that says on which stream; a0..bf: words of a service; c0..df: what a client does; e0..ef: a
 * service; f0..: the world. */
static void act(const uint8_t **at, const uint8_t *end) {
    unsigned op = *(*at)++;
    if (op < 0x40) {
        say_raw(client[op & 1], at, end);
    } else if (op < 0xa0) {
        unsigned stream = *at < end ? *(*at)++ % 20 : 0;
        say_frame(client[op & 1], &frames[(op - 0x40) / 2 % array_len(frames)], stream);
    } else if (op < 0xc0) {
        say_text(service[op >> 3 & 3], service_says[op & 7]);
    } else if (op < 0xe0) {
        on_client(op & 7, &client[op >> 4 & 1]);
    } else if (op < 0xf0) {
        on_service(op & 3, &service[op >> 2 & 3]);
    } else if (op == 0xff) {
        return; /* and goes on at once: many frames are read in one piece */
    } else {
        on_world(op & 15);
    }
    if (*at == end || **at != 0xff)
        settle();
}

static void tight(struct service_conf *c, struct snapshot *s) {
    c->max_connections = 2;
    c->max_pending = 2;
    s->limits.h2_max_concurrent_streams = 3;
    s->limits.h2_max_total_streams = 7;
    s->limits.h2_connection_window = 65535;
    s->limits.h2_glitch_burst = 40;
    s->limits.h2_reset_burst = 4;
}

static void still_serves(void) {
    static char buf[4096];
    on_client(7, &client[0]);
    say_frame(client[0], &frames[2], 1);
    settle();
    accept_one();
    must(service[0] >= 0 && heard(service[0], buf, sizeof buf) > 16);
    must(memcmp(buf, "GET / HTTP/1.1\r\n", 16) == 0);
    say_text(service[0], service_says[0]);
    size_t n = heard(client[0], buf, sizeof buf);
    /* The body's last byte, however it was cut. */
    must(n > FRAME_HEAD + 1 && buf[n - 1] == 'k');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    const uint8_t *at = data + 1, *end = data + n;
    if (n < 2 || n > 4096)
        return 0;
    begin_world((struct rig_conf){.workers = 1, .tune = data[0] & 32 ? tight : NULL}, data[0]);
    on_client(7, &client[0]);
    settle();
    while (at < end)
        act(&at, end);
    all_leave();
    still_serves();
    end_world();
    return 0;
}
