#include "conf/tables.h"
#include "conf/types.h"
#include "core/limits.h"

#define S(member) FIELD(struct service_conf, member)

static const struct schema_word refresh_words[] = {{"ttl", 0, false}, {NULL, 0, false}};
static const struct schema_type refresh = {.kind = SCHEMA_ENUM, .words = refresh_words};
static const struct schema_type host_port = {
    .kind = SCHEMA_TEXT,
    .min = 1,
    .what = "an address like 10.0.0.1:8080, host:8080 or unix:/path"};
static const struct schema_type weight = {.kind = SCHEMA_INT, .min = 1, .max = 1000000};
static const struct schema_type connections = {.kind = SCHEMA_INT, .min = 1, .max = 1000000};

static const struct schema_field endpoint[] = {
    {ROW("address", host_port,
         "Where it listens: an IP address or host name with a port, or unix:/path."),
     .flags = FIELD_REQUIRED | FIELD_NO_FILL},
    {ROW("weight", weight, "Its share of the requests beside the other endpoints."),
     .flags = FIELD_NO_FILL, .shipped = "1"},
};
const struct schema_object schema_endpoint = {.name = "endpoint",
                                              SCHEMA_OBJECT_OF(endpoint),
                                              .doc = "One place where a service listens.",
                                              .short_scalar = "address"};
static const struct schema_type endpoint_type = OBJECT_TYPE(schema_endpoint, 0);
static const struct schema_type endpoints = {
    .kind = SCHEMA_LIST, .of = &endpoint_type, .flags = TYPE_ONE_OR_MANY, .min = 1, .max = 4096};

static const struct schema_field discover[] = {
    {ROW("dns", host_port, "A host name with a port; every address of the name is an endpoint."),
     .flags = FIELD_REQUIRED | FIELD_NO_FILL},
    {ROW("refresh", refresh, "When the name is asked again: as its answers say."),
     .flags = FIELD_NO_FILL, .shipped = "ttl"},
};
static const struct schema_object discover_object = {
    .name = "discover",
    SCHEMA_OBJECT_OF(discover),
    .doc = "Endpoints that are found instead of listed."};
static const struct schema_type discover_type = OBJECT_TYPE(discover_object, 0);

static const struct schema_word balance_words[] = {
    {"round_robin", BALANCE_ROUND_ROBIN, false},
    {"least_requests", BALANCE_LEAST_REQUESTS, false},
    {"random", 0, true},
    {"power_of_two", 0, true},
    {"ewma", 0, true},
    {NULL, 0, false},
};
static const struct schema_type balance_word = {.kind = SCHEMA_ENUM, .words = balance_words};
static const struct schema_field hash[] = {
    LATER("hash", type_template_text, "The same value goes to the same endpoint."),
};
static const struct schema_object hash_object = {.name = "load_balancing",
                                                 SCHEMA_OBJECT_OF(hash),
                                                 .doc = "Balancing by a value of the request."};
static const struct schema_type hash_type = OBJECT_TYPE(hash_object, 0);
static const struct schema_type *const balance_choice[] = {&balance_word, &hash_type, NULL};
static const struct schema_type balance_type = {.kind = SCHEMA_ONE_OF, .choice = balance_choice};

static const struct schema_word protocol_words[] = {
    {"http1", PROTOCOL_HTTP1, false},
    {"http2", PROTOCOL_H2, false},
    {"h2c", PROTOCOL_H2, false},
    {"auto", PROTOCOL_AUTO, false},
    {NULL, 0, false},
};
static const struct schema_type protocol = {.kind = SCHEMA_ENUM, .words = protocol_words};

static const struct schema_word proxy_words[] = {
    {"off", 0, false}, {"v1", 1, false}, {"v2", 2, false}, {NULL, 0, false}};
static const struct schema_type proxy_version = {.kind = SCHEMA_ENUM, .words = proxy_words};

static const struct schema_field health_check[] = {
    {ROW("path", type_word, "The path that is asked.")},
    {ROW("grpc", type_word, "The service of grpc.health.v1 that is asked instead.")},
    {ROW("interval", type_duration1, "From one check to the next.")},
    {ROW("timeout", type_duration1, "How long one check may take.")},
    {ROW("healthy", type_count1, "Good checks in a row until it is used again.")},
    {ROW("unhealthy", type_count1, "Bad checks in a row until it is used no more.")},
};
static const struct schema_object health_object = {
    .name = "health_check",
    SCHEMA_OBJECT_OF(health_check),
    .doc = "Asks each endpoint regularly whether it is well."};
static const struct schema_type health_type = OBJECT_TYPE(health_object, TYPE_OR_OFF | TYPE_OR_ON);

static const struct schema_field breaker[] = {
    {ROW("error_rate", type_percent, "Share of failures that opens it.")},
    {ROW("min_requests", type_count1, "Requests in the window before it judges.")},
    {ROW("window", type_duration1, "How far back it looks.")},
    {ROW("open_for", type_duration1, "How long it lets nothing through.")},
};
static const struct schema_object breaker_object = {
    .name = "circuit_breaker",
    SCHEMA_OBJECT_OF(breaker),
    .doc = "Stops asking a service that fails too often."};
static const struct schema_type breaker_type =
    OBJECT_TYPE(breaker_object, TYPE_OR_OFF | TYPE_OR_ON);

static const struct schema_field outlier[] = {
    {ROW("consecutive_errors", type_count1, "Failures in a row that eject an endpoint.")},
    {ROW("eject_for", type_duration1, "How long it is left out.")},
    {ROW("max_ejected", type_percent, "Share of the endpoints that may be left out.")},
};
static const struct schema_object outlier_object = {
    .name = "outlier_detection",
    SCHEMA_OBJECT_OF(outlier),
    .doc = "Leaves endpoints out that fail more than others."};
static const struct schema_type outlier_type =
    OBJECT_TYPE(outlier_object, TYPE_OR_OFF | TYPE_OR_ON);

static const struct schema_field grpc[] = {
    {ROW("descriptors", type_files, "Descriptor sets (protoc --descriptor_set_out).")},
    {ROW("reflection", type_bool, "Ask the service for its descriptors.")},
};
static const struct schema_object grpc_object = {
    .name = "grpc of a service", SCHEMA_OBJECT_OF(grpc), .doc = "What is known of a gRPC service."};
static const struct schema_type grpc_type = OBJECT_TYPE(grpc_object, 0);

static const struct schema_type host_text = {
    .kind = SCHEMA_TEXT, .min = 1, .what = "keep, service or a host name"};
static const struct schema_type rate_type = {
    .kind = SCHEMA_OBJECT, .object = &service_rate_limit_object, .flags = TYPE_OR_OFF};

/* Shared by service and service_defaults. */
#define SERVICE_ROWS                                                                               \
    {ROW("load_balancing", balance_type, "How an endpoint is chosen."), S(balance),                \
     .shipped = "round_robin"},                                                                    \
        {ROW("connect_timeout", type_duration1, "How long connecting may take; then 504."),        \
         S(connect_timeout_ms), .shipped = "3s"},                                                  \
        {ROW("timeout", type_duration1,                                                            \
             "How long the service may take in all, every attempt together; then 504."),           \
         S(timeout_ms)},                                                                           \
        {ROW("first_byte_timeout", type_duration1,                                                 \
             "From the sent request to the first byte of the answer; then 504."),                  \
         S(first_byte_timeout_ms), .shipped = "15s"},                                              \
        {ROW("idle_timeout", type_duration1, "How long the service may fall silent meanwhile."),   \
         S(idle_timeout_ms), .shipped = "30s"},                                                    \
        {ROW("queue_timeout", type_duration1,                                                      \
             "How long a request waits for a connection when all are in use; then 503."),          \
         S(queue_timeout_ms), .shipped = "1s"},                                                    \
        {ROW("max_connections", connections, "Connections to one endpoint, over all threads."),    \
         S(max_connections), .shipped = "1024"},                                                   \
        {ROW("max_pending", connections,                                                           \
             "Requests that may wait for a connection, in each thread; more is 503."),             \
         S(max_pending), .shipped = "1024"},                                                       \
        {ROW("keepalive_idle", type_duration1, "How long an idle connection is kept for reuse."),  \
         S(keepalive_idle_ms), .shipped = "55s"},                                                  \
        {ROW("keepalive_requests", type_count1, "Requests on one connection."),                    \
         S(keepalive_requests), .shipped = "10000"},                                               \
        {ROW("host", host_text,                                                                    \
             "The Host that the service sees: the client's (keep), its own address (service), or " \
             "a name."),                                                                           \
         .flags = FIELD_NO_FILL, .shipped = "keep"},                                               \
        {ROW("protocol", protocol,                                                                 \
             "What the service speaks: http1; http2 (by ALPN over TLS, else at once; h2c is the "  \
             "same without TLS); auto: what it chooses by ALPN, http1 without TLS."),              \
         S(protocol), .shipped = "http1"},                                                         \
        {ROW("tls", schema_service_tls_type, "TLS towards the service."), .flags = FIELD_NO_FILL,  \
         .shipped = "false"},                                                                      \
        {ROW("proxy_protocol", proxy_version,                                                      \
             "The PROXY protocol header that each connection begins with. Such a connection "      \
             "carries one client's requests alone."),                                              \
         .flags = FIELD_NO_FILL, .shipped = "off"},                                                \
        {ROW("h2_streams", connections,                                                            \
             "Requests at once on one HTTP/2 connection; the service's own limit holds too."),     \
         S(h2_streams), .shipped = "1000"},                                                        \
        LATER("retry", schema_retry_type, "Asking again when an attempt failed."),                 \
        LATER("circuit_breaker", breaker_type, "Not asking a service that fails too often."),      \
        LATER("health_check", health_type, "Asking endpoints whether they are well."),             \
        LATER("outlier_detection", outlier_type, "Leaving out endpoints that fail."),              \
        LATER("grpc", grpc_type, "Descriptors of a gRPC service."),                                \
        {ROW("credentials", credentials_type, "What the gateway shows the service of itself."),    \
         .offset = offsetof(struct service_conf, credentials)},                                    \
        LATER("fallback", type_any, "The answer when the service cannot give one."),               \
        {ROW("concurrency", gate_type,                                                             \
             "How many requests it works on at once, over all routes; more wait or are 503."),     \
         .flags = FIELD_NO_FILL, .shipped = "{adaptive: true}"},                                   \
    {                                                                                              \
        ROW("rate_limit", rate_type,                                                               \
            "How many requests it gets in a time, over all routes; more wait for their turn as "   \
            "far as `concurrency` has a queue, or are 503."),                                      \
            .flags = FIELD_NO_FILL                                                                 \
    }

static const struct schema_field service[] = {
    {ROW("endpoints", endpoints, "Where the service listens."), .flags = FIELD_NO_FILL,
     .group = "endpoints"},
    {ROW("discover", discover_type, "Endpoints found by a name."), .flags = FIELD_NO_FILL,
     .group = "endpoints"},
    SERVICE_ROWS,
};
const struct schema_object schema_service = {
    .name = "service",
    SCHEMA_OBJECT_OF(service),
    .short_scalar = "endpoints",
    .short_list = "endpoints",
    .doc = "What requests are sent to. A plain address is short for {endpoints: [..]}."};
const struct schema_type schema_service_type = OBJECT_TYPE(schema_service, 0);

static const struct schema_field service_defaults[] = {SERVICE_ROWS};
const struct schema_object schema_service_defaults = {
    .name = "service_defaults",
    SCHEMA_OBJECT_OF(service_defaults),
    .doc = "What holds for every service that does not say otherwise."};
const struct schema_type schema_service_defaults_type = OBJECT_TYPE(schema_service_defaults, 0);
