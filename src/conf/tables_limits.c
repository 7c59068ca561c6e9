#include "conf/tables.h"
#include "conf/types.h"

/* LIMITS.md, row by row, as far as they are enforced. Each refusal names its limit in the log. */

#define L(member) FIELD(struct limits_conf, member)

static const struct schema_word slash_words[] = {
    {"refuse", 0, false}, {"keep", 1, false}, {NULL, 0, false}};
static const struct schema_type slash = {.kind = SCHEMA_ENUM, .words = slash_words};
static const struct schema_type head_size = {.kind = SCHEMA_SIZE, .min = 256, .max = 1 << 20};
static const struct schema_type name_size = {.kind = SCHEMA_SIZE, .min = 16, .max = 8192};
static const struct schema_type method_size = {.kind = SCHEMA_SIZE, .min = 8, .max = 256};
static const struct schema_type head_count = {.kind = SCHEMA_INT, .min = 8, .max = H1_FIELDS_MAX};
static const struct schema_type trailer_count = {.kind = SCHEMA_INT, .max = H1_FIELDS_MAX};
static const struct schema_type window = {.kind = SCHEMA_SIZE, .min = 65535, .max = 0x7fffffff};
static const struct schema_type table_size = {.kind = SCHEMA_SIZE, .max = 65536};
static const struct schema_type per_second = {.kind = SCHEMA_PER_SECOND, .min = 1, .max = 1000000};
static const struct schema_type small = {.kind = SCHEMA_INT, .min = 1, .max = 1000000};

/* What is known of a request only when its route is known can be set there too. */
#define BODY_ROWS                                                                                  \
    {ROW("body_idle_timeout", type_duration1,                                                      \
         "How long a client may send nothing of a body that it has begun; then 408."),             \
     L(body_idle_timeout_ms), .shipped = "30s"},                                                   \
        {ROW("body_min_rate", type_byterate,                                                       \
             "What a client must send at least of a body after its first 10 s; 0B/s: anything."),  \
         L(body_min_rate), .shipped = "240B/s"},                                                   \
    {                                                                                              \
        ROW("send_stall_timeout", type_duration1,                                                  \
            "How long a client may take nothing of an answer; then the connection ends."),         \
            L(send_stall_timeout_ms), .shipped = "30s"                                             \
    }

#define ROUTE_ROWS                                                                                 \
    BODY_ROWS,                                                                                     \
        {ROW("response_header_total_max", head_size,                                               \
             "The header section of a service's answer; more is 502."),                            \
         L(h1_response.total_max), .shipped = "64KiB"},                                            \
        {ROW("response_header_count_max", head_count, "Header fields of a service's answer."),     \
         L(h1_response.count_max), .shipped = "200"},                                              \
        {ROW("interim_responses_max", small,                                                       \
             "Interim (1xx) answers of a service to one request."),                                \
         L(interim_responses_max), .shipped = "16"},                                               \
    {                                                                                              \
        ROW("max_body", type_size,                                                                 \
            "The largest request body; larger is 413. `max_body` of a route or of defaults "       \
            "goes before."),                                                                       \
            L(max_body), .shipped = "10MiB"                                                        \
    }

/* What holds for a connection, before a route is known: a listener can have its own. */
#define CONNECTION_ROWS                                                                            \
    {ROW("request_line_max", head_size, "Method and target together; longer is 414."),             \
     L(h1_request.line_max), .shipped = "8KiB"},                                                   \
        {ROW("header_total_max", head_size, "The whole request header section; larger is 431."),   \
         L(h1_request.total_max), .shipped = "32KiB"},                                             \
        {ROW("header_field_max", head_size, "One request header field; larger is 431."),           \
         L(h1_request.field_max), .shipped = "16KiB"},                                             \
        {ROW("header_name_max", name_size, "The name of a request header field."),                 \
         L(h1_request.name_max), .shipped = "256B"},                                               \
        {ROW("header_count_max", head_count,                                                       \
             "Request header fields, dropped ones too; more is 431."),                             \
         L(h1_request.count_max), .shipped = "100"},                                               \
        {ROW("method_max", method_size, "The request method."), L(h1_request.method_max),          \
         .shipped = "32B"},                                                                        \
        {ROW("trailers_count_max", trailer_count, "Trailer fields of a request."),                 \
         L(h1_trailers.count_max), .shipped = "16"},                                               \
        {ROW("trailers_total_max", head_size, "All trailer fields of a request together."),        \
         L(h1_trailers.total_max), .shipped = "4KiB"},                                             \
        {ROW("tls_handshake_timeout", type_duration1,                                              \
             "How long a TLS handshake (with the PROXY header before it) may take."),              \
         L(tls_handshake_timeout_ms), .shipped = "10s"},                                           \
        {ROW("h2_max_concurrent_streams", small, "HTTP/2: requests at once on one connection."),   \
         L(h2_max_concurrent_streams), .shipped = "100"},                                          \
        {ROW("h2_max_total_streams", type_count1,                                                  \
             "HTTP/2: requests on one connection; then the client is asked for a new one."),       \
         L(h2_max_total_streams), .shipped = "10000"},                                             \
        {ROW("h2_initial_window", window, "HTTP/2: what may come of a body unasked."),             \
         L(h2_initial_window), .shipped = "64KiB"},                                                \
        {ROW("h2_connection_window", window,                                                       \
             "HTTP/2: the same of all requests of a connection together."),                        \
         L(h2_connection_window), .shipped = "1MiB"},                                              \
        {ROW("h2_header_table", table_size, "HTTP/2: the table of header compression."),           \
         L(h2_header_table), .shipped = "4KiB"},                                                   \
        {ROW("h2_reset_burst", small,                                                              \
             "HTTP/2: requests that a client may reset, or have reset by its mistakes, in a "      \
             "burst."),                                                                            \
         L(h2_reset_burst), .shipped = "200"},                                                     \
        {ROW("h2_reset_rate", per_second, "HTTP/2: and how many more in a time."),                 \
         L(h2_reset_rate), .shipped = "33/s"},                                                     \
        {ROW("h2_glitch_burst", small,                                                             \
             "HTTP/2: frames that are of no use, or slightly wrong, in a burst."),                 \
         L(h2_glitch_burst), .shipped = "1000"},                                                   \
        {ROW("h2_glitch_rate", per_second, "HTTP/2: and how many more in a time."),                \
         L(h2_glitch_rate), .shipped = "100/s"},                                                   \
        {ROW("query_params_max", small, "Query parameters; more is 400."), L(query_params_max),    \
         .shipped = "1000"},                                                                       \
        {ROW("encoded_slash", slash,                                                               \
             "Whether %2F in a path is refused with 400, or kept as it is."),                      \
         .flags = FIELD_NO_FILL, .shipped = "refuse"},                                             \
        {ROW("first_byte_timeout", type_duration1, "From a new connection to its first byte."),    \
         L(first_byte_timeout_ms), .shipped = "10s"},                                              \
        {ROW("header_timeout", type_duration1,                                                     \
             "From the first byte of a request to the end of its header section; then 408."),      \
         L(header_timeout_ms), .shipped = "10s"},                                                  \
        {ROW("keepalive_timeout", type_duration1, "How long an idle connection is kept."),         \
         L(keepalive_timeout_ms), .shipped = "60s"},                                               \
        {ROW("keepalive_requests", type_count1, "Requests on one connection."),                    \
         L(keepalive_requests), .shipped = "10000"},                                               \
    {                                                                                              \
        ROW("max_connection_age", type_duration1,                                                  \
            "How old a connection gets (a tenth more or less) before it is closed after an "       \
            "answer."),                                                                            \
            L(max_connection_age_ms), .shipped = "1h"                                              \
    }

static const struct schema_field limits[] = {
    CONNECTION_ROWS,
    {ROW("max_connections", type_count,
         "Client connections in all; 0: as many as descriptors allow, with a reserve."),
     L(max_connections), .shipped = "0"},
    {ROW("per_ip_connections", type_count1,
         "Connections of one client address (an IPv6 /64 counts as one)."),
     L(per_ip_connections), .shipped = "256"},
    {ROW("max_forwards_depth", small, "How often a request may have come through here; then 508."),
     L(max_forwards_depth), .shipped = "5"},
    ROUTE_ROWS,
};
const struct schema_object schema_limits = {
    .name = "limits",
    SCHEMA_OBJECT_OF(limits),
    .doc = "Limits against clients and services that ask for too much, or never finish."};
const struct schema_type schema_limits_type = OBJECT_TYPE(schema_limits, 0);

static const struct schema_field route_limits[] = {ROUTE_ROWS};
const struct schema_object schema_route_limits = {
    .name = "limits of a route",
    SCHEMA_OBJECT_OF(route_limits),
    .doc = "Limits that can differ from route to route; the others are known before the route is."};
const struct schema_type schema_route_limits_type = OBJECT_TYPE(schema_route_limits, 0);

static const struct schema_field listener_limits[] = {CONNECTION_ROWS, BODY_ROWS};
const struct schema_object schema_listener_limits = {
    .name = "limits of a listener",
    SCHEMA_OBJECT_OF(listener_limits),
    .doc = "Limits that can differ from listener to listener."};
const struct schema_type schema_listener_limits_type = OBJECT_TYPE(schema_listener_limits, 0);
