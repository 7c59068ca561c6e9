#include "core/gate.h"
#include "core/facts.h"
#include "core/schema.h"

/* How the protection of services is written. */

enum { HOUR_MS = 3600000 };

static const struct schema_type size = {.kind = SCHEMA_INT, .min = 1, .max = 100000};
static const struct schema_type max_wait = {.kind = SCHEMA_DURATION, .min = 1, .max = HOUR_MS};
static const struct schema_field queue_fields[] = {
    {.key = "size",
     .type = &size,
     FIELD(struct queue_conf, size),
     .flags = FIELD_REQUIRED,
     .doc = "How many may wait for their turn; more are refused."},
    {.key = "max_wait",
     .type = &max_wait,
     FIELD(struct queue_conf, max_wait_ms),
     .shipped = "1s",
     .doc = "Who would have to wait longer, or beyond his deadline, is refused."},
};
const struct schema_object queue_object = {
    .name = "queue",
    SCHEMA_OBJECT_OF(queue_fields),
    .doc = "Requests over the limit wait for their turn instead of being refused.",
    .short_scalar = "size"};
static const struct schema_type queue = {
    .kind = SCHEMA_OBJECT, .object = &queue_object, .flags = TYPE_OR_OFF};

static const struct schema_type limit = {.kind = SCHEMA_INT, .min = 1, .max = GATE_LIMIT_MAX};
static const struct schema_type tolerance = {.kind = SCHEMA_INT, .min = 2, .max = 20};
static const struct schema_type latency = {.kind = SCHEMA_DURATION, .min = 1, .max = HOUR_MS};

#define A(member) FIELD(struct gate_adaptive, member)
static const struct schema_field adaptive_fields[] = {
    {.key = "min",
     .type = &limit,
     A(min),
     .shipped = "20",
     .doc = "So many requests at once it may always have."},
    {.key = "max",
     .type = &limit,
     A(max),
     .shipped = "10000",
     .doc = "More at once it never gets, however well it does."},
    {.key = "tolerance",
     .type = &tolerance,
     A(tolerance),
     .shipped = "2",
     .doc =
         "How many times the usual an answer may take in a crowd: there it is held. It steps in at "
         "five times as much."},
    {.key = "min_latency",
     .type = &latency,
     A(min_latency_ms),
     .shipped = "100ms",
     .doc = "Answers that come sooner are never too slow."},
};
static const struct schema_object adaptive_object = {
    .name = "adaptive",
    SCHEMA_OBJECT_OF(adaptive_fields),
    .doc = "The limit that is found from how long the service takes, a safety net."};
static const struct schema_type adaptive = {
    .kind = SCHEMA_OBJECT, .object = &adaptive_object, .flags = TYPE_OR_OFF | TYPE_OR_ON};

static const struct schema_type priority = {
    .kind = SCHEMA_TEMPLATE, .place = PLACE_TEXT, .scopes = SCOPE_REQUEST | SCOPE_CALLER};

#define G(member) FIELD(struct gate_conf, member)
static const struct schema_field fields[] = {
    {.key = "limit",
     .type = &limit,
     G(limit),
     .doc = "How many requests the service works on at once, from all routes and callers."},
    {.key = "queue",
     .type = &queue,
     G(queue),
     .doc = "How many more may wait for their turn; without it nobody waits (503)."},
    {.key = "priority",
     .type = &priority,
     G(priority),
     .doc = "high, normal or low: who goes first of those who wait; anything else is normal."},
    {.key = "adaptive",
     .type = &adaptive,
     G(adaptive),
     .doc = "The limit that is found from how long the service takes, a safety net; false: none."},
};
static const struct schema_object object = {
    .name = "concurrency of a service",
    SCHEMA_OBJECT_OF(fields),
    .doc = "How many requests the service works on at once, whoever sends them.",
    .short_scalar = "limit"};
const struct schema_type gate_type = {
    .kind = SCHEMA_OBJECT, .object = &object, .flags = TYPE_OR_OFF | TYPE_OR_ON};

static void otherwise(uint32_t *n, uint32_t shipped) {
    if (!*n)
        *n = shipped;
}

const char *gate_complete(struct gate_conf *c) {
    struct gate_adaptive *a = &c->adaptive;
    bool said = a->min || a->max;
    otherwise(&a->min, GATE_MIN);
    otherwise(&a->max, GATE_MAX);
    otherwise(&a->tolerance, GATE_TOLERANCE);
    if (!a->min_latency_ms)
        a->min_latency_ms = GATE_MIN_LATENCY_MS;
    if (said && a->min > a->max)
        return "adaptive: `min` is more than `max`";
    if (c->priority && !c->queue.size)
        return "`priority` is about who waits, and without a `queue` nobody does";
    return NULL;
}
