/*
 * facts - the names that templates (and later CEL) may use, and what they are worth in an exchange.
 *
 * request.{method scheme host path id protocol}, header["x"], query.x, cookie.x, path.x, client.{ip
 * port}, route.name, service.name, error.{code status detail who}. Thread: any.
 */
#pragma once
#include "core/exchange.h"
#include "data/template.h"

enum fact_scope { SCOPE_REQUEST = 1, SCOPE_SERVICE = 2, SCOPE_ERROR = 4 };

/* The scope for a place in the configuration: `captures` are the route's (NULL: none, path.x is an
 * error). */
struct fact_captures {
    const struct span *name;
    const bool *tail;
    uint32_t count;
};
void facts_scope(struct template_scope *out, unsigned scopes, const struct fact_captures *captures);
/* Values of one exchange. */
struct template_values facts_values(struct exchange *x);
