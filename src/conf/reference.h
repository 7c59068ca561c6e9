/*
 * reference - what the tables say, for editors and people: the JSON Schema, docs/configuration.md
 * and docs/errors.md. Thread: one at a time.
 */
#pragma once
#include "conf/conf.h"

/* Draft 2020-12. */
void reference_json_schema(const struct conf_registry *r, diag_out out, void *ctx);
void reference_configuration(const struct conf_registry *r, diag_out out, void *ctx); /* Markdown */
void reference_errors(diag_out out, void *ctx);                                       /* Markdown */
