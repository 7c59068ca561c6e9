#include "admin/admin.h"
#include "admin/answer.h"
#include "admin/limits_top.h"
#include "admin/pages.h"
#include "core/thread.h"

static const char json[] = "application/json", plain[] = "text/plain; charset=utf-8";

static struct admin_hooks hooks;

void admin_set_hooks(const struct admin_hooks *h) {
    hooks = *h;
}

/* What may be asked: by path. A page is text of the snapshot; an action answers by itself. */
struct door {
    const char *path;
    void (*page)(struct text *t, const struct snapshot *s);
    const char *type;
    void (*act)(struct answer *a);
    enum method method; /* GET includes HEAD */
};

static void livez(struct answer *a) {
    text_lit(&a->text, "ok\n");
    answer_send(a, 200, plain);
}

static bool wants(const struct exchange *x, struct span type) {
    return list_has(hdr_get(&x->req, HDR_ACCEPT), type);
}

/* JSON, but for who asks for text. */
static void status(struct answer *a) {
    bool text = wants(a->x, SPAN("text/plain"));
    (text ? page_status_text : page_status)(&a->text, a->x->snap->snapshot);
    answer_send(a, 200, text ? plain : json);
}

static void readyz(struct answer *a) {
    const char *why = hooks.not_ready ? hooks.not_ready(hooks.ctx) : NULL;
    text_z(&a->text, why ? why : "ok");
    text_lit(&a->text, "\n");
    answer_send(a, why ? 503 : 200, plain);
}

struct admin_reload {
    struct op op;
    struct answer *answer; /* NULL: the asker has gone */
    bool json;
};

static void reload_cancelled(struct op *op) {
    container_of(op, struct admin_reload, op)->answer = NULL;
}

bool admin_reload_json(const struct admin_reload *r) {
    return r->json;
}

static void reload_text(struct text *t, const struct admin_reload *r, bool ok, struct span message,
                        struct span diagnostics) {
    if (!r->json) {
        text_add(t, diagnostics);
        text_add(t, message);
        text_lit(t, "\n");
        return;
    }
    json_open(t, NULL, '{');
    json_bool(t, "ok", ok);
    json_str(t, "message", message);
    text_lit(t, ",\"diagnostics\":");
    while (diagnostics.n && diagnostics.p[diagnostics.n - 1] == '\n')
        diagnostics.n--;
    text_add(t, diagnostics.n ? diagnostics : SPAN("null"));
    json_close(t, '}');
    text_lit(t, "\n");
}

void admin_reload_done(struct admin_reload *r, bool ok, struct span message,
                       struct span diagnostics) {
    struct answer *a = r->answer;
    if (a) {
        op_end(&r->op);
        reload_text(&a->text, r, ok, message, diagnostics);
        answer_send(a, ok ? 200 : 400, r->json ? json : plain);
    }
    mem_free(r);
}

/* A page of a browser can send neither this content type elsewhere without asking first, nor leave
 * Origin away: so no web site can reload the gateway of who looks at it. */
static bool from_browser(const struct exchange *x) {
    return hdr_get(&x->req, HDR_ORIGIN).p ||
           !span_starts(hdr_get(&x->req, HDR_CONTENT_TYPE), SPAN("application/json"));
}

static void reload(struct answer *a) {
    struct exchange *x = a->x;
    if (!hooks.reload) {
        answer_problem(a, 404, "no_reload", "this process cannot reload");
        return;
    }
    if (from_browser(x)) {
        answer_problem(a, 403, "admin_origin", "send Content-Type: application/json and no Origin");
        return;
    }
    struct admin_reload *r = mem_alloc(sizeof *r);
    r->answer = a;
    r->json = wants(x, SPAN("application/json"));
    op_start(&x->back_ops_list, &r->op, reload_cancelled);
    hooks.reload(hooks.ctx, r);
}

static void reset(struct answer *a) {
    if (from_browser(a->x))
        answer_problem(a, 403, "admin_origin", "send Content-Type: application/json and no Origin");
    else
        limits_reset(a);
}

static const struct door doors[] = {
    {"/metrics", page_metrics, "text/plain; version=0.0.4; charset=utf-8", NULL, METHOD_GET},
    {"/status", NULL, NULL, status, METHOD_GET},
    {"/routes", page_routes, json, NULL, METHOD_GET},
    {"/limits", NULL, NULL, limits_page, METHOD_GET},
    {"/limits/top", NULL, NULL, limits_top, METHOD_GET},
    {"/limits/quotas", NULL, NULL, limits_quotas, METHOD_GET},
    {"/limits/reset", NULL, NULL, reset, METHOD_POST},
    {"/livez", NULL, NULL, livez, METHOD_GET},
    {"/readyz", NULL, NULL, readyz, METHOD_GET},
    {"/reload", NULL, NULL, reload, METHOD_POST},
};

static const struct door *door_of(struct span path) {
    for (unsigned i = 0; i < array_len(doors); i++)
        if (span_eq(path, span_z(doors[i].path)))
            return &doors[i];
    return NULL;
}

static bool loopback(const struct address *a) {
    unsigned char ip[16];
    static const unsigned char loopback6[16] = {[15] = 1};
    return address_ip16(a, ip) &&
           (memcmp(ip, loopback6, 16) == 0 || (a->sa.sa_family == AF_INET && ip[12] == 127));
}

/* A web page whose name was made to point here sends that name: no name passes but localhost. Other
 * machines' way of asking, by address, passes where the listener is open to them (W0107). */
static bool host_allowed(struct span host, const struct address *admin) {
    struct address a;
    if (host.n == 0 || span_eq(host, SPAN("localhost"))) /* empty: HTTP/1.0, no browser */
        return true;
    if (!address_parse_ip(host, &a))
        return false;
    bool open = admin->len && admin->sa.sa_family != AF_UNIX && !loopback(admin);
    return open || loopback(&a);
}

static bool method_fits(const struct door *d, enum method m) {
    return m == d->method || (d->method == METHOD_GET && m == METHOD_HEAD);
}

static void admin_start(struct exchange *x) {
    struct answer *a = answer_create(x);
    const struct door *d = door_of(x->req.path);
    if (d && d->page == page_metrics && x->snap->snapshot->metrics_off)
        d = NULL;
    body_stop(x->up_half.sink);
    if (!host_allowed(x->req.host, &x->snap->snapshot->admin)) {
        answer_problem(a, 403, "admin_host", "ask by localhost or a loopback address");
    } else if (!d) {
        answer_problem(a, 404, "not_found",
                       x->snap->snapshot->metrics_off
                           ? "there are /status, /routes, /limits, /livez, /readyz and /reload"
                           : "there are /metrics, /status, /routes, /limits, /livez, /readyz and "
                             "/reload");
    } else if (!method_fits(d, x->req.method)) {
        hdr_add(&x->resp, HDR_ALLOW, d->method == METHOD_GET ? SPAN("GET, HEAD") : SPAN("POST"));
        answer_problem(a, 405, "method_not_allowed", "see Allow");
    } else if (d->act) {
        d->act(a);
    } else {
        d->page(&a->text, x->snap->snapshot);
        answer_send(a, 200, d->type);
    }
}

const struct back_ops admin_back = {.name = "admin", .start = admin_start, .room = answer_room};
const struct plan admin_plan = {.back = &admin_back};
