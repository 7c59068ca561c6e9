#include "conf/tables.h"
#include "conf/types.h"

/* Keys of CONFIG.md that this version knows and refuses, with their shapes, so that what is written
 * for them is checked as far as it can be. Whoever brings a feature moves its table to its room. */

#define LATER_OBJECT(name_, text_, rows_, flags_, ...)                                             \
    static const struct schema_object name_##_object = {                                           \
        .name = text_, SCHEMA_OBJECT_OF(rows_), .doc = "Not available yet.", __VA_ARGS__};         \
    const struct schema_type later_##name_ =                                                       \
        OBJECT_TYPE(name_##_object, TYPE_POLICY | TYPE_OR_OFF | TYPE_OR_ON | (flags_))

static const struct schema_type header_map = {
    .kind = SCHEMA_MAP, .of = &type_template_header, .what = "a map of names to texts"};
static const struct schema_field changes[] = {
    {ROW("set", header_map, "Replaces.")},
    {ROW("add", header_map, "Adds beside what is there.")},
    {ROW("default", header_map, "Sets where nothing is there.")},
    {ROW("rename", type_any, "Old names to new ones.")},
    {ROW("remove", type_texts, "Takes away.")}};
static const struct schema_object changes_object = {
    .name = "headers", SCHEMA_OBJECT_OF(changes), .doc = "Not available yet."};
static const struct schema_type changes_type = OBJECT_TYPE(changes_object, 0);
static const struct schema_field request[] = {
    {ROW("headers", changes_type, "Changes to the header fields.")},
    {ROW("query", changes_type, "Changes to the query.")},
    {ROW("body", type_any, "The new body.")}};
LATER_OBJECT(request, "request", request, 0);
static const struct schema_field response[] = {
    {ROW("headers", changes_type, "Changes to the header fields.")},
    {ROW("status", type_any, "The new status.")},
    {ROW("body", type_any, "The new body.")}};
LATER_OBJECT(response, "response", response, 0);

static const struct schema_field cache[] = {
    {ROW("ttl", type_duration, "How long an answer is fresh.")},
    {ROW("stale_while_revalidate", type_duration,
         "How long it may be given while it is asked anew.")},
    {ROW("stale_if_error", type_duration, "How long it may be given when the service fails.")},
    {ROW("tags", type_texts, "Names to purge it by.")},
    {ROW("key", type_template_text, "What answers are told apart by.")},
    {ROW("per", type_text, "Answers of this value are kept apart.")}};
LATER_OBJECT(cache, "cache", cache, 0);

static const struct schema_field compress[] = {
    {ROW("types", type_texts, "Content types that are compressed.")},
    {ROW("min_size", type_size, "From which size on.")}};
LATER_OBJECT(compress, "compress", compress, 0);

static const struct schema_field mirror[] = {
    {ROW("service", type_service_ref, "Who gets a copy.")},
    {ROW("sample", type_percent, "Of how many requests.")}};
LATER_OBJECT(mirror, "mirror", mirror, 0, .short_scalar = "service");

/* csrf, security_headers, fault, validate, idempotency, trace: their fields are settled with them.
 */
static const struct schema_object switch_object = {.name = "switch", .doc = "Not available yet."};
static const struct schema_type switch_map =
    OBJECT_TYPE(switch_object, TYPE_OR_OFF | TYPE_OR_ON | TYPE_POLICY);
static const struct schema_type *const switch_choice[] = {&type_bool, &switch_map, &type_any, NULL};
const struct schema_type later_switch = {.kind = SCHEMA_ONE_OF, .choice = switch_choice};

static const struct schema_type branches = {
    .kind = SCHEMA_MAP, .of = &type_any, .flags = TYPE_IDENTIFIERS};
static const struct schema_field aggregate[] = {
    {ROW("timeout", type_duration1, "How long all may take.")},
    {ROW("max_bytes", type_size1, "How much all may answer.")},
    {ROW("branches", branches, "What is asked, by name.")}};
static const struct schema_object aggregate_object = {
    .name = "aggregate", SCHEMA_OBJECT_OF(aggregate), .doc = "Not available yet."};
const struct schema_type later_aggregate = OBJECT_TYPE(aggregate_object, 0);

static const struct schema_type retry_on = {
    .kind = SCHEMA_LIST, .of = &type_word, .flags = TYPE_ONE_OR_MANY};
static const struct schema_field retry[] = {
    {ROW("attempts", type_count1, "Attempts in all.")},
    {ROW("retry_on", retry_on, "Failures and statuses that are tried again.")},
    {ROW("backoff", type_duration, "The first pause between attempts.")},
    {ROW("budget", type_percent, "Share of the requests that may be repeats.")},
    {ROW("timeout", type_duration1, "How long one attempt may take.")}};
static const struct schema_object retry_object = {
    .name = "retry", SCHEMA_OBJECT_OF(retry), .doc = "Not available yet."};
const struct schema_type schema_retry_type = OBJECT_TYPE(retry_object, TYPE_OR_OFF | TYPE_OR_ON);

#define OF_PLAN(key_, doc_)                                                                        \
    {                                                                                              \
        .key = key_, .type = &later_switch, .doc = doc_,                                           \
        .flags = FIELD_LATER | FIELD_NO_FILL | FIELD_POLICY | FIELD_ADDITIVE | FIELD_REFUSES       \
    }
static const struct schema_field plan[] = {
    OF_PLAN("rate_limit", "How many requests in a time, over all routes."),
    OF_PLAN("quota", "How many requests in a longer time, over all routes.")};
static const struct schema_object plan_object = {
    .name = "plan", SCHEMA_OBJECT_OF(plan), .doc = "What consumers of a kind may use."};
static const struct schema_type plan_type = OBJECT_TYPE(plan_object, 0);
const struct schema_type schema_plans_type = {
    .kind = SCHEMA_MAP, .of = &plan_type, .flags = TYPE_NAMED_LIST};
