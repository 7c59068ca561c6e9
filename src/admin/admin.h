/*
 * admin - what the admin listener answers: metrics, status, routes, liveness, readiness, reload.
 *
 *     GET /metrics   Prometheus text            GET /livez    200 while the control loop turns
 *     GET /status    JSON; text by Accept       GET /readyz   200, or 503 while it drains
 *     GET /routes    JSON                       POST /reload  JSON or text with the diagnostics
 *     GET /limits, /limits/top, /limits/quotas; POST /limits/reset: limits_top.h
 *
 * It is a back like any other, on the control thread, behind the ordinary front; the listener is on
 * loopback or a unix socket only. A Host that names neither is refused (DNS rebinding), and so is a
 * POST that a browser could have been tricked into sending. Owner: main. Thread: the control
 * thread.
 */
#pragma once
#include "core/exchange.h"
#include "observe/text.h"

extern const struct back_ops admin_back;
extern const struct plan admin_plan;

enum { ADMIN_PAGE_MAX = 5 * 1024 * 1024 };

struct admin_reload; /* a POST /reload that waits for its outcome */

struct admin_hooks {
    void *ctx;
    /* Starts a reload; admin_reload_done(r, ...) must follow exactly once, at once or later, in the
     * control thread. NULL: this process cannot reload (404). */
    void (*reload)(void *ctx, struct admin_reload *r);
    /* NULL, or a word why the process is not ready ("draining"). NULL hook: always ready. */
    const char *(*not_ready)(void *ctx);
};
/* Before the listener is opened; copied. */
void admin_set_hooks(const struct admin_hooks *h);

/* The asker wants diagnostics as JSON (Accept), else as text. */
bool admin_reload_json(const struct admin_reload *r);
/* The outcome in one sentence, and the diagnostics in the form asked for (JSON: a whole value;
 * empty: none). Harmless when the asker has gone. `r` is gone afterwards. */
void admin_reload_done(struct admin_reload *r, bool ok, struct span message,
                       struct span diagnostics);
