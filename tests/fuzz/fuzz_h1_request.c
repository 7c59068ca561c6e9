/*
 * The request side of the codec as a door uses it. What must hold for any bytes: byte by byte and
 * whole give the same; a head that was accepted prints to one that is accepted and means the same;
 * nothing that is printed holds a line that was not a field.
 */
#include "../unit/http/h1_feed.h"

/* Reads one of the printed heads; returns its length. */
static size_t check_head(const char *text, size_t n) {
    static struct h1_parser p;
    struct h1_rules rules = {.uri = {.keep_encoded_slash = true}, .scheme = SPAN("http")};
    struct arena arena;
    struct head h;
    struct h1_message m;
    /* A Host that HTTP/1.0 did without comes on top, and escapes lengthen a path. */
    struct h1_limits wide = h1_request_limits;
    wide.count_max = H1_FIELDS_MAX;
    wide.line_max = wide.total_max;
    h1_parser_init(&p, H1_REQUEST, &wide);
    must(h1_parse(&p, text, n) == H1_DONE);
    arena_init(&arena, NULL);
    head_init(&h, &arena);
    enum fault f = h1_request(&p, text, &rules, &h, &m);
    must(f == FAULT_NONE || (f == FAULT_BAD_HOST && !h.authority.n)); /* 1.0 without Host */
    must(f != FAULT_NONE || span_eq(h.path, span_of(text + p.target, h.path.n)));
    arena_finish(&arena);
    return p.length;
}

/* What the service would read is what the gateway understood, and no more than that. */
static void check_printed(const struct feed_result *r) {
    unsigned heads = 0;
    if (r->text_len == sizeof r->text)
        return; /* perhaps cut */
    for (size_t at = 0; at < r->text_len; heads++)
        at += check_head(r->text + at, r->text_len - at);
    must(heads == r->requests || (heads == r->requests + 1 && (r->fault || r->incomplete)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    const char *bytes = (const char *)data;
    static struct feed_result whole, single, cut;
    if (n == 0 || n > 16384)
        return 0;
    bool upgrades = data[0] & 1;
    whole = feed_all(bytes, n, n, false, upgrades);
    cut = feed_all(bytes, n, 1 + data[n - 1], false, upgrades);
    must(whole.fault == cut.fault && whole.requests == cut.requests && whole.body == cut.body);
    must(whole.text_len == cut.text_len && memcmp(whole.text, cut.text, cut.text_len) == 0);
    if (n < 1024) {
        single = feed_all(bytes, n, 1, false, upgrades);
        must(whole.fault == single.fault && whole.requests == single.requests);
        must(whole.body == single.body && whole.incomplete == single.incomplete);
    }
    must(whole.fault == FAULT_NONE || fault_table[whole.fault].close);
    check_printed(&whole);
    return 0;
}
