/* Heads and trailers from text files, each at every way to cut it in two, and byte by byte. */
#include "cases.h"
#include "http/h1.h"

static struct arena arena;

/* Parses bytes that come in two pieces, or one by one (`at` 0), each look in a block of its own.
 * The last block is returned: offsets count from it. */
static char *parse_pieces(struct h1_parser *p, struct span s, size_t at, enum h1_status *status) {
    char *block = NULL;
    size_t came = 0;
    do {
        came = at == 0 ? came + 1 : came < at ? at : s.n;
        if (came > s.n)
            came = s.n;
        free(block);
        block = malloc(came + !came);
        assert_non_null(block);
        memcpy(block, s.p, came);
        *status = h1_parse(p, block, came);
    } while (*status == H1_MORE && came < s.n);
    assert_true(*status != H1_DONE || p->length <= came);
    return block;
}

static void show_fields(struct str *got, const struct head *h) {
    uint32_t bytes = 0;
    for (unsigned i = 0; i < h->count; i++) {
        const struct field *f = &h->field[i];
        assert_true(f->id == hdr_lookup(field_name(f)) && hdr_has(h, (enum hdr_id)f->id));
        bytes += (uint32_t)(f->name_len + f->value_len + 4);
        str_char(got, '\n');
        case_show(got, field_name(f));
        str_add(got, f->value_len ? SPAN(": ") : SPAN(":"));
        case_show(got, field_value(f));
    }
    assert_int_equal(bytes, h->bytes);
}

static void show_framing(struct str *got, enum framing framing, uint64_t length) {
    static const char *const name[] = {"none", "length", "chunked", "until close", "tunnel"};
    str_fmt(got, "%s", name[framing]);
    if (framing == FRAMING_LENGTH)
        str_fmt(got, " %llu", (unsigned long long)length);
}

static void show_request(struct str *got, const struct head *h, const struct h1_message *m) {
    str_fmt(got, "%.*s %.*s %.*s ", SPAN_ARG(h->method_text), SPAN_ARG(h->scheme),
            SPAN_ARG(h->authority.n ? h->authority : SPAN("-")));
    str_add(got, h->path);
    if (h->has_query)
        str_char(got, '?');
    str_add(got, h->query);
    str_char(got, ' ');
    show_framing(got, m->framing, m->length);
    if (!m->keep_alive)
        str_lit(got, " close");
    if (m->http10)
        str_lit(got, " 1.0");
    if (m->expect_continue)
        str_lit(got, " expect");
    if (m->stripped_identity)
        str_fmt(got, " stripped %u", m->stripped_identity);
    if (m->upgrade)
        str_fmt(got, " %.*s %.*s", SPAN_ARG(h->protocol), SPAN_ARG(m->ws_key));
    show_fields(got, h);
}

static void show_response(struct str *got, const struct head *h, const struct h1_message *m) {
    str_fmt(got, "%d ", h->status);
    show_framing(got, m->framing, m->length);
    if (!m->keep_alive)
        str_lit(got, ", close");
    if (m->keep_alive_s)
        str_fmt(got, ", idle %u s", m->keep_alive_s);
    if (m->auth_challenge)
        str_lit(got, ", connection-bound");
    if (m->upgrade)
        str_fmt(got, ", websocket %.*s", SPAN_ARG(m->ws_key));
    show_fields(got, h);
}

/* The input's first word says who speaks; the rest are bytes. */
struct spoken {
    enum h1_kind kind;
    const struct h1_limits *limits;
    struct span who, bytes;
};

static enum fault judge(const struct spoken *s, const struct h1_parser *p, const char *block,
                        struct str *got) {
    struct h1_rules rules = {
        .uri = {.query_params_max = 1000}, .scheme = SPAN("http"), .upgrades = true};
    struct head h, asked = {.method = method_lookup(s->who)};
    struct h1_message m;
    enum fault f = FAULT_NONE;
    arena_finish(&arena);
    arena_init(&arena, NULL);
    head_init(&h, &arena);
    switch (s->kind) {
    case H1_REQUEST:
        f = h1_request(p, block, &rules, &h, &m);
        if (f == FAULT_NONE)
            show_request(got, &h, &m);
        break;
    case H1_RESPONSE:
        f = h1_response(p, block, &asked, span_eq(s->who, SPAN("WS")), &h, &m);
        if (f == FAULT_NONE)
            show_response(got, &h, &m);
        break;
    case H1_TRAILERS:
        f = h1_trailers(p, block, span_eq(s->who, SPAN("request")), &h);
        if (f == FAULT_NONE)
            show_fields(got, &h);
        break;
    }
    return f;
}

static void run_pieces(const struct spoken *s, size_t at, struct str *got) {
    static struct h1_parser p;
    enum h1_status status;
    h1_parser_init(&p, s->kind, s->limits);
    char *block = parse_pieces(&p, s->bytes, at, &status);
    enum fault f = status == H1_FAULT ? p.fault : FAULT_NONE;
    if (status == H1_DONE)
        f = judge(s, &p, block, got);
    free(block);
    if (status == H1_MORE)
        str_lit(got, "more");
    else if (f != FAULT_NONE)
        str_fmt(got, "%s", fault_table[f].code);
    else if (got->n == 0)
        str_lit(got, "none");
}

static void run_all(const struct spoken *s, struct str *got) {
    static char room[CASE_MAX];
    run_pieces(s, s->bytes.n, got);
    /* Long ones: every cut at their ends, some between. */
    for (size_t at = 0; at<s->bytes.n; at += at> 300 && at + 300 < s->bytes.n ? 97 : 1) {
        struct str again = str_on(room, sizeof room);
        run_pieces(s, at, &again);
        if (!span_eq(str_span(&again), str_span(got)))
            fail_msg("cut at %zu: %.*s\nwhole: %.*s", at, SPAN_ARG(str_span(&again)),
                     SPAN_ARG(str_span(got)));
    }
    if (got->n && got->p[0] == '\n')
        memmove(got->p, got->p + 1, --got->n);
}

static void run_request(struct span input, struct str *got) {
    struct spoken s = {H1_REQUEST, &h1_request_limits, SPAN_NONE, input};
    run_all(&s, got);
}

static void run_response(struct span input, struct str *got) {
    struct spoken s = {H1_RESPONSE, &h1_response_limits, SPAN_NONE, input};
    s.who = span_split(&s.bytes, ' ');
    run_all(&s, got);
}

static void run_trailers(struct span input, struct str *got) {
    struct spoken s = {H1_TRAILERS, &h1_trailer_limits, SPAN_NONE, input};
    s.who = span_split(&s.bytes, ' ');
    run_all(&s, got);
}

static void test_requests(void **state) {
    (void)state;
    assert_true(cases_run("h1_requests.txt", run_request) > 100);
}

static void test_responses(void **state) {
    (void)state;
    assert_true(cases_run("h1_responses.txt", run_response) > 50);
}

static void test_trailers(void **state) {
    (void)state;
    assert_true(cases_run("h1_trailers.txt", run_trailers) > 20);
}

/* count, line n of a head: "X: y". */
static enum h1_status parse_many(struct h1_parser *p, enum h1_kind kind, const char *start,
                                 unsigned lines, struct str *text) {
    str_add(text, span_z(start));
    for (unsigned i = 0; i < lines; i++)
        str_lit(text, "X: y\r\n");
    str_lit(text, "\r\n");
    assert_false(text->full);
    h1_parser_init(p, kind, kind == H1_REQUEST ? &h1_request_limits : &h1_response_limits);
    return h1_parse(p, text->p, text->n);
}

static void test_counts(void **state) {
    (void)state;
    static struct h1_parser p;
    static char room[4096];
    static const struct {
        enum h1_kind kind;
        const char *start;
        unsigned max;
    } rows[] = {{H1_REQUEST, "GET / HTTP/1.1\r\n", 100}, {H1_RESPONSE, "HTTP/1.1 200 OK\r\n", 200}};
    for (size_t i = 0; i < array_len(rows); i++) {
        struct str fits = str_on(room, sizeof room), over = str_on(room, sizeof room);
        assert_int_equal(parse_many(&p, rows[i].kind, rows[i].start, rows[i].max, &fits), H1_DONE);
        assert_int_equal(p.count, rows[i].max);
        assert_int_equal(p.length, fits.n);
        assert_int_equal(parse_many(&p, rows[i].kind, rows[i].start, rows[i].max + 1, &over),
                         H1_FAULT);
        assert_int_equal(p.fault, FAULT_TOO_MANY_HEADERS);
    }
}

/* What follows a head is not looked at, and `length` says where it begins. */
static void test_length(void **state) {
    (void)state;
    static struct h1_parser p;
    static const char two[] = "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\nnonsense";
    h1_parser_init(&p, H1_REQUEST, &h1_request_limits);
    assert_int_equal(h1_parse(&p, two, sizeof two - 1), H1_DONE);
    assert_int_equal(p.length, 29);
    assert_int_equal(h1_parse(&p, two, sizeof two - 1), H1_DONE);
}

/* The log wants to know what a broken head asked for. */
static void test_broken_start(void **state) {
    (void)state;
    static struct h1_parser p;
    static const char head[] = "POST /x%zz HTTP/1.1\r\nA: b\n";
    struct h1_rules rules = {.scheme = SPAN("http")};
    struct head h;
    struct h1_message m;
    arena_finish(&arena);
    arena_init(&arena, NULL);
    head_init(&h, &arena);
    h1_parser_init(&p, H1_REQUEST, &h1_request_limits);
    assert_int_equal(h1_parse(&p, head, sizeof head - 1), H1_FAULT);
    assert_int_equal(h1_request(&p, head, &rules, &h, &m), FAULT_BARE_LF);
    assert_int_equal(h.method, METHOD_POST);
    assert_true(span_eq(h.target, SPAN("/x%zz")));
    h1_parser_init(&p, H1_REQUEST, &h1_request_limits);
    assert_int_equal(h1_parse(&p, "\n", 1), H1_FAULT);
    head_init(&h, &arena);
    assert_int_equal(h1_request(&p, "\n", &rules, &h, &m), FAULT_BARE_LF);
    assert_int_equal(h.target.n, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests), cmocka_unit_test(test_responses),
        cmocka_unit_test(test_trailers), cmocka_unit_test(test_counts),
        cmocka_unit_test(test_length),   cmocka_unit_test(test_broken_start),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_finish(&arena);
    return failed;
}
