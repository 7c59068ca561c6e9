/*
 * Sections of HTTP/2 as a door feeds them: fields given plainly, or as a block for nghttp2's HPACK.
 * What must hold for any fields: what is accepted keeps the rules of a head, goes over HTTP/1.1 as
 * one request that means the same, and over HTTP/2 as a section that means the same.
 */
#include "../unit/http/h2_feed.h"

static const struct h1_rules rules = {
    .uri = {.keep_encoded_slash = true}, .scheme = SPAN("http"), .upgrades = true};

/* Names that chance does not find. */
static const char *const names[] = {
    ":method", ":scheme", ":path",      ":authority", ":protocol",      ":status",
    "host",    "cookie",  "connection", "te",         "content-length", "transfer-encoding",
    "expect",  "accept",  "x-user-id",  "x_user_id",  "authorization",  "sec-websocket-version",
    "trailer", "proxy",   "user-agent", "upgrade"};

struct input {
    const uint8_t *p;
    size_t n;
};

static unsigned byte(struct input *in) {
    return in->n ? (in->n--, *in->p++) : 0;
}

static struct span take(struct input *in, size_t n) {
    n = n < in->n ? n : in->n;
    struct span s = {(const char *)in->p, n};
    in->p += n;
    in->n -= n;
    return s;
}

/* Length of the name, or 128 + one of ours; length of the value; both. */
static void feed_plain(struct h2_section *s, struct input in) {
    while (in.n) {
        unsigned n = byte(&in), len = byte(&in);
        struct span name = n & 128 ? span_z(names[n % array_len(names)]) : take(&in, n);
        h2_feed_field(s, name, take(&in, len));
    }
}

static void feed_hpack(struct h2_section *s, struct input in) {
    nghttp2_hd_inflater *inflater;
    must(nghttp2_hd_inflate_new(&inflater) == 0);
    (void)h2_feed_hpack(s, inflater, span_of((const char *)in.p, in.n));
    nghttp2_hd_inflate_del(inflater);
}

static void check_fields(const struct head *h, enum h2_kind kind) {
    unsigned never = HF_HOP | HF_FRAMING | (kind == H2_RESPONSE ? 0 : HF_IDENTITY | HF_OVERRIDE);
    uint32_t bytes = 0;
    for (unsigned i = 0; i < h->count; i++) {
        const struct field *f = &h->field[i];
        struct arena arena;
        struct head other;
        must(f->id == hdr_lookup(field_name(f)) && hdr_has(h, (enum hdr_id)f->id));
        must(kind == H2_RESPONSE_TRAILERS || !(hdr_table[f->id].flags & never));
        arena_init(&arena, NULL);
        head_init(&other, &arena);
        must(hdr_put(&other, field_name(f), field_value(f), ORIGIN_GATEWAY) == FAULT_NONE);
        arena_finish(&arena);
        bytes += (uint32_t)(f->name_len + f->value_len + 4);
    }
    must(bytes == h->bytes);
}

static void same_fields(const struct head *a, const struct head *b) {
    must(a->count == b->count && a->bytes == b->bytes);
    for (unsigned i = 0; i < a->count; i++)
        must(span_eq(field_name(&a->field[i]), field_name(&b->field[i])) &&
             span_eq(field_value(&a->field[i]), field_value(&b->field[i])));
}

static void same_request(const struct head *a, const struct head *b) {
    must(a->method == b->method && span_eq(a->method_text, b->method_text));
    must(span_eq(a->path, b->path) && span_eq(a->authority, b->authority));
    must(span_eq(a->query, b->query) && a->has_query == b->has_query);
    must(span_eq(a->protocol, b->protocol));
    same_fields(a, b);
}

/* A service that speaks HTTP/1.1 reads one request, this one. */
static void check_h1(const struct head *h, const struct h2_message *m) {
    static struct h1_parser p;
    struct h1_print how = {.framing = m->tunnel       ? FRAMING_TUNNEL
                                      : m->no_body    ? FRAMING_NONE
                                      : m->length < 0 ? FRAMING_CHUNKED
                                                      : FRAMING_LENGTH,
                           .length = m->length < 0 ? 0 : (uint64_t)m->length,
                           .no_length = true,
                           .ws_key = SPAN("dGhlIHNhbXBsZSBub25jZQ==")};
    struct h1_limits wide = h1_request_limits;
    struct h1_message back;
    struct arena arena;
    struct head other;
    wide.count_max = H1_FIELDS_MAX;
    wide.line_max = wide.total_max = wide.field_max = 1024 * 1024;
    struct span text = h1_print_request(h, h->arena, &how);
    h1_parser_init(&p, H1_REQUEST, &wide);
    must(h1_parse(&p, text.p, text.n) == H1_DONE && p.length == text.n);
    arena_init(&arena, NULL);
    head_init(&other, &arena);
    must(h1_request(&p, text.p, &rules, &other, &back) == FAULT_NONE);
    must(back.framing == how.framing && back.upgrade == m->tunnel);
    same_request(h, &other);
    arena_finish(&arena);
}

/* The limits are those of what comes in: a canonical path or a length may make it longer. */
static void check_h2(const struct head *h, const struct h2_message *m, enum h2_kind kind) {
    struct h1_limits wide = h1_request_limits;
    struct h2_section s;
    struct h2_message back;
    struct arena arena;
    struct head other, asked = {.method = METHOD_GET};
    nghttp2_nv *nv = NULL;
    struct h2_print how = {.length = m->length};
    wide.count_max = H1_FIELDS_MAX;
    wide.line_max = wide.total_max = wide.field_max = 1024 * 1024;
    size_t n = kind == H2_REQUEST ? h2_print_request(h, h->arena, &how, &nv)
                                  : h2_print_response(h, h->arena, &how, &nv);
    arena_init(&arena, NULL);
    head_init(&other, &arena);
    h2_section_start(&s, kind, &other, &wide, &rules);
    for (size_t i = 0; i < n; i++)
        h2_feed_field(&s, span_of((char *)nv[i].name, nv[i].namelen),
                      span_of((char *)nv[i].value, nv[i].valuelen));
    if (kind == H2_REQUEST) {
        must(h2_request_end(&s, m->no_body, &back) == FAULT_NONE);
        same_request(h, &other);
    } else {
        must(h2_response_end(&s, &asked, m->no_body && h->status >= 200, &back) == FAULT_NONE);
        must(h->status == other.status);
        same_fields(h, &other);
    }
    must(back.length == m->length && back.no_body == m->no_body);
    arena_finish(&arena);
}

static enum fault end_section(struct h2_section *s, bool end, struct h2_message *m) {
    struct head asked = {.method = METHOD_GET};
    switch (s->kind) {
    case H2_REQUEST:
        return h2_request_end(s, end, m);
    case H2_RESPONSE:
        return h2_response_end(s, &asked, end, m);
    case H2_REQUEST_TRAILERS:
    case H2_RESPONSE_TRAILERS:
        break;
    }
    *m = (struct h2_message){.length = -1};
    return h2_trailers_end(s, end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    struct input in = {data, n};
    unsigned how = byte(&in);
    enum h2_kind kind = (enum h2_kind)(how & 3);
    struct arena arena;
    struct head h;
    struct h2_section s;
    struct h2_message m;
    if (n > 65536)
        return 0;
    arena_init(&arena, NULL);
    head_init(&h, &arena);
    h2_section_start(&s, kind, &h, kind < 2 ? &h1_request_limits : &h1_trailer_limits, &rules);
    if (how & 4)
        h2_feed_start_line(&s, SPAN("POST"));
    if (how & 8)
        feed_hpack(&s, in);
    else
        feed_plain(&s, in);
    enum fault f = end_section(&s, how & 16, &m);
    must(f == s.fault && (!s.malformed || f != FAULT_NONE));
    must(f == FAULT_NONE || kind == H2_REQUEST || kind == H2_REQUEST_TRAILERS ||
         fault_table[f].who == FAULT_WHO_UPSTREAM);
    if (f == FAULT_NONE) {
        check_fields(&h, kind);
        if (kind == H2_REQUEST)
            check_h1(&h, &m);
        if (kind < 2)
            check_h2(&h, &m, kind);
    }
    arena_finish(&arena);
    return 0;
}
