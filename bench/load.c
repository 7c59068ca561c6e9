/*
 * load - a light load generator: one thread, epoll, prints one line of JSON.
 *
 *   load -p PORT [-c CONNECTIONS] [-t SECONDS] [-r REQUESTS_PER_SECOND] [-u PATH] [-n N] [-k] [-i]
 *        [-s | -S] [-w] [-e] [-H FILE]
 *
 * Without -r every connection sends its next request when the answer to the last one is complete.
 * With -r requests are due at fixed times, and latency counts from then, so a slow proxy cannot
 * hide by slowing the load. -u: a "#" in PATH becomes a number below N, another one each request.
 * -k: a new connection for every request. -i: one request each, "ready", and the connections stay
 * idle until standard input ends. -s: over TLS; -S: TLS that resumes sessions. -w: every connection
 * becomes a WebSocket first, then a request is a frame of 100 bytes that comes back. -H: each
 * request carries the next line of FILE as a header field, from the first again after the last. -e:
 * a whole 429 is an answer, too. In the summary `failed` counts requests without a whole 200
 * answer, `refused` the 429 among the answers, `closed` connections that the other side ended while
 * they were to stay.
 */
#include "wire.h"
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_MAX = 8192, SCRATCH = 1 << 18, BUCKETS = 64 * 64, REQUEST_MAX = 4096 };

enum { ECHO = 100 }; /* payload of a WebSocket frame */

enum state { FREE, CONNECTING, SHAKING, IDLE, HEAD, BODY, LAST };

struct conn {
    struct wire wire;
    enum state state;
    bool upgraded;
    uint64_t begun; /* ns: when the request was due */
    size_t left;    /* bytes of the body still to come */
    size_t kept;    /* bytes of a head that came in pieces */
    char *head;
    bool closing;      /* the answer says that it is the last one */
    struct conn *next; /* in the list of idle ones */
};

static struct {
    struct sockaddr_in to;
    unsigned long connections, routes;
    double seconds, rate;
    const char *path;
    const char *fields_file;
    bool once, idle, tls, resume, websocket, refusals;
} opt = {.connections = 64, .routes = 1, .seconds = 2, .path = "/1k"};

static struct { uint64_t requests, failed, refused, closed, bytes, buckets[BUCKETS], max; } sum;

static struct {
    char **line;
    size_t count, next;
} fields;

static int ep;
static uint64_t begin_at, end_at, issued;
static struct conn *idle_list, *idle_last;
static unsigned long busy, opened;
static char scratch[SCRATCH];

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* Six bits of precision at every magnitude: an error below 2 %. */
static unsigned bucket_of(uint64_t ns) {
    if (ns < 64)
        return (unsigned)ns;
    unsigned shift = 58U - (unsigned)__builtin_clzll(ns) - 1U;
    return (shift + 1U) * 64U + (unsigned)((ns >> shift) & 63U);
}

static double bucket_ns(unsigned b) {
    return b < 64 ? b : ldexp(64.0 + (b & 63U), (int)(b / 64) - 1);
}

static void record(uint64_t ns) {
    sum.buckets[bucket_of(ns)]++;
    if (ns > sum.max)
        sum.max = ns;
}

static double percentile_us(double p) {
    uint64_t total = 0, seen = 0;
    for (unsigned b = 0; b < BUCKETS; b++)
        total += sum.buckets[b];
    for (unsigned b = 0; b < BUCKETS; b++) {
        seen += sum.buckets[b];
        if (total && (double)seen >= p * (double)total)
            return bucket_ns(b) / 1000;
    }
    return 0;
}

static void connect_again(struct conn *c);

static void park(struct conn *c) {
    c->state = IDLE;
    /* At the end: a pace that a few connections could keep uses all of them in turn. */
    struct conn **at = idle_list ? &idle_last->next : &idle_list;
    c->next = NULL;
    *at = idle_last = c;
}

static void unpark(struct conn *c) {
    struct conn *before = NULL;
    for (struct conn **at = &idle_list; *at; before = *at, at = &(*at)->next) {
        if (*at == c) {
            *at = c->next;
            if (idle_last == c)
                idle_last = before;
            return;
        }
    }
}

static void drop(struct conn *c) {
    if (c->state == IDLE)
        unpark(c);
    if (c->state != IDLE && c->state != FREE)
        busy--;
    wire_close(&c->wire);
    c->upgraded = false;
    c->state = FREE;
    c->kept = 0;
}

/* The other side ended a connection: a request on its way has failed, an idle one only closed. */
static void lost(struct conn *c) {
    bool asked = c->state != IDLE && c->state != LAST;
    sum.failed += asked;
    sum.closed++;
    drop(c);
    if (now_ns() < end_at)
        connect_again(c);
}

static size_t print_request(char *out) {
    const char *number = strchr(opt.path, '#');
    char path[256];
    if (number)
        snprintf(path, sizeof path, "%.*s%lu%s", (int)(number - opt.path), opt.path,
                 (issued * 7919U) % opt.routes, number + 1);
    else
        snprintf(path, sizeof path, "%s", opt.path);
    const char *field = fields.count ? fields.line[fields.next++ % fields.count] : NULL;
    int n = snprintf(out, REQUEST_MAX,
                     "GET %s HTTP/1.1\r\nHost: gw.test\r\nUser-Agent: load/1\r\nAccept: */*\r\n"
                     "%s%s%s\r\n",
                     path, opt.once ? "Connection: close\r\n" : "", field ? field : "",
                     field ? "\r\n" : "");
    return n < 0 ? 0 : (size_t)n;
}

/* Masked with zeros, so the payload stays as it is. */
static size_t print_frame(char *out) {
    memcpy(out, "\x81\xe4\0\0\0\0", 6);
    memset(out + 6, 'x', ECHO);
    return 6 + ECHO;
}

static size_t print_upgrade(char *out) {
    int n =
        snprintf(out, REQUEST_MAX,
                 "GET %s HTTP/1.1\r\nHost: gw.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                 opt.path);
    return n < 0 ? 0 : (size_t)n;
}

static void ask(struct conn *c, uint64_t due) {
    char request[REQUEST_MAX];
    size_t n = !opt.websocket ? print_request(request)
               : c->upgraded  ? print_frame(request)
                              : print_upgrade(request);
    issued++;
    if (!opt.once) {
        c->begun = due;
        busy++;
    }
    c->state = HEAD;
    if (c->upgraded) {
        c->state = BODY;
        c->left = 2 + ECHO;
    }
    if (wire_send(&c->wire, request, n) != (ssize_t)n)
        lost(c);
}

static void answered(struct conn *c) {
    uint64_t now = now_ns();
    if (opt.websocket && !c->upgraded) {
        c->upgraded = true;
    } else {
        record(now - c->begun);
        sum.requests++;
    }
    if (opt.once || c->closing) {
        c->state = LAST;
        return;
    }
    busy--;
    if (opt.rate > 0 || opt.idle || now >= end_at)
        park(c);
    else
        ask(c, now);
}

static bool is_field(const char *line, const char *name) {
    return strncasecmp(line, name, strlen(name)) == 0;
}

static bool is_fine(const char *head, size_t n) {
    bool refused = opt.refusals && n >= 12 && memcmp(head, "HTTP/1.1 429", 12) == 0;
    sum.refused += refused;
    return refused || (n >= 12 && memcmp(head, "HTTP/1.1 200", 12) == 0);
}

/* Returns the head's length, 0 when it is not whole yet, -1 when it is no 200 with a length. */
static ssize_t read_head(struct conn *c, const char *p, size_t n) {
    bool sized = false;
    const char *end = memmem(p, n, "\r\n\r\n", 4);
    if (!end)
        return n < HEAD_MAX ? 0 : -1;
    size_t head = (size_t)(end - p) + 4;
    if (opt.websocket && n >= 12 && memcmp(p, "HTTP/1.1 101", 12) == 0) {
        c->left = 0;
        return (ssize_t)head;
    }
    if (!is_fine(p, n))
        return -1;
    c->closing = false;
    for (const char *at = p; (at = memchr(at, '\n', (size_t)(end - at))); at++) {
        if (is_field(at + 1, "content-length:")) {
            c->left = strtoull(at + 16, NULL, 10);
            sized = true;
        }
        if (is_field(at + 1, "connection: close"))
            c->closing = true;
    }
    return sized ? (ssize_t)head : -1;
}

static void take_head(struct conn *c, size_t n) {
    ssize_t head = read_head(c, scratch, n);
    if (head < 0) {
        lost(c);
        return;
    }
    if (head == 0) {
        if (!c->head && !(c->head = malloc(HEAD_MAX)))
            die("malloc");
        memcpy(c->head, scratch, n);
        c->kept = n;
        return;
    }
    c->kept = 0;
    size_t have = n - (size_t)head;
    sum.bytes += c->left;
    c->left = c->left > have ? c->left - have : 0;
    c->state = BODY;
    if (c->left == 0)
        answered(c);
}

/* A body is thrown away in the kernel: the load should cost little. */
static ssize_t receive(struct conn *c) {
    if (c->state == BODY && !c->wire.ssl)
        return wire_recv(&c->wire, NULL, c->left);
    if (c->state == BODY)
        return wire_recv(&c->wire, scratch, c->left < SCRATCH ? c->left : SCRATCH);
    if (c->kept)
        memcpy(scratch, c->head, c->kept);
    return wire_recv(&c->wire, scratch + c->kept, SCRATCH - HEAD_MAX);
}

static void again(struct conn *c) {
    bool paced = opt.once && opt.rate > 0; /* connects when the next request is due */
    sum.closed += !opt.once;
    drop(c);
    if (!paced && now_ns() < end_at)
        connect_again(c);
}

static void readable(struct conn *c, bool ended) {
    while (c->wire.fd >= 0) {
        enum state before = c->state;
        ssize_t n = receive(c);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0 && c->state == LAST) {
            again(c);
            return;
        }
        if (n <= 0 || c->state == IDLE || c->state == LAST) {
            lost(c);
            return;
        }
        if (c->state == HEAD) {
            take_head(c, c->kept + (size_t)n);
        } else {
            c->left -= (size_t)n;
            if (c->left == 0)
                answered(c);
        }
        if (before == HEAD && !ended && !opt.once && c->state != BODY && !c->wire.ssl)
            return; /* the next edge tells when the next answer is there */
    }
}

static void connect_again(struct conn *c) {
    c->wire.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->wire.fd < 0)
        die("load: socket");
    setsockopt(c->wire.fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    c->state = CONNECTING;
    c->begun = now_ns();
    busy++;
    opened++;
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, c->wire.fd, &ev) < 0)
        die("load: epoll_ctl");
    if (connect(c->wire.fd, (struct sockaddr *)&opt.to, sizeof opt.to) < 0 && errno != EINPROGRESS)
        die("load: connect");
}

static void ready(struct conn *c) {
    if (!opt.once)
        busy--;
    if (opt.rate > 0 && !opt.once)
        park(c);
    else
        ask(c, now_ns());
}

static void shake(struct conn *c) {
    int done = wire_shake(&c->wire);
    if (done < 0)
        lost(c);
    else if (done)
        ready(c);
}

static void connected(struct conn *c) {
    int error = 0;
    socklen_t n = sizeof error;
    getsockopt(c->wire.fd, SOL_SOCKET, SO_ERROR, &error, &n);
    if (error) {
        fprintf(stderr, "load: connect: %s\n", strerror(error));
        lost(c);
        return;
    }
    if (!opt.tls) {
        ready(c);
        return;
    }
    c->state = SHAKING;
    wire_shake_start(&c->wire);
    shake(c);
}

static void event(struct conn *c, uint32_t events) {
    if (c->wire.fd < 0)
        return;
    if (c->state == CONNECTING && events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
        connected(c);
    else if (c->state == SHAKING)
        shake(c);
    if (c->wire.fd >= 0 && c->state != CONNECTING && c->state != SHAKING &&
        events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP))
        readable(c, events & ~(uint32_t)(EPOLLIN | EPOLLOUT));
}

/* Sends what is due; returns how long to wait for the next, in ns. */
static uint64_t pace(uint64_t now, uint64_t *paced, struct conn *conns) {
    while (now < end_at) {
        uint64_t due = begin_at + (uint64_t)((double)*paced * 1e9 / opt.rate);
        if (due > now)
            return due - now;
        struct conn *c = idle_list;
        if (opt.once) {
            for (c = conns; c < conns + opt.connections && c->state != FREE;)
                c++;
            if (c == conns + opt.connections)
                return 1000000;
            connect_again(c);
            c->begun = due;
        } else if (c) {
            idle_list = c->next;
            ask(c, due);
        } else {
            return 1000000; /* all are busy: the request stays due */
        }
        (*paced)++;
    }
    return 1000000;
}

static void wait_events(uint64_t ns) {
    struct epoll_event ev[256];
    struct timespec limit = {(time_t)(ns / 1000000000U), (long)(ns % 1000000000U)};
    int n = epoll_pwait2(ep, ev, 256, &limit, NULL);
    for (int i = 0; i < n; i++)
        event(ev[i].data.ptr, ev[i].events);
}

static void hold_idle(void) {
    printf("ready\n");
    fflush(stdout);
    char c;
    while (read(0, &c, 1) > 0)
        ;
}

static void run(struct conn *conns) {
    uint64_t paced = 0, grace = 0;
    begin_at = now_ns();
    end_at = begin_at + (uint64_t)(opt.seconds * 1e9);
    bool paced_once = opt.rate > 0 && opt.once;
    for (unsigned long i = 0; i < opt.connections; i++) {
        conns[i].wire.fd = -1;
        if (!paced_once)
            connect_again(&conns[i]);
        if (i % 256 == 255) /* a listener's queue is finite */
            wait_events(1000000);
    }
    for (;;) {
        uint64_t now = now_ns();
        if (now >= end_at && grace == 0)
            grace = now + 2000000000U;
        if ((now >= end_at && busy == 0) || (grace && now >= grace))
            break;
        if (opt.idle && busy == 0 && sum.requests + sum.failed >= opt.connections)
            break;
        wait_events(opt.rate > 0 ? pace(now, &paced, conns) : 20000000);
    }
    sum.failed += busy;
}

static void report(void) {
    double took = (double)(now_ns() - begin_at) / 1e9;
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    printf("{\"requests\": %lu, \"failed\": %lu, \"refused\": %lu, \"closed\": %lu, "
           "\"connections\": %lu, "
           "\"seconds\": %.3f, \"rate\": %.1f, \"bytes\": %lu, \"p50_us\": %.1f, \"p90_us\": %.1f, "
           "\"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f, \"resumed\": %lu, "
           "\"load_cpu_s\": %.3f}\n",
           sum.requests, sum.failed, sum.refused, sum.closed, opened, took,
           (double)sum.requests / took, sum.bytes, percentile_us(0.5), percentile_us(0.9),
           percentile_us(0.99), percentile_us(0.999), (double)sum.max / 1000, wire_resumed(),
           (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
               (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
}

static void options(int argc, char **argv) {
    opt.to = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int o; (o = getopt(argc, argv, "p:c:t:r:u:n:kisSweH:")) != -1;) {
        switch (o) {
        case 'p':
            opt.to.sin_port = htons((in_port_t)strtoul(optarg, NULL, 10));
            break;
        case 'c':
            opt.connections = strtoul(optarg, NULL, 10);
            break;
        case 't':
            opt.seconds = strtod(optarg, NULL);
            break;
        case 'r':
            opt.rate = strtod(optarg, NULL);
            break;
        case 'u':
            opt.path = optarg;
            break;
        case 'n':
            opt.routes = strtoul(optarg, NULL, 10);
            break;
        case 'k':
            opt.once = true;
            break;
        case 'i':
            opt.idle = true;
            break;
        case 'S':
            opt.resume = true;
            opt.tls = true;
            break;
        case 's':
            opt.tls = true;
            break;
        case 'H':
            opt.fields_file = optarg;
            break;
        case 'w':
            opt.websocket = true;
            break;
        case 'e':
            opt.refusals = true;
            break;
        default:
            opt.to.sin_port = 0;
        }
    }
    if (!opt.to.sin_port || !opt.connections || !opt.routes || strlen(opt.path) > 200) {
        fprintf(stderr,
                "usage: load -p PORT [-c CONNECTIONS] [-t SECONDS] [-r RATE] [-u PATH] [-n N] "
                "[-k] [-i] [-s | -S] [-w] [-e] [-H FILE]\n");
        exit(2);
    }
}

static void read_fields(const char *name) {
    FILE *f = fopen(name, "r");
    size_t cap = 0, room = 0;
    char *line = NULL;
    if (!f)
        die(name);
    for (ssize_t n; (n = getline(&line, &room, f)) > 0;) {
        if (fields.count == cap) {
            cap = cap ? 2 * cap : 64;
            fields.line = realloc(fields.line, cap * sizeof *fields.line);
        }
        line[strcspn(line, "\r\n")] = 0;
        if (!fields.line || n > REQUEST_MAX - 512)
            die("a line of the header fields");
        fields.line[fields.count++] = strdup(line);
    }
    free(line);
    fclose(f);
}

int main(int argc, char **argv) {
    options(argc, argv);
    if (opt.fields_file)
        read_fields(opt.fields_file);
    if (opt.tls)
        wire_init(opt.resume);
    ep = epoll_create1(EPOLL_CLOEXEC);
    struct conn *conns = calloc(opt.connections, sizeof *conns);
    if (ep < 0 || !conns)
        die("load");
    run(conns);
    if (opt.idle)
        hold_idle();
    report();
    return sum.requests ? 0 : 1;
}
