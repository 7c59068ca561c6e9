/*
 * The whole server over streams in memory: what clients and services say, in which order, who
 * leaves and when time passes are all the fuzzer's. Whatever it was: when all have left nothing may
 * be left, every exchange has ended once, and a client that behaves is served.
 *
 * The input: a byte of settings, then acts. Each is a byte and what belongs to it; see `act`.
 */
#include "../flow/rig.h"
#include <stdio.h>
#include <stdlib.h>

enum { CLIENTS = 3, SERVICES = 4, SAY_MAX = 64 };

static struct rig *rig;
static int client[CLIENTS], service[SERVICES], listener;

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

static void leave(int *fd, bool reset) {
    if (*fd < 0)
        return;
    if (reset)
        actor_reset(*fd);
    else
        actor_close(*fd);
    *fd = -1;
}

/* Reads all that has come and forgets it. */
static void listen_to(int fd) {
    char buf[4096];
    size_t got;
    while (fd >= 0 && actor_read(fd, buf, sizeof buf, &got) == IO_OK)
        ;
}

static void settle(void) {
    for (unsigned i = 0; sim_step(); i++)
        must(i < 1000000); /* it becomes quiet */
}

static void pass(uint64_t ms) {
    uint64_t until = sim_now_ms() + ms;
    do
        settle();
    while (sim_advance(until));
    settle();
}

static void accept_one(void) {
    for (int i = 0; i < SERVICES; i++)
        if (service[i] < 0 && (service[i] = actor_accept(listener)) >= 0)
            return;
}

static void on_client(unsigned what, int *c) {
    switch (what) {
    case 0:
    case 1:
        if (*c < 0)
            *c = actor_connect(&rig->door, NULL);
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

static void on_world(unsigned what) {
    static const uint64_t waits[] = {1, 900, 1100, 4000, 16000, 31000, 61000};
    if (what < array_len(waits))
        pass(waits[what]);
    else if (what == 7)
        rig_reload(rig);
    else
        settle();
}

/* 00..3f: bytes of a client follow (a length, then they); 40..7f: of a service; 80..9f, a0..bf:
 * whole words of them; c0..df: what a client does; e0..ef: a service; f0..: the world. */
static void act(const uint8_t **at, const uint8_t *end) {
    unsigned op = *(*at)++, kind = op >> 5;
    bool of_client = kind < 2 || kind == 4 || kind == 6;
    int *who = of_client ? &client[op % CLIENTS] : &service[op % SERVICES];
    if (kind < 4) {
        size_t n = *at < end ? *(*at)++ % SAY_MAX : 0, left = (size_t)(end - *at);
        n = n < left ? n : left;
        if (*who >= 0 && n)
            actor_send(*who, *at, n);
        *at += n;
    } else if (kind < 6) {
        const char *text = (of_client ? client_says : service_says)[op % 16];
        who = of_client ? &client[op >> 4 & 1] : &service[op >> 4 & 1];
        if (*who >= 0)
            actor_send(*who, text, strlen(text));
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

static void begin(unsigned settings) {
    struct rig_conf conf = {.sim = {.seed = settings}, .workers = settings & 1 ? 2 : 1};
    conf.sim.buffer = settings & 2 ? 512 : 0;
    conf.sim.read_max = settings & 4 ? 3 : 0;
    conf.sim.write_max = settings & 8 ? 7 : 0;
    conf.sim.events_max = settings & 16 ? 64 : 1;
    conf.tune = settings & 32 ? limit : NULL;
    rig = rig_start(&conf);
    must(rig);
    listener = actor_listen(&rig->endpoint[0]);
    for (int i = 0; i < CLIENTS; i++)
        client[i] = -1;
    for (int i = 0; i < SERVICES; i++)
        service[i] = -1;
    client[0] = actor_connect(&rig->door, NULL);
}

static void all_leave(void) {
    for (int i = 0; i < CLIENTS; i++)
        leave(&client[i], false);
    for (int i = 0; i < SERVICES; i++)
        leave(&service[i], false);
    for (int fd; settle(), (fd = actor_accept(listener)) >= 0;)
        actor_close(fd);
    pass(200000);
}

static void say(int fd, const char *text) {
    must(fd >= 0 && actor_send(fd, text, strlen(text)) == strlen(text));
    settle();
}

static void expect(int fd, const char *text) {
    static char buf[4096];
    size_t n = 0, got;
    for (settle(); n < sizeof buf && actor_read(fd, buf + n, sizeof buf - n, &got) == IO_OK;
         settle())
        n += got;
    must(n >= strlen(text) && memcmp(buf, text, strlen(text)) == 0);
}

static void still_serves(void) {
    client[0] = actor_connect(&rig->door, NULL);
    say(client[0], client_says[0]);
    accept_one();
    expect(service[0], "GET / HTTP/1.1\r\nHost: a\r\n");
    say(service[0], service_says[0]);
    expect(client[0], "HTTP/1.1 200 OK\r\n");
}

static void check(const char *wrong) {
    if (!wrong)
        return;
    fprintf(stderr, "%s\n", wrong);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    const uint8_t *at = data + 1, *end = data + n;
    if (n < 2 || n > 4096)
        return 0;
    begin(data[0]);
    while (at < end)
        act(&at, end);
    all_leave();
    still_serves();
    all_leave();
    actor_close(listener);
    check(rig_check_idle(rig));
    check(rig_stop(rig));
    return 0;
}
