/*
 * Targets and authorities. What must hold: a canonical path is canonical (reading it again changes
 * nothing), holds no dot segment and no byte that could end a line; an authority that was accepted
 * is accepted again.
 */
#include "http/uri.h"

static void check_path(struct head *h, const struct uri_limits *lim) {
    struct head again;
    struct span rest = h->path;
    must(h->path.n && h->path.p[0] == '/');
    for (size_t i = 0; i < h->path.n; i++) {
        unsigned char c = (unsigned char)h->path.p[i];
        must(c > 0x20 && c < 0x7f && c != '\\' && c != '?' && c != '#');
        must(c != '/' || i + 1 == h->path.n || h->path.p[i + 1] != '/');
    }
    while (rest.p) {
        struct span segment = span_split(&rest, '/');
        must(!span_eq(segment, SPAN(".")) && !span_eq(segment, SPAN("..")));
        must(!span_starts(segment, SPAN("..;")) && !span_starts(segment, SPAN(".;")));
    }
    head_init(&again, h->arena);
    must(uri_target(&again, h->path, lim) == FAULT_NONE && span_eq(again.path, h->path));
    must(uri_rewrite(&again, h->path) == FAULT_NONE && span_eq(again.path, h->path));
}

static void check_authority(struct head *h) {
    struct head again;
    head_init(&again, h->arena);
    again.scheme = h->scheme;
    must(uri_authority(&again, h->authority) == FAULT_NONE);
    must(span_eq(again.authority, h->authority) && span_eq(again.host, h->host));
}

static void try_target(struct head *h, struct span text, bool keep) {
    struct uri_limits lim = {.keep_encoded_slash = keep, .query_params_max = 1000};
    if (uri_target(h, text, &lim) != FAULT_NONE)
        return;
    if (h->path.p[0] == '*')
        must(h->method == METHOD_OPTIONS && h->path.n == 1);
    else
        check_path(h, &lim);
    if (h->authority.p)
        check_authority(h);
}

static void check_rewritten(struct head *h) {
    struct head again;
    head_init(&again, h->arena);
    must(uri_rewrite(&again, h->path) == FAULT_NONE && span_eq(again.path, h->path));
    must(!again.has_query);
}

static void try_code(struct arena *a, struct span text) {
    for (unsigned place = URI_SEGMENT; place <= URI_QUERY; place++) {
        struct str enc = str_on(arena_try(a, uri_encode_max(text.n)), uri_encode_max(text.n));
        struct str dec = str_on(arena_try(a, text.n), text.n);
        uri_encode(&enc, text, (enum uri_place)place);
        uri_decode(&dec, str_span(&enc), (enum uri_place)place);
        must(!enc.full && !dec.full && span_eq(str_span(&dec), text));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    struct arena arena;
    struct head h;
    if (n < 2 || n > 8192)
        return 0;
    struct span text = {(const char *)data + 1, n - 1};
    arena_init(&arena, NULL);
    head_init(&h, &arena);
    h.scheme = data[0] & 1 ? SPAN("https") : SPAN("http");
    h.method = data[0] & 2 ? METHOD_OPTIONS : METHOD_GET;
    try_target(&h, text, data[0] & 4);
    head_init(&h, &arena);
    h.scheme = SPAN("http");
    if (uri_authority(&h, text) == FAULT_NONE)
        check_authority(&h);
    if (uri_rewrite(&h, text) == FAULT_NONE)
        check_rewritten(&h);
    try_code(&arena, text);
    arena_finish(&arena);
    return 0;
}
