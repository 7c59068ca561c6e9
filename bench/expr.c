/*
 * expr - what a CEL expression costs beside the same condition written in C:
 * `ninja bench/expr && bench/expr [--json]`. Prints nanoseconds an evaluation.
 *
 * A request with twelve fields and the claims of a token, read from JSON. Names are asked for as
 * the gateway is asked; each evaluation has an arena of its own, as a request has. CEL and C take
 * turns; the median of the rounds counts, of the process's CPU time.
 */
#include "base/env.h"
#include "data/json.h"
#include "data/regex.h"
#include "expr/expr.h"
#include "http/head.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 41, TIMES = 20000 };
enum { ID_CLAIM = 1, ID_METHOD, ID_PATH_TEXT, ID_PATH, ID_HEADER, ID_IP };

struct world {
    struct head head;
    struct value claims;
    struct span id; /* the path's capture */
    unsigned char ip[4];
    struct regex *version;
};

static bool get(void *ctx, struct arena *a, const struct expr_ref *ref, struct value *out) {
    const struct world *w = ctx;
    struct span s;
    (void)a;
    switch (ref->id) {
    case ID_CLAIM:
        *out = w->claims;
        return true;
    case ID_METHOD:
        *out = value_string(w->head.method_text);
        return true;
    case ID_PATH_TEXT:
        *out = value_string(w->head.path);
        return true;
    case ID_PATH:
        *out = value_string(w->id);
        return true;
    case ID_HEADER:
        s = ref->slot ? hdr_get(&w->head, (enum hdr_id)ref->slot) : hdr_find(&w->head, ref->key);
        *out = value_string(s);
        return true;
    default:
        *out = (struct value){.kind = VALUE_IP, .n = 4, .ip = w->ip};
        return true;
    }
}

static const char *check(void *ctx, struct arena *a, struct expr_ref *ref) {
    (void)ctx, (void)a;
    if (ref->id == ID_HEADER)
        ref->slot = (int)hdr_lookup(ref->key);
    return NULL;
}

static void keep(void *ctx, struct regex *r) {
    (void)ctx, (void)r; /* until the process ends */
}

static const struct expr_name request[] = {
    {"method", &expr_string, ID_METHOD}, {"path", &expr_string, ID_PATH_TEXT}, {NULL, NULL, 0}};
static const struct expr_name client[] = {{"ip", &expr_ip, ID_IP}, {NULL, NULL, 0}};
static const struct expr_type request_type = {.kind = EXPR_OBJECT, .field = request};
static const struct expr_type client_type = {.kind = EXPR_OBJECT, .field = client};
static const struct expr_type direct = {
    .kind = EXPR_MAP, .of = &expr_string, .key = &expr_string, .direct = true};
static const struct expr_name names[] = {{"claim", &expr_dyn, ID_CLAIM},
                                         {"request", &request_type, 0},
                                         {"path", &direct, ID_PATH},
                                         {"header", &direct, ID_HEADER},
                                         {"client", &client_type, 0}};

/* ---- the same in C ----------------------------------------------------------------------------
 */

static struct span claim(const struct world *w, struct span name) {
    const struct value *v = value_find(&w->claims, name);
    return v && v->kind == VALUE_STRING ? value_span(v) : SPAN_NONE;
}

static bool c_sub(const struct world *w) {
    return claim(w, SPAN("sub")).p != NULL;
}
static bool c_method(const struct world *w) {
    return span_eq(w->head.method_text, SPAN("GET")) && w->id.n != 0;
}
static bool c_role(const struct world *w) {
    const struct value *v = value_find(&w->claims, SPAN("roles"));
    for (uint32_t i = 0; v && v->kind == VALUE_LIST && i < v->n; i++)
        if (v->item[i].kind == VALUE_STRING && span_eq(value_span(&v->item[i]), SPAN("admin")))
            return true;
    return false;
}
static bool c_scope(const struct world *w) {
    struct span rest = claim(w, SPAN("scope"));
    while (rest.p)
        if (span_eq(span_split(&rest, ' '), SPAN("orders:read")))
            return true;
    return false;
}
static bool c_header(const struct world *w) {
    return span_starts(hdr_get(&w->head, HDR_ACCEPT), SPAN("text/html"));
}
static bool c_other_header(const struct world *w) {
    return span_eq(hdr_find(&w->head, SPAN("x-tenant")), SPAN("acme"));
}
static bool c_regex(const struct world *w) {
    return regex_test(w->version, w->head.path);
}
static bool c_expiry(const struct world *w) {
    const struct value *v = value_find(&w->claims, SPAN("exp"));
    uint64_t n;
    return v && v->kind == VALUE_NUMBER && parse_dec(value_span(v), UINT64_MAX, &n) &&
           n > 1700000000;
}
static bool c_network(const struct world *w) {
    return w->ip[0] == 10;
}
static bool c_has(const struct world *w) {
    struct span plan = claim(w, SPAN("plan"));
    return span_eq(plan.p ? plan : SPAN("free"), SPAN("free"));
}

static const struct row {
    const char *source;
    bool (*c)(const struct world *w);
} rows[] = {
    {"claim.sub", c_sub},
    {"request.method == \"GET\" && path.id != \"\"", c_method},
    {"\"admin\" in claim.roles", c_role},
    {"\"orders:read\" in claim.scope.split(\" \")", c_scope},
    {"header[\"accept\"].startsWith(\"text/html\")", c_header},
    {"header[\"x-tenant\"] == \"acme\"", c_other_header},
    {"request.path.matches(\"^/api/v[0-9]+/\")", c_regex},
    {"claim.exp > 1700000000", c_expiry},
    {"cidr(\"10.0.0.0/8\").containsIP(client.ip)", c_network},
    {"(has(claim.plan) ? claim.plan : \"free\") == \"free\"", c_has},
};

/* ---- measuring --------------------------------------------------------------------------------
 */

static void fill(struct world *w, struct arena *a) {
    static const char *const fields[][2] = {
        {"user-agent", "Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0"},
        {"accept", "text/html,application/xhtml+xml;q=0.9"},
        {"accept-language", "en,de;q=0.8"},
        {"accept-encoding", "gzip, br"},
        {"cache-control", "no-cache"},
        {"cookie", "a=1; b=2"},
        {"authorization", "Bearer x"},
        {"referer", "https://shop.example/"},
        {"x-request-id", "0123456789abcdef"},
        {"x-tenant", "acme"},
        {"origin", "https://shop.example"},
        {"if-none-match", "\"1\""}};
    static const char claims[] =
        "{\"iss\":\"https://login.example.com/realms/shop\",\"aud\":[\"shop\",\"account\"],"
        "\"exp\":1764070000,\"iat\":1764069700,\"azp\":\"web\",\"sub\":\"8f14e45f-ceea\","
        "\"roles\":[\"customer\",\"editor\",\"admin\"],\"scope\":\"openid profile orders:read\"}";
    struct regex_error err;
    head_init(&w->head, a);
    w->head.method_text = SPAN("GET");
    w->head.path = SPAN("/api/v2/orders/4711");
    for (size_t i = 0; i < array_len(fields); i++)
        must(hdr_put(&w->head, span_z(fields[i][0]), span_z(fields[i][1]), ORIGIN_CLIENT) ==
             FAULT_NONE);
    must(json_read(a, span_z(claims), NULL, &w->claims, NULL));
    w->id = SPAN("4711");
    w->ip[0] = 10;
    w->version = regex_compile(SPAN("^/api/v[0-9]+/"), &err);
    must(w->version);
}

static uint64_t cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double cel_ns(struct world *w, struct arena_cache *cache, const struct expr *e) {
    uint64_t from = cpu_ns();
    unsigned good = 0;
    for (unsigned i = 0; i < TIMES; i++) {
        struct arena a;
        struct value v;
        arena_init(&a, cache);
        struct expr_run run = {.arena = &a, .get = get, .ctx = w};
        good += expr_eval(e, &run, &v) && (v.kind != VALUE_BOOL || v.b);
        if (a.blocks)
            arena_finish(&a);
    }
    must(good == TIMES);
    return (double)(cpu_ns() - from) / TIMES;
}

static double c_ns(const struct world *w, bool (*c)(const struct world *)) {
    bool (*volatile fn)(const struct world *) = c;
    uint64_t from = cpu_ns();
    unsigned good = 0;
    for (unsigned i = 0; i < TIMES; i++)
        good += fn(w);
    must(good == TIMES);
    return (double)(cpu_ns() - from) / TIMES;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void quoted(const char *text) {
    char buf[512];
    struct str s = str_on(buf, sizeof buf);
    str_json(&s, span_z(text));
    printf("\"%.*s\"", SPAN_ARG(str_span(&s)));
}

static void measure(struct world *w, struct arena_cache *cache, const struct row *r, bool json) {
    double cel[ROUNDS], c[ROUNDS];
    struct arena a;
    struct expr_error err;
    struct expr_scope s = {.name = names, .count = array_len(names), .check = check, .keep = keep};
    arena_init(&a, NULL);
    const struct expr *e = expr_compile(&a, span_z(r->source), &s, &err);
    if (!e) {
        fprintf(stderr, "%s: byte %zu: %s\n", r->source, err.at, err.text);
        exit(1);
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        cel[i] = cel_ns(w, cache, e);
        c[i] = c_ns(w, r->c);
    }
    qsort(cel, ROUNDS, sizeof *cel, by_size);
    qsort(c, ROUNDS, sizeof *c, by_size);
    if (json) {
        printf("%s{\"expr\": ", r == rows ? "[" : ",\n ");
        quoted(r->source);
        printf(", \"cel_ns\": %.1f, \"c_ns\": %.1f}", cel[ROUNDS / 2], c[ROUNDS / 2]);
    } else {
        printf("%7.1f ns, in C %6.1f ns: %s\n", cel[ROUNDS / 2], c[ROUNDS / 2], r->source);
    }
    arena_finish(&a);
}

int main(int argc, char **argv) {
    static struct arena_cache cache;
    static struct world w;
    struct arena a;
    bool json = argc == 2 && strcmp(argv[1], "--json") == 0;
    if (argc > 1 && !json) {
        fprintf(stderr, "usage: expr [--json]\n");
        return 2;
    }
    arena_init(&a, NULL);
    arena_cache_init(&cache);
    fill(&w, &a);
    for (size_t i = 0; i < array_len(rows); i++)
        measure(&w, &cache, &rows[i], json);
    if (json)
        printf("]\n");
    regex_free(w.version);
    arena_finish(&a);
    return 0;
}
