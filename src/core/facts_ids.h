/* The numbers of facts: what compiled names are, and what asks for their values. */
#pragma once
#include "core/facts.h"

enum fact {
    CONSUMER_NAME = FACT_CONSUMER_FIRST_ID,
    CONSUMER_PLAN,
    CONSUMER_GROUPS,
    CONSUMER_TAGS = FACT_CONSUMER_LAST_ID,
    REQUEST_METHOD,
    REQUEST_SCHEME,
    REQUEST_HOST,
    REQUEST_PATH,
    REQUEST_ID,
    REQUEST_PROTOCOL,
    REQUEST_SIZE,
    REQUEST_TIME,
    REQUEST_HEADERS,
    REQUEST_QUERY,
    HEADER,
    QUERY,
    COOKIE,
    PATH,
    CLIENT_IP,
    CLIENT_PORT,
    CLIENT_TLS_VERSION,
    CLIENT_TLS_SNI,
    CLIENT_TLS_SUBJECT,
    CLIENT_TLS_SAN,
    CLIENT_TLS_VERIFIED,
    ROUTE_NAME,
    SERVICE_NAME,
    VARS,
    ENV,
    ERROR_CODE,
    ERROR_STATUS,
    ERROR_DETAIL,
    ERROR_WHO,
    RESPONSE_STATUS,
    RESPONSE_HEADERS,
    RESPONSE_DURATION,
};

/* core/facts_maps.c: whole maps, as hosts. */
struct value facts_header_lists(struct arena *a, const struct head *h);
struct value facts_query_lists(struct arena *a, const struct head *h);
struct value facts_direct_map(struct exchange *x, struct arena *a, int id);
