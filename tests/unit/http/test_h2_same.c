/* The same request over HTTP/1.1 and HTTP/2: one head, or one refusal. Requests are put together
 * at random from pieces, good ones and bad ones. */
#include "cuts.h"
#include "h2_feed.h"

/* What both can say: no pieces that a line of HTTP/1.1 would end, trim or fold. */
static const char *const methods[] = {"GET",
                                      "GET",
                                      "GET",
                                      "POST",
                                      "PUT",
                                      "OPTIONS",
                                      "HEAD",
                                      "QUERY",
                                      "PROPFIND",
                                      "get",
                                      "TRACE",
                                      "post",
                                      "AVERYLONGMETHODNAMEOFTHIRTYTHREEB"};
static const char *const targets[] = {
    "/",         "/",    "/a/b",     "/a/../b",    "/../x",       "/a//b/./c?d=e&f",
    "/%41%2e",   "/%2f", "/%zz",     "/%ff",       "/caf\xc3",    "/a#b",
    "/?x#y",     "*",    "/a;b/..;", "/a?",        "/?\x7f",      "/\"<>",
    "/{a}|\\^`", "a",    "/%00",     "/%e2%82%ac", "/a/%2E%2e/b", "/?a=%",
    "/a?b?c=/"};
static const char *const hosts[] = {"gw.test", "gw.test", "GW.TEST.", "gw.test:80", "gw.test:8080",
                                    "[::1]",   "[::1]:1", "a,b",      "u@a",        "a..b",
                                    "",        "a:0",     "a:99999",  "[::g]",      "_a.b"};
static const struct {
    const char *name, *value;
} fields[] = {
    {"accept", "*/*"},
    {"accept-encoding", "gzip, br"},
    {"user-agent", "test/1.0 (x; y)"},
    {"referer", "http://a/"},
    {"authorization", "Basic x"},
    {"cookie", "a=1; b=2"},
    {"content-type", "text/plain"},
    {"content-length", "5"},
    {"content-length", "0"},
    {"content-length", "+5"},
    {"content-length", "18446744073709551616"},
    {"x-own", ""},
    {"x-own", "a\tb  c"},
    {"x-own", "caf\xe9"},
    {"x_own", "1"},
    {"x-user-id", "admin"},
    {"x_user_id", "admin"},
    {"x_forwarded_for", "1.1.1.1"},
    {"x-forwarded-for", "1.1.1.1"},
    {"proxy", "x"},
    {"x-http-method-override", "PUT"},
    {"expect", "100-continue"},
    {"expect", "else"},
    {"trailer", "x"},
    {"proxy-authorization", "x"},
    {"sec-websocket-version", "13"},
    {"sec-websocket-key", "x"},
    {"if-range", "x"},
    {"x-request-id", "0123456789"},
    {"a-name-of-more-than-sixteen-bytes", "and a value that is longer than that, too"},
    {"host", "gw.test"},
    {"host", "other.test"},
};

static uint64_t seed;
static unsigned draw(unsigned n) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

struct logical {
    const char *method, *target, *host; /* host NULL: none */
    unsigned field[8], count;
};

static void invent(struct logical *r) {
    *r = (struct logical){.method = methods[draw(3) ? 0 : draw(array_len(methods))],
                          .target = targets[draw(3) ? draw(3) : draw(array_len(targets))],
                          .host = hosts[draw(3) ? 0 : draw(array_len(hosts))],
                          .count = draw(array_len(r->field) + 1)};
    if (draw(20) == 0)
        r->host = NULL;
    bool cookie = false;
    for (unsigned i = 0; i < r->count; i++) {
        do /* crumbs are joined, copies of the field are not: at most one */
            r->field[i] = draw(array_len(fields));
        while (cookie && strcmp(fields[r->field[i]].name, "cookie") == 0);
        cookie |= strcmp(fields[r->field[i]].name, "cookie") == 0;
    }
}

/* One message, judged by one of the two. */
struct judged {
    struct arena arena;
    struct head h;
    enum fault fault;
    bool malformed, expects;
    int64_t length;
    uint16_t stripped;
};

static const struct h1_rules rules = {
    .uri = {.query_params_max = 1000}, .scheme = SPAN("http"), .upgrades = true};

static void judge_h1(const struct logical *r, struct judged *j) {
    static struct h1_parser p;
    static char text[4096];
    struct h1_message m;
    struct str s = str_on(text, sizeof text);
    str_fmt(&s, "%s %s HTTP/1.1\r\n", r->method, r->target);
    if (r->host)
        str_fmt(&s, "Host: %s\r\n", r->host);
    for (unsigned i = 0; i < r->count; i++)
        str_fmt(&s, "%s: %s\r\n", fields[r->field[i]].name, fields[r->field[i]].value);
    str_lit(&s, "\r\n");
    assert_false(s.full);
    h1_parser_init(&p, H1_REQUEST, &h1_request_limits);
    assert_int_not_equal(h1_parse(&p, s.p, s.n), H1_MORE);
    j->fault = h1_request(&p, s.p, &rules, &j->h, &m);
    j->length = m.framing == FRAMING_LENGTH ? (int64_t)m.length : -1;
    j->expects = m.expect_continue;
    j->stripped = m.stripped_identity;
}

static void judge_h2(const struct logical *r, struct judged *j) {
    struct h2_section s;
    struct h2_message m;
    h2_section_start(&s, H2_REQUEST, &j->h, &h1_request_limits, &rules);
    h2_feed_field(&s, SPAN(":method"), span_z(r->method));
    h2_feed_field(&s, SPAN(":scheme"), SPAN("http"));
    h2_feed_field(&s, SPAN(":path"), span_z(r->target));
    if (r->host)
        h2_feed_field(&s, SPAN("host"), span_z(r->host));
    for (unsigned i = 0; i < r->count; i++)
        h2_feed_field(&s, span_z(fields[r->field[i]].name), span_z(fields[r->field[i]].value));
    j->fault = h2_request_end(&s, false, &m);
    j->malformed = s.malformed;
    j->length = m.length;
    j->expects = m.expect_continue;
    j->stripped = m.stripped_identity;
}

static bool has_value(const struct head *h, const struct field *f) {
    size_t at = 0;
    for (const struct field *g; (g = hdr_next(h, field_name(f), &at));)
        if (span_eq(field_value(f), field_value(g)))
            return true;
    return false;
}

static bool same_head(const struct head *a, const struct head *b) {
    for (unsigned i = 0; i < a->count; i++)
        if (!has_value(b, &a->field[i]))
            return false;
    return a->count == b->count && a->bytes == b->bytes && a->method == b->method &&
           span_eq(a->method_text, b->method_text) && span_eq(a->path, b->path) &&
           span_eq(a->query, b->query) && a->has_query == b->has_query &&
           span_eq(a->authority, b->authority) && span_eq(a->host, b->host) &&
           span_eq(a->scheme, b->scheme) && memcmp(a->present, b->present, sizeof a->present) == 0;
}

/* 100-continue: HTTP/2 may send a body of unknown length, HTTP/1.1 says so by a coding. */
static bool same(const struct judged *a, const struct judged *b) {
    if (a->fault != FAULT_NONE || b->fault != FAULT_NONE)
        return b->malformed ? a->fault != FAULT_NONE : a->fault == b->fault;
    return same_head(&a->h, &b->h) && a->length == b->length && a->stripped == b->stripped &&
           (a->expects == b->expects || a->length < 0);
}

static bool refused(const struct logical *r) {
    struct judged j = {0};
    arena_init(&j.arena, NULL);
    head_init(&j.h, &j.arena);
    judge_h1(r, &j);
    arena_finish(&j.arena);
    return j.fault != FAULT_NONE;
}

/* Several faults at once may be found in another order: what both refuse is the same then too. Each
 * part counts, and the fields that are good alone, together. */
static unsigned faults_in(const struct logical *r) {
    struct logical good = {"GET", "/", "gw.test", {0}, 0};
    unsigned n = refused(&(struct logical){r->method, "/", "gw.test", {0}, 0});
    n += refused(&(struct logical){"GET", r->target, "gw.test", {0}, 0});
    n += refused(&(struct logical){"GET", "/", r->host, {0}, 0});
    for (unsigned i = 0; i < r->count; i++) {
        if (refused(&(struct logical){"GET", "/", "gw.test", {r->field[i]}, 1}))
            n++;
        else
            good.field[good.count++] = r->field[i];
    }
    return n + refused(&good);
}

static void compare(const struct logical *r, unsigned round, unsigned *accepted) {
    struct judged a = {0}, b = {0};
    arena_init(&a.arena, NULL);
    arena_init(&b.arena, NULL);
    head_init(&a.h, &a.arena);
    head_init(&b.h, &b.arena);
    judge_h1(r, &a);
    judge_h2(r, &b);
    bool several = a.fault != FAULT_NONE && b.fault != FAULT_NONE && faults_in(r) > 1;
    if (!several && !same(&a, &b))
        fail_msg("round %u: %s %s, host %s, %u fields: HTTP/1.1 %s %u fields, length %d; HTTP/2 "
                 "%s%s %u fields, length %d",
                 round, r->method, r->target, r->host ? r->host : "-", r->count,
                 fault_table[a.fault].code, a.h.count, (int)a.length,
                 b.malformed ? "malformed " : "", fault_table[b.fault].code, b.h.count,
                 (int)b.length);
    *accepted += a.fault == FAULT_NONE;
    arena_finish(&a.arena);
    arena_finish(&b.arena);
}

static void test_random(void **state) {
    (void)state;
    enum { ROUNDS = 60000 };
    unsigned accepted = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct logical r;
        seed = round;
        draw(1);
        invent(&r);
        compare(&r, round, &accepted);
    }
    print_message("# %u of %u requests were accepted\n", accepted, ROUNDS);
    assert_in_range(accepted, ROUNDS / 10, ROUNDS - ROUNDS / 10);
}

/* Every piece alone, so that none is missed by chance. */
static void test_each(void **state) {
    (void)state;
    unsigned accepted = 0;
    for (unsigned i = 0; i < array_len(methods); i++)
        for (unsigned k = 0; k < array_len(targets); k++)
            compare(&(struct logical){methods[i], targets[k], "gw.test", {0}, 0}, 0, &accepted);
    for (unsigned i = 0; i < array_len(hosts); i++)
        compare(&(struct logical){"GET", "/", hosts[i], {0}, 0}, 0, &accepted);
    for (unsigned i = 0; i < array_len(fields); i++)
        for (unsigned k = 0; k < array_len(fields); k++)
            if (strcmp(fields[i].name, "cookie") != 0 || strcmp(fields[k].name, "cookie") != 0)
                compare(&(struct logical){"POST", "/", "gw.test", {i, k}, 2}, i, &accepted);
    assert_true(accepted > 100);
}

/* The limits stand at the same byte. */
static void test_limits(void **state) {
    (void)state;
    static char target[9000], value[17000];
    static struct h1_parser p;
    static char text[40000];
    for (unsigned what = 0; what < 2; what++)
        for (int by = -3; by <= 3; by++) {
            struct judged a = {0}, b = {0};
            struct h2_section s;
            struct h2_message m2;
            struct h1_message m1;
            memset(target, '/', 1);
            memset(target + 1, 'a', sizeof target - 1);
            memset(value, 'v', sizeof value);
            struct span t = span_of(target, what ? 1 : (size_t)(8192 - 5 + by));
            struct span v = span_of(value, what ? (size_t)(16384 - 4 + by) : 1);
            arena_init(&a.arena, NULL);
            head_init(&a.h, &a.arena);
            arena_init(&b.arena, NULL);
            head_init(&b.h, &b.arena);
            struct str out = str_on(text, sizeof text);
            str_lit(&out, "GET ");
            str_add(&out, t);
            str_lit(&out, " HTTP/1.1\r\nHost: a\r\nx: ");
            str_add(&out, v);
            str_lit(&out, "\r\n\r\n");
            h1_parser_init(&p, H1_REQUEST, &h1_request_limits);
            h1_parse(&p, out.p, out.n);
            enum fault f1 = h1_request(&p, out.p, &rules, &a.h, &m1);
            h2_section_start(&s, H2_REQUEST, &b.h, &h1_request_limits, &rules);
            h2_feed_field(&s, SPAN(":method"), SPAN("GET"));
            h2_feed_field(&s, SPAN(":scheme"), SPAN("http"));
            h2_feed_field(&s, SPAN(":path"), t);
            h2_feed_field(&s, SPAN("host"), SPAN("a"));
            h2_feed_field(&s, SPAN("x"), v);
            enum fault f2 = h2_request_end(&s, true, &m2);
            if (f1 != f2)
                fail_msg("%u by %d: %s, %s", what, by, fault_table[f1].code, fault_table[f2].code);
            assert_int_equal(f1 != FAULT_NONE, by > 0);
            arena_finish(&a.arena);
            arena_finish(&b.arena);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
