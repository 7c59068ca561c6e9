/*
 * The header sections of the shared HTTP/2 cases at codec level. Only sections are judged here:
 * what frames, streams and lengths of bodies decide is for the door's tests, and cases of which no
 * section is at fault are skipped.
 */
#include "cuts.h"
#include "h2_feed.h"
#include "http/grpc.h"

enum { BYTES_MAX = 64 * 1024, PREFACE = 24, FRAME_HEAD = 9 };
enum { F_DATA, F_HEADERS, F_SETTINGS = 4, END_STREAM = 1, END_HEADERS = 4 };

/* Their headers are fine; something behind them is not. */
static const char *const beyond[] = {"2L02", "2L03", "2L04", "2L08"};

static struct span json_text(const char *line, const char *key) {
    const char *at = strstr(line, key);
    assert_non_null(at);
    at += strlen(key);
    const char *stop = strchr(at, '"');
    assert_non_null(stop);
    return span_of(at, (size_t)(stop - at));
}

static enum fault judge(nghttp2_hd_inflater *in, struct span block, bool first, bool end) {
    static const struct h1_rules rules = {
        .uri = {.query_params_max = 1000}, .scheme = SPAN("http"), .upgrades = true};
    struct h2_section s;
    struct h2_message m;
    struct arena arena;
    struct head h;
    arena_init(&arena, NULL);
    head_init(&h, &arena);
    h2_section_start(&s, first ? H2_REQUEST : H2_REQUEST_TRAILERS, &h,
                     first ? &h1_request_limits : &h1_trailer_limits, first ? &rules : NULL);
    assert_true(h2_feed_hpack(&s, in, block));
    enum fault f = first ? h2_request_end(&s, end, &m) : h2_trailers_end(&s, end);
    arena_finish(&arena);
    return f;
}

/* Of all its sections, the first fault. These cases hold whole HEADERS frames of stream 1 only. */
static enum fault run(struct span bytes, unsigned *sections) {
    nghttp2_hd_inflater *in;
    enum fault f = FAULT_NONE;
    assert_int_equal(nghttp2_hd_inflate_new(&in), 0);
    *sections = 0;
    bytes = span_from(bytes, PREFACE);
    while (bytes.n >= FRAME_HEAD && f == FAULT_NONE) {
        const unsigned char *b = (const unsigned char *)bytes.p;
        size_t n = (size_t)b[0] << 16 | (size_t)b[1] << 8 | b[2];
        if (b[3] == F_HEADERS) {
            assert_int_equal(b[4] & ~END_STREAM, END_HEADERS); /* no padding, no priority */
            f = judge(in, span_cut(bytes, FRAME_HEAD, n), *sections == 0, b[4] & END_STREAM);
            ++*sections;
        }
        bytes = span_from(bytes, FRAME_HEAD + n);
    }
    nghttp2_hd_inflate_del(in);
    return f;
}

static bool is_beyond(struct span id) {
    for (size_t i = 0; i < array_len(beyond); i++)
        if (span_eq(id, span_z(beyond[i])))
            return true;
    return false;
}

static void check(const char *line) {
    static char bytes[BYTES_MAX];
    struct base64_in b = {0};
    unsigned sections;
    struct span id = json_text(line, "\"id\": \""), text = json_text(line, "\"b64\": \"");
    bool ok = span_eq(json_text(line, "\"expect\": \""), SPAN("ok")) || is_beyond(id);
    assert_true(text.n < BYTES_MAX);
    size_t n = base64_decode_some(&b, text, bytes);
    assert_true(base64_ended(&b));
    enum fault f = run(span_of(bytes, n), &sections);
    if (sections == 0 || (f == FAULT_NONE) != ok)
        fail_msg("%.*s: %s after %u sections", SPAN_ARG(id), fault_table[f].code, sections);
}

static void test_vectors(void **state) {
    (void)state;
    char path[4096], *line = NULL;
    size_t room = 0;
    unsigned count = 0;
    const char *root = getenv("SLUICE_SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/../shared/cases/http2/vectors.jsonl", root ? root : ".");
    FILE *file = fopen(path, "r");
    if (!file) {
        print_message("# skipped: the shared cases are not there\n");
        skip();
    }
    while (getline(&line, &room, file) > 0) {
        struct span id = json_text(line, "\"id\": \"");
        if (!span_starts(id, SPAN("2S")) && !span_starts(id, SPAN("2L")) &&
            !span_starts(id, SPAN("2B")))
            continue;
        check(line);
        count++;
    }
    free(line);
    fclose(file);
    print_message("# %u cases\n", count);
    assert_true(count > 30);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_vectors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
