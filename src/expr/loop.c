/* Instructions of the macros that go over lists and maps. */
#include "expr/machine.h"

static struct loop_state *current(struct machine *m) {
    return &m->loop[m->loops - 1];
}

bool op_loop_start(struct machine *m, const struct instruction *i) {
    struct value range = *--m->sp;
    if (range.kind != VALUE_LIST && range.kind != VALUE_MAP)
        return machine_no_operator(m, "for all of", &range, NULL);
    m->loop[m->loops++] = (struct loop_state){
        .range = range, .count = value_count(&range), .kind = (enum loop_kind)i->k};
    return true;
}

/* The next element into slot n (k 1: of a map its key), or key and value into n and n + 1 (k 2). p
 * is the loop's length, what a turn of it costs. */
bool op_loop_next(struct machine *m, const struct instruction *i) {
    struct loop_state *l = current(m);
    struct arena *a = m->run->arena;
    if (l->at >= l->count || l->stopped) {
        m->ip += i->jump;
        return true;
    }
    if (!machine_spend(m, (uintptr_t)i->p))
        return false;
    struct value key = value_int(l->at), v = VALUE_NOTHING;
    if (l->range.kind == VALUE_MAP)
        value_member_at(&l->range, a, l->at, &key, &v);
    else
        v = value_at(&l->range, a, l->at);
    l->at++;
    if (i->k == 2) {
        m->slot[i->n] = key;
        m->slot[i->n + 1] = v;
    } else {
        m->slot[i->n] = l->range.kind == VALUE_MAP ? key : v;
    }
    return true;
}

/* map and filter: back to the next element where the condition does not hold. */
bool op_loop_skip(struct machine *m, const struct instruction *i) {
    const struct value *v = --m->sp;
    if (v->kind != VALUE_BOOL)
        return machine_fail(m, "the condition of this macro is no bool");
    if (!v->b)
        m->ip += i->jump;
    return true;
}

/* ---- what a turn brought ----------------------------------------------------------------------
 */

static bool decide(struct machine *m, struct loop_state *l, const struct value *v, bool stop_at) {
    if (v->kind == VALUE_BOOL) {
        l->stopped = v->b == stop_at;
        return true;
    }
    if (l->error.kind == VALUE_ERROR)
        return true;
    if (v->kind == VALUE_ERROR) {
        l->error = *v;
        return true;
    }
    struct expr_error *e = machine_memory(m, sizeof *e);
    if (!e)
        return false;
    *e = (struct expr_error){.text = "the condition of this macro is no bool"};
    l->error = (struct value){.kind = VALUE_ERROR, .p = (const char *)(const void *)e};
    return true;
}

static bool grow(struct machine *m, struct loop_state *l, bool map) {
    if (l->made < l->cap)
        return true;
    uint32_t cap = l->cap ? l->cap * 2 : 8;
    size_t size = map ? sizeof *l->member : sizeof *l->item;
    void *p = machine_memory(m, cap * size);
    if (!p)
        return false;
    if (l->made)
        memcpy(p, map ? (const void *)l->member : (const void *)l->item, l->made * size);
    if (map)
        l->member = p;
    else
        l->item = p;
    l->cap = cap;
    return true;
}

static bool add_item(struct machine *m, struct loop_state *l, struct value v) {
    if (!grow(m, l, false))
        return false;
    l->item[l->made++] = v;
    return true;
}

static bool add_member(struct machine *m, struct loop_state *l, struct value key, struct value v) {
    struct value map = {.kind = VALUE_MAP, .n = l->made, .member = l->member}, other;
    if (!machine_spend(m, l->made / 16) || !grow(m, l, true))
        return false;
    if (l->kind == LOOP_ENTRIES && value_get(&map, m->run->arena, &key, &other))
        return machine_fail(m, "the same key comes twice");
    l->member[l->made++] = (struct value_member){key, v};
    return true;
}

static bool add_entries(struct machine *m, struct loop_state *l, const struct value *map) {
    if (map->kind != VALUE_MAP)
        return machine_fail(m, "transformMapEntry makes maps of one entry");
    uint32_t n = value_count(map);
    for (uint32_t i = 0; i < n; i++) {
        struct value key, v;
        value_member_at(map, m->run->arena, i, &key, &v);
        if (!add_member(m, l, key, v))
            return false;
    }
    return true;
}

/* n: the loop's first slot. */
bool op_loop_step(struct machine *m, const struct instruction *i) {
    struct loop_state *l = current(m);
    struct value v = *--m->sp;
    switch (l->kind) {
    case LOOP_ALL:
        return decide(m, l, &v, false);
    case LOOP_EXISTS:
        return decide(m, l, &v, true);
    case LOOP_ONE:
        if (v.kind != VALUE_BOOL)
            return machine_fail(m, "the condition of this macro is no bool");
        l->hits += v.b;
        return true;
    case LOOP_LIST:
        return add_item(m, l, v);
    case LOOP_FILTER:
        if (v.kind != VALUE_BOOL)
            return machine_fail(m, "the condition of this macro is no bool");
        return !v.b || add_item(m, l, m->slot[i->n]);
    case LOOP_MAP:
        return add_member(m, l, m->slot[i->n], v);
    case LOOP_ENTRIES:
        return add_entries(m, l, &v);
    }
    return false;
}

static struct value list_of(const struct loop_state *l) {
    return (struct value){.kind = VALUE_LIST, .n = l->made, .item = l->item};
}

static struct value map_of(const struct loop_state *l) {
    return (struct value){.kind = VALUE_MAP, .n = l->made, .member = l->member};
}

bool op_loop_end(struct machine *m, const struct instruction *i) {
    struct loop_state *l = current(m);
    (void)i;
    m->loops--;
    switch (l->kind) {
    case LOOP_ALL:
    case LOOP_EXISTS:
        if (!l->stopped && l->error.kind == VALUE_ERROR)
            return machine_rethrow(m, &l->error);
        *m->sp++ = value_bool(l->stopped == (l->kind == LOOP_EXISTS));
        return true;
    case LOOP_ONE:
        *m->sp++ = value_bool(l->hits == 1);
        return true;
    case LOOP_LIST:
    case LOOP_FILTER:
        *m->sp++ = list_of(l);
        return true;
    case LOOP_MAP:
    case LOOP_ENTRIES:
        *m->sp++ = map_of(l);
        return true;
    }
    return false;
}
