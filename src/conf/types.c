#include "conf/types.h"

const struct schema_type type_bool = {.kind = SCHEMA_BOOL};
const struct schema_type type_count = {.kind = SCHEMA_INT};
const struct schema_type type_count1 = {.kind = SCHEMA_INT, .min = 1};
const struct schema_type type_duration = {.kind = SCHEMA_DURATION, .max = 365ull * 86400000};
const struct schema_type type_duration1 = {
    .kind = SCHEMA_DURATION, .min = 1, .max = 365ull * 86400000};
const struct schema_type type_size = {.kind = SCHEMA_SIZE};
const struct schema_type type_size1 = {.kind = SCHEMA_SIZE, .min = 1};
const struct schema_type type_byterate = {.kind = SCHEMA_BYTERATE};
const struct schema_type type_percent = {.kind = SCHEMA_PERCENT};
const struct schema_type type_rate = {.kind = SCHEMA_RATE};
const struct schema_type type_text = {.kind = SCHEMA_TEXT, .size = sizeof(struct span)};
const struct schema_type type_word = {.kind = SCHEMA_TEXT, .min = 1, .size = sizeof(struct span)};
const struct schema_type type_secret = {.kind = SCHEMA_SECRET, .min = 1};
const struct schema_type type_cel = {
    .kind = SCHEMA_CEL, .min = 1, .scopes = SCOPE_REQUEST, .condition = true};
const struct schema_type type_file = {.kind = SCHEMA_FILE, .min = 1};
const struct schema_type type_any = {.kind = SCHEMA_ANY};
const struct schema_type type_texts = {
    .kind = SCHEMA_LIST, .of = &type_word, .flags = TYPE_ONE_OR_MANY};
const struct schema_type type_files = {
    .kind = SCHEMA_LIST, .of = &type_file, .flags = TYPE_ONE_OR_MANY};
const struct schema_type type_template_header = {
    .kind = SCHEMA_TEMPLATE, .place = PLACE_HEADER, .scopes = SCOPE_REQUEST};
const struct schema_type type_template_text = {
    .kind = SCHEMA_TEMPLATE, .place = PLACE_TEXT, .scopes = SCOPE_REQUEST};
const struct schema_type type_templates_map = {
    .kind = SCHEMA_MAP, .of = &type_template_header, .what = "a map of header names to texts"};
const struct schema_type type_service_ref = {
    .kind = SCHEMA_REF, .refers = REFERS_SERVICE, .what = "the name of a service"};
const struct schema_type type_http_status = {
    .kind = SCHEMA_INT, .min = 200, .max = 599, .what = "a status from 200 to 599"};
const struct schema_type type_address = {.kind = SCHEMA_ADDRESS};
static const struct schema_type network = {.kind = SCHEMA_CIDR, .size = sizeof(struct cidr)};
const struct schema_type type_networks = {
    .kind = SCHEMA_LIST, .of = &network, .size = sizeof(struct cidr), .flags = TYPE_ONE_OR_MANY};
