#include "http/h1_hop.h"
#include "http/field.h"

static bool token_ok(struct span s) {
    for (size_t i = 0; i < s.n; i++)
        if (!token_char[(unsigned char)s.p[i]])
            return false;
    return s.n > 0;
}

static enum fault read_name(struct hop *hop, struct span token) {
    enum hdr_id id = hdr_lookup(token);
    if (!token_ok(token) || hdr_table[id].flags & HF_NOT_HOP)
        return FAULT_BAD_CONNECTION_TOKEN;
    if (id != HDR_OTHER)
        hop->named[(unsigned)id >> 6] |= (uint64_t)1 << ((unsigned)id & 63);
    else
        hop->other[hop->others++] = token;
    return FAULT_NONE;
}

enum fault hop_read(struct hop *hop, struct span value) {
    while (value.p) {
        struct span token = span_trim(span_split(&value, ','));
        if (++hop->tokens > HOP_TOKENS_MAX)
            return FAULT_BAD_CONNECTION_TOKEN;
        enum fault f = FAULT_NONE;
        if (span_eq_nocase(token, SPAN("close")))
            hop->close = true;
        else if (span_eq_nocase(token, SPAN("keep-alive")))
            hop->keep_alive = true;
        else if (span_eq_nocase(token, SPAN("upgrade")))
            hop->upgrade = true;
        else if (token.n) /* empty elements are legal in a received list */
            f = read_name(hop, token);
        if (f != FAULT_NONE)
            return f;
    }
    return FAULT_NONE;
}

static bool not_named(const struct field *f, const void *arg) {
    const struct hop *hop = arg;
    if (f->id != HDR_OTHER)
        return !(hop->named[f->id >> 6] >> (f->id & 63) & 1);
    for (unsigned i = 0; i < hop->others; i++)
        if (span_eq_nocase(hop->other[i], field_name(f)))
            return false;
    return true;
}

void hop_apply(const struct hop *hop, struct head *h) {
    if (hop->others || hop->named[0] || hop->named[1])
        field_filter(h, not_named, hop);
}
