#include "filter/grpc.h"

/* ---- how it is written ------------------------------------------------------------------------
 */

#define G(member) FIELD(struct grpc_conf, member)

static const struct schema_type size = {.kind = SCHEMA_SIZE, .max = UINT32_MAX};
static const struct schema_word web_words[] = {{"auto", GRPC_WEB_AUTO, false},
                                               {"true", GRPC_WEB_ON, false},
                                               {"false", GRPC_WEB_OFF, false},
                                               {NULL, 0, false}};
static const struct schema_type web = {.kind = SCHEMA_ENUM, .words = web_words};

static const struct schema_field fields[] = {
    {.key = "max_message",
     .type = &size,
     G(max_message),
     .shipped = "4MiB",
     .doc = "The longest message, either way; more is RESOURCE_EXHAUSTED; 0B: any."},
    {.key = "web",
     .type = &web,
     G(web),
     .shipped = "auto",
     .doc = "gRPC-Web (of browsers) becomes gRPC; auto: where all services of the route speak "
            "HTTP/2."},
};
static const struct schema_object form = {
    .name = "grpc",
    SCHEMA_OBJECT_OF(fields),
    .doc = "What is done for gRPC calls; false: they pass as any other request."};

static bool all_speak_h2(const struct forward_conf *to) {
    for (uint32_t i = 0; i < to->target_count; i++)
        if (!to->target[i].service->multiplexes)
            return false;
    return to->target_count > 0;
}

static void on_route(void *conf, const struct forward_conf *to) {
    struct grpc_conf *c = conf;
    c->off |= to == NULL;
    if (to && c->web == GRPC_WEB_AUTO)
        c->web = all_speak_h2(to) ? GRPC_WEB_ON : GRPC_WEB_OFF;
}

const struct policy grpc_policy = {.name = "grpc",
                                   .form = &form,
                                   .ops = &grpc_ops,
                                   .size = sizeof(struct grpc_conf),
                                   .on_route = on_route};

/* ---- what it does -----------------------------------------------------------------------------
 */

static enum verdict request(struct step *s) {
    (void)s;
    return NEXT;
}

const struct filter_ops grpc_ops = {
    .name = "grpc", .phase = PHASE_CONTENT, .step_size = sizeof(struct step), .request = request};
