/* A stream's answer: heads, body, trailers, and how far its window is open. */
#include "back/h2_client_conn.h"

/* ---- heads ----------------------------------------------------------------------------------- */

void h2_part_section_begin(struct h2_part *p) {
    struct attempt *a = p->a;
    struct exchange *x = a->x;
    const struct limits_conf *l = attempt_limits(a);
    uint64_t now = h2_client_now(p->c);
    if (!a->got_byte)
        x->t.first_byte = now;
    a->got_byte = p->in_section = true;
    p->since = now;
    if (!a->head_read) {
        head_init(&x->resp, &x->arena);
        h2_section_start(&p->section, H2_RESPONSE, &x->resp, &l->h1_response, NULL);
        return;
    }
    p->trailers = arena_alloc(&x->arena, sizeof *p->trailers);
    head_init(p->trailers, &x->arena);
    h2_section_start(&p->section, H2_RESPONSE_TRAILERS, p->trailers, &l->h1_trailers, NULL);
}

/* What the service sent is not to be had. */
static void malformed(struct h2_part *p, enum fault why, const char *detail) {
    h2_part_over(p, why, detail, NGHTTP2_PROTOCOL_ERROR);
}

static void refuse_section(struct h2_part *p, enum fault why) {
    enum fault exact = p->section.why ? p->section.why : why;
    h2_part_over(p, fault_of_upstream(why), fault_table[exact].code,
                 p->section.malformed ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_CANCEL);
}

/* 100 never crosses, 103 does, others are dropped; a flood of them is refused. */
static void take_interim(struct h2_part *p) {
    struct exchange *x = p->a->x;
    if (++p->interims > attempt_limits(p->a)->interim_responses_max) {
        h2_part_over(p, FAULT_UPSTREAM_TOO_MANY_INTERIM, NULL, NGHTTP2_CANCEL);
        return;
    }
    if (x->resp.status == 103) {
        struct head *h = arena_alloc(&x->arena, sizeof *h);
        *h = x->resp;
        exchange_interim(x, h);
    }
    head_init(&x->resp, &x->arena);
}

static void take_final(struct h2_part *p) {
    struct attempt *a = p->a;
    struct exchange *x = a->x;
    x->upstream_status = x->resp.status;
    x->resp_minor = 20;
    x->down_half.length = x->resp.status == 205 ? 0 : p->m.length;
    x->tunnel = p->m.tunnel && x->req.protocol.n;
    if (x->tunnel)
        body_want(x->up_half.sink);
    attempt_answered(a);
    exchange_respond(x);
    if (x->tunnel && !p->over && body_readable(x->up_half.sink))
        h2_part_more(p);
}

static void take_head(struct h2_part *p, bool end) {
    struct exchange *x = p->a->x;
    enum fault f = h2_response_end(&p->section, &x->req, end, &p->m);
    if (f) {
        refuse_section(p, f);
        head_init(&x->resp, &x->arena);
        return;
    }
    if (x->resp.status < 200) {
        take_interim(p);
        return;
    }
    take_final(p);
    if (end && !p->over) /* a filter may have answered instead */
        h2_part_end(p);
}

void h2_part_section_end(struct h2_part *p, bool end) {
    p->in_section = false;
    if (!p->a->head_read) {
        take_head(p, end);
        return;
    }
    enum fault f = h2_trailers_end(&p->section, end);
    if (f)
        refuse_section(p, f);
    else
        h2_part_end(p);
}

/* ---- body ------------------------------------------------------------------------------------ */

/* A service that answers before it has read the request does not get the rest of it. In a tunnel
 * the other direction goes on. */
static void whole(struct h2_part *p) {
    if (p->a->x->tunnel && !p->sent) {
        p->ended = true;
        body_end(&p->a->x->down_half.source, NULL);
        return;
    }
    h2_part_over(p, FAULT_NONE, NULL, p->sent ? H2_PART_NO_RESET : NGHTTP2_NO_ERROR);
}

void h2_part_end(struct h2_part *p) {
    if (!p->a->head_read)
        malformed(p, FAULT_UPSTREAM_PROTOCOL, "a stream ends without an answer");
    else if (!p->m.no_body && p->m.length >= 0 && p->got != (uint64_t)p->m.length)
        malformed(p, FAULT_UPSTREAM_TRUNCATED, "fewer bytes than content-length says");
    else
        whole(p);
}

void h2_part_data(struct h2_part *p, const uint8_t *bytes, size_t n) {
    struct exchange *x = p->a->x;
    if (!p->a->head_read) {
        malformed(p, FAULT_UPSTREAM_PROTOCOL, "DATA before the head of the answer");
        return;
    }
    if (p->m.no_body) { /* it is of no use to anybody, and the answer is whole without it */
        count_up(h2_client_thread(p->c), upstream_excess_bytes);
        h2_part_over(p, FAULT_NONE, NULL, NGHTTP2_CANCEL);
        return;
    }
    if (p->m.length >= 0 && n > (uint64_t)p->m.length - p->got) {
        malformed(p, FAULT_UPSTREAM_BAD_FRAMING, "more bytes than content-length says");
        return;
    }
    p->got += n;
    p->since = h2_client_now(p->c);
    if (!body_push_lent(&x->down_half.source, bytes, n))
        h2_part_over(p, FAULT_OUT_OF_MEMORY, NULL, NGHTTP2_CANCEL);
    else
        h2_part_credit(p);
}

/* The window stays open as far as the body has room: what it holds and what may still come are
 * together no more than its limit, or than the window that was told when that is more. */
void h2_part_credit(struct h2_part *p) {
    struct body *b = &p->a->x->down_half.source;
    if (p->over)
        return;
    size_t spare = b->limit > p->c->window ? b->limit - p->c->window : 0;
    uint64_t held = b->size > spare ? b->size - spare : 0;
    uint64_t free = p->got > held ? p->got - held : 0;
    if (free > p->credited) {
        if (nghttp2_session_consume_stream(p->c->session, p->id, (size_t)(free - p->credited)) != 0)
            h2_client_doom(p->c, FAULT_OUT_OF_MEMORY, NGHTTP2_INTERNAL_ERROR, NULL);
        p->credited = free;
    }
    b->full |= p->credited < p->got; /* whoever makes room tells, and this is asked again */
}
