/*
 * route - what finding a route costs: `ninja bench/route && bench/route`. Prints nanoseconds a
 * look-up.
 *
 * Requests go round over all routes in a scattered order, so that large sets are not measured from
 * a warm cache alone. Look-ups of 10 and of 10,000 routes take turns; the median of the rounds
 * counts.
 */
#include "base/env.h"
#include "conf/path.h"
#include "data/regex.h"
#include "core/route.h"
#include <stdio.h>
#include <stdlib.h>

enum { MANY = 10000, ROUNDS = 101, LOOKS = 20000 };

struct shape {
    const char *name, *pattern, *path;
    bool hosts;
};

/* %u is the number of the route. */
static const struct shape shapes[] = {
    {"one capture", "/api/s%u/{id}", "/api/s%u/12345", false},
    {"two captures below a literal", "/api/v1/s%u/{id}/items/{item}", "/api/v1/s%u/12345/items/9",
     false},
    {"tail", "/api/s%u/*", "/api/s%u/a/b/c.html", false},
    {"a host each", "/api/{id}", "/api/12345", true},
    {"capture before the literal", "/{tenant}/s%u/{id}", "/acme/s%u/12345", false},
};

/* Requests as they lie one behind the other: they are the load's, not the router's, cache misses.
 */
struct request {
    char path[80], host[32];
    uint32_t route;
};

struct set {
    struct route *route;
    struct request *request; /* LOOKS */
    const struct router *router;
    uint64_t build_ns;
    uint32_t count;
};

/* "%u" in the text becomes the number. */
static char *numbered(struct arena *a, const char *text, uint32_t i) {
    const char *at = strstr(text, "%u");
    return at ? arena_fmt(a, "%.*s%u%s", (int)(at - text), text, i, at + 2)
              : arena_fmt(a, "%s", text);
}

static struct route route_of(struct arena *a, const struct shape *s, uint32_t i) {
    struct route_match *m = arena_zero(a, sizeof *m);
    struct path_match *p = arena_zero(a, sizeof *p);
    struct path_error e;
    p->text = span_z(numbered(a, s->pattern, i));
    if (!path_parse(a, p->text, p, &e))
        exit(1);
    struct segment *seg = arena_alloc(a, p->count * sizeof *seg + 1);
    memcpy(seg, p->segment, p->count * sizeof *seg);
    int slot = 0;
    for (uint32_t k = 0; k < p->count; k++)
        if (seg[k].kind == SEGMENT_CAPTURE)
            seg[k].capture = slot++;
    p->segment = seg;
    m->path = p;
    m->path_count = 1;
    if (s->hosts) {
        m->host = arena_zero(a, sizeof *m->host);
        m->host[m->host_count++] = span_z(arena_fmt(a, "h%u.test", i));
    }
    m->methods = 1u << METHOD_GET;
    return (struct route){.name = p->text, .index = i, .match = m};
}

static struct set make(struct arena *a, const struct shape *s, uint32_t count) {
    struct set set = {.count = count};
    set.route = arena_alloc(a, count * sizeof *set.route);
    set.request = arena_zero(a, LOOKS * sizeof *set.request);
    for (uint32_t i = 0; i < count; i++)
        set.route[i] = route_of(a, s, i);
    for (uint32_t i = 0, at = 0; i < LOOKS; i++) {
        struct request *q = &set.request[i];
        q->route = at = (at + 7919) % count;
        snprintf(q->path, sizeof q->path, "%s", numbered(a, s->path, at));
        snprintf(q->host, sizeof q->host, "h%u.test", at);
    }
    struct route_report report;
    uint64_t from = env.now_ns();
    set.router = router_build(a, set.route, count, &report);
    set.build_ns = env.now_ns() - from;
    return set;
}

static double look(const struct set *s) {
    struct route_found f;
    struct head h = {.method = METHOD_GET};
    uint32_t wrong = 0;
    uint64_t from = env.now_ns();
    for (uint32_t i = 0; i < LOOKS; i++) {
        const struct request *q = &s->request[i];
        h.path = span_z(q->path);
        h.host = span_z(q->host);
        router_find(s->router, &h, NULL, &f);
        wrong += f.route != &s->route[q->route];
    }
    uint64_t ns = env.now_ns() - from;
    if (wrong)
        exit(1);
    return (double)ns / LOOKS;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double low(double *v) {
    qsort(v, ROUNDS, sizeof *v, by_value);
    return v[ROUNDS / 10];
}

int main(void) {
    printf("%-30s %10s %14s %10s %14s\n", "routes", "10: ns", "10,000: ns", "more", "build: ms");
    for (size_t i = 0; i < array_len(shapes); i++) {
        struct arena a;
        double few[ROUNDS], many[ROUNDS];
        arena_init(&a, NULL);
        struct set s10 = make(&a, &shapes[i], 10), s10000 = make(&a, &shapes[i], MANY);
        for (int k = 0; k < ROUNDS; k++) {
            few[k] = look(&s10);
            many[k] = look(&s10000);
        }
        double f = low(few), m = low(many);
        printf("%-30s %10.0f %14.0f %10.0f %14.1f\n", shapes[i].name, f, m, m - f,
               (double)s10000.build_ns / 1e6);
        arena_finish(&a);
    }
    return 0;
}
