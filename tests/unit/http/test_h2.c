/* Sections of HTTP/2: cases from text files, limits, printers, memory that fails, the shared cases,
 * and the same request over HTTP/1.1 and HTTP/2. */
#include "cuts.h"
#include "base/env.h"
#include "h2_feed.h"

static struct arena arena;
static const struct h1_rules rules = {
    .uri = {.query_params_max = 1000}, .scheme = SPAN("http"), .upgrades = true};

static void fresh_arena(void) {
    arena_finish(&arena);
    arena_init(&arena, NULL);
}

/* What every head must be, however it came about. */
static void check_head(const struct head *h) {
    uint32_t bytes = 0;
    for (unsigned i = 0; i < h->count; i++) {
        const struct field *f = &h->field[i];
        assert_true(f->id == hdr_lookup(field_name(f)) && hdr_has(h, (enum hdr_id)f->id));
        assert_false(hdr_table[f->id].flags & (HF_HOP | HF_FRAMING));
        bytes += (uint32_t)(f->name_len + f->value_len + 4);
    }
    assert_int_equal(bytes, h->bytes);
}

static void show_fields(struct str *got, const struct head *h) {
    check_head(h);
    for (unsigned i = 0; i < h->count; i++) {
        str_char(got, '\n');
        case_show(got, field_name(&h->field[i]));
        str_lit(got, ": ");
        case_show(got, field_value(&h->field[i]));
    }
}

static void show_message(struct str *got, const struct h2_message *m) {
    if (m->length >= 0)
        str_fmt(got, ", length %lld", (long long)m->length);
    str_fmt(got, "%s%s%s", m->no_body ? ", no body" : "", m->tunnel ? ", tunnel" : "",
            m->expect_continue ? ", expects 100" : "");
    if (m->stripped_identity)
        str_fmt(got, ", stripped %u", m->stripped_identity);
}

static void show_fault(struct str *got, const struct h2_section *s) {
    str_fmt(got, "%s %s", s->malformed ? "malformed" : "refused", fault_table[s->fault].code);
    if (s->why != s->fault)
        str_fmt(got, " (%s)", fault_table[s->why].code);
}

static void feed_line(struct h2_section *s, struct span line) {
    ptrdiff_t colon = line.n ? span_find(span_from(line, 1), ':') : -1;
    if (line.n && line.p[0] != ':') /* a name may hold a colon only at its beginning */
        colon = span_find(line, ':') - 1;
    assert_true(colon >= -1 && line.p[colon + 2] == ' ');
    h2_feed_field(s, span_cut(line, 0, (size_t)colon + 1), span_from(line, (size_t)colon + 3));
}

/* The parts between " || ". */
static void feed_lines(struct h2_section *s, struct span rest) {
    while (rest.n) {
        size_t n = 0;
        while (n < rest.n && !span_starts(span_from(rest, n), SPAN(" || ")))
            n++;
        feed_line(s, span_cut(rest, 0, n));
        rest = span_from(rest, n + 4);
    }
}

static enum fault end_section(struct h2_section *s, struct span words, struct h2_message *m) {
    struct head asked = {.method = METHOD_GET};
    bool end = word_value(words, "end");
    switch (s->kind) {
    case H2_REQUEST:
        return h2_request_end(s, end, m);
    case H2_RESPONSE:
        if (word_value(words, "HEAD"))
            asked.method = METHOD_HEAD;
        if (word_value(words, "CONNECT"))
            asked.method = METHOD_CONNECT;
        return h2_response_end(s, &asked, end, m);
    case H2_REQUEST_TRAILERS:
    case H2_RESPONSE_TRAILERS:
        break;
    }
    *m = (struct h2_message){.length = -1};
    return h2_trailers_end(s, end);
}

static void show(struct str *got, const struct h2_section *s, const struct h2_message *m) {
    const struct head *h = s->h;
    if (s->kind == H2_REQUEST) {
        str_fmt(got, "%.*s %.*s %.*s %.*s%s%.*s", SPAN_ARG(h->method_text), SPAN_ARG(h->scheme),
                SPAN_ARG(h->authority), SPAN_ARG(h->path), h->has_query ? "?" : "",
                SPAN_ARG(h->query));
        if (h->protocol.n)
            str_fmt(got, " %.*s", SPAN_ARG(h->protocol));
    } else {
        str_fmt(got, s->kind == H2_RESPONSE ? "%d" : "trailers", h->status);
    }
    show_message(got, m);
    show_fields(got, h);
}

static enum h2_kind kind_of(struct span words) {
    return word_value(words, "response")           ? H2_RESPONSE
           : word_value(words, "client-trailers")  ? H2_REQUEST_TRAILERS
           : word_value(words, "service-trailers") ? H2_RESPONSE_TRAILERS
                                                   : H2_REQUEST;
}

static const struct h1_limits *limits_of(enum h2_kind kind) {
    return kind == H2_REQUEST    ? &h1_request_limits
           : kind == H2_RESPONSE ? &h1_response_limits
                                 : &h1_trailer_limits;
}

static void run_case(struct span input, struct str *got) {
    struct span words = input;
    struct h1_rules own = rules;
    struct h2_section s;
    struct h2_message m;
    struct head h;
    for (size_t i = 0; i < input.n; i++)
        if (span_starts(span_from(input, i), SPAN(" || "))) {
            words = span_cut(input, 0, i);
            break;
        }
    fresh_arena();
    head_init(&h, &arena);
    if (word_value(words, "https"))
        own.scheme = SPAN("https");
    own.upgrades = !word_value(words, "no-upgrades");
    enum h2_kind kind = kind_of(words);
    h2_section_start(&s, kind, &h, limits_of(kind), &own);
    static const char *const methods[] = {"GET", "POST", "OPTIONS"};
    for (unsigned i = 0; kind == H2_REQUEST && i < array_len(methods); i++)
        if (word_value(words, methods[i]))
            h2_feed_start_line(&s, span_z(methods[i]));
    feed_lines(&s, span_from(input, words.n + 4));
    if (end_section(&s, words, &m) == FAULT_NONE)
        show(got, &s, &m);
    else
        show_fault(got, &s);
}

static void test_cases(void **state) {
    (void)state;
    unsigned n = cases_run("h2_sections.txt", run_case);
    assert_true(n > 120);
    print_message("# %u cases\n", n);
}

/* A request with `n` fields "x: v" of this length. */
static enum fault many(unsigned n, size_t len, struct h2_section *s) {
    static struct head h;
    static char value[40000];
    struct h2_message m;
    memset(value, 'v', sizeof value);
    fresh_arena();
    head_init(&h, &arena);
    h2_section_start(s, H2_REQUEST, &h, &h1_request_limits, &rules);
    h2_feed_start_line(s, SPAN("GET"));
    for (unsigned i = 0; i < n; i++)
        h2_section_field(s, SPAN("x"), span_of(value, len));
    return h2_request_end(s, true, &m);
}

static void test_limits(void **state) {
    (void)state;
    struct h2_section s;
    /* the four pseudo-headers: 10 + 11 + 6 + 17 bytes and 32 each */
    const size_t total = h1_request_limits.total_max - (44 + 4 * 32);
    assert_int_equal(many(100, 1, &s), FAULT_NONE);
    assert_int_equal(many(101, 1, &s), FAULT_TOO_MANY_HEADERS);
    assert_false(s.malformed);
    assert_int_equal(many(1, h1_request_limits.field_max - 4, &s), FAULT_NONE);
    assert_int_equal(many(1, h1_request_limits.field_max - 3, &s), FAULT_HEADER_TOO_LONG);
    assert_int_equal(many(2, total / 2 - 33, &s), FAULT_NONE);
    assert_int_equal(many(2, total / 2 - 32, &s), FAULT_HEADERS_TOO_LARGE);
    assert_false(s.malformed);
    assert_true(arena.used < 64 * 1024); /* what was over the limit left nothing behind */
}

/* THREATS D16, D17: what a table expands to costs no more than the limits say. */
static void test_bomb(void **state) {
    (void)state;
    static char big[4000];
    struct h2_section s;
    struct h2_message m;
    struct head h;
    for (unsigned crumbs = 0; crumbs < 2; crumbs++) {
        fresh_arena();
        head_init(&h, &arena);
        h2_section_start(&s, H2_REQUEST, &h, &h1_request_limits, &rules);
        h2_feed_start_line(&s, SPAN("GET"));
        memset(big, 'a', sizeof big);
        for (unsigned i = 0; i < 100000; i++)
            h2_section_field(&s, crumbs ? SPAN("cookie") : SPAN("x-big"),
                             span_of(big, crumbs ? 0 : sizeof big));
        assert_int_equal(h2_request_end(&s, true, &m),
                         crumbs ? FAULT_TOO_MANY_HEADERS : FAULT_HEADERS_TOO_LARGE);
        assert_true(arena.used < 128 * 1024);
    }
}

static unsigned fail_at;
static void *fail_once(size_t n) {
    return fail_at-- == 0 ? NULL : env_os.alloc(n);
}

/* Each allocation of a large request fails in turn: it is refused as such, never malformed. */
static void test_no_memory(void **state) {
    (void)state;
    static struct arena_cache cache;
    static char value[3000];
    unsigned refused = 0, n = 0;
    bool failed;
    enum fault f;
    memset(value, 'v', sizeof value);
    do {
        struct h2_section s;
        struct h2_message m;
        struct arena own;
        struct head h;
        arena_cache_init(&cache);
        arena_init(&own, &cache);
        head_init(&h, &own);
        fail_at = n;
        env.alloc = fail_once;
        h2_section_start(&s, H2_REQUEST, &h, &h1_request_limits, &rules);
        h2_feed_start_line(&s, SPAN("A-METHOD"));
        for (unsigned i = 0; i < 7; i++)
            h2_section_field(&s, i & 1 ? SPAN("cookie") : SPAN("x"), span_of(value, sizeof value));
        f = h2_request_end(&s, true, &m);
        env.alloc = env_os.alloc;
        assert_true((f == FAULT_OUT_OF_MEMORY || f == FAULT_NONE) && !s.malformed);
        failed = fail_at > 1000; /* it has counted below 0 */
        assert_true(f == FAULT_OUT_OF_MEMORY || !failed || own.failed);
        refused += f == FAULT_OUT_OF_MEMORY;
        arena_finish(&own);
        arena_cache_finish(&cache);
    } while (++n < 100 && failed);
    assert_int_equal(f, FAULT_NONE);
    assert_true(refused > 0); /* release builds take pages by the dozen */
}

static bool nv_is(const nghttp2_nv *nv, const char *name, const char *value, unsigned secret) {
    struct span n = span_of((char *)nv->name, nv->namelen);
    struct span v = span_of((char *)nv->value, nv->valuelen);
    return span_eq(n, span_z(name)) && span_eq(v, span_z(value)) &&
           !!(nv->flags & NGHTTP2_NV_FLAG_NO_INDEX) == secret;
}

struct want {
    const char *name, *value;
    unsigned secret;
};

static void check_printed(const nghttp2_nv *nv, size_t n, const struct want *want, size_t wanted) {
    assert_int_equal(n, wanted);
    for (size_t i = 0; i < n; i++)
        if (!nv_is(&nv[i], want[i].name, want[i].value, want[i].secret))
            fail_msg("%zu: %.*s: %.*s, flags %d", i, (int)nv[i].namelen, nv[i].name,
                     (int)nv[i].valuelen, nv[i].value, nv[i].flags);
}

static void put(struct head *h, const char *name, const char *value) {
    assert_int_equal(hdr_put(h, span_z(name), span_z(value), ORIGIN_GATEWAY), FAULT_NONE);
}

static void test_print_request(void **state) {
    (void)state;
    struct head h;
    nghttp2_nv *nv = NULL;
    fresh_arena();
    head_init(&h, &arena);
    h.method = METHOD_POST;
    h.method_text = SPAN("POST");
    h.scheme = SPAN("https");
    h.authority = SPAN("gw.test");
    h.path = SPAN("/a");
    put(&h, "authorization", "Basic x");
    put(&h, "cookie", "a=1");
    put(&h, "cookie", "session=0123456789abcdef");
    put(&h, "x-user-id", "7");
    put(&h, "x-own", "");
    struct field extra = {.name = "via", .value = "1.1 x", .value_len = 5, .name_len = 3};
    extra.id = HDR_VIA;
    static const struct want first[] = {{":method", "POST", 0},
                                        {":scheme", "https", 0},
                                        {":authority", "gw.test", 0},
                                        {":path", "/a", 0},
                                        {"authorization", "Basic x", 1},
                                        {"cookie", "a=1", 1},
                                        {"cookie", "session=0123456789abcdef", 0},
                                        {"x-user-id", "7", 1},
                                        {"x-own", "", 0},
                                        {"via", "1.1 x", 0},
                                        {"content-length", "9223372036854775807", 0},
                                        {"te", "trailers", 0}};
    struct h2_print how = {.extra = &extra, .extra_count = 1, .length = INT64_MAX};
    size_t n = h2_print_request(&h, &arena, &how, &nv);
    check_printed(nv, n, first, array_len(first));

    head_init(&h, &arena);
    h.method = METHOD_CONNECT;
    h.method_text = SPAN("CONNECT");
    h.scheme = SPAN("https");
    h.authority = SPAN("gw.test");
    h.path = SPAN("/chat");
    h.query = SPAN("");
    h.has_query = true;
    h.protocol = SPAN("websocket");
    static const struct want second[] = {{":method", "CONNECT", 0}, {":protocol", "websocket", 0},
                                         {":scheme", "http", 0},    {":authority", "own", 0},
                                         {":path", "/chat?", 0},    {"te", "trailers", 0}};
    how = (struct h2_print){.authority = SPAN("own"), .scheme = SPAN("http"), .length = -1};
    n = h2_print_request(&h, &arena, &how, &nv);
    check_printed(nv, n, second, array_len(second));
}

static void test_print_response(void **state) {
    (void)state;
    struct head h;
    nghttp2_nv *nv = NULL;
    fresh_arena();
    head_init(&h, &arena);
    h.status = 404;
    put(&h, "set-cookie", "a=1");
    put(&h, "server", "x");
    static const struct want want[] = {{":status", "404", 0},
                                       {"set-cookie", "a=1", 1},
                                       {"server", "x", 0},
                                       {"content-length", "0", 0}};
    size_t n = h2_print_response(&h, &arena, &(struct h2_print){.length = 0}, &nv);
    check_printed(nv, n, want, 4);
    n = h2_print_response(&h, &arena, &(struct h2_print){.length = -1}, &nv);
    check_printed(nv, n, want, 3);
    n = h2_print_trailers(&h, &arena, &nv);
    check_printed(nv, n, want + 1, 2);
    head_init(&h, &arena);
    assert_int_equal(h2_print_trailers(&h, &arena, &nv), 0);
    assert_int_equal(h2_print_trailers(NULL, &arena, &nv), 0);
}

/* What is printed is read back as the same message: the two halves of the codec agree. */
static void test_round_trip(void **state) {
    (void)state;
    struct head h, back;
    struct h2_section s;
    struct h2_message m;
    nghttp2_nv *nv = NULL;
    fresh_arena();
    head_init(&h, &arena);
    h2_section_start(&s, H2_REQUEST, &h, &h1_request_limits, &rules);
    h2_feed_start_line(&s, SPAN("POST"));
    feed_lines(&s, SPAN("content-length: 12 || a: b || cookie: c=d || accept: */*"));
    assert_int_equal(h2_request_end(&s, false, &m), FAULT_NONE);
    size_t n = h2_print_request(&h, &arena, &(struct h2_print){.length = m.length}, &nv);
    head_init(&back, &arena);
    h2_section_start(&s, H2_REQUEST, &back, &h1_request_limits, &rules);
    for (size_t i = 0; i < n; i++)
        h2_feed_field(&s, span_of((char *)nv[i].name, nv[i].namelen),
                      span_of((char *)nv[i].value, nv[i].valuelen));
    assert_int_equal(h2_request_end(&s, false, &m), FAULT_NONE);
    assert_int_equal(m.length, 12);
    assert_true(span_eq(h.path, back.path) && span_eq(h.authority, back.authority));
    assert_int_equal(h.count, back.count);
    for (unsigned i = 0; i < h.count; i++) {
        assert_true(span_eq(field_name(&h.field[i]), field_name(&back.field[i])));
        assert_true(span_eq(field_value(&h.field[i]), field_value(&back.field[i])));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),         cmocka_unit_test(test_limits),
        cmocka_unit_test(test_bomb),          cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_print_request), cmocka_unit_test(test_print_response),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
