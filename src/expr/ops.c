/* Instructions: loads, members, logic, containers, calls. */
#include "expr/machine.h"

bool op_constant(struct machine *m, const struct instruction *i) {
    *m->sp++ = *(const struct value *)i->p;
    return true;
}

bool op_load(struct machine *m, const struct instruction *i) {
    struct expr_run *r = m->run;
    if (likely(r->get(r->ctx, r->arena, i->p, m->sp))) {
        m->sp++;
        return true;
    }
    return machine_fail(m, arena_text(r->arena, value_span(m->sp)));
}

/* Of cel.bind: what failed there fails where it is asked for. */
bool op_local(struct machine *m, const struct instruction *i) {
    const struct value *v = &m->slot[i->n];
    if (unlikely(v->kind == VALUE_ERROR))
        return machine_rethrow(m, v);
    *m->sp++ = *v;
    return true;
}

bool op_store(struct machine *m, const struct instruction *i) {
    m->slot[i->n] = *--m->sp;
    return true;
}

/* n places below the top one. */
bool op_drop(struct machine *m, const struct instruction *i) {
    m->sp[-1 - i->n] = m->sp[-1];
    m->sp -= i->n;
    return true;
}

bool op_fail(struct machine *m, const struct instruction *i) {
    return machine_fail(m, i->p);
}

/* ---- members ----------------------------------------------------------------------------------
 */

static bool no_key(struct machine *m, const struct value *key, bool *missing) {
    if (missing) {
        *missing = true;
        return false;
    }
    struct span text = key->kind == VALUE_STRING ? span_cut(value_span(key), 0, 128) : SPAN("");
    if (key->kind == VALUE_STRING)
        return machine_failf(m, "there is no member `%.*s`", SPAN_ARG(text));
    return machine_fail(m, "there is no such key");
}

static bool element(struct machine *m, const struct value *list, const struct value *key,
                    struct value *out, bool *missing) {
    struct value k = value_settle(*key), zero = value_int(0), whole;
    int order;
    if (k.kind != VALUE_INT && k.kind != VALUE_UINT && k.kind != VALUE_DOUBLE)
        return machine_fail(m, "a list is indexed by a number");
    if (k.kind == VALUE_DOUBLE) {
        whole = value_int(k.d >= 0 && k.d < 4294967296.0 ? (int64_t)k.d : -1);
        if (!value_compare(&k, &whole, &order) || order)
            return machine_fail(m, "an index is a whole number");
        k = whole;
    }
    uint32_t n = value_count(list);
    uint64_t at = k.kind == VALUE_INT ? (uint64_t)k.i : k.u;
    if ((k.kind == VALUE_INT && value_compare(&k, &zero, &order) && order < 0) || at >= n) {
        if (missing) {
            *missing = true;
            return false;
        }
        return machine_failf(m, "the index %lld is outside the list, which has %u element%s",
                             (long long)k.i, n, n == 1 ? "" : "s");
    }
    *out = value_at(list, m->run->arena, (uint32_t)at);
    return true;
}

static bool is_key(const struct value *k) {
    return k->kind == VALUE_STRING || k->kind == VALUE_BOOL || k->kind == VALUE_INT ||
           k->kind == VALUE_UINT || k->kind == VALUE_DOUBLE || k->kind == VALUE_NUMBER;
}

bool machine_member(struct machine *m, const struct value *x, const struct value *key,
                    struct value *out, bool *missing) {
    if (x->kind == VALUE_MAP) {
        if (!is_key(key))
            return machine_fail(m, "this type is no key of maps");
        if (x->n > 16 && x->form == VALUE_PLAIN && !machine_spend(m, x->n / 16))
            return false;
        if (value_get(x, m->run->arena, key, out))
            return true;
        if (!missing && x->form == VALUE_HOST && x->host->ops->empty_when_missing) {
            *out = value_string(SPAN(""));
            return true;
        }
        return no_key(m, key, missing);
    }
    if (x->kind == VALUE_LIST)
        return element(m, x, key, out, missing);
    struct span type = value_type_name(x);
    return machine_failf(m, "%.*s has no members", SPAN_ARG(type));
}

/* An optional in front makes an optional of the answer. */
static bool navigate(struct machine *m, struct value x, const struct value *key, bool maybe) {
    struct value out;
    bool missing = false;
    if (x.kind == VALUE_OPTIONAL) {
        maybe = true;
        if (!x.of) {
            *m->sp++ = x;
            return true;
        }
        x = *x.of;
    }
    if (!maybe) {
        if (!machine_member(m, &x, key, &out, NULL))
            return false;
        *m->sp++ = out;
        return true;
    }
    struct value *of = NULL;
    if (machine_member(m, &x, key, &out, &missing)) {
        of = machine_memory(m, sizeof *of);
        if (!of)
            return false;
        *of = out;
    } else if (!missing) {
        return false;
    }
    *m->sp++ = (struct value){.kind = VALUE_OPTIONAL, .of = of};
    return true;
}

bool op_select(struct machine *m, const struct instruction *i) {
    struct value x = *--m->sp;
    if (x.kind == VALUE_LIST)
        return machine_fail(m, "a list has no named members");
    return navigate(m, x, i->p, false);
}
bool op_maybe_select(struct machine *m, const struct instruction *i) {
    struct value x = *--m->sp;
    return navigate(m, x, i->p, true);
}
bool op_index(struct machine *m, const struct instruction *i) {
    (void)i;
    m->sp -= 2;
    return navigate(m, m->sp[0], &m->sp[1], false);
}
bool op_maybe_index(struct machine *m, const struct instruction *i) {
    (void)i;
    m->sp -= 2;
    return navigate(m, m->sp[0], &m->sp[1], true);
}

bool op_has(struct machine *m, const struct instruction *i) {
    struct value x = m->sp[-1], out;
    bool missing = false;
    if (x.kind == VALUE_OPTIONAL && x.of)
        x = *x.of;
    else if (x.kind == VALUE_OPTIONAL)
        missing = true;
    if (x.kind == VALUE_LIST)
        return machine_fail(m, "a list has no named members");
    if (!missing && !machine_member(m, &x, i->p, &out, &missing) && !missing)
        return false;
    m->sp[-1] = value_bool(!missing);
    return true;
}

bool op_in(struct machine *m, const struct instruction *i) {
    struct value x = m->sp[-2], in = m->sp[-1], out;
    bool found = false;
    (void)i;
    m->sp -= 2;
    if (in.kind == VALUE_MAP) {
        bool missing = false;
        found = is_key(&x) && machine_member(m, &in, &x, &out, &missing);
        if (!found && !missing && is_key(&x))
            return false;
    } else if (in.kind == VALUE_LIST) {
        uint32_t n = value_count(&in);
        for (uint32_t k = 0; k < n && !found; k++) {
            struct value e = value_at(&in, m->run->arena, k);
            found = value_equal(&x, &e, m->run->arena, &m->run->steps);
            if (!m->run->steps)
                return machine_spend(m, 1);
        }
    } else {
        return machine_no_operator(m, "in", &x, &in);
    }
    *m->sp++ = value_bool(found);
    return true;
}

/* ---- logic ------------------------------------------------------------------------------------
 */

bool op_jump(struct machine *m, const struct instruction *i) {
    m->ip += i->jump;
    return true;
}

bool op_jump_false(struct machine *m, const struct instruction *i) {
    const struct value *v = --m->sp;
    if (v->kind != VALUE_BOOL)
        return machine_no_operator(m, "? :", v, NULL);
    if (!v->b)
        m->ip += i->jump;
    return true;
}

bool op_and_left(struct machine *m, const struct instruction *i) {
    if (m->sp[-1].kind == VALUE_BOOL && !m->sp[-1].b)
        m->ip += i->jump;
    return true;
}
bool op_or_left(struct machine *m, const struct instruction *i) {
    if (m->sp[-1].kind == VALUE_BOOL && m->sp[-1].b)
        m->ip += i->jump;
    return true;
}

/* Both sides have been looked at, and the left one did not decide. */
static bool join(struct machine *m, const char *op, bool decides) {
    struct value left = m->sp[-2], right = m->sp[-1];
    m->sp -= 2;
    if (right.kind == VALUE_BOOL && (right.b == decides || left.kind == VALUE_BOOL)) {
        *m->sp++ = right;
        return true;
    }
    if (left.kind == VALUE_ERROR)
        return machine_rethrow(m, &left);
    if (right.kind == VALUE_ERROR)
        return machine_rethrow(m, &right);
    return machine_no_operator(m, op, &left, &right);
}
bool op_and_(struct machine *m, const struct instruction *i) {
    (void)i;
    return join(m, "&&", false);
}
bool op_or_(struct machine *m, const struct instruction *i) {
    (void)i;
    return join(m, "||", true);
}

bool op_not(struct machine *m, const struct instruction *i) {
    struct value *v = &m->sp[-1];
    (void)i;
    if (v->kind != VALUE_BOOL)
        return machine_no_operator(m, "!", v, NULL);
    v->b = !v->b;
    return true;
}

/* ---- lists, maps, optionals -------------------------------------------------------------------
 */

/* Entries written with "?" are there when their optional has a value. */
static bool entry(struct machine *m, struct value v, bool maybe, struct value *out, bool *there) {
    *there = true;
    *out = v;
    if (!maybe)
        return true;
    if (v.kind != VALUE_OPTIONAL)
        return machine_fail(m, "behind `?` stands an optional");
    *there = v.of != NULL;
    if (v.of)
        *out = *v.of;
    return true;
}

bool op_list(struct machine *m, const struct instruction *i) {
    const bool *maybe = i->p;
    struct value *item = machine_memory(m, (i->n + 1u) * sizeof *item);
    uint32_t n = 0;
    if (!item)
        return false;
    m->sp -= i->n;
    for (unsigned k = 0; k < i->n; k++) {
        bool there;
        if (!entry(m, m->sp[k], maybe && maybe[k], &item[n], &there))
            return false;
        n += there;
    }
    *m->sp++ = (struct value){.kind = VALUE_LIST, .n = n, .item = item};
    return true;
}

bool op_map(struct machine *m, const struct instruction *i) {
    const bool *maybe = i->p;
    struct value_member *member = machine_memory(m, (i->n + 1u) * sizeof *member);
    struct value map = {.kind = VALUE_MAP, .member = member}, other;
    if (!member || !machine_spend(m, (uint64_t)i->n * i->n / 16))
        return false;
    m->sp -= 2 * i->n;
    for (unsigned k = 0; k < i->n; k++) {
        struct value key = m->sp[2 * k];
        bool there;
        if (key.kind == VALUE_NUMBER)
            key = value_settle(key);
        if (!is_key(&key) || key.kind == VALUE_DOUBLE)
            return machine_fail(m, "keys of maps are bool, int, uint or string");
        if (!entry(m, m->sp[2 * k + 1], maybe && maybe[2 * k], &member[map.n].value, &there))
            return false;
        if (!there)
            continue;
        if (value_get(&map, m->run->arena, &key, &other))
            return machine_fail(m, "this key stands in the map twice");
        member[map.n++].key = key;
    }
    *m->sp++ = map;
    return true;
}

/* optMap: goes on with the value, or jumps with `none` as the answer. */
bool op_open_optional(struct machine *m, const struct instruction *i) {
    struct value *v = &m->sp[-1];
    if (v->kind != VALUE_OPTIONAL)
        return machine_no_operator(m, "optMap", v, NULL);
    if (v->of)
        *v = *v->of;
    else
        m->ip += i->jump;
    return true;
}

bool op_optional_of(struct machine *m, const struct instruction *i) {
    struct value *of = machine_memory(m, sizeof *of);
    (void)i;
    if (!of)
        return false;
    *of = m->sp[-1];
    m->sp[-1] = (struct value){.kind = VALUE_OPTIONAL, .of = of};
    return true;
}

/* x.or(y), x.orValue(y) (k 1): y is looked at only where x has no value. */
bool op_or_else(struct machine *m, const struct instruction *i) {
    struct value *v = &m->sp[-1];
    if (v->kind != VALUE_OPTIONAL)
        return machine_no_operator(m, i->k ? "orValue" : "or", v, NULL);
    if (!v->of) {
        m->sp--;
        return true;
    }
    if (i->k)
        *v = *v->of;
    m->ip += i->jump;
    return true;
}

bool op_optional_only(struct machine *m, const struct instruction *i) {
    (void)i;
    return m->sp[-1].kind == VALUE_OPTIONAL ||
           machine_no_operator(m, "optional.or", &m->sp[-1], NULL);
}

/* ---- calls ------------------------------------------------------------------------------------
 */

static bool arguments_fit(const struct overload *o, const struct value *arg, unsigned n) {
    for (unsigned k = 0; k < n; k++) {
        unsigned p = k < o->args ? k : o->args - 1;
        if (!(o->kinds[p] >> arg[k].kind & 1))
            return false;
    }
    return true;
}

bool op_call(struct machine *m, const struct instruction *i) {
    const struct call_site *s = i->p;
    struct value out = VALUE_NOTHING;
    m->sp -= i->n;
    for (unsigned k = 0; k < i->n; k++)
        if (m->sp[k].kind == VALUE_NUMBER)
            m->sp[k] = value_settle(m->sp[k]);
    for (uint32_t k = 0; k < s->count; k++) {
        if (!arguments_fit(s->overload[k], m->sp, i->n))
            continue;
        struct expr_call c = {.run = m->run,
                              .arg = m->sp,
                              .args = i->n,
                              .out = &out,
                              .prepared = s->prepared ? s->prepared[k] : NULL};
        if (!machine_spend(m, 1) || !s->overload[k]->function->fn(&c))
            return false;
        *m->sp++ = out;
        return true;
    }
    return machine_failf(m, "there is no `%.*s` for these arguments", SPAN_ARG(s->name));
}
