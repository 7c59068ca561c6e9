/*
 * log_line - what one access log line costs its worker: `build/bench/log-line [LINES]`.
 *
 * Records as a gateway sees them (four different targets), the shipped fields, into the thread's
 * ring; the ring is emptied outside of the measured time. Also: counting the same record in the
 * metrics.
 */
#include "observe/log.h"
#include "observe/metrics.h"
#include <stdio.h>
#include <time.h>

enum { BATCH = 1000 };

static struct thread thread;
static struct log_conf conf;
static struct snapshot snapshot = {.generation = 1, .log = &conf};
static struct route route = {.name = {"products", 8}};
static struct service_conf service = {.name = {"product", 7}};
static struct listener_conf listener = {.name = {"public", 6}};

/* Lines go nowhere. */
static ssize_t drop(int fd, const void *p, size_t n) {
    (void)fd, (void)p;
    return (ssize_t)n;
}

static uint64_t cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void fill(struct exchange *x) {
    static const char agent[] =
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0";
    arena_init(&x->arena, NULL);
    head_init(&x->req, &x->arena);
    x->route = &route;
    x->service = &service;
    x->facts.listener = &listener;
    x->facts.protocol = "HTTP/1.1";
    must(address_parse(SPAN("192.0.2.7:4711"), &x->facts.client));
    memcpy(x->facts.request_id, "0123456789abcdef-123456", 23);
    x->facts.request_id_len = 23;
    x->req.method_text = SPAN("GET");
    x->req.host = SPAN("shop.example");
    must(hdr_put(&x->req, SPAN("user-agent"), span_z(agent), ORIGIN_CLIENT) == FAULT_NONE);
    x->upstream_status = 200;
}

static double measure(void (*sink)(struct thread *, const struct record *), struct record *r,
                      struct exchange *x, unsigned lines) {
    static const char *const target[] = {"/api/products/42", "/api/orders/7?full=1",
                                         "/checkout/step/3", "/static/app.js"};
    uint64_t spent = 0;
    for (unsigned n = 0; n < lines; n += BATCH) {
        uint64_t from = cpu_ns();
        for (unsigned i = 0; i < BATCH; i++) {
            x->req.target = span_z(target[i & 3]);
            r->wall_ns += 12345;
            r->total_ns = 100000 + 37 * i;
            sink(&thread, r);
        }
        spent += cpu_ns() - from;
        log_pass(true);
    }
    return (double)spent / lines;
}

int main(int argc, char **argv) {
    static struct exchange x;
    uint64_t lines = 2000000;
    if (argc > 2 || (argc == 2 && (!parse_dec(span_z(argv[1]), 1000000000, &lines) || !lines))) {
        fprintf(stderr, "usage: log-line [LINES]\n");
        return 2;
    }
    env.write = drop;
    fill(&x);
    struct record r = {.x = &x,
                       .snapshot = &snapshot,
                       .wall_ns = 1700000000123456789,
                       .status = 200,
                       .code = "",
                       .who = "",
                       .route = route.name,
                       .service = service.name,
                       .endpoint = SPAN("127.0.0.1:7001"),
                       .upstream_ns = 80000,
                       .response_body = 1024,
                       .attempts = 1};
    if (!log_attach(&snapshot) || !log_thread_init(&thread) || !metrics_thread_init(&thread))
        return 1;
    for (int round = 0; round < 3; round++)
        printf("json %.0f ns a line, metrics %.0f ns a record\n",
               measure(log_line, &r, &x, (unsigned)lines),
               measure(metrics_record, &r, &x, (unsigned)lines));
    conf.format = LOG_FORMAT_COMBINED;
    printf("combined %.0f ns a line\n", measure(log_line, &r, &x, (unsigned)lines));
    printf("dropped %llu\n", (unsigned long long)atomic_load(&thread.counters.log_dropped));
    return 0;
}
