/*
 * cors - what scripts of other origins may do (the Fetch standard, "CORS protocol").
 *
 * A preflight (OPTIONS with Origin and Access-Control-Request-Method) is answered here, before
 * anybody is asked who he is and without the service; the router looks for the route of the method
 * that it asks for (core/route.h), so a route that takes POST alone needs no OPTIONS. One for an
 * origin, method or header that is not allowed is 403. Every other request passes, whatever its
 * origin: CORS tells browsers what a script may read and protects no service. Its answer, errors
 * included, gets the fields for an allowed origin; what a service says by itself about CORS is
 * taken away. Conf: struct cors_conf. Thread: that of the exchange.
 */
#pragma once
#include "core/schema.h"

struct cors_origins {
    struct span *exact; /* sorted */
    uint32_t exacts;
    struct span *wild; /* with a star for names in front, or for the port */
    uint32_t wilds;
    struct regex **pattern; /* anchored at both ends */
    uint32_t patterns;
    bool any; /* "*" */
};

struct cors_conf {
    const struct span *origin, *method, *header, *expose; /* as written */
    uint32_t origin_count, method_count, header_count, expose_count;
    bool credentials, private_network;
    uint64_t max_age_ms;
    /* what finish makes of them */
    struct cors_origins origins;
    bool any_method, any_header;
    struct span methods, headers, exposed, max_age; /* values of fields */
};

bool cors_allows(const struct cors_conf *c, struct span origin);
bool cors_is_preflight(const struct head *h);
/* NULL: it is answered with 204; else why it is refused (static). */
const char *cors_preflight_wrong(const struct cors_conf *c, struct exchange *x);

extern const struct policy cors_policy;
