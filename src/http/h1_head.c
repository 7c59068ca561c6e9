/* From parsed offsets to a head in the arena: requests. Every field is looked at once; names that
 * the gateway knows point into its table, others are made lower-case where they were copied to. */
#include "http/h1_copy.h"
#include "http/h1_hop.h"
#include "http/request.h"

/* What the fields of one request say besides themselves. */
struct seen {
    struct head *h;
    struct h1_message *m;
    struct hop hop;
    struct framing_in framing;
    struct request_seen seen;
    unsigned hosts, ws_keys;
    struct span host, ws_key;
    bool websocket;
};

static struct span first(unsigned *count, struct span *value, struct span v) {
    if ((*count)++ == 0)
        *value = v;
    return v;
}

/* Fields that this door reads itself. */
static enum fault read_special(struct seen *s, enum hdr_id id, struct span v, bool *keep) {
    *keep = false;
    if (id == HDR_HOST)
        first(&s->hosts, &s->host, v);
    else if (id == HDR_CONNECTION)
        return hop_read(&s->hop, v);
    else if (id == HDR_CONTENT_LENGTH)
        first(&s->framing.cl_count, &s->framing.cl, v);
    else if (id == HDR_TRANSFER_ENCODING)
        first(&s->framing.te_count, &s->framing.te, v);
    else if (id == HDR_UPGRADE)
        s->websocket |= list_has(v, SPAN("websocket"));
    else if (id == HDR_SEC_WEBSOCKET_KEY)
        first(&s->ws_keys, &s->ws_key, v);
    else
        return request_field(&s->seen, s->h, id, v, keep);
    return FAULT_NONE;
}

static enum fault read_known(struct seen *s, enum hdr_id id, struct span v) {
    bool keep;
    enum fault f = id == HDR_HOST || hdr_table[id].flags & HF_SPECIAL
                       ? read_special(s, id, v, &keep)
                       : request_field(&s->seen, s->h, id, v, &keep);
    if (keep && f == FAULT_NONE)
        field_push(s->h, id, hdr_table[id].name, v);
    return f;
}

static enum fault read_fields(struct seen *s, const struct h1_parser *p, char *base) {
    for (unsigned i = 0; i < p->count; i++) {
        const struct h1_field *f = &p->field[i];
        struct span v = {base + f->value, f->value_len};
        enum fault fault = FAULT_NONE;
        if (f->id != HDR_OTHER) {
            fault = read_known(s, (enum hdr_id)f->id, v);
        } else {
            struct span name = {base + f->name, f->name_len};
            if (fold_name(base + f->name, f->name_len) && hdr_imitates(name))
                fault = FAULT_UNDERSCORE_TWIN;
            field_push(s->h, HDR_OTHER, name, v);
        }
        if (fault != FAULT_NONE)
            return fault;
    }
    return FAULT_NONE;
}

/* RFC 9112 3.2: HTTP/1.1 needs exactly one Host; 1.0 may come without, and then only routes for any
 * host match. An empty one names nothing. */
static enum fault judge_host(struct seen *s) {
    if (s->hosts == 0)
        return s->m->http10 ? FAULT_NONE : FAULT_BAD_HOST;
    return s->hosts > 1 ? FAULT_BAD_HOST : uri_authority(s->h, s->host);
}

static enum fault judge_framing(struct seen *s) {
    struct framing_out out;
    s->framing.http10 = s->m->http10;
    s->framing.method = s->h->method;
    enum fault f = framing_decide(&s->framing, &out);
    s->m->framing = out.framing;
    s->m->length = out.length;
    return f;
}

static enum fault judge_expect(struct seen *s) {
    if (s->seen.expects && !s->seen.continues)
        return FAULT_EXPECT_FAILED;
    bool body = s->m->framing == FRAMING_CHUNKED || s->m->length > 0;
    s->m->expect_continue = s->seen.expects && body && !s->m->http10; /* RFC 9110 10.1.1 */
    return FAULT_NONE;
}

/* 16 bytes in base64 have 22 digits and "==", and the last digit carries but two bits. */
static bool ws_key_ok(struct span key) {
    if (key.n != 24 || key.p[22] != '=' || key.p[23] != '=' || !memchr("AQgw", key.p[21], 4))
        return false;
    for (size_t i = 0; i < 22; i++) {
        char c = lower(key.p[i]);
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '+' && c != '/')
            return false;
    }
    return true;
}

/* RFC 6455 4.2.1. A malformed handshake is refused even where upgrades are not forwarded: answering
 * it as a plain request is how bytes of a "tunnel" become requests. Other tokens are simply
 * dropped. */
static enum fault judge_upgrade(struct seen *s, const struct h1_rules *rules) {
    struct h1_message *m = s->m;
    if (!s->websocket || !s->hop.upgrade || m->http10)
        return FAULT_NONE;
    bool body = m->framing == FRAMING_CHUNKED || m->length > 0;
    if (s->h->method != METHOD_GET || body || s->ws_keys != 1 || !ws_key_ok(s->ws_key))
        return FAULT_BAD_UPGRADE;
    enum fault f = request_ws_version(&s->seen);
    if (f != FAULT_NONE || !rules->upgrades)
        return f;
    m->upgrade = true;
    m->ws_key = s->ws_key;
    m->framing = FRAMING_TUNNEL;
    s->h->method = METHOD_CONNECT;
    s->h->method_text = method_name(METHOD_CONNECT);
    s->h->protocol = SPAN("websocket");
    return FAULT_NONE;
}

static enum fault judge_start(const struct h1_parser *p, const char *base,
                              const struct h1_rules *rules, struct head *h) {
    h->scheme = rules->scheme;
    h->target = span_of(base + p->target, p->target_len);
    enum fault f = request_method(h, span_of(base + p->method, p->method_len));
    return f == FAULT_NONE ? uri_target(h, h->target, &rules->uri) : f;
}

/* Of a head that could not be parsed: what was read of its start line, for the log. */
static enum fault broken_head(const struct h1_parser *p, const char *bytes, struct head *h) {
    if (p->method_len == 0)
        return p->fault;
    char *base = arena_try(h->arena, p->target + p->target_len);
    if (!base)
        return p->fault;
    memcpy(base, bytes, p->target + p->target_len);
    struct span text = span_of(base + p->method, p->method_len);
    h->method = method_lookup(text);
    h->method_text = text;
    h->target = span_of(base + p->target, p->target_len);
    return p->fault;
}

enum fault h1_request(const struct h1_parser *p, const char *bytes, const struct h1_rules *rules,
                      struct head *h, struct h1_message *m) {
    *m = (struct h1_message){.http10 = p->minor == 0};
    if (p->fault != FAULT_NONE)
        return broken_head(p, bytes, h);
    char *base = copy_head(p, bytes, h);
    if (!base)
        return FAULT_OUT_OF_MEMORY;
    struct seen s = {.h = h, .m = m};
    enum fault f = judge_start(p, base, rules, h);
    if (f == FAULT_NONE)
        f = read_fields(&s, p, base);
    if (f == FAULT_NONE)
        f = judge_host(&s);
    if (f == FAULT_NONE)
        f = judge_framing(&s);
    if (f == FAULT_NONE)
        f = judge_expect(&s);
    if (f == FAULT_NONE)
        f = judge_upgrade(&s, rules);
    m->stripped_identity = s.seen.stripped;
    if (f != FAULT_NONE)
        return f;
    m->keep_alive = !s.hop.close && (!m->http10 || s.hop.keep_alive);
    hop_apply(&s.hop, h);
    return FAULT_NONE;
}
