#include "cli/explain.h"
#include "filter/grpc.h"

/* Policies that need no word in the file. */

static const struct policy *policy_of(const struct filter *f) {
    const struct conf_registry *r = cli_parts.registry;
    for (unsigned i = 0; i < r->policies; i++)
        if (r->policy[i]->ops == f->ops)
            return r->policy[i];
    return NULL;
}

struct span explain_policy(struct arena *a, const struct filter *f) {
    const struct policy *p = policy_of(f);
    char *text = arena_fmt(a, "{");
    for (unsigned i = 0; p && p->form && i < p->form->fields; i++) {
        const struct schema_field *field = &p->form->field[i];
        if (field->shipped)
            text =
                arena_fmt(a, "%s%s%s: %s", text, text[1] ? ", " : "", field->key, field->shipped);
    }
    return span_z(arena_fmt(a, "%s}", text));
}

const char *explain_grpc_web(const struct filter *f) {
    const struct grpc_conf *c = f->conf;
    if (f->ops != &grpc_ops || c->off)
        return NULL;
    return c->web == GRPC_WEB_ON ? "becomes gRPC" : "passes unchanged";
}
