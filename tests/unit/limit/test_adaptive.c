/* TRACE=1 tells what came of each run.
 *
 * A simulated service behind the limit: `servers` work at once, the others queue in the order of
 * arrival. Time is virtual; a seed replays a run. */
#include "limit/adaptive.h"
#include "base/check.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define MS 1e6
#define S 1e9
enum { MOST = 200000, SERVERS_MAX = 200 };

struct job {
    double ends, started; /* of the request: sent */
    uint32_t epoch;
    bool old; /* out of patience: not counted any more */
};
struct sim {
    struct adaptive a;
    struct adaptive_conf conf;
    uint64_t random;
    double now;
    double server[SERVERS_MAX];
    unsigned servers;
    double (*takes)(struct sim *); /* the work of one request */
    double slower;
    double share_polls; /* of the requests: they take no server, but a time of their own */
    double poll_ns;
    struct job *heap; /* by `ends` */
    unsigned jobs, counted;
    double *sample;
    unsigned samples, peak;
    double window_began;
    /* what came of it, since sim_look */
    uint64_t arrived, shed, done;
    double latency_sum;
    double *latency;
    unsigned latencies;
    double since;
};

static double draw(struct sim *s) { /* (0, 1) */
    uint64_t z = s->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return ((double)((z ^ z >> 31) >> 11) + 0.5) * 0x1p-53;
}

static double minus_log(double u) { /* -ln(u), without libm */
    double e = 0;
    while (u < 0.70710678118654752) {
        u *= 2;
        e += 1;
    }
    double x = (u - 1) / (u + 1), x2 = x * x, sum = 0;
    for (int i = 19; i > 0; i -= 2)
        sum = sum * x2 + 1.0 / i;
    return e * 0.69314718055994531 - 2 * x * sum;
}

static double even(struct sim *s) {
    return 100 * MS * (0.95 + 0.1 * draw(s));
}
static double noisy(struct sim *s) { /* exponential above a floor */
    return 50 * MS + 50 * MS * minus_log(draw(s));
}
static double exponential(struct sim *s) {
    return 100 * MS * minus_log(draw(s));
}
static double slow_routes(struct sim *s) { /* a tenth takes ten times as long */
    return (draw(s) < 0.1 ? 500 * MS : 50 * MS) * (0.8 + 0.4 * draw(s));
}
static double two_kinds(struct sim *s) { /* half of them four times as long */
    return (draw(s) < 0.5 ? 160 * MS : 40 * MS) * (0.8 + 0.4 * draw(s));
}

/* ---- the heap of what is under way --------------------------------------------------------------
 */

static void swap(struct job *a, struct job *b) {
    struct job t = *a;
    *a = *b;
    *b = t;
}
static void push(struct sim *s, struct job j) {
    unsigned i = s->jobs++;
    assert_true(i < MOST);
    s->heap[i] = j;
    for (; i && s->heap[(i - 1) / 2].ends > s->heap[i].ends; i = (i - 1) / 2)
        swap(&s->heap[i], &s->heap[(i - 1) / 2]);
}
static struct job pop(struct sim *s) {
    struct job top = s->heap[0];
    s->heap[0] = s->heap[--s->jobs];
    for (unsigned i = 0;;) {
        unsigned c = 2 * i + 1;
        if (c >= s->jobs)
            return top;
        c += c + 1 < s->jobs && s->heap[c + 1].ends < s->heap[c].ends;
        if (s->heap[i].ends <= s->heap[c].ends)
            return top;
        swap(&s->heap[i], &s->heap[c]);
        i = c;
    }
}

/* ---- the run
 * -------------------------------------------------------------------------------------
 */

static void sim_open(struct sim *s, unsigned servers, double (*takes)(struct sim *)) {
    *s = (struct sim){
        .conf = {.on = true, .min = 20, .max = 10000, .tolerance = 2, .min_latency_ms = 100},
        .random = 7,
        .servers = servers,
        .takes = takes,
        .slower = 1,
        .heap = calloc(MOST, sizeof(struct job)),
        .sample = calloc(MOST, sizeof(double)),
        .latency = calloc(MOST, sizeof(double))};
    adaptive_init(&s->a, &s->conf);
}
static void sim_close(struct sim *s) {
    free(s->heap);
    free(s->sample);
    free(s->latency);
}
static void sim_look(struct sim *s) {
    s->arrived = s->shed = s->done = 0;
    s->latencies = 0;
    s->latency_sum = 0;
    s->since = s->now;
}

static int by_size(const void *a, const void *b) {
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void close_window(struct sim *s) {
    uint64_t length = (uint64_t)(s->now - s->window_began);
    bool enough = adaptive_enough(&s->a, length, s->samples);
    if (!enough && !adaptive_stale(&s->a, length, s->samples))
        return;
    if (enough) {
        qsort(s->sample, s->samples, sizeof(double), by_size);
        struct adaptive_window w = {.length_ns = length,
                                    .samples = s->samples,
                                    .peak = s->peak,
                                    .quick_ns = (uint64_t)s->sample[s->samples / 10],
                                    .mid_ns = (uint64_t)s->sample[s->samples / 2]};
        adaptive_judge(&s->a, &s->conf, &w);
    }
    s->samples = 0;
    s->window_began = s->now;
    s->peak = s->counted;
}

static void lose_patience(struct sim *s) {
    double most = (double)adaptive_patience(&s->a);
    for (unsigned i = 0; i < s->jobs; i++)
        if (!s->heap[i].old && s->now - s->heap[i].started > most) {
            s->heap[i].old = true;
            s->counted--;
        }
}

static void finish_until(struct sim *s, double at) {
    while (s->jobs && s->heap[0].ends <= at) {
        struct job j = pop(s);
        s->now = j.ends;
        s->counted -= !j.old;
        s->done++;
        if (s->latencies < MOST)
            s->latency[s->latencies++] = j.ends - j.started;
        if (!j.old && j.epoch == s->a.epoch && s->samples < MOST)
            s->sample[s->samples++] = j.ends - j.started;
        close_window(s);
    }
    s->now = at;
}

static double work_until(struct sim *s) {
    unsigned first = 0;
    for (unsigned i = 1; i < s->servers; i++)
        if (s->server[i] < s->server[first])
            first = i;
    double from = s->server[first] > s->now ? s->server[first] : s->now;
    return s->server[first] = from + s->takes(s) * s->slower;
}

static void arrive(struct sim *s) {
    s->arrived++;
    if (s->counted >= s->a.limit) {
        s->shed++;
        return;
    }
    s->counted++;
    if (s->counted > s->peak)
        s->peak = s->counted;
    bool poll = s->share_polls > 0 && draw(s) < s->share_polls;
    double ends = poll ? s->now + s->poll_ns * minus_log(draw(s)) : work_until(s);
    push(s, (struct job){.ends = ends, .started = s->now, .epoch = s->a.epoch});
}

/* An open crowd: so many a second, whatever becomes of them. */
static void sim_run(struct sim *s, double per_second, double seconds) {
    double until = s->now + seconds * S, patience = s->now;
    while (s->now < until) {
        double at = s->now + minus_log(draw(s)) * S / per_second;
        finish_until(s, at);
        if (s->now - patience > 100 * MS) {
            lose_patience(s);
            patience = s->now;
        }
        arrive(s);
    }
}

/* Nothing gets done for a while. */
static void sim_pause(struct sim *s, double ns) {
    for (unsigned i = 0; i < s->servers; i++)
        s->server[i] = (s->server[i] > s->now ? s->server[i] : s->now) + ns;
    for (unsigned i = 0; i < s->jobs; i++)
        s->heap[i].ends += ns;
}

static double median(struct sim *s) {
    qsort(s->latency, s->latencies, sizeof(double), by_size);
    return s->latencies ? s->latency[s->latencies / 2] : 0;
}
static double throughput(const struct sim *s) {
    return (double)s->done / ((s->now - s->since) / S);
}

enum { SERVERS = 20 };
static const struct {
    const char *name;
    double (*takes)(struct sim *);
    double mean_ms, median_ms;
} kinds[] = {
    {"even", even, 100, 100},
    {"noisy", noisy, 100, 85},
    {"exponential", exponential, 100, 69},
    {"slow routes", slow_routes, 95, 51},
    {"two kinds", two_kinds, 100, 110},
};
static double capacity(size_t kind) {
    return SERVERS * 1000 / kinds[kind].mean_ms;
}

static void report(struct sim *s, const char *what, size_t kind) {
    if (!getenv("TRACE"))
        return;
    printf("# %s, %s: %.0f/s of %.0f, median %.0f ms of %.0f, shed %.2f %%, limit %u %s\n", what,
           kinds[kind].name, throughput(s), capacity(kind), median(s) / MS, kinds[kind].median_ms,
           100.0 * (double)s->shed / (double)(s->arrived + !s->arrived), s->a.limit,
           s->a.state ? "limiting" : "calm");
}

static void a_healthy_service_is_never_shed(void **state) {
    static const double load[] = {0.1, 0.5, 0.8, 0.9};
    (void)state;
    for (size_t k = 0; k < array_len(kinds); k++)
        for (size_t i = 0; i < array_len(load); i++) {
            struct sim s;
            sim_open(&s, SERVERS, kinds[k].takes);
            sim_run(&s, load[i] * capacity(k), 600);
            report(&s, "healthy", k);
            assert_int_equal(s.shed, 0);
            sim_close(&s);
        }
}

static void overload_is_cut_to_what_can_be_done(void **state) {
    static const double load[] = {1.5, 2, 4, 10};
    (void)state;
    for (size_t k = 0; k < array_len(kinds); k++)
        for (size_t i = 0; i < array_len(load); i++) {
            struct sim s;
            sim_open(&s, SERVERS, kinds[k].takes);
            sim_run(&s, 0.3 * capacity(k), 10);
            sim_run(&s, load[i] * capacity(k), 20);
            sim_look(&s);
            sim_run(&s, load[i] * capacity(k), 60);
            report(&s, "overload", k);
            assert_true(throughput(&s) >= 0.9 * capacity(k));
            assert_true(median(&s) <= 3 * kinds[k].median_ms * MS);
            sim_close(&s);
        }
}

/* A gateway that starts in the middle of it has never seen the service at ease. */
static void overload_from_the_start(void **state) {
    static const double load[] = {2, 10};
    (void)state;
    for (size_t k = 0; k < array_len(kinds); k++)
        for (size_t i = 0; i < array_len(load); i++) {
            struct sim s;
            sim_open(&s, SERVERS, kinds[k].takes);
            sim_run(&s, load[i] * capacity(k), 40);
            sim_look(&s);
            sim_run(&s, load[i] * capacity(k), 60);
            report(&s, "from the start", k);
            assert_true(throughput(&s) >= 0.9 * capacity(k));
            assert_true(median(&s) <= 4 * kinds[k].median_ms * MS);
            sim_close(&s);
        }
}

/* It comes, is dealt with, and goes: afterwards nothing is left of it. */
static void a_passing_crowd(void **state) {
    (void)state;
    for (size_t k = 0; k < array_len(kinds); k++) {
        struct sim s;
        sim_open(&s, SERVERS, kinds[k].takes);
        sim_run(&s, 0.5 * capacity(k), 20);
        sim_run(&s, 3 * capacity(k), 20);
        sim_look(&s);
        sim_run(&s, 3 * capacity(k), 20);
        report(&s, "crowd", k);
        assert_true(throughput(&s) >= 0.9 * capacity(k));
        sim_run(&s, 0.5 * capacity(k), 10);
        sim_look(&s);
        sim_run(&s, 0.5 * capacity(k), 60);
        report(&s, "after", k);
        assert_int_equal(s.shed, 0);
        assert_int_equal(s.a.state, ADAPTIVE_CALM);
        sim_close(&s);
    }
}

/* Half of the servers go, and come again. */
static void capacity_changes(void **state) {
    (void)state;
    for (size_t k = 0; k < array_len(kinds); k++) {
        struct sim s;
        sim_open(&s, SERVERS, kinds[k].takes);
        sim_run(&s, 0.8 * capacity(k), 20);
        s.servers = SERVERS / 2;
        sim_run(&s, 0.8 * capacity(k), 30);
        sim_look(&s);
        sim_run(&s, 0.8 * capacity(k), 60);
        report(&s, "half of it", k);
        assert_true(throughput(&s) >= 0.9 * 0.5 * capacity(k));
        assert_true(median(&s) <= 6 * kinds[k].median_ms * MS);
        s.servers = SERVERS;
        for (int i = SERVERS / 2; i < SERVERS; i++)
            s.server[i] = s.now;
        sim_run(&s, 2 * capacity(k), 30);
        sim_look(&s);
        sim_run(&s, 2 * capacity(k), 60);
        report(&s, "all of it", k);
        assert_true(throughput(&s) >= 0.9 * capacity(k));
        sim_close(&s);
    }
}

/* Everything takes three times as long from now on, and there is room for it. */
static void slower_by_itself(void **state) {
    (void)state;
    for (size_t k = 0; k < array_len(kinds); k++) {
        struct sim s;
        sim_open(&s, SERVERS, kinds[k].takes);
        sim_run(&s, 0.25 * capacity(k), 30);
        s.slower = 3;
        sim_look(&s);
        sim_run(&s, 0.25 * capacity(k), 300);
        report(&s, "slower", k);
        assert_int_equal(s.shed, 0);
        sim_close(&s);
    }
}

/* A cold start: five times as slow, and too much for it; it warms up. */
static void slow_start(void **state) {
    (void)state;
    for (size_t k = 0; k < array_len(kinds); k++) {
        struct sim s;
        sim_open(&s, SERVERS, kinds[k].takes);
        s.slower = 5;
        sim_run(&s, 0.5 * capacity(k), 10);
        s.slower = 1;
        sim_run(&s, 0.5 * capacity(k), 40);
        sim_look(&s);
        sim_run(&s, 0.5 * capacity(k), 60);
        report(&s, "warm", k);
        assert_int_equal(s.shed, 0);
        sim_close(&s);
    }
}

/* Garbage collection, a lock, a fail-over: nothing is done for a third of a second. */
static void hiccups(void **state) {
    (void)state;
    for (size_t k = 0; k < array_len(kinds); k++) {
        struct sim s;
        sim_open(&s, SERVERS, kinds[k].takes);
        sim_run(&s, 0.6 * capacity(k), 20);
        sim_look(&s);
        for (int i = 0; i < 30; i++) {
            sim_pause(&s, 300 * MS);
            sim_run(&s, 0.6 * capacity(k), 10);
        }
        report(&s, "hiccups", k);
        assert_int_equal(s.shed, 0);
        sim_close(&s);
    }
}

/* Long polls beside ordinary requests: hundreds wait for events that come seldom, at night more
 * seldom still. */
static void long_polls(void **state) {
    static const double poll_s[] = {30, 10, 60, 25};
    (void)state;
    for (size_t k = 0; k < array_len(kinds); k++) {
        struct sim s;
        sim_open(&s, SERVERS, kinds[k].takes);
        sim_run(&s, 0.5 * capacity(k), 10);
        for (int share = 1; share <= 5; share += 2) {
            s.share_polls = share / 10.0;
            for (size_t i = 0; i < array_len(poll_s); i++) {
                s.poll_ns = poll_s[i] * S;
                sim_run(&s, 0.5 * capacity(k), 120);
            }
        }
        report(&s, "long polls", k);
        assert_int_equal(s.shed, 0);
        sim_close(&s);
    }
}

/* The fast route is not asked any more: only the slow one is left. */
static void other_routes(void **state) {
    struct sim s;
    (void)state;
    sim_open(&s, SERVERS, even);
    sim_run(&s, 100, 30);
    s.slower = 0.05;
    sim_run(&s, 100, 60);
    s.slower = 1;
    sim_run(&s, 100, 60);
    s.slower = 8;
    sim_run(&s, 15, 300);
    report(&s, "other routes", 0);
    assert_int_equal(s.shed, 0);
    sim_close(&s);
}

/* So many clients, each of which asks again when it has its answer: a load test. */
static void a_closed_crowd(void **state) {
    struct sim s;
    (void)state;
    sim_open(&s, 2, even);
    s.slower = 0.0005; /* 50 us */
    for (int clients = 1; clients <= 1000; clients += 111) {
        for (double until = s.now + 2 * S; s.now < until;) {
            while (s.jobs < (unsigned)clients && s.counted < s.a.limit)
                arrive(&s);
            assert_true(s.counted < s.a.limit);
            finish_until(&s, s.heap[0].ends);
        }
    }
    report(&s, "closed", 0);
    assert_int_equal(s.shed, 0);
    sim_close(&s);
}

/* Never below min, whatever happens; and it does not stay there in vain. */
static void never_below_min(void **state) {
    struct adaptive a;
    struct adaptive_conf c = {true, 20, 1000, 2, 100};
    struct adaptive_window w = {.length_ns = 200000000, .samples = 50, .peak = 50};
    unsigned at_min = 0;
    (void)state;
    adaptive_init(&a, &c);
    w.quick_ns = 50000000, w.mid_ns = 100000000;
    assert_int_equal(adaptive_judge(&a, &c, &w), 1000);
    w.peak = 900;
    for (int i = 0; i < 30; i++) {
        w.quick_ns += w.quick_ns / 2, w.mid_ns += w.mid_ns / 2;
        assert_true(adaptive_judge(&a, &c, &w) >= 20);
        at_min += a.limit == 20;
        w.peak = a.limit < 900 ? a.limit : 900;
        if (w.mid_ns > 100000000000u)
            w.mid_ns /= 1000, w.quick_ns /= 1000;
    }
    assert_int_equal(at_min > 0 || a.state == ADAPTIVE_CALM, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_healthy_service_is_never_shed),
        cmocka_unit_test(overload_is_cut_to_what_can_be_done),
        cmocka_unit_test(overload_from_the_start),
        cmocka_unit_test(a_passing_crowd),
        cmocka_unit_test(capacity_changes),
        cmocka_unit_test(slower_by_itself),
        cmocka_unit_test(slow_start),
        cmocka_unit_test(hiccups),
        cmocka_unit_test(long_polls),
        cmocka_unit_test(other_routes),
        cmocka_unit_test(a_closed_crowd),
        cmocka_unit_test(never_below_min),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
