#include "core/route_when.h"
#include "core/facts.h"

/* For the time of the question the exchange has this route, its captures, and the method that a
 * CORS preflight asks for. */
static bool holds(void *ctx, const struct route *r, const struct route_when *w,
                  const struct head *h, const struct span *capture) {
    struct exchange *x = ctx;
    const struct route *was = x->route;
    enum method method = x->req.method;
    struct span text = x->req.method_text;
    x->route = r;
    x->req.method = h->method;
    x->req.method_text = h->method_text;
    memcpy(x->capture, capture, r->capture_count * sizeof *capture);
    bool yes = facts_test(x, w->expr) == EXPR_TRUE;
    x->route = was;
    x->req.method = method;
    x->req.method_text = text;
    return yes;
}

struct route_judge route_judge(struct exchange *x) {
    return (struct route_judge){holds, x};
}
