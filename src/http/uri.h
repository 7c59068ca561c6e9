/*
 * uri - request targets and authorities: read once, made canonical once, before any decision.
 *
 * Router, policies, log and the printer towards services see the same canonical path. RFC 3986, RFC
 * 9112 3.2. Thread: any.
 */
#pragma once
#include "http/head.h"

struct uri_limits {
    bool keep_encoded_slash; /* limits.encoded_slash: keep */
    uint32_t query_params_max;
};

/* Reads a request target (origin-form, absolute-form, "*" for OPTIONS) into h->path, query,
 * has_query, target and, for absolute-form, authority and host. The method must stand in h. Spans
 * lie in `target` (which must live as long as the head) or in h->arena. Canonical: dot segments
 * removed, "//" merged, unreserved escapes decoded, other escapes in upper case. */
must_use enum fault uri_target(struct head *h, struct span target, const struct uri_limits *lim);
/* "host[:port]" of a Host field or authority: checked, lower-case, one trailing dot and the
 * scheme's default port removed (h->scheme). Sets h->authority and h->host, or compares if they
 * stand already (FAULT_AUTHORITY_MISMATCH). RFC 3986 3.2.2: reg-name, IPv4, [IPv6]; no userinfo. */
must_use enum fault uri_authority(struct head *h, struct span authority);
/* A path that the configuration computed (may hold "?query"): made canonical like a received one,
 * into the arena. What was inserted into it must have been encoded before. */
must_use enum fault uri_rewrite(struct head *h, struct span path_and_query);

/* Percent-encodes for one place. */
enum uri_place { URI_SEGMENT, URI_PATH /* keeps "/" */, URI_QUERY };
void uri_encode(struct str *out, struct span raw, enum uri_place place);
static inline size_t uri_encode_max(size_t n) {
    return 3 * n;
}
/* Decodes %XX (URI_QUERY: "+" is a blank); malformed escapes stay as they are. Never longer. */
void uri_decode(struct str *out, struct span enc, enum uri_place place);
