#include "core/state.h"
#include "core/schema.h"

#define S(member) FIELD(struct state_conf, member)

static const struct schema_type shared = {
    .kind = SCHEMA_TEXT, .min = 1, .what = "memory, or a URL as redis://host:6379"};
static const struct schema_type file = {.kind = SCHEMA_FILE, .what = "a file"};

static const struct schema_field fields[] = {
    {.key = "shared",
     .type = &shared,
     S(shared),
     .shipped = "memory",
     .doc = "Where the gateways keep what they share: memory (each for itself), or a URL."},
    {.key = "store",
     .type = &file,
     S(store),
     .doc = "The file that keeps what must survive a restart, as /var/lib/sluice/state.db."},
};
static const struct schema_object object = {
    .name = "state",
    SCHEMA_OBJECT_OF(fields),
    .doc = "What gateways share, and what survives a restart."};
const struct schema_type schema_state_type = {.kind = SCHEMA_OBJECT, .object = &object};

const char *state_finish(struct arena *a, struct state_conf *c) {
    (void)a;
    if (span_eq(c->shared, SPAN("memory")))
        c->shared = SPAN_NONE;
    return c->shared.n ? "`shared` is memory; nothing else is available yet" : NULL;
}
