/* Instructions of protobuf's well-known messages. */
#include "expr/lib_time.h"
#include "expr/machine.h"

static bool whole(struct value *v, int64_t least, int64_t most) {
    return v->kind == VALUE_INT && v->i >= least && v->i <= most;
}

/* NULL_VALUE is the number 0. */
static bool nothing(struct value *v) {
    bool fine = v->kind == VALUE_NULL || whole(v, 0, 0);
    *v = VALUE_NOTHING;
    return fine;
}

static bool number(struct value *v, bool narrow) {
    if (v->kind == VALUE_INT)
        *v = value_double((double)v->i);
    else if (v->kind == VALUE_UINT)
        *v = value_double((double)v->u);
    if (narrow && v->kind == VALUE_DOUBLE)
        v->d = (double)(float)v->d;
    return v->kind == VALUE_DOUBLE;
}

static bool holds(struct value *v, enum wrapped w) {
    switch (w) {
    case WRAP_INT32:
        return whole(v, INT32_MIN, INT32_MAX);
    case WRAP_INT64:
        return v->kind == VALUE_INT;
    case WRAP_UINT32:
        return v->kind == VALUE_UINT && v->u <= UINT32_MAX;
    case WRAP_UINT64:
        return v->kind == VALUE_UINT;
    case WRAP_FLOAT:
    case WRAP_DOUBLE:
        return number(v, w == WRAP_FLOAT);
    case WRAP_BOOL:
        return v->kind == VALUE_BOOL;
    case WRAP_STRING:
        return v->kind == VALUE_STRING;
    case WRAP_BYTES:
        return v->kind == VALUE_BYTES;
    case WRAP_NULL:
        return nothing(v);
    case WRAP_LIST:
        return v->kind == VALUE_LIST;
    case WRAP_MAP:
        return v->kind == VALUE_MAP;
    }
    return false;
}

bool op_wrap(struct machine *m, const struct instruction *i) {
    m->sp[-1] = value_settle(m->sp[-1]);
    struct value was = m->sp[-1];
    if (holds(&m->sp[-1], (enum wrapped)i->k))
        return true;
    struct span type = value_type_name(&was);
    return machine_failf(m, "this message's field does not take this %.*s", SPAN_ARG(type));
}

/* k: what it becomes; n: nanoseconds are the first of the two. */
bool op_moment(struct machine *m, const struct instruction *i) {
    struct value zero = {.kind = i->k}, out;
    struct value step = {.kind = VALUE_DURATION};
    m->sp -= 2;
    int64_t seconds = m->sp[i->n ? 1 : 0].i, nanos = m->sp[i->n ? 0 : 1].i;
    step.i = nanos / 1000000000;
    step.nanos = (int32_t)(nanos % 1000000000);
    zero.i = seconds;
    bool fine = i->k == VALUE_TIMESTAMP ? time_of(seconds, &zero) && time_plus(&zero, &step, &out)
                                        : duration_plus(&zero, &step, &out);
    if (!fine)
        return machine_fail(m, "the time is out of its range");
    *m->sp++ = out;
    return true;
}
