#include "http/request.h"

enum fault request_method(struct head *h, struct span text) {
    h->method = method_lookup(text);
    h->method_text = h->method == METHOD_OTHER ? text : method_name(h->method);
    if (h->method == METHOD_CONNECT || h->method == METHOD_TRACE)
        return FAULT_METHOD_REFUSED;
    for (unsigned m = 1; h->method == METHOD_OTHER && m < METHOD_COUNT; m++)
        if (span_eq_nocase(text, method_name((enum method)m)))
            return FAULT_BAD_METHOD;
    return FAULT_NONE;
}

enum fault request_ws_version(const struct request_seen *s) {
    if (s->ws_versions != 1)
        return FAULT_BAD_UPGRADE;
    return s->ws_13 ? FAULT_NONE : FAULT_UPGRADE_REFUSED;
}

bool may_trail(enum hdr_id id) {
    return id != HDR_HOST && !(hdr_table[id].flags & (HF_NO_TRAILER | HF_HOP | HF_FRAMING |
                                                      HF_FORWARDED | HF_IDENTITY | HF_OVERRIDE));
}
