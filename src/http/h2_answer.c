/* The end of sections but a request's: answers and trailers. */
#include "http/h2_section.h"

enum fault h2_section_length(struct h2_section *s, int64_t *length) {
    struct framing_in in = {.cl_count = s->lengths, .cl = s->content_length};
    struct framing_out out;
    enum fault f = framing_decide(&in, &out);
    *length = f == FAULT_NONE && out.framing == FRAMING_LENGTH ? (int64_t)out.length : -1;
    return f == FAULT_NONE ? f : h2_section_malformed(s, f);
}

/* RFC 9110 6.4.1. A 204 and 1xx have no length to speak of. */
static bool bodiless(const struct head *h, const struct head *asked) {
    return asked->method == METHOD_HEAD || h->status < 200 || h->status == 204 ||
           h->status == 205 || h->status == 304;
}

static enum fault judge_body(struct h2_section *s, const struct head *asked, bool end,
                             struct h2_message *m) {
    int status = s->h->status;
    if (m->tunnel) {
        m->length = -1; /* RFC 9110 9.3.6: ignored */
        m->no_body = end;
    } else if (bodiless(s->h, asked)) {
        m->no_body = true;
        if (status < 200 || status == 204)
            m->length = -1;
    } else if (end) {
        if (m->length > 0)
            return h2_section_malformed(s, FAULT_UPSTREAM_PROTOCOL);
        m->no_body = true;
        m->length = 0;
    }
    return FAULT_NONE;
}

static enum fault judge(struct h2_section *s, const struct head *asked, bool end,
                        struct h2_message *m) {
    int status = s->h->status;
    if (status == 101) /* RFC 9113 8.6 */
        return h2_section_malformed(s, FAULT_UPSTREAM_UNASKED_UPGRADE);
    if (status < 200 && (end || status == 0))
        return h2_section_malformed(s, FAULT_UPSTREAM_PROTOCOL);
    enum fault f = h2_section_length(s, &m->length);
    m->tunnel = asked->method == METHOD_CONNECT && status / 100 == 2;
    return f == FAULT_NONE ? judge_body(s, asked, end, m) : f;
}

enum fault h2_response_end(struct h2_section *s, const struct head *asked, bool end,
                           struct h2_message *m) {
    *m = (struct h2_message){.length = -1, .no_body = end};
    return s->fault == FAULT_NONE ? h2_section_note(s, judge(s, asked, end, m)) : s->fault;
}

enum fault h2_trailers_end(struct h2_section *s, bool end) {
    if (s->fault == FAULT_NONE && !end)
        h2_section_note(s, h2_section_malformed(s, FAULT_MALFORMED_H2));
    return s->fault;
}
