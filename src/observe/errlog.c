#include "observe/errlog.h"
#include "base/env.h"
#include <stdatomic.h>

/* A bounded queue of many producers and one consumer: a slot's turn tells whose it is. At turn ==
 * place it is free for the producer of that place, at place + 1 it holds its line. */
struct slot {
    _Atomic uint64_t turn;
    uint32_t len;
    char line[LOG_EVENT_MAX];
};

static struct slot slots[ERRLOG_LINES];
static _Atomic uint64_t next_in;
static uint64_t next_out;
static _Atomic uint64_t dropped;
static bool ready;

uint64_t errlog_dropped(void) {
    return atomic_load(&dropped);
}

/* The place of this producer; false: full. */
static bool claim(uint64_t *place) {
    uint64_t at = atomic_load_explicit(&next_in, memory_order_relaxed);
    for (;;) {
        uint64_t turn = atomic_load_explicit(&slots[at % ERRLOG_LINES].turn, memory_order_acquire);
        if (turn < at)
            return false;
        if (turn > at)
            at = atomic_load_explicit(&next_in, memory_order_relaxed);
        else if (atomic_compare_exchange_weak_explicit(&next_in, &at, at + 1, memory_order_relaxed,
                                                       memory_order_relaxed))
            break;
    }
    *place = at;
    return true;
}

void errlog_put(const char *line, size_t n) {
    uint64_t place;
    if (!claim(&place)) {
        atomic_fetch_add_explicit(&dropped, 1, memory_order_relaxed);
        return;
    }
    struct slot *s = &slots[place % ERRLOG_LINES];
    s->len = (uint32_t)(n < sizeof s->line ? n : sizeof s->line);
    memcpy(s->line, line, s->len);
    atomic_store_explicit(&s->turn, place + 1, memory_order_release);
}

/* What does not go out is gone: standard error is a pipe that nobody reads, or a full disk. */
static void put_out(const char *p, size_t n) {
    while (n) {
        ssize_t w = env.write(2, p, n);
        if (w <= 0) {
            atomic_fetch_add_explicit(&dropped, 1, memory_order_relaxed);
            return;
        }
        p += w, n -= (size_t)w;
    }
}

void errlog_flush(void) {
    for (;;) {
        struct slot *s = &slots[next_out % ERRLOG_LINES];
        if (atomic_load_explicit(&s->turn, memory_order_acquire) != next_out + 1)
            return;
        put_out(s->line, s->len);
        atomic_store_explicit(&s->turn, next_out + ERRLOG_LINES, memory_order_release);
        next_out++;
    }
}

void errlog_start(void) {
    if (!ready)
        for (uint64_t i = 0; i < ERRLOG_LINES; i++)
            atomic_store(&slots[i].turn, i);
    ready = true;
    log_event_output(errlog_put);
}

void errlog_stop(void) {
    log_event_output(NULL);
    errlog_flush();
}
