/*
 * security_headers - header fields that protect browsers, on answers that do not say so themselves.
 *
 * What a service says stays: it knows its pages. Strict-Transport-Security goes on https alone
 * (RFC 6797 7.2). On the gateway's own answers too. Conf: struct security_headers_conf. Thread:
 * that of the exchange.
 */
#pragma once
#include "core/schema.h"

struct security_headers_conf {
    uint64_t hsts_ms; /* 0: none */
    bool subdomains, preload, nosniff;
    int frame; /* 0: none */
    struct span referrer, content, permissions, opener;
    struct span hsts; /* what finish makes of it */
};

extern const struct policy security_headers_policy;
