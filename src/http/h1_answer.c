/* From parsed offsets to a head in the arena: responses and trailers. */
#include "http/h1_copy.h"
#include "http/h1_hop.h"
#include "http/request.h"

struct answer {
    struct head *h;
    struct h1_message *m;
    struct hop hop;
    struct framing_in framing;
    bool websocket;
};

/* "timeout=N" of Keep-Alive: a hint; what is malformed is no hint. */
static uint32_t keep_alive_timeout(struct span v) {
    while (v.p) {
        struct span value = span_trim(span_split(&v, ','));
        struct span key = span_split(&value, '=');
        uint64_t n;
        if (span_eq_nocase(key, SPAN("timeout")) && parse_dec(value, UINT32_MAX, &n))
            return (uint32_t)n;
    }
    return 0;
}

/* NTLM and Negotiate authenticate the connection, not the request. A scheme stands at the beginning
 * of a challenge, and challenges may share a field. */
static bool binds_connection(struct span v) {
    while (v.p) {
        struct span challenge = span_trim(span_split(&v, ','));
        struct span scheme = span_split(&challenge, ' ');
        if (span_eq_nocase(scheme, SPAN("ntlm")) || span_eq_nocase(scheme, SPAN("negotiate")))
            return true;
    }
    return false;
}

static enum fault read_special(struct answer *a, enum hdr_id id, struct span v) {
    if (id == HDR_CONNECTION)
        return hop_read(&a->hop, v);
    if (id == HDR_CONTENT_LENGTH && a->framing.cl_count++ == 0)
        a->framing.cl = v;
    else if (id == HDR_TRANSFER_ENCODING && a->framing.te_count++ == 0)
        a->framing.te = v;
    else if (id == HDR_UPGRADE)
        a->websocket |= list_has(v, SPAN("websocket"));
    else if (id == HDR_SEC_WEBSOCKET_ACCEPT)
        a->m->ws_key = v;
    else if (id == HDR_KEEP_ALIVE)
        a->m->keep_alive_s = keep_alive_timeout(v);
    else if (id == HDR_PROXY_AUTHENTICATE)
        a->m->auth_challenge |= binds_connection(v);
    return FAULT_NONE;
}

static enum fault read_fields(struct answer *a, const struct h1_parser *p, char *base) {
    for (unsigned i = 0; i < p->count; i++) {
        const struct h1_field *f = &p->field[i];
        enum hdr_id id = (enum hdr_id)f->id;
        struct span v = {base + f->value, f->value_len};
        if (id == HDR_OTHER) {
            fold_name(base + f->name, f->name_len);
            field_push(a->h, id, span_of(base + f->name, f->name_len), v);
        } else if (hdr_table[id].flags & (HF_HOP | HF_FRAMING)) {
            enum fault fault = read_special(a, id, v);
            if (fault != FAULT_NONE)
                return fault;
        } else if (id != HDR_HOST) {
            if (id == HDR_WWW_AUTHENTICATE)
                a->m->auth_challenge |= binds_connection(v);
            field_push(a->h, id, hdr_table[id].name, v);
        }
    }
    return FAULT_NONE;
}

/* 101 must agree to what was asked for. In the head's form it is the 2xx of an extended CONNECT. */
static enum fault judge_switch(struct answer *a) {
    if (!a->hop.upgrade || !a->websocket)
        return FAULT_UPSTREAM_UNASKED_UPGRADE;
    a->m->upgrade = true;
    a->h->status = 200;
    return FAULT_NONE;
}

static enum fault judge(struct answer *a, const struct head *asked, bool tunnel) {
    struct framing_out out;
    a->framing.response = true;
    a->framing.http10 = a->m->http10;
    /* On the wire the CONNECT of a WebSocket was a GET. */
    a->framing.method = tunnel ? METHOD_GET : asked->method;
    a->framing.status = a->h->status;
    a->framing.tunnel = tunnel;
    enum fault f = framing_decide(&a->framing, &out);
    a->m->framing = out.framing;
    a->m->length = out.length;
    a->m->declared = out.framing == FRAMING_NONE && a->framing.cl_count > 0;
    a->m->keep_alive = !a->hop.close && (!a->m->http10 || a->hop.keep_alive) &&
                       out.framing != FRAMING_CLOSE && out.framing != FRAMING_TUNNEL;
    /* A length belongs to HEAD and 304; elsewhere a body that must not be is likely to follow. */
    if (out.excess_possible && asked->method != METHOD_HEAD && a->h->status != 304)
        a->m->keep_alive = false;
    return f != FAULT_NONE || out.framing != FRAMING_TUNNEL ? f : judge_switch(a);
}

enum fault h1_response(const struct h1_parser *p, const char *bytes, const struct head *asked,
                       bool tunnel, struct head *h, struct h1_message *m) {
    *m = (struct h1_message){.http10 = p->minor == 0};
    if (p->fault != FAULT_NONE)
        return p->fault;
    char *base = copy_head(p, bytes, h);
    if (!base)
        return FAULT_OUT_OF_MEMORY;
    h->status = p->status;
    struct answer a = {.h = h, .m = m};
    enum fault f = read_fields(&a, p, base);
    if (f == FAULT_NONE)
        f = judge(&a, asked, tunnel);
    if (f == FAULT_NONE)
        hop_apply(&a.hop, h);
    return f;
}

enum fault h1_trailers(const struct h1_parser *p, const char *bytes, bool request, struct head *h) {
    if (p->fault != FAULT_NONE)
        return p->fault;
    char *base = copy_head(p, bytes, h);
    if (!base)
        return FAULT_OUT_OF_MEMORY;
    for (unsigned i = 0; i < p->count; i++) {
        const struct h1_field *f = &p->field[i];
        enum hdr_id id = (enum hdr_id)f->id;
        struct span name = {base + f->name, f->name_len};
        bool underscore = fold_name(base + f->name, f->name_len);
        if (request && underscore && hdr_imitates(name))
            return FAULT_UNDERSCORE_TWIN;
        if (may_trail(id))
            field_push(h, id, id ? hdr_table[id].name : name,
                       span_of(base + f->value, f->value_len));
        else if (request)
            return FAULT_BAD_TRAILER;
    }
    return FAULT_NONE;
}
