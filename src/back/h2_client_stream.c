/* Streams: how they begin and end, and how long each phase may last. */
#include "back/h2_client_conn.h"
#include "io/tcp.h"

static void timed_out(struct timer *t);

struct h2_part *h2_part_start(struct h2_client *c, struct attempt *a) {
    struct h2_part *p = arena_zero(&a->x->arena, sizeof *p);
    *p = (struct h2_part){.a = a, .c = c, .since = h2_client_now(c), .timer.fire = timed_out};
    a->part = p;
    list_append(&c->streams, &p->node);
    return p;
}

void h2_part_over(struct h2_part *p, enum fault why, const char *detail, int64_t reset) {
    struct h2_client *c = p->c;
    p->over = true;
    p->fault = why;
    p->detail = detail;
    list_remove(&p->node);
    list_append(&c->over, &p->node);
    if (reset == H2_PART_NO_RESET || !p->id || c->broken)
        return;
    if (nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, p->id, (uint32_t)reset) != 0)
        h2_client_doom(c, FAULT_OUT_OF_MEMORY, NGHTTP2_INTERNAL_ERROR, NULL);
}

void h2_part_detach(struct h2_part *p) {
    struct h2_client *c = p->c;
    list_remove(&p->node);
    timer_stop(&p->timer);
    if (p->id) /* fails where the stream is gone */
        nghttp2_session_set_stream_user_data(c->session, p->id, NULL);
    p->a->sent_byte |= p->begun && c->took > p->begins;
    p->a->conn = NULL;
    p->over = true;
    c->c.streams--;
    if (client_has_room(&c->c))
        pool_has_room(c->c.pool);
}

/* ---- time ------------------------------------------------------------------------------------ */

/* Something of the request could go, and the service does not take it. */
static bool is_stuck(const struct h2_part *p) {
    const struct body *b = p->a->x->up_half.sink;
    return p->c->blocked || !p->begun || b->size > 0 || b->ended;
}

/* The phase it is in: how long that may last (0: it is not the service's), and what it means when
 * it does not end. */
static uint64_t phase(const struct h2_part *p, enum fault *meaning) {
    const struct attempt *a = p->a;
    *meaning = a->head_read ? FAULT_UPSTREAM_IDLE : FAULT_UPSTREAM_TIMEOUT;
    if (p->c->state == H2_CLIENT_CONNECTING)
        return 0; /* the connection has a timer of its own for that */
    if (a->head_read)
        return body_room(&a->x->down_half.source) && !a->x->streams ? a->service->idle_timeout_ms
                                                                    : 0;
    if (p->sent)
        return a->service->first_byte_timeout_ms;
    return is_stuck(p) ? a->service->idle_timeout_ms : 0; /* else the client is the slow one */
}

static uint64_t left_of(uint64_t end, uint64_t now) {
    return end > now ? (end - now) / 1000000 : 0;
}

/* Phases change without a word to the timer, so it looks as often as the shortest of them asks for.
 */
static uint64_t shortest(const struct service_conf *s, uint64_t ms) {
    if (s->first_byte_timeout_ms && s->first_byte_timeout_ms < ms)
        ms = s->first_byte_timeout_ms;
    return s->idle_timeout_ms && s->idle_timeout_ms < ms ? s->idle_timeout_ms : ms;
}

/* From its head on the core watches over a stream that may last. */
static bool is_watched(const struct h2_part *p) {
    return !(p->a->head_read && p->a->x->streams);
}

void h2_part_watch(struct h2_part *p) {
    enum fault meaning;
    const struct attempt *a = p->a;
    uint64_t now = h2_client_now(p->c), ms = phase(p, &meaning);
    if (!is_watched(p))
        return;
    ms = shortest(a->service, ms ? left_of(p->since + ms * 1000000, now) : 1000);
    if (a->deadline_at && left_of(a->deadline_at, now) < ms)
        ms = left_of(a->deadline_at, now);
    timer_start(&h2_client_thread(p->c)->loop.timers, &p->timer, now / 1000000, ms);
}

/* Blocked, and still the service takes something: of a large socket buffer a third must be free
 * before that is told. */
static void look_at_acks(struct h2_part *p) {
    struct h2_client *c = p->c;
    uint64_t acked;
    if (!c->blocked || p->a->head_read || !tcp_acked(&c->c.stream, &acked) || acked == c->acked)
        return;
    c->acked = acked;
    p->since = h2_client_now(c);
}

/* Where nothing at all came for half of that time, others shall not share its fate. */
static void expire(struct h2_part *p, enum fault why, const char *detail) {
    struct h2_client *c = p->c;
    uint64_t now = h2_client_now(c);
    if (c->state == H2_CLIENT_OPEN && now - c->heard > (now - p->since) / 2)
        h2_client_retire(c);
    h2_part_over(p, why, detail, NGHTTP2_CANCEL);
    if (h2_client_after(c))
        h2_client_mark(c, 0);
}

static void timed_out(struct timer *t) {
    struct h2_part *p = container_of(t, struct h2_part, timer);
    uint64_t now = h2_client_now(p->c), ms;
    enum fault meaning;
    if (!is_watched(p))
        return;
    look_at_acks(p);
    ms = phase(p, &meaning);
    if (p->a->deadline_at && now >= p->a->deadline_at)
        expire(p, FAULT_UPSTREAM_TIMEOUT, "timeout of the service");
    else if (ms && now - p->since >= ms * 1000000)
        expire(p, meaning, NULL);
    else
        h2_part_watch(p);
}
