#include "conf/tables.h"
#include "conf/types.h"
#include "core/overload.h"

/* --- match --- */

static const struct schema_type path_text = {
    .kind = SCHEMA_TEXT, .min = 1, .what = "a path like /api/{id}"};
static const struct schema_type paths = {
    .kind = SCHEMA_LIST, .of = &path_text, .flags = TYPE_ONE_OR_MANY, .min = 1, .max = 64};
static const struct schema_type host_text = {
    .kind = SCHEMA_TEXT, .min = 1, .what = "a host like shop.example or *.shop.example"};
static const struct schema_type hosts = {
    .kind = SCHEMA_LIST, .of = &host_text, .flags = TYPE_ONE_OR_MANY, .min = 1, .max = 256};
static const struct schema_type method_text = {
    .kind = SCHEMA_TEXT, .min = 1, .what = "a method like GET"};
static const struct schema_type methods = {
    .kind = SCHEMA_LIST, .of = &method_text, .flags = TYPE_ONE_OR_MANY, .min = 1, .max = 32};
static const struct schema_type listener_ref = {
    .kind = SCHEMA_REF, .refers = REFERS_LISTENER, .what = "the name of a listener"};
static const struct schema_type listener_refs = {
    .kind = SCHEMA_LIST, .of = &listener_ref, .flags = TYPE_ONE_OR_MANY, .min = 1, .max = 64};
static const struct schema_type match_value = {
    .kind = SCHEMA_TEXT,
    .what = "a value, \"*\" (present), \"~ regular expression\", or null (absent)"};
static const struct schema_type values = {.kind = SCHEMA_MAP, .of = &match_value};
static const struct schema_type priority = {.kind = SCHEMA_INT, .max = 1000000};

static const struct schema_field match[] = {
    {ROW("path", paths,
         "Literal segments, {capture}, a trailing /* or {rest*}, or \"~ regular "
         "expression\"; a list: any of them."),
     .flags = FIELD_NO_FILL},
    {ROW("host", hosts, "A host, *.suffix of any depth; a list: any of them."),
     .flags = FIELD_NO_FILL},
    {ROW("method", methods, "A method or a list; GET includes HEAD."), .flags = FIELD_NO_FILL},
    {ROW("listener", listener_refs, "Only what comes by these listeners."), .flags = FIELD_NO_FILL},
    {ROW("header", values, "Values of header fields."), .flags = FIELD_NO_FILL},
    {ROW("query", values, "Values of query parameters."), .flags = FIELD_NO_FILL},
    {ROW("cookie", values, "Values of cookies."), .flags = FIELD_NO_FILL},
    {ROW("when", type_cel, "A further condition, of what is known before authentication."),
     .flags = FIELD_NO_FILL},
    {ROW("priority", priority, "Before routes with a smaller one, whatever their conditions."),
     .flags = FIELD_NO_FILL, .shipped = "0"},
};
const struct schema_object schema_match = {
    .name = "match",
    SCHEMA_OBJECT_OF(match),
    .doc = "Which requests; all conditions must hold, those of the groups around too."};
const struct schema_type schema_match_type = OBJECT_TYPE(schema_match, 0);

/* --- actions --- */

static const struct schema_type weight = {.kind = SCHEMA_INT, .max = 1000000};
static const struct schema_field target[] = {
    {ROW("service", type_service_ref, "The service."), .flags = FIELD_REQUIRED | FIELD_NO_FILL},
    {ROW("weight", weight, "Its share of the requests beside the other targets."),
     .flags = FIELD_NO_FILL, .shipped = "1"},
    {ROW("when", type_cel, "Requests that go there before any weight: to the first that holds."),
     .flags = FIELD_NO_FILL},
};
const struct schema_object schema_target = {.name = "target",
                                            SCHEMA_OBJECT_OF(target),
                                            .doc = "One of the services that a route uses.",
                                            .short_scalar = "service"};
static const struct schema_type target_type = OBJECT_TYPE(schema_target, 0);
static const struct schema_type targets = {
    .kind = SCHEMA_LIST, .of = &target_type, .flags = TYPE_ONE_OR_MANY, .min = 1, .max = 64};
static const struct schema_field to[] = {
    {ROW("targets", targets, "Services, by weight."), .flags = FIELD_REQUIRED | FIELD_NO_FILL},
    {ROW("sticky", type_template_text, "The same value goes to the same target."),
     FIELD(struct forward_conf, sticky)},
    LATER("rollout", type_any, "Moving the weights by steps."),
};
const struct schema_object schema_to = {.name = "to",
                                        SCHEMA_OBJECT_OF(to),
                                        .doc = "Forwards to a service.",
                                        .short_scalar = "targets",
                                        .short_list = "targets"};
const struct schema_type schema_to_type = OBJECT_TYPE(schema_to, 0);

static const struct schema_type location = {
    .kind = SCHEMA_TEMPLATE, .place = PLACE_PATH, .scopes = SCOPE_REQUEST};
static const struct schema_word redirect_words[] = {{"301", 301, false}, {"302", 302, false},
                                                    {"303", 303, false}, {"307", 307, false},
                                                    {"308", 308, false}, {NULL, 0, false}};
static const struct schema_type redirect_status = {
    .kind = SCHEMA_ENUM, .words = redirect_words, .what = "a status of redirects"};
static const struct schema_field redirect[] = {
    {ROW("to", location, "The whole target."), FIELD(struct redirect_conf, to),
     .group = "target/whole"},
    {ROW("scheme", type_template_text, "Another scheme."), FIELD(struct redirect_conf, scheme),
     .group = "target/parts"},
    {ROW("host", type_template_text, "Another host, with its port."),
     FIELD(struct redirect_conf, host), .group = "target/parts"},
    {ROW("path", location, "Another path; it may hold a query."), FIELD(struct redirect_conf, path),
     .group = "target/parts"},
    {ROW("status", redirect_status, "308 and 307 keep the method; 301, 302 and 303 may not."),
     FIELD(struct redirect_conf, status), .shipped = "308"},
};
const struct schema_object schema_redirect = {.name = "redirect",
                                              SCHEMA_OBJECT_OF(redirect),
                                              .doc = "Sends the client elsewhere.",
                                              .short_scalar = "to"};
const struct schema_type schema_redirect_type = OBJECT_TYPE(schema_redirect, 0);

static const struct schema_type answer_headers = {.kind = SCHEMA_MAP,
                                                  .of = &type_template_header,
                                                  .size = sizeof(struct answer_header),
                                                  .what = "a map of header names to texts"};
static const struct schema_field respond[] = {
    {ROW("status", type_http_status, "The status."), FIELD(struct respond_conf, status),
     .shipped = "200"},
    {ROW("headers", answer_headers, "Header fields by name."), .flags = FIELD_NO_FILL},
    {ROW("body", type_any, "A text is text/plain, else JSON is made of it."),
     .flags = FIELD_NO_FILL, .group = "content"},
    {ROW("file", type_file, "A file, read with the configuration."), .flags = FIELD_NO_FILL,
     .group = "content"},
};
const struct schema_object schema_respond = {.name = "respond",
                                             SCHEMA_OBJECT_OF(respond),
                                             .doc = "Answers without a service.",
                                             .short_scalar = "body"};
const struct schema_type schema_respond_type = OBJECT_TYPE(schema_respond, 0);

/* --- policies --- */

static const struct schema_type rewrite_path = {.kind = SCHEMA_TEMPLATE,
                                                .place = PLACE_PATH,
                                                .scopes = SCOPE_REQUEST,
                                                .what = "a path, which may hold ${..}"};
static const struct schema_type prefix = {
    .kind = SCHEMA_TEXT, .min = 1, .what = "a path like /api"};
static const struct schema_type regex = {.kind = SCHEMA_REGEX};
static const struct schema_field rewrite[] = {
    {ROW("path", rewrite_path, "The whole new path; it may hold a query."),
     FIELD(struct rewrite_conf, path), .group = "way/path"},
    {ROW("strip", prefix, "A prefix that is taken off, by whole segments."), .flags = FIELD_NO_FILL,
     .group = "way/prefix"},
    {ROW("add", prefix, "A prefix that is put before the rest."), .flags = FIELD_NO_FILL,
     .group = "way/prefix"},
    {ROW("regex", regex, "A regular expression, searched in the path."), .flags = FIELD_NO_FILL,
     .group = "way/regex"},
    {ROW("with", rewrite_path, "What replaces the match; $1 is its first group."),
     .flags = FIELD_NO_FILL, .group = "way/regex"},
};
const struct schema_object schema_rewrite = {
    .name = "rewrite",
    SCHEMA_OBJECT_OF(rewrite),
    .short_scalar = "path",
    .doc = "Changes the path that the service sees. One of: path; strip and add; regex and with."};
const struct schema_type schema_rewrite_type =
    OBJECT_TYPE(schema_rewrite, TYPE_POLICY | TYPE_OR_OFF);

static const struct schema_field error[] = {
    {ROW("status", type_http_status, "Another status."), .flags = FIELD_NO_FILL},
    {ROW("headers", answer_headers, "Header fields by name."), .flags = FIELD_NO_FILL},
    {ROW("body", type_any, "A text is text/plain, else JSON is made of it."),
     .flags = FIELD_NO_FILL},
};
const struct schema_object schema_error = {.name = "error answer",
                                           SCHEMA_OBJECT_OF(error),
                                           .doc = "Replaces one of the gateway's own answers.",
                                           .short_scalar = "body"};
const struct schema_type schema_error_type = OBJECT_TYPE(schema_error, 0);
/* By status (404), class (5xx) or code (rate_limited). */
const struct schema_type schema_errors_type = {.kind = SCHEMA_MAP, .of = &schema_error_type};
static const struct schema_type errors_off = {.kind = SCHEMA_BOOL, .what = "false"};
static const struct schema_type *const errors_choice[] = {&errors_off, &schema_errors_type, NULL};
static const struct schema_type errors_type = {.kind = SCHEMA_ONE_OF, .choice = errors_choice};

/* Filled by the record that main hands over (struct conf_registry). */
static const struct schema_object log_object = {.name = "log", .doc = "The access log."};
const struct schema_type schema_log_type =
    OBJECT_TYPE(log_object, TYPE_OR_OFF | TYPE_OR_ON | TYPE_POLICY);

static const struct schema_word mode_words[] = {
    {"enforce", 0, false}, {"observe", 1, false}, {NULL, 0, false}};
static const struct schema_type mode = {.kind = SCHEMA_ENUM, .words = mode_words};
static const struct schema_field common[] = {
    {ROW("inherit", type_bool, "false: what groups and defaults say of this policy is dropped."),
     .flags = FIELD_NO_FILL, .shipped = "true"},
    {ROW("mode", mode, "observe: evaluate, count and log, but let pass."), .flags = FIELD_NO_FILL,
     .shipped = "enforce"},
    {ROW("when", type_cel, "Requests that the policy is for; others pass it by."),
     .flags = FIELD_NO_FILL},
};
const struct schema_object schema_policy_common = {
    .name = "policy", SCHEMA_OBJECT_OF(common), .doc = "What every policy takes in its long form."};

/* In the order in which they run. */
#define ADDITIVE(key_, type_, doc_)                                                                \
    {                                                                                              \
        .key = key_, .type = &(type_), .doc = doc_,                                                \
        .flags = FIELD_LATER | FIELD_NO_FILL | FIELD_POLICY | FIELD_ADDITIVE | FIELD_REFUSES       \
    }
#define POLICY(key_, type_, doc_)                                                                  \
    {                                                                                              \
        .key = key_, .type = &(type_), .doc = doc_,                                                \
        .flags = FIELD_LATER | FIELD_NO_FILL | FIELD_POLICY                                        \
    }
#define NOW(key_, type_, doc_)                                                                     \
    .key = key_, .type = &(type_), .doc = doc_, .flags = FIELD_NO_FILL | FIELD_POLICY
/* Its table comes with its record (struct policy); without one it is not available. */
#define POLICY_OF_ROOM(key_, flags_, doc_)                                                         \
    .key = key_, .type = &later_switch, .doc = doc_,                                               \
    .flags = FIELD_LATER | FIELD_NO_FILL | FIELD_POLICY | (flags_)
#define VALUE(key_, type_, doc_)                                                                   \
    .key = key_, .type = &(type_), .doc = doc_, .flags = FIELD_NO_FILL | FIELD_POLICY | FIELD_VALUE

static const struct schema_word shed_words[] = {{"fair", SHED_WORD_FAIR, false},
                                                {"first", SHED_WORD_FIRST, false},
                                                {"last", SHED_WORD_LAST, false},
                                                {NULL, 0, false}};
static const struct schema_type shed_type = {.kind = SCHEMA_ENUM, .words = shed_words};

#define MANY(name_)                                                                                \
    static const struct schema_type many_##name_ = {                                               \
        .kind = SCHEMA_LIST, .of = &later_##name_, .flags = TYPE_ONE_OR_MANY}
MANY(request);
MANY(response);

#define POLICY_ROWS                                                                                \
    {POLICY_OF_ROOM("ip", FIELD_ADDITIVE | FIELD_REFUSES, "Who may come, by address.")},           \
        {POLICY_OF_ROOM("cors", FIELD_REFUSES, "What scripts of other origins may do.")},          \
        {POLICY_OF_ROOM("security_headers", 0, "Header fields that protect browsers.")},           \
        POLICY("fault", later_switch, "Failures on purpose, for tests."),                          \
        {POLICY_OF_ROOM("authenticate", FIELD_REFUSES, "Who asks, and which judge that.")},        \
        {POLICY_OF_ROOM("csrf", FIELD_REFUSES, "Protects forms of other sites.")},                 \
        {POLICY_OF_ROOM("authorize", FIELD_ADDITIVE | FIELD_REFUSES, "Who may.")},                 \
        {POLICY_OF_ROOM("rate_limit", FIELD_ADDITIVE | FIELD_REFUSES,                              \
                        "How many requests in a time.")},                                          \
        {POLICY_OF_ROOM("quota", FIELD_ADDITIVE | FIELD_REFUSES,                                   \
                        "How many requests in a longer time.")},                                   \
        {POLICY_OF_ROOM("concurrency", FIELD_ADDITIVE | FIELD_REFUSES,                             \
                        "How many requests at once.")},                                            \
        ADDITIVE("validate", later_switch, "What a request must look like."),                      \
        {NOW("rewrite", schema_rewrite_type, "The path that the service sees.")},                  \
        ADDITIVE("request", many_request, "Changes to the request."),                              \
        POLICY("idempotency", later_switch, "Repeats of one request have one effect."),            \
        {POLICY_OF_ROOM("websocket", 0,                                                            \
                        "WebSockets: limits on frames and messages; false: none.")},               \
        {POLICY_OF_ROOM("grpc", 0, "gRPC: limits on messages, and gRPC-Web for browsers.")},       \
        POLICY("cache", later_cache, "Answers that are kept."),                                    \
        ADDITIVE("response", many_response, "Changes to the answer."),                             \
        POLICY("compress", later_compress, "Smaller answers."),                                    \
        POLICY("mirror", later_mirror, "Copies of requests for another service."),                 \
        {NOW("log", schema_log_type, "The access log.")},                                          \
        POLICY("trace", later_switch, "Traces."),                                                  \
        {NOW("errors", errors_type,                                                                \
             "The gateway's own answers, by status (404), class (5xx) or code.")},                 \
        {VALUE("request_timeout", type_duration1,                                                  \
               "How long the whole exchange may take, every attempt together; then 504."),         \
         .shipped = "30s"},                                                                        \
        {VALUE("max_body", type_size, "The largest request body; larger is 413."),                 \
         .shipped = "10MiB"},                                                                      \
        {VALUE("limits", schema_route_limits_type, "Limits of this route.")},                      \
        {VALUE("shed", shed_type,                                                                  \
               "Under overload: refused like others, by share; first, as soon as anything is "     \
               "refused; or last."),                                                               \
         .shipped = "fair"},                                                                       \
        {VALUE("idle_timeout", type_duration1,                                                     \
               "Silence, both ways, that ends a WebSocket, event stream or gRPC stream."),         \
         .shipped = "5m"},                                                                         \
    {                                                                                              \
        VALUE("max_duration", type_duration1,                                                      \
              "The longest a WebSocket, event stream or gRPC stream may last; else any time.")     \
    }

static const struct schema_type set_ref = {
    .kind = SCHEMA_REF, .refers = REFERS_POLICY_SET, .what = "the name of a policy set"};
static const struct schema_type set_refs = {
    .kind = SCHEMA_LIST, .of = &set_ref, .flags = TYPE_ONE_OR_MANY, .max = 32};
#define USE_ROW                                                                                    \
    {                                                                                              \
        ROW("use", set_refs,                                                                       \
            "Policy sets that hold here, in this order, before the keys beside it."),              \
            .flags = FIELD_NO_FILL                                                                 \
    }

static const struct schema_field defaults[] = {USE_ROW, POLICY_ROWS};
const struct schema_object schema_defaults = {
    .name = "defaults",
    SCHEMA_OBJECT_OF(defaults),
    .doc = "Policies and values for every route that does not say otherwise."};
const struct schema_type schema_defaults_type = OBJECT_TYPE(schema_defaults, 0);

#define SERVICE_VALUES                                                                             \
    {.key = "timeout",                                                                             \
     .type = &type_duration1,                                                                      \
     .flags = FIELD_NO_FILL | FIELD_POLICY | FIELD_VALUE | FIELD_SERVICE,                          \
     .doc = "How long the service may take, all attempts together; then 504."},                    \
    {                                                                                              \
        .key = "retry", .type = &schema_retry_type, .doc = "Asking again after a failure.",        \
        .flags = FIELD_LATER | FIELD_NO_FILL | FIELD_SERVICE                                       \
    }

static const struct schema_field policy_set[] = {USE_ROW, POLICY_ROWS};
const struct schema_object schema_policy_set = {
    .name = "policy set", SCHEMA_OBJECT_OF(policy_set), .doc = "Policies under a name, for `use`."};
const struct schema_type schema_policy_set_type = OBJECT_TYPE(schema_policy_set, 0);
const struct schema_type schema_policies_type = {
    .kind = SCHEMA_MAP, .of = &schema_policy_set_type, .flags = TYPE_NAMED_LIST};

/* --- routes --- */

#define ACTION(key_, type_, doc_)                                                                  \
    {                                                                                              \
        .key = key_, .type = &(type_), .doc = doc_, .flags = FIELD_NO_FILL | FIELD_ACTION,         \
        .group = "action"                                                                          \
    }

static const struct schema_type variables = {
    .kind = SCHEMA_MAP, .of = &type_any, .flags = TYPE_IDENTIFIERS};
static const struct schema_field route[] = {
    {ROW("name", type_word, "Its name; else METHODS host/path."), .flags = FIELD_NO_FILL},
    {ROW("match", schema_match_type, "Which requests."), .flags = FIELD_NO_FILL},
    ACTION("to", schema_to_type, "Forwards to a service, or to several by weight."),
    ACTION("respond", schema_respond_type, "Answers without a service."),
    ACTION("redirect", schema_redirect_type, "Sends the client elsewhere."),
    ACTION("routes", schema_routes_type, "A group: these routes inherit what stands beside it."),
    LATER("aggregate", later_aggregate, "Asks several services and makes one answer of theirs."),
    LATER("batch", type_any, "Several requests in one."),
    LATER("openapi", type_file, "Routes from an OpenAPI document."),
    LATER("vars", variables, "Values that are computed at first use."),
    USE_ROW,
    SERVICE_VALUES,
    POLICY_ROWS,
};
const struct schema_object schema_route = {
    .name = "route", SCHEMA_OBJECT_OF(route), .doc = "Which requests, and what happens to them."};
const struct schema_type schema_route_type = OBJECT_TYPE(schema_route, 0);
const struct schema_type schema_routes_type = {
    .kind = SCHEMA_LIST, .of = &schema_route_type, .max = 100000};
