/*
 * types - the plain types that the tables share. Thread: any (const).
 */
#pragma once
#include "core/facts.h"
#include "core/schema.h"

extern const struct schema_type type_bool, type_count, type_count1, type_duration, type_duration1,
    type_size, type_size1, type_byterate, type_percent, type_rate, type_text, type_secret, type_cel,
    type_file, type_any, type_texts, type_files, type_templates_map, type_template_header,
    type_template_text, type_service_ref, type_http_status, type_address, type_networks, type_word;

/* Rows of tables: a key with a type and one sentence. */
#define ROW(key_, type_, doc_) .key = key_, .type = &(type_), .doc = doc_
#define LATER(key_, type_, doc_)                                                                   \
    { .key = key_, .type = &(type_), .doc = doc_, .flags = FIELD_LATER | FIELD_NO_FILL }
#define OBJECT_TYPE(object_, flags_)                                                               \
    { .kind = SCHEMA_OBJECT, .object = &(object_), .flags = (flags_) }
