/*
 * Messages: of protobuf's only the well-known ones, which are plain values in CEL: wrappers,
 * google.protobuf.Value and its kin, Timestamp, Duration.
 */
#include "expr/compile.h"

static const struct known_field {
    const char *message, *field;
    enum wrapped wrapped;
} fields[] = {
    {"Int32Value", "value", WRAP_INT32},    {"Int64Value", "value", WRAP_INT64},
    {"UInt32Value", "value", WRAP_UINT32},  {"UInt64Value", "value", WRAP_UINT64},
    {"FloatValue", "value", WRAP_FLOAT},    {"DoubleValue", "value", WRAP_DOUBLE},
    {"BoolValue", "value", WRAP_BOOL},      {"StringValue", "value", WRAP_STRING},
    {"BytesValue", "value", WRAP_BYTES},    {"Value", "null_value", WRAP_NULL},
    {"Value", "number_value", WRAP_DOUBLE}, {"Value", "string_value", WRAP_STRING},
    {"Value", "bool_value", WRAP_BOOL},     {"Value", "struct_value", WRAP_MAP},
    {"Value", "list_value", WRAP_LIST},     {"ListValue", "values", WRAP_LIST},
    {"Struct", "fields", WRAP_MAP},         {"Timestamp", "seconds", WRAP_INT64},
    {"Timestamp", "nanos", WRAP_INT32},     {"Duration", "seconds", WRAP_INT64},
    {"Duration", "nanos", WRAP_INT32},
};

static struct span short_name(struct compiler *c, struct span name) {
    struct span full = SPAN("google.protobuf.");
    if (span_starts(name, full))
        return span_from(name, full.n);
    return span_eq(c->scope->container, SPAN("google.protobuf")) ? name : SPAN("");
}

static const struct known_field *field_of(struct span message, const struct tree *name) {
    struct span field = name ? value_span(&name->value) : SPAN("");
    for (size_t i = 0; i < array_len(fields); i++)
        if (span_eq(message, span_z(fields[i].message)) &&
            (!name || span_eq(field, span_z(fields[i].field))))
            return &fields[i];
    return NULL;
}

static void unknown(struct compiler *c, const struct tree *n) {
    compile_failf(c, n, "there is no message `%.*s` here: a map is written {\"name\": value}",
                  SPAN_ARG(n->name));
}

/* What a message without fields is. */
static struct value empty(const struct known_field *f) {
    struct value v = VALUE_NOTHING;
    switch (f->wrapped) {
    case WRAP_INT32:
    case WRAP_INT64:
        v.kind = f->message[0] == 'T'   ? VALUE_TIMESTAMP
                 : f->message[0] == 'D' ? VALUE_DURATION
                                        : VALUE_INT;
        break;
    case WRAP_UINT32:
    case WRAP_UINT64:
        v.kind = VALUE_UINT;
        break;
    case WRAP_FLOAT:
    case WRAP_DOUBLE:
        v.kind = VALUE_DOUBLE;
        break;
    case WRAP_BOOL:
        v.kind = VALUE_BOOL;
        break;
    case WRAP_STRING:
    case WRAP_BYTES:
        return value_text(f->wrapped == WRAP_STRING ? VALUE_STRING : VALUE_BYTES, SPAN(""));
    case WRAP_LIST:
    case WRAP_MAP:
        v.kind = f->wrapped == WRAP_LIST ? VALUE_LIST : VALUE_MAP;
        break;
    case WRAP_NULL: /* the first of Value's */
        break;
    }
    return v;
}

/* seconds and nanos, of which one may be missing, in any order: n says where nanos stand. */
static void moment(struct compiler *c, const struct tree *n) {
    bool nanos_first = span_eq(value_span(&n->child[0]->value), SPAN("nanos"));
    bool time = span_ends(n->name, SPAN("Timestamp"));
    if (n->count == 2)
        put_constant(c, n, value_int(0), &expr_int);
    struct instruction *i = emit(c, n, op_moment);
    i->k = time ? VALUE_TIMESTAMP : VALUE_DURATION;
    i->n = nanos_first;
    replace_known(c, 2, time ? &expr_timestamp : &expr_duration);
    fold(c, n);
}

bool message_task(struct compiler *c, struct task *t) {
    struct tree *n = t->n;
    struct span name = short_name(c, n->name);
    bool is_moment = span_eq(name, SPAN("Timestamp")) || span_eq(name, SPAN("Duration"));
    const struct known_field *f = field_of(name, NULL);
    unsigned at = 2 * t->stage; /* children: name, value, name, value */
    if (!f || n->maybe || n->count > (is_moment ? 4u : 2u)) {
        unknown(c, n);
        return false;
    }
    if (n->count == 0) {
        put_constant(c, n, empty(f), &expr_dyn);
        return false;
    }
    if (at) {
        f = field_of(name, n->child[at - 2]);
        emit(c, n->child[at - 1], op_wrap)->k = (uint8_t)f->wrapped;
        replace_known(c, 1, &expr_dyn);
        fold(c, n);
    }
    if (at < n->count) {
        t->stage++;
        if (field_of(name, n->child[at]))
            visit(c, n->child[at + 1]);
        else
            compile_failf(c, n, "`%.*s` has no field `%.*s`", SPAN_ARG(n->name),
                          SPAN_ARG(value_span(&n->child[at]->value)));
        return true;
    }
    if (is_moment)
        moment(c, n);
    return false;
}
