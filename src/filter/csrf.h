/*
 * csrf - a request that changes something must come from the site's own pages (cross-site request
 * forgery).
 *
 * Browsers send cookies along whoever's page makes them ask. So a request with a cookie whose
 * method is not safe (RFC 9110 9.2.1), or that asks for a WebSocket, must prove where it comes
 * from: by Sec-Fetch-Site, which scripts cannot set, else by Origin, else by Referer. No proof is
 * no proof: it is refused. Requests without a cookie pass unless `always` is on: who sends a key or
 * token by himself cannot be made to. With `token` (double submit) the gateway also gives each
 * browser a random cookie, which the site's scripts must repeat in a header. Conf: struct
 * csrf_conf. Thread: that of the exchange.
 */
#pragma once
#include "core/schema.h"

struct csrf_conf {
    const struct span *origin; /* further sites that may ask */
    uint32_t origins;
    bool always;
    struct span token, cookie; /* names: the header (empty: none is asked for), the cookie */
};

extern const struct policy csrf_policy;
