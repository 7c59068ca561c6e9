/*
 * house - a thread or several without a main, and a snapshot of services made by hand.
 */
#pragma once
#include "core/publish.h"
#include "service/balance.h"
#include "service/service.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum { HOUSE_SERVICES = 4, HOUSE_ENDPOINTS = 1200 };

struct services {
    struct snapshot snapshot;
    struct service_conf conf[HOUSE_SERVICES];
};

static inline struct thread *house_thread(unsigned index, bool control) {
    struct thread *t = calloc(1, sizeof *t);
    assert_non_null(t);
    assert_true(loop_init(&t->loop));
    t->index = index;
    t->control = control;
    publish_join(t);
    if (!me)
        me = &t->loop;
    return t;
}

static inline void house_thread_end(struct thread *t) {
    publish_leave(t);
    service_thread_finish(t);
    loop_drain(&t->loop);
    loop_finish(&t->loop);
    if (me == &t->loop)
        me = NULL;
    free(t);
}

static inline struct services *services_new(void) {
    struct services *s = calloc(1, sizeof *s);
    assert_non_null(s);
    arena_init(&s->snapshot.arena, NULL);
    s->snapshot.service = s->conf;
    return s;
}

/* The next service; endpoints follow with services_add. */
static inline struct service_conf *services_add_service(struct services *s, const char *name) {
    struct service_conf *c = &s->conf[s->snapshot.service_count++];
    c->name = span_z(name);
    c->endpoint = arena_zero(&s->snapshot.arena, HOUSE_ENDPOINTS * sizeof *c->endpoint);
    return c;
}

/* "1.2.3.4:80", or "name:80" for a name to look up. */
static inline void services_add(struct services *s, struct service_conf *c, const char *text,
                                uint32_t weight) {
    struct endpoint_conf *e = (struct endpoint_conf *)(uintptr_t)&c->endpoint[c->endpoint_count++];
    e->address_text = arena_span(&s->snapshot.arena, span_z(text));
    e->weight = weight;
    if (address_parse(e->address_text, &e->address))
        return;
    struct span rest = e->address_text;
    uint64_t port;
    e->host = span_split(&rest, ':');
    assert_true(parse_dec(rest, 65535, &port));
    e->port = (uint16_t)port;
}

static inline void services_free(struct services *s) {
    service_detach(&s->snapshot);
    arena_finish(&s->snapshot.arena);
    free(s);
}

static inline uint32_t count_endpoints(const struct service_conf *c) {
    struct service_local *l = service_local(thread_me(), c);
    return l->set->count;
}
