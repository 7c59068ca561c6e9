/* One stream: from its header blocks and DATA to an exchange and its body. */
#include "front/h2_conn.h"
#include "front/relief.h"

enum { RATE_AFTER_S = 10 };

/* ---- ends ---- */

void h2_stream_leave(struct h2_stream *s) {
    struct h2_conn *c = s->c;
    list_remove(&s->node);
    if (c->section_of == s)
        c->section_of = NULL;
    for (struct h2_stream **f = &c->fresh; s->queued && *f; f = &(*f)->fresh)
        if (*f == s) {
            if (c->fresh_last == &s->fresh)
                c->fresh_last = f;
            *f = s->fresh;
            break;
        }
    nghttp2_session_set_stream_user_data(c->session, s->id, NULL);
    s->x = NULL;
    c->unsent -= s->told && !s->answered;
    if (--c->alive == 0)
        h2_idle(c);
    if (c->owed)
        h2_window_owed(c);
}

static void submit_reset(struct h2_conn *c, int32_t id, uint32_t code) {
    h2_check(c, nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, id, code));
    h2_dirty(c);
}

void h2_stream_reset(struct h2_stream *s, uint32_t code, enum fault why) {
    struct exchange *x = s->x;
    submit_reset(s->c, s->id, code);
    h2_stream_leave(s);
    exchange_abort(x, why);
}

void h2_stream_malformed(struct h2_stream *s, enum fault why) {
    struct h2_conn *c = s->c;
    s->x->refused = true;
    h2_stream_reset(s, NGHTTP2_PROTOCOL_ERROR, why);
    h2_glitch(c, "too many malformed requests");
    h2_reset_spent(c, "too many malformed requests");
}

/* nghttp2 has sent or received the last of it. Reset by neither the client nor us: it has broken a
 * rule of its stream (a window). */
void h2_stream_closed(struct h2_stream *s, uint32_t code) {
    struct h2_conn *c = s->c;
    struct exchange *x = s->x;
    if (s->answered) {
        list_remove(&s->node);
        list_append(&c->leaving, &s->node);
        nghttp2_session_set_stream_user_data(c->session, s->id, NULL);
        return;
    }
    bool own = !s->reset && code != NGHTTP2_NO_ERROR;
    h2_stream_leave(s);
    exchange_abort(x, own ? FAULT_MALFORMED_H2 : FAULT_CLIENT_CLOSED);
    if (own)
        h2_reset_spent(c, "too many broken windows");
}

/* ---- begin ---- */

static void refuse(struct h2_conn *c, int32_t id) {
    count_up(h2_thread(c), client_h2_streams_refused);
    submit_reset(c, id, NGHTTP2_REFUSED_STREAM);
    h2_reset_spent(c, "too many streams that are refused");
}

static struct h1_rules rules_of(const struct exchange *x) {
    const struct listener_conf *l = x->facts.listener;
    const struct limits_conf *limits = l && l->limits ? l->limits : &x->snap->snapshot->limits;
    return (struct h1_rules){.uri = {limits->keep_encoded_slash, limits->query_params_max},
                             .scheme = l ? l->scheme : SPAN("http"),
                             .upgrades = true};
}

/* A place is free again only when the exchange has ended, and those that the client reset in this
 * very read still count: opening and resetting buys it nothing (Rapid Reset). */
struct h2_stream *h2_stream_open(struct h2_conn *c, int32_t id) {
    const struct limits_conf *l = h2_limits(c);
    bool room = c->alive + c->gone_now < l->h2_max_concurrent_streams;
    struct exchange *x = room ? exchange_create(h2_thread(c), &h2_front, NULL) : NULL;
    if (!x) {
        refuse(c, id);
        return NULL;
    }
    struct h2_stream *s = arena_zero(&x->arena, sizeof *s);
    x->front_data = s;
    s->c = c;
    s->x = x;
    s->id = id;
    s->left = -1;
    s->window = l->h2_initial_window;
    list_append(&c->streams, &s->node);
    c->alive++;
    c->requests = true;
    c->section_of = s;
    count_up(h2_thread(c), client_h2_streams);
    door_facts(&c->door, x, "HTTP/2.0", 20);
    c->rules = rules_of(x);
    h2_section_start(&s->section, H2_REQUEST, &x->req, &l->h1_request, &c->rules);
    s->body_since = s->body_last = h2_now(c);
    if (h2_worn_out(c) || relief_parts(h2_thread(c)))
        h2_leave_soon(c);
    return s;
}

static void queue(struct h2_stream *s) {
    struct h2_conn *c = s->c;
    s->queued = true;
    s->fresh = NULL;
    *c->fresh_last = s;
    c->fresh_last = &s->fresh;
}

/* Body bytes that came with the head are pushed by now. One that promises an empty body waits for
 * its end: to a service it would be a whole request before we know that it is none. */
static void start(struct h2_stream *s) {
    struct exchange *x = s->x;
    if (s->fault) {
        exchange_refuse(x, s->fault);
        return;
    }
    if (s->m.length == 0 && !s->request_done)
        return;
    if (s->request_done && x->up_half.length < 0 && !s->m.tunnel && !x->up_half.source.trailers)
        x->up_half.length = (int64_t)x->up_half.source.in;
    exchange_start(x);
}

void h2_streams_start(struct h2_conn *c) {
    while (c->fresh) {
        struct h2_stream *s = c->fresh;
        c->fresh = s->fresh;
        if (!c->fresh)
            c->fresh_last = &c->fresh;
        s->queued = false;
        start(s);
        if (s->x && !s->request_done)
            h2_look_soon(c);
    }
}

/* ---- header blocks ---- */

static bool request_head(struct h2_stream *s, bool end) {
    struct exchange *x = s->x;
    enum fault f = h2_request_end(&s->section, end, &s->m);
    if (f && s->section.malformed) {
        h2_stream_malformed(s, f);
        return false;
    }
    if (s->m.stripped_identity)
        count_add(h2_thread(s->c)->counters.identity_headers_stripped, s->m.stripped_identity);
    s->fault = f ? f : door_refuses(&s->c->door, x);
    s->expect = s->m.expect_continue;
    s->left = s->m.tunnel ? -1 : s->m.length;
    x->up_half.length = s->left;
    queue(s);
    return true;
}

/* Judged, they go on to the service as trailers, never among its headers: calls that know trailers
 * in one direction know them in the other. */
static bool request_trailers(struct h2_stream *s, bool end) {
    enum fault f = h2_trailers_end(&s->section, end);
    if (!f)
        return true;
    if (s->section.malformed)
        h2_stream_malformed(s, f);
    else if (s->x->state == X_NEW)
        s->fault = f;
    else
        exchange_fail(s->x, f, NULL);
    return false;
}

void h2_stream_trailers(struct h2_stream *s) {
    struct exchange *x = s->x;
    struct head *h = arena_zero(&x->arena, sizeof *h);
    head_init(h, &x->arena);
    h2_section_start(&s->section, H2_REQUEST_TRAILERS, h, &h2_limits(s->c)->h1_trailers, NULL);
    s->c->section_of = s;
}

void h2_stream_headers(struct h2_stream *s, bool trailers, bool end) {
    bool good = trailers ? request_trailers(s, end) : request_head(s, end);
    if (good && end)
        h2_stream_end(s, trailers && s->section.h->count ? s->section.h : NULL);
}

/* ---- the body ---- */

static void push(struct h2_stream *s, const char *p, size_t n) {
    if (n && !body_push_lent(&s->x->up_half.source, p, n))
        h2_stream_reset(s, NGHTTP2_INTERNAL_ERROR, FAULT_OUT_OF_MEMORY);
}

/* 240 B/s after 10 s, or what the configuration says: a client that trickles holds nobody up for
 * long. */
static bool too_slow(const struct h2_stream *s) {
    uint64_t rate = h2_route_limits(s)->body_min_rate;
    uint64_t seconds = h2_passed_ms(s->c, s->body_since) / 1000;
    return rate && !s->x->streams && seconds >= RATE_AFTER_S && s->body_bytes < rate * seconds;
}

void h2_stream_late(struct h2_stream *s) {
    s->held = false;
    if (s->x->state == X_NEW)
        exchange_refuse(s->x, FAULT_BODY_TIMEOUT);
    else
        exchange_fail(s->x, FAULT_BODY_TIMEOUT, NULL);
}

/* The last byte of a declared length waits for END_STREAM: a service would take the request for
 * whole before we know that no more comes. */
void h2_stream_data(struct h2_stream *s, const char *p, size_t n) {
    s->body_last = h2_now(s->c);
    s->body_bytes += n;
    s->window -= (int64_t)n;
    if (s->left >= 0 && n > (uint64_t)s->left) {
        h2_stream_malformed(s, FAULT_MALFORMED_H2);
        return;
    }
    if (s->left >= 0)
        s->left -= (int64_t)n;
    if (s->left == 0 && n) {
        s->held = true;
        s->last_byte = p[--n];
    }
    push(s, p, n);
    if (s->x && too_slow(s))
        h2_stream_late(s);
    if (s->x && s->window < (int64_t)s->x->up_half.source.limit / 2)
        h2_stream_room(s);
}

void h2_stream_end(struct h2_stream *s, struct head *trailers) {
    struct exchange *x = s->x;
    if (s->left > 0) {
        h2_stream_malformed(s, FAULT_MALFORMED_H2);
        return;
    }
    if (s->held && !body_push_copy(&x->up_half.source, &s->last_byte, 1)) {
        h2_stream_reset(s, NGHTTP2_INTERNAL_ERROR, FAULT_OUT_OF_MEMORY);
        return;
    }
    s->held = false;
    s->request_done = true;
    body_end(&x->up_half.source, trailers);
    if (x->state == X_NEW && !s->queued)
        queue(s);
}

/* ---- windows ---- */

/* Small steps would cost the client a frame each. Where half of the body is not free we are told
 * when it is. */
void h2_stream_room(struct h2_stream *s) {
    struct body *b = &s->x->up_half.source;
    int64_t more = (int64_t)body_read_size(b) - s->window;
    if (more <= 0 || more < (int64_t)b->limit / 4)
        return;
    s->window += more;
    h2_check(s->c,
             nghttp2_submit_window_update(s->c->session, NGHTTP2_FLAG_NONE, s->id, (int32_t)more));
    h2_dirty(s->c);
}

static uint64_t bodies_hold(const struct h2_conn *c) {
    uint64_t n = 0;
    for (struct list *i = c->streams.next; i != &c->streams; i = i->next)
        n += container_of(i, struct h2_stream, node)->x->up_half.source.size;
    return n;
}

static void give_back(struct h2_conn *c, size_t n) {
    h2_check(c, nghttp2_session_consume_connection(c->session, n));
}

/* At once, so that a slow stream does not stop its neighbours; unless all bodies together hold too
 * much. */
void h2_window_back(struct h2_conn *c, size_t n) {
    c->held += n;
    if (c->held > h2_limits(c)->h2_connection_window)
        c->held = bodies_hold(c) + n;
    if (c->held > h2_limits(c)->h2_connection_window)
        c->owed += n;
    else
        give_back(c, n);
}

void h2_window_owed(struct h2_conn *c) {
    c->held = bodies_hold(c);
    if (c->held > h2_limits(c)->h2_connection_window)
        return;
    size_t n = c->owed;
    c->owed = 0;
    give_back(c, n);
    h2_dirty(c);
}
