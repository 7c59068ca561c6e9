/*
 * metrics_cells - the arrays behind observe/metrics. Part of that room alone.
 * Owner: the thread (local[METRICS]). Thread: one writer, read by all.
 */
#pragma once
#include "core/authenticator.h"
#include "observe/histogram.h"
#include "observe/metrics.h"

enum { ROW_NONE, ROW_OTHER, ROW_NAMES }; /* no route or service; those without a row; named ones */
enum { ROUTE_ROWS = ROW_NAMES + METRIC_ROUTES, SERVICE_ROWS = ROW_NAMES + METRIC_SERVICES };
enum { CLASSES = 6 }; /* no status, 1xx .. 5xx */

struct route_cell {
    _Atomic uint64_t answered[CLASSES];
    _Atomic uint64_t request_bytes, response_bytes;
    struct histogram duration;
};
struct service_cell {
    _Atomic uint64_t failed;
    struct histogram answer; /* time to the response head */
};
/* Codes of the faults of one block of the list: what authenticators refuse with. */
enum {
    AUTH_FAULT_FIRST = FAULT_MISSING_CREDENTIALS,
    AUTH_FAULTS = FAULT_DESTINATION_REFUSED - FAULT_MISSING_CREDENTIALS + 1,
    AUTH_ROWS = ROW_NAMES + METRIC_AUTHENTICATORS
};
struct auth_cell {
    _Atomic uint64_t accepted, waited, refused[AUTH_FAULTS];
};
struct metrics_local {
    struct auth_cell auth[AUTH_ROWS];
    _Atomic uint64_t fault[FAULT_COUNT];
    struct route_cell route[ROUTE_ROWS];
    struct service_cell service[SERVICE_ROWS];
};

unsigned metrics_route_row(const struct route *r); /* NULL: ROW_NONE */
unsigned metrics_service_row(const struct service_conf *s);
unsigned metrics_auth_row(const struct authenticator *by);
void metrics_overload(struct text *out);
void metrics_authenticators(struct text *out, const struct snapshot *s);

/* Calls for every thread's arrays. */
void metrics_each(void (*fn)(const struct metrics_local *l, void *ctx), void *ctx);
