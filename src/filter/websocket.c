#include "filter/websocket.h"

/* ---- how it is written ------------------------------------------------------------------------
 */

#define W(member) FIELD(struct websocket_conf, member)

static const struct schema_type size = {.kind = SCHEMA_SIZE};
static const struct schema_type count = {.kind = SCHEMA_INT, .max = UINT32_MAX};
static const struct schema_type rate = {.kind = SCHEMA_PER_SECOND};
static const struct schema_type boolean = {.kind = SCHEMA_BOOL};

static const struct schema_field fields[] = {
    {.key = "max_frame",
     .type = &size,
     W(limits.frame_max),
     .shipped = "16MiB",
     .doc = "Payload of one frame; more ends the WebSocket with 1009; 0B: any."},
    {.key = "max_message",
     .type = &size,
     W(limits.message_max),
     .shipped = "16MiB",
     .doc = "Payload of one message, its fragments together; 0B: any."},
    {.key = "max_fragments",
     .type = &count,
     W(limits.fragments_max),
     .shipped = "1024",
     .doc = "Fragments of one message; 0: any number."},
    {.key = "ping_rate",
     .type = &rate,
     W(ping_rate),
     .shipped = "10/s",
     .doc = "Pings of a client; more end the WebSocket with 1008; 0/s: any number."},
    {.key = "utf8",
     .type = &boolean,
     W(limits.utf8),
     .shipped = "false",
     .doc = "Texts are checked to be UTF-8 (costs time for every byte)."},
};
static const struct schema_object form = {.name = "websocket",
                                          SCHEMA_OBJECT_OF(fields),
                                          .doc =
                                              "Limits on WebSockets; false: upgrades are refused."};

static void on_route(void *conf, const struct forward_conf *to) {
    struct websocket_conf *c = conf;
    c->off |= to == NULL;
}

const struct policy websocket_policy = {.name = "websocket",
                                        .form = &form,
                                        .ops = &websocket_ops,
                                        .size = sizeof(struct websocket_conf),
                                        .on_route = on_route};

/* ---- what it does -----------------------------------------------------------------------------
 */

static enum verdict request(struct step *s) {
    (void)s;
    return NEXT;
}

const struct filter_ops websocket_ops = {.name = "websocket",
                                         .phase = PHASE_CONTENT,
                                         .step_size = sizeof(struct step),
                                         .request = request,
                                         .tunnels = true};
