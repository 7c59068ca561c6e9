#include "http/framing.h"

static bool token_ok(struct span s) {
    for (size_t i = 0; i < s.n; i++)
        if (!token_char[(unsigned char)s.p[i]])
            return false;
    return s.n > 0;
}

/* Why a Transfer-Encoding that is not plain "chunked" is refused. */
static enum fault te_fault(struct span te) {
    unsigned chunked = 0;
    bool last = false;
    while (te.p) {
        struct span coding = span_trim(span_split(&te, ','));
        if (!token_ok(coding))
            return FAULT_BAD_TE;
        last = span_eq_nocase(coding, SPAN("chunked"));
        chunked += last;
    }
    if (chunked > 1)
        return FAULT_DUP_TE;
    return chunked && !last ? FAULT_BAD_TE : FAULT_UNKNOWN_TE;
}

static enum fault decide_te(const struct framing_in *in, struct framing_out *out) {
    if (in->cl_count)
        return FAULT_CL_AND_TE;
    if (in->te_count > 1)
        return FAULT_DUP_TE;
    if (in->http10)
        return FAULT_BAD_TE; /* RFC 9112 6.1: the sender's framing is faulty */
    if (!span_eq_nocase(in->te, SPAN("chunked")))
        return in->te.n ? te_fault(in->te) : FAULT_BAD_TE;
    out->framing = FRAMING_CHUNKED;
    return FAULT_NONE;
}

static enum fault decide_cl(const struct framing_in *in, struct framing_out *out) {
    if (in->cl_count > 1 || span_find(in->cl, ',') >= 0)
        return FAULT_DUP_CL;
    if (!parse_dec(in->cl, INT64_MAX, &out->length))
        return FAULT_BAD_CL;
    out->framing = FRAMING_LENGTH;
    return FAULT_NONE;
}

static bool bodiless(const struct framing_in *in) {
    return in->method == METHOD_HEAD || in->status < 200 || in->status == 204 ||
           in->status == 205 || in->status == 304;
}

enum fault framing_decide(const struct framing_in *in, struct framing_out *out) {
    *out = (struct framing_out){.framing = in->response ? FRAMING_CLOSE : FRAMING_NONE};
    enum fault f = in->te_count   ? decide_te(in, out)
                   : in->cl_count ? decide_cl(in, out)
                                  : FAULT_NONE;
    if (f != FAULT_NONE || !in->response)
        return f;
    if (in->status == 101 && !in->tunnel)
        return FAULT_UPSTREAM_UNASKED_UPGRADE;
    bool connected = in->method == METHOD_CONNECT && in->status / 100 == 2;
    if (in->tunnel && (in->status == 101 || connected))
        *out = (struct framing_out){.framing = FRAMING_TUNNEL};
    else if (bodiless(in))
        *out = (struct framing_out){.framing = FRAMING_NONE,
                                    .length = out->length,
                                    .excess_possible =
                                        out->framing == FRAMING_CHUNKED || out->length > 0};
    return FAULT_NONE;
}
