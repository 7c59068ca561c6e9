/* Fields of a section, one by one, and the end of a request's. Every field is looked at once; known
 * names point into the table, a value is copied once. */
#include "http/h2.h"
#include "http/h2_section.h"
#include "http/scan.h"

enum pseudo {
    P_METHOD = 1,
    P_SCHEME = 2,
    P_AUTHORITY = 4,
    P_PATH = 8,
    P_PROTOCOL = 16,
    P_STATUS = 32
};

/* Most requests have less; more is one copy of small structs. */
enum { FIELDS_AT_FIRST = 24 };

void h2_section_start(struct h2_section *s, enum h2_kind kind, struct head *h,
                      const struct h1_limits *limits, const struct h1_rules *rules) {
    *s = (struct h2_section){.h = h, .limits = limits, .rules = rules, .kind = kind};
    must(kind != H2_REQUEST || rules);
}

static bool of_service(const struct h2_section *s) {
    return s->kind == H2_RESPONSE || s->kind == H2_RESPONSE_TRAILERS;
}

/* The service's peer learns nothing; the log learns whether it was too much or wrong. */
static enum fault as_upstream(const struct h2_section *s, enum fault f) {
    if (fault_table[f].who == FAULT_WHO_UPSTREAM || f == FAULT_OUT_OF_MEMORY)
        return f;
    return s->malformed ? FAULT_UPSTREAM_PROTOCOL : FAULT_UPSTREAM_HEADER_TOO_LARGE;
}

enum fault h2_section_note(struct h2_section *s, enum fault f) {
    if (s->fault == FAULT_NONE && f != FAULT_NONE) {
        s->why = f;
        s->fault = of_service(s) ? as_upstream(s, f) : f;
    }
    return s->fault;
}

enum fault h2_section_malformed(struct h2_section *s, enum fault f) {
    s->malformed = true;
    return f;
}

static bool copy(struct h2_section *s, struct span v, struct span *out) {
    char *p = arena_try(s->h->arena, v.n);
    if (!p)
        return false;
    if (v.n)
        memcpy(p, v.p, v.n);
    *out = span_of(p, v.n);
    return true;
}

static enum fault keep_known(struct h2_section *s, enum hdr_id id, struct span v) {
    struct head *h = s->h;
    if (!field_room(h, h->cap ? 1 : FIELDS_AT_FIRST) || !copy(s, v, &v))
        return FAULT_OUT_OF_MEMORY;
    field_push(h, id, hdr_table[id].name, v);
    return FAULT_NONE;
}

/* Name and value in one piece. */
static enum fault keep_other(struct h2_section *s, struct span name, struct span v) {
    struct head *h = s->h;
    char *p = arena_try(h->arena, name.n + v.n);
    if (!p || !field_room(h, h->cap ? 1 : FIELDS_AT_FIRST))
        return FAULT_OUT_OF_MEMORY;
    memcpy(p, name.p, name.n);
    if (v.n)
        memcpy(p + name.n, v.p, v.n);
    field_push(h, HDR_OTHER, span_of(p, name.n), span_of(p + name.n, v.n));
    return FAULT_NONE;
}

/* RFC 9113 8.2.1: upper case is malformed. The look-up ignores case, so its name is compared. */
static bool name_ok(enum hdr_id id, struct span name) {
    if (id != HDR_OTHER)
        return memcmp(name.p, hdr_table[id].name.p, name.n) == 0;
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        if (!token_char[c] || (c >= 'A' && c <= 'Z'))
            return false;
    }
    return name.n > 0;
}

static bool blank(char c) {
    return c == ' ' || c == '\t';
}

static enum fault judge_value(struct h2_section *s, struct span v) {
    if (v.n == 0)
        return FAULT_NONE;
    if (has_ctl(v))
        return h2_section_malformed(s, FAULT_CTL_IN_HEADER);
    return blank(v.p[0]) || blank(v.p[v.n - 1]) ? h2_section_malformed(s, FAULT_MALFORMED_H2)
                                                : FAULT_NONE;
}

/* Which pseudo-header this is, of those that the section's kind may have; 0: none. */
static enum pseudo pseudo_of(const struct h2_section *s, struct span name) {
    static const struct {
        struct span name;
        enum pseudo bit;
    } known[] = {{SPAN(":method"), P_METHOD},       {SPAN(":scheme"), P_SCHEME},
                 {SPAN(":authority"), P_AUTHORITY}, {SPAN(":path"), P_PATH},
                 {SPAN(":protocol"), P_PROTOCOL},   {SPAN(":status"), P_STATUS}};
    for (unsigned i = 0; i < array_len(known); i++)
        if (span_eq(name, known[i].name)) {
            bool fits = s->kind == (known[i].bit == P_STATUS ? H2_RESPONSE : H2_REQUEST);
            return fits ? known[i].bit : 0;
        }
    return 0;
}

static bool token_ok(struct span v) {
    for (size_t i = 0; i < v.n; i++)
        if (!token_char[(unsigned char)v.p[i]])
            return false;
    return v.n > 0;
}

/* What may not be carried is judged at the end: :protocol may follow. */
static enum fault read_method(struct h2_section *s, struct span v) {
    if (!token_ok(v))
        return h2_section_malformed(s, FAULT_BAD_METHOD);
    if (v.n > s->limits->method_max)
        return FAULT_BAD_METHOD;
    if (method_lookup(v) == METHOD_OTHER && !copy(s, v, &v))
        return FAULT_OUT_OF_MEMORY;
    enum fault f = request_method(s->h, v);
    return f == FAULT_METHOD_REFUSED ? FAULT_NONE : f;
}

/* The other of the two is refused in words, as in an absolute-form of HTTP/1.1; what is no scheme
 * of ours at all might be half a URL for whoever reads it behind us. */
static enum fault read_scheme(struct h2_section *s, struct span v) {
    s->h->scheme = s->rules->scheme;
    if (!span_eq(v, SPAN("http")) && !span_eq(v, SPAN("https")))
        return h2_section_malformed(s, FAULT_MALFORMED_H2);
    return span_eq(v, s->rules->scheme) ? FAULT_NONE : FAULT_BAD_TARGET;
}

/* RFC 9113 8.3.2: three digits. */
static enum fault read_status(struct h2_section *s, struct span v) {
    uint64_t status = 0;
    if (v.n != 3 || !parse_dec(v, 599, &status) || status < 100)
        return h2_section_malformed(s, FAULT_UPSTREAM_BAD_STATUS);
    s->h->status = (int)status;
    return FAULT_NONE;
}

static enum fault keep_span(struct h2_section *s, struct span v, struct span *out) {
    return copy(s, v, out) ? FAULT_NONE : FAULT_OUT_OF_MEMORY;
}

static enum fault read_pseudo(struct h2_section *s, struct span name, struct span v) {
    enum pseudo p = pseudo_of(s, name);
    if (!p || s->regular || s->pseudo & p)
        return h2_section_malformed(s, FAULT_MALFORMED_H2);
    s->pseudo |= p;
    enum fault f = judge_value(s, v);
    if (f != FAULT_NONE)
        return f;
    switch (p) {
    case P_METHOD:
        return read_method(s, v);
    case P_SCHEME:
        return read_scheme(s, v);
    case P_AUTHORITY:
        return keep_span(s, v, &s->authority);
    case P_PATH:
        return keep_span(s, v, &s->path);
    case P_PROTOCOL:
        return keep_span(s, v, &s->protocol);
    case P_STATUS:
        return read_status(s, v);
    }
    return FAULT_NONE;
}

/* RFC 9113 8.2.2. Trailer, Expect and the like are dropped as over HTTP/1.1. */
static enum fault read_hop(struct h2_section *s, enum hdr_id id, struct span v) {
    bool te = id == HDR_TE && !s->te && span_eq_nocase(v, SPAN("trailers"));
    s->te |= te;
    if (id == HDR_CONNECTION || id == HDR_KEEP_ALIVE || id == HDR_PROXY_CONNECTION ||
        id == HDR_TRANSFER_ENCODING || id == HDR_UPGRADE || (id == HDR_TE && !te))
        return h2_section_malformed(s, FAULT_MALFORMED_H2);
    return FAULT_NONE;
}

static enum fault read_special(struct h2_section *s, enum hdr_id id, struct span v) {
    bool keep;
    if (id == HDR_CONTENT_LENGTH)
        return s->lengths++ ? FAULT_NONE : keep_span(s, v, &s->content_length);
    if (id == HDR_HOST)
        return s->hosts++ ? FAULT_NONE : keep_span(s, v, &s->host);
    enum fault f = hdr_table[id].flags & HF_HOP ? read_hop(s, id, v) : FAULT_NONE;
    if (f != FAULT_NONE || s->kind != H2_REQUEST)
        return f;
    return request_field(&s->seen, s->h, id, v, &keep);
}

static enum fault read_request(struct h2_section *s, enum hdr_id id, struct span name,
                               struct span v) {
    if (id == HDR_OTHER)
        return memchr(name.p, '_', name.n) && hdr_imitates(name) ? FAULT_UNDERSCORE_TWIN
                                                                 : keep_other(s, name, v);
    if (id == HDR_HOST || hdr_table[id].flags & HF_SPECIAL)
        return read_special(s, id, v);
    bool keep;
    enum fault f = request_field(&s->seen, s->h, id, v, &keep);
    s->cookies += id == HDR_COOKIE;
    return f == FAULT_NONE ? keep_known(s, id, v) : f;
}

static enum fault read_response(struct h2_section *s, enum hdr_id id, struct span name,
                                struct span v) {
    if (id == HDR_OTHER)
        return keep_other(s, name, v);
    if (id == HDR_HOST || hdr_table[id].flags & (HF_HOP | HF_FRAMING))
        return read_special(s, id, v);
    return keep_known(s, id, v);
}

static enum fault read_trailer(struct h2_section *s, enum hdr_id id, struct span name,
                               struct span v) {
    bool request = s->kind == H2_REQUEST_TRAILERS;
    if (request && id == HDR_OTHER && memchr(name.p, '_', name.n) && hdr_imitates(name))
        return FAULT_UNDERSCORE_TWIN;
    enum fault f = hdr_table[id].flags & HF_HOP ? read_hop(s, id, v) : FAULT_NONE;
    if (f == FAULT_NONE && !may_trail(id))
        return request ? h2_section_malformed(s, FAULT_BAD_TRAILER) : FAULT_NONE;
    if (f != FAULT_NONE)
        return f;
    return id == HDR_OTHER ? keep_other(s, name, v) : keep_known(s, id, v);
}

static enum fault read_regular(struct h2_section *s, struct span name, struct span v) {
    s->regular = true;
    if (++s->count > s->limits->count_max)
        return FAULT_TOO_MANY_HEADERS;
    if (name.n > s->limits->name_max)
        return FAULT_HEADER_NAME_TOO_LONG;
    enum hdr_id id = hdr_lookup(name);
    if (!name_ok(id, name))
        return h2_section_malformed(s, FAULT_BAD_HEADER_NAME);
    enum fault f = judge_value(s, v);
    if (f != FAULT_NONE)
        return f;
    switch (s->kind) {
    case H2_REQUEST:
        return read_request(s, id, name, v);
    case H2_RESPONSE:
        return read_response(s, id, name, v);
    case H2_REQUEST_TRAILERS:
    case H2_RESPONSE_TRAILERS:
        return read_trailer(s, id, name, v);
    }
    return FAULT_NONE;
}

/* Limits first: they bound what is looked at. As "name: value" and CR an HTTP/1.1 line of field_max
 * bytes would hold it. */
static enum fault read_field(struct h2_section *s, struct span name, struct span v) {
    const struct h1_limits *l = s->limits;
    if (name.n > l->total_max || v.n > l->total_max || s->total > l->total_max ||
        name.n + v.n + 32 > l->total_max - s->total)
        return FAULT_HEADERS_TOO_LARGE;
    s->total += (uint32_t)(name.n + v.n) + 32;
    if (name.n && name.p[0] == ':')
        return read_pseudo(s, name, v);
    if (name.n + v.n + 3 > l->field_max)
        return FAULT_HEADER_TOO_LONG;
    return read_regular(s, name, v);
}

void h2_section_field(struct h2_section *s, struct span name, struct span value) {
    if (s->fault == FAULT_NONE)
        h2_section_note(s, read_field(s, name, value));
}

/* RFC 9113 8.3.1 and 8.5, RFC 8441 4. */
static enum fault judge_pseudo(struct h2_section *s) {
    bool connect = s->h->method == METHOD_CONNECT;
    unsigned target = s->pseudo & (P_SCHEME | P_PATH);
    if (!(s->pseudo & P_METHOD) || (s->pseudo & P_PROTOCOL && !connect))
        return h2_section_malformed(s, FAULT_MALFORMED_H2);
    if (connect && !(s->pseudo & P_PROTOCOL))
        return target || !(s->pseudo & P_AUTHORITY) ? h2_section_malformed(s, FAULT_MALFORMED_H2)
                                                    : FAULT_METHOD_REFUSED;
    if (target != (P_SCHEME | P_PATH) || s->path.n == 0)
        return h2_section_malformed(s, FAULT_MALFORMED_H2);
    return s->h->method == METHOD_TRACE ? FAULT_METHOD_REFUSED : FAULT_NONE;
}

/* An absolute-form has no place here: "/..." or "*" (RFC 9113 8.3.1). */
static enum fault judge_target(struct h2_section *s) {
    struct head *h = s->h;
    if (h->method_text.n + s->path.n + 2 > s->limits->line_max)
        return FAULT_TARGET_TOO_LONG;
    if (s->path.p[0] != '/' && !span_eq(s->path, SPAN("*")))
        return FAULT_BAD_TARGET;
    return uri_target(h, s->path, &s->rules->uri);
}

/* uri_authority compares where one stands already. */
static enum fault judge_authority(struct h2_section *s) {
    bool named = s->pseudo & P_AUTHORITY;
    if (s->hosts > 1 || (!named && s->hosts == 0))
        return FAULT_BAD_HOST;
    enum fault f = named ? uri_authority(s->h, s->authority) : FAULT_NONE;
    return f == FAULT_NONE && s->hosts ? uri_authority(s->h, s->host) : f;
}

static enum fault judge_length(struct h2_section *s, bool end, struct h2_message *m) {
    enum fault f = h2_section_length(s, &m->length);
    m->no_body = end;
    if (f != FAULT_NONE || !end)
        return f;
    if (m->length > 0)
        return h2_section_malformed(s, FAULT_MALFORMED_H2);
    m->length = 0;
    return FAULT_NONE;
}

static enum fault judge_expect(struct h2_section *s, struct h2_message *m) {
    if (s->seen.expects && !s->seen.continues)
        return FAULT_EXPECT_FAILED;
    m->expect_continue = s->seen.expects && !m->no_body && m->length != 0;
    return FAULT_NONE;
}

/* The WebSocket of RFC 8441; its key is HTTP/1.1's alone. A tunnel that has ended already is none.
 */
static enum fault judge_tunnel(struct h2_section *s, struct h2_message *m) {
    if (!(s->pseudo & P_PROTOCOL))
        return FAULT_NONE;
    if (!span_eq_nocase(s->protocol, SPAN("websocket")))
        return FAULT_UNKNOWN_PROTOCOL;
    if (!s->rules->upgrades)
        return FAULT_METHOD_REFUSED;
    if (m->no_body || m->length > 0)
        return FAULT_BAD_UPGRADE;
    enum fault f = request_ws_version(&s->seen);
    if (f != FAULT_NONE)
        return f;
    s->h->protocol = SPAN("websocket");
    m->tunnel = true;
    m->length = -1;
    return FAULT_NONE;
}

static bool no_cookie(const struct field *f, const void *arg) {
    (void)arg;
    return f->id != HDR_COOKIE;
}

/* RFC 9113 8.2.3: crumbs were made for the table's sake; empty ones would leave a blank at an end.
 */
static enum fault join_cookies(struct h2_section *s) {
    struct head *h = s->h;
    size_t n = 0;
    if (s->cookies < 2)
        return FAULT_NONE;
    for (unsigned i = 0; i < h->count; i++)
        n += no_cookie(&h->field[i], NULL) ? 0 : h->field[i].value_len + 2;
    char *p = arena_try(h->arena, n);
    if (!p)
        return FAULT_OUT_OF_MEMORY;
    struct str out = str_on(p, n);
    for (unsigned i = 0; i < h->count; i++) {
        const struct field *f = &h->field[i];
        if (no_cookie(f, NULL) || f->value_len == 0)
            continue;
        if (out.n)
            str_lit(&out, "; ");
        str_add(&out, field_value(f));
    }
    field_filter(h, no_cookie, NULL);
    field_push(h, HDR_COOKIE, hdr_table[HDR_COOKIE].name, str_span(&out));
    return FAULT_NONE;
}

enum fault h2_request_end(struct h2_section *s, bool end, struct h2_message *m) {
    *m = (struct h2_message){.length = -1, .no_body = end, .stripped_identity = s->seen.stripped};
    s->h->target = s->path.p ? s->path : s->authority;
    enum fault f = s->fault;
    if (f == FAULT_NONE)
        f = judge_pseudo(s);
    if (f == FAULT_NONE)
        f = judge_length(s, end, m);
    if (f == FAULT_NONE)
        f = judge_target(s);
    if (f == FAULT_NONE)
        f = judge_authority(s);
    if (f == FAULT_NONE)
        f = judge_expect(s, m);
    if (f == FAULT_NONE)
        f = judge_tunnel(s, m);
    if (f == FAULT_NONE)
        f = join_cookies(s);
    return h2_section_note(s, f);
}
