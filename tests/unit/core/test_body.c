/*
 * core/body: a bounded queue beside a plain array, its producer and consumer at random; stages
 * between them. Whoever must wait is told: no life may stand still.
 */
#include "world.h"

static struct exchange x;
static int begin(void **state) {
    (void)state;
    world_begin();
    memset(&x, 0, sizeof x);
    x.thread = thread;
    half_init(&x.up_half, &x);
    return 0;
}
static int finish(void **state) {
    (void)state;
    half_reset(&x.up_half);
    world_end();
    return 0;
}

static uint64_t seed;
static size_t below(size_t n) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(seed >> 33) % n;
}
static unsigned char at(uint64_t i) {
    return (unsigned char)(i * 31 + (i >> 8));
}

static void push_some(struct body *b, uint64_t from, size_t n) {
    struct loop *l = &thread->loop;
    size_t kind = below(3);
    if (SCRATCH_MAX - l->scratch_used < n) {
        loop_drain(l); /* settles: what is queued stays good */
    }
    unsigned char *p = kind ? l->scratch + l->scratch_used : (unsigned char *)mem_alloc(n + 1);
    for (size_t i = 0; i < n; i++)
        p[i] = at(from + i);
    if (kind)
        l->scratch_used += n;
    assert_true(kind ? body_push_lent(b, p, n) : body_push_copy(b, p, n));
    if (!kind)
        mem_free(p);
}

static void check_queue(const struct body *b, uint64_t out, uint64_t in) {
    assert_int_equal(b->size, in - out);
    assert_int_equal(b->in, in);
    size_t n = 0;
    for (const struct slice *s = b->head; s; s = s->next)
        n += s->n;
    assert_int_equal(n, b->size);
}

/* The same bytes, from somewhere on. */
static void look_from(const struct body *b, uint64_t out) {
    struct iovec iov[4];
    size_t skip = below(b->size + 2), most = 1 + below(9000), n = 0;
    int count = body_get_from(b, skip, iov, 4, most);
    for (int v = 0; v < count; v++)
        for (size_t i = 0; i < iov[v].iov_len; i++, n++)
            assert_int_equal(((unsigned char *)iov[v].iov_base)[i], at(out + skip + n));
    assert_true(n <= most && (n > 0) == (skip < b->size));
}

/* The consumer sees the producer's bytes in order, in vectors as bounded as he asks. */
static size_t look(const struct body *b, uint64_t out) {
    struct iovec iov[5];
    size_t most = 1 + below(90000), n = 0;
    int max = 1 + (int)below(5), count = body_get(b, iov, max, most);
    assert_true(count <= max);
    for (int v = 0; v < count; v++)
        for (size_t i = 0; i < iov[v].iov_len; i++, n++)
            assert_int_equal(((unsigned char *)iov[v].iov_base)[i], at(out + n));
    assert_true(n <= most && n <= b->size && (n > 0 || b->size == 0));
    return n;
}

static void random_lives(void **state) {
    (void)state;
    for (seed = 1; seed < 4000000000u; seed += 100000000u) {
        uint64_t in = 0, out = 0, all = 400000 + below(400000);
        struct body *b = &x.up_half.source;
        bool may_push = false, told = false;
        uint64_t keep = seed;
        half_reset(&x.up_half);
        assert_int_equal(body_room(b), 0); /* nobody wants it yet */
        body_want(b);
        for (unsigned idle = 0; out < all; idle++) {
            assert_true(idle < 1000); /* somebody waits for ever */
            if (b->tell) {
                b->tell = false;
                told = true;
            }
            if (told || may_push) { /* as a connection: reads until there is no room */
                size_t room = body_read_size(b), n = 1 + below(70000);
                told = false;
                n = n < room ? n : room;
                n = n < all - in ? n : (size_t)(all - in);
                if (n)
                    push_some(b, in, n);
                in += n;
                may_push = room > 0;
                idle = n ? 0 : idle;
            }
            check_queue(b, out, in);
            look_from(b, out);
            assert_true(b->size <= BODY_LIMIT_MAX);
            if (below(2)) { /* the consumer, with all his moods */
                size_t n = look(b, out), took = below(3) ? n : below(n + 1);
                body_pop(b, took);
                out += took;
                idle = took ? 0 : idle;
                if (below(3) == 0)
                    body_pace(b, took == n && below(2));
            }
            if (below(20) == 0)
                loop_drain(&thread->loop);
        }
        assert_false(body_done(b));
        body_end(b, NULL);
        assert_true(body_done(b) && body_readable(b));
        seed = keep;
    }
}

static void ending_and_stopping(void **state) {
    (void)state;
    struct body *b = &x.up_half.source;
    struct head trailers;
    assert_false(body_readable(b));
    assert_true(body_push_static(b, "abc", 3));
    assert_true(body_push_copy(b, "", 0)); /* nothing is nothing */
    assert_null(b->head->next);
    assert_int_equal(body_room(b), 0);
    body_want(b);
    assert_true(b->tell);
    assert_int_equal(body_room(b), BODY_LIMIT - 3);
    b->tell = false;
    body_want(b); /* once */
    assert_false(b->tell);
    body_end(b, &trailers);
    body_end(b, NULL); /* once */
    assert_ptr_equal(b->trailers, &trailers);
    assert_true(body_readable(b) && !body_done(b) && body_room(b) == 0);
    body_pop(b, 3);
    assert_true(body_done(b));

    half_reset(&x.up_half);
    body_want(b);
    assert_true(body_push_static(b, "abc", 3));
    b->tell = false;
    body_stop(b);
    assert_true(b->tell && b->size == 0 && !b->head);
    assert_true(body_push_copy(b, "more", 4)); /* dropped, but counted */
    assert_int_equal(b->in, 7);
    assert_true(body_room(b) == 0 && body_read_size(b) == 0 && b->size == 0);
    body_end(b, &trailers);
    assert_true(body_done(b) && !b->trailers);
    b->tell = false;
    body_stop(b);
    assert_false(b->tell);
}

/* What was told once is owed no more; at half, not at every byte. */
static void telling(void **state) {
    (void)state;
    struct body *b = &x.up_half.source;
    static char big[BODY_LIMIT];
    body_want(b);
    b->tell = false;
    assert_true(body_push_static(b, big, BODY_LIMIT));
    assert_int_equal(body_read_size(b), 0);
    body_pop(b, BODY_LIMIT / 2 - 1);
    assert_false(b->tell);
    body_pop(b, 1);
    assert_true(b->tell);
    assert_int_equal(body_read_size(b), BODY_LIMIT / 2);
    b->tell = false;
    body_pop(b, BODY_LIMIT / 2);
    assert_false(b->tell); /* he has been told */
}

static void pacing(void **state) {
    (void)state;
    struct body *b = &x.up_half.source;
    static char big[BODY_LIMIT * 3];
    size_t want = BODY_LIMIT;
    body_want(b);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(b->limit, want);
        body_pace(b, true);
        want = want * 2 < BODY_LIMIT_MAX ? want * 2 : BODY_LIMIT_MAX;
    }
    assert_true(body_push_static(b, big, sizeof big)); /* far below half of the large limit */
    body_pace(b, false);
    b->tell = false;
    assert_int_equal(body_room(b), 0);
    body_pop(b, sizeof big - 10);
    assert_true(b->tell); /* the limit has shrunk: he who waits since then is told */
}

static void collecting(void **state) {
    (void)state;
    struct body *b = &x.up_half.source;
    static char big[100001];
    bool too_long;
    body_collect(b, 100000);
    assert_true(b->tell && b->wanted);
    for (size_t room; (room = body_read_size(b)) > 0;) {
        assert_false(body_collected(b, &too_long));
        assert_true(body_push_static(b, big, room < 999 ? room : 999));
    }
    assert_int_equal(b->size, 100001);
    assert_true(body_collected(b, &too_long) && too_long);
    half_reset(&x.up_half);
    body_collect(b, 100000);
    assert_true(body_push_static(b, big, 100000));
    assert_false(body_collected(b, &too_long));
    body_end(b, NULL);
    assert_true(body_collected(b, &too_long) && !too_long);
    assert_int_equal(b->limit, BODY_LIMIT); /* as before */
}

/* ---- stages ---- */

/* Slices of every kind go on as they are, cut where a move ends; settled or not, what is read at
 * the other end is what was pushed. */
static void moving(void **state) {
    (void)state;
    struct body *from = &x.up_half.source, *to = &x.down_half.source;
    static const unsigned char fixed[3000] = {0};
    for (seed = 1; seed < 4000000000u; seed += 100000000u) {
        uint64_t in = 0, moved = 0, out = 0, all = 300000, keep = seed;
        struct head trailers;
        half_init(&x.up_half, &x);
        half_init(&x.down_half, &x);
        body_want(from);
        body_want(to);
        while (out < all) {
            size_t n = 1 + below(9000), left = (size_t)(all - in);
            if (body_read_size(from) && left) {
                n = n < left ? n : left;
                push_some(from, in, n);
                in += n;
            }
            n = below(from->size + 1);
            n = n < body_room(to) ? n : body_room(to);
            assert_true(body_move(from, to, n));
            moved += n;
            check_queue(from, moved, in);
            check_queue(to, out, moved);
            if (below(3) == 0)
                loop_drain(&thread->loop);
            if (below(2)) {
                n = look(to, out);
                body_pop(to, n);
                out += n;
            }
        }
        assert_null(from->head);
        body_move_end(from, to);
        assert_false(to->ended);
        body_end(from, &trailers);
        body_move_end(from, to);
        assert_ptr_equal(to->trailers, &trailers);
        half_reset(&x.down_half);
        seed = keep;
    }
    half_init(&x.up_half, &x);
    assert_true(body_push_static(from, fixed, sizeof fixed) && body_move(from, to, 1000));
    assert_true(to->size == 1000 && from->size == 2000 && to->head->p == fixed);
    body_stop(to); /* what nobody wants is dropped */
    assert_true(body_move(from, to, 500));
    assert_true(to->size == 0 && to->in == 1500 && from->size == 1500);
    assert_ptr_equal(from->head->p, fixed + 1500);
    half_reset(&x.down_half);
}

/* The producer of what is moved is told at half, as when it is popped. */
static void moving_tells(void **state) {
    (void)state;
    struct body *from = &x.up_half.source, *to = &x.down_half.source;
    static char big[BODY_LIMIT];
    half_init(&x.down_half, &x);
    body_want(from);
    from->tell = false;
    assert_true(body_push_static(from, big, BODY_LIMIT));
    assert_true(body_move(from, to, BODY_LIMIT / 2 - 1));
    assert_false(from->tell);
    assert_true(body_move(from, to, 1));
    assert_true(from->tell);
    half_reset(&x.down_half);
}

static void *no_memory(size_t n) {
    (void)n;
    return NULL;
}

static void moving_without_memory(void **state) {
    (void)state;
    struct body *from = &x.up_half.source, *to = &x.down_half.source;
    half_init(&x.down_half, &x);
    assert_true(body_push_copy(from, "abcdef", 6));
    for (struct slice *s; (s = thread->loop.pond.free);) { /* no spare one either */
        thread->loop.pond.free = s->next;
        thread->loop.pond.spare--;
        mem_free(s);
    }
    env.alloc = no_memory;
    assert_false(body_move(from, to, 2)); /* to cut takes memory; to pass on does not */
    assert_true(body_move(from, to, 6));
    env.alloc = mem_counted;
    assert_true(to->size == 6 && from->size == 0);
    half_reset(&x.down_half);
}

static unsigned moves;
static void pass_on(struct step *s, struct body *in, struct body *out) {
    struct iovec iov;
    size_t room;
    (void)s;
    moves++;
    while ((room = body_room(out)) > 0 && body_get(in, &iov, 1, room) == 1) {
        assert_true(body_push_copy(out, iov.iov_base, iov.iov_len));
        body_pop(in, iov.iov_len);
    }
    if (body_done(in))
        body_end(out, in->trailers);
}

static void wishes_travel(void **state) {
    (void)state;
    struct half *h = &x.up_half;
    static struct stage stage[3];
    half_pump(h); /* without a stage: nothing to do */
    assert_ptr_equal(h->sink, &h->source);
    h->length = 10;
    for (int i = 0; i < 3; i++)
        half_add(h, &stage[i], NULL, pass_on);
    assert_int_equal(h->length, -1);
    assert_ptr_equal(h->sink, &stage[2].out);
    moves = 0;
    half_pump(h);
    assert_true(!h->source.wanted && moves == 0);
    assert_true(body_push_static(&h->source, "abc", 3)); /* came with the head */
    half_pump(h);
    assert_true(h->sink->size == 0 && h->source.size == 3); /* nobody wants it */
    body_want(h->sink);
    half_pump(h);
    assert_true(h->source.wanted && h->source.tell);
    for (int i = 0; i < 3; i++)
        half_pump(h);
    assert_int_equal(h->sink->size, 3);
    struct head trailers;
    body_end(&h->source, &trailers);
    half_pump(h);
    assert_true(h->sink->ended && h->sink->trailers == &trailers);
    unsigned before_ = moves;
    half_pump(h);
    assert_int_equal(moves, before_); /* who has ended is left alone */
}

static void a_stop_travels(void **state) {
    (void)state;
    struct half *h = &x.up_half;
    static struct stage stage[2];
    for (int i = 0; i < 2; i++)
        half_add(h, &stage[i], NULL, pass_on);
    body_want(h->sink);
    half_pump(h);
    assert_true(body_push_static(&h->source, "abcdef", 6));
    h->source.tell = false;
    body_stop(h->sink);
    half_pump(h);
    half_pump(h);
    assert_true(h->source.stopped && h->source.tell && h->source.size == 0);
    assert_int_equal(body_read_size(&h->source), 0);
}

/* A slow consumer behind stages: bounded in all, and nothing is lost. */
static void stages_under_pressure(void **state) {
    (void)state;
    struct half *h = &x.up_half;
    static struct stage stage[3];
    uint64_t in = 0, out = 0, all = 2000000;
    for (int i = 0; i < 3; i++)
        half_add(h, &stage[i], NULL, pass_on);
    body_want(h->sink);
    half_pump(h);
    for (seed = 9; out < all;) {
        size_t room = body_read_size(&h->source), all_queued = h->source.size;
        room = room < all - in ? room : (size_t)(all - in);
        if (room)
            push_some(&h->source, in, room);
        in += room;
        half_pump(h);
        for (int i = 0; i < 3; i++)
            all_queued += stage[i].out.size;
        assert_true(all_queued <= 4 * BODY_LIMIT_MAX);
        size_t n = look(h->sink, out);
        body_pop(h->sink, n);
        out += n;
        if (below(3) == 0)
            body_pace(h->sink, below(2));
        loop_drain(&thread->loop);
    }
    assert_int_equal(in, all);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, begin, finish)
    const struct CMUnitTest tests[] = {
        T(random_lives),
        T(ending_and_stopping),
        T(telling),
        T(pacing),
        T(collecting),
        T(moving),
        T(moving_tells),
        T(moving_without_memory),
        T(wishes_travel),
        T(a_stop_travels),
        T(stages_under_pressure),
    };
    return cmocka_run_group_tests_name("core/body", tests, NULL, NULL);
}
