#include "cli/explain.h"
#include "back/canned.h"
#include "base/env.h"
#include "base/log.h"
#include "core/canned.h"
#include "core/facts.h"
#include "core/forward.h"
#include "core/route_when.h"
#include "core/targets.h"
#include "filter/authenticate.h"
#include "filter/cors.h"
#include "filter/rewrite.h"

enum { REQUEST_MAX = 128 * 1024, BODY_MAX = 64 * 1024, EXTRA_FIELDS = 16 };

/* --- the request as a client would send it --- */

struct url {
    struct span authority, target;
};

static bool read_url(const char *text, struct url *u) {
    struct span s = span_z(text);
    *u = (struct url){SPAN_NONE, s};
    size_t scheme = span_starts(s, SPAN("http://")) ? 7 : span_starts(s, SPAN("https://")) ? 8 : 0;
    if (!scheme)
        return s.n && (s.p[0] == '/' || span_eq(s, SPAN("*")));
    s = span_from(s, scheme);
    size_t end = 0;
    while (end < s.n && s.p[end] != '/' && s.p[end] != '?' && s.p[end] != '#')
        end++;
    u->authority = span_cut(s, 0, end);
    u->target = span_from(s, end);
    return end > 0;
}

static bool has_host(const struct cli *c) {
    for (unsigned i = 0; i < c->headers; i++)
        if (span_eq_nocase(span_cut(span_z(c->header[i]), 0, 5), SPAN("host:")))
            return true;
    return false;
}

static bool header_fine(const char *h) {
    const char *colon = strchr(h, ':');
    return colon && colon != h && !strchr(h, '\r') && !strchr(h, '\n');
}

static struct span request_text(const struct cli *c, const struct url *u, struct arena *a) {
    struct str s = str_on(arena_alloc(a, REQUEST_MAX), REQUEST_MAX);
    str_add(&s, span_z(c->argument[0]));
    str_lit(&s, " ");
    if (u->target.n == 0 || u->target.p[0] == '?')
        str_lit(&s, "/");
    str_add(&s, u->target);
    str_lit(&s, " HTTP/1.1\r\n");
    if (!has_host(c)) {
        str_lit(&s, "Host: ");
        str_add(&s, u->authority.n ? u->authority : SPAN("localhost"));
        str_lit(&s, "\r\n");
    }
    for (unsigned i = 0; i < c->headers; i++) {
        str_add(&s, span_z(c->header[i]));
        str_lit(&s, "\r\n");
    }
    if (c->data) {
        str_lit(&s, "Content-Length: ");
        str_u64(&s, strlen(c->data));
        str_lit(&s, "\r\n");
    }
    str_lit(&s, "\r\n");
    return s.full ? SPAN_NONE : str_span(&s);
}

static enum fault parse(struct explained *e, struct span text) {
    struct exchange *x = e->x;
    const struct limits_conf *l = e->listener->limits;
    struct h1_parser *p = arena_zero(&x->arena, sizeof *p);
    struct h1_message m = {0};
    h1_parser_init(p, H1_REQUEST, &l->h1_request);
    if (h1_parse(p, text.p, text.n) != H1_DONE)
        return p->fault ? p->fault : FAULT_BAD_REQUEST_LINE;
    struct h1_rules rules = {.uri = {l->keep_encoded_slash, l->query_params_max},
                             .scheme = e->listener->scheme};
    enum fault f = h1_request(p, text.p, &rules, &x->req, &m);
    x->up_half.length = m.framing == FRAMING_LENGTH ? (int64_t)m.length : 0;
    return f;
}

/* --- what the gateway makes of it --- */

static bool when_holds(void *ctx, const struct route *r, const struct route_when *w,
                       const struct head *h, const struct span *capture) {
    struct explained *e = ctx;
    struct route_judge real = route_judge(e->x);
    bool yes = real.holds(real.ctx, r, w, h, capture);
    if (!yes) /* the captures are still there */
        e->failed = explain_test(e, w->expr);
    return yes;
}

/* Which of its conditions, and whether it failed. */
static void why_when(struct explained *e, struct miss *m) {
    struct route_judge judge = {when_holds, e};
    if (m->kind != MISS_WHEN)
        return;
    e->failed.is = TEST_NONE;
    route_why_when(m, &e->x->req, e->listener, &judge, &e->x->arena);
    if (m->kind == MISS_WHEN && e->failed.is == TEST_FAILED)
        m->wanted = span_z(
            arena_fmt(&e->x->arena, "%.*s, which fails: %s", SPAN_ARG(m->wanted), e->failed.why));
    e->failed.is = TEST_NONE;
}

static void find_rejected(struct explained *e) {
    const struct snapshot *s = e->s;
    struct arena *a = &e->x->arena;
    e->rejected = arena_zero(a, REJECTED_MAX * sizeof *e->rejected);
    if (s->route_count > REJECTED_MAX) { /* the nearest ones */
        e->rejected_count =
            router_nearest(s, &e->x->req, e->listener, a, e->rejected, REJECTED_MAX);
        e->rejected_more = s->route_count - e->rejected_count - (e->found.route ? 1 : 0);
        for (uint32_t i = 0; i < e->rejected_count; i++)
            why_when(e, &e->rejected[i]);
        return;
    }
    for (uint32_t i = 0; i < s->route_count; i++) {
        if (&s->route[i] == e->found.route)
            continue;
        struct miss *m = &e->rejected[e->rejected_count++];
        route_why_not(&s->route[i], &e->x->req, e->listener, a, m);
        why_when(e, m);
        m->route = &s->route[i];
        if (m->kind == MISS_NONE)
            m->kind = MISS_OUTRANKED;
    }
}

static enum fault find_route(struct explained *e) {
    struct exchange *x = e->x;
    struct route_judge judge = route_judge(x);
    router_find_request(e->s->router, &x->req, e->listener, &judge, &e->found);
    const struct route *r = e->found.route;
    find_rejected(e);
    if (!r)
        return e->found.path_matched ? FAULT_METHOD_NOT_ALLOWED : FAULT_NO_ROUTE;
    x->route = r;
    x->plan = &r->plan;
    x->max_body = r->max_body;
    if (grpc_kind(hdr_get(&x->req, HDR_CONTENT_TYPE)) && !r->max_body_own)
        x->max_body = UINT64_MAX;
    for (uint32_t i = 0; i < r->capture_count; i++)
        x->capture[i] = e->found.capture[i];
    return x->up_half.length > 0 && (uint64_t)x->up_half.length > x->max_body ? FAULT_BODY_TOO_LARGE
                                                                              : FAULT_NONE;
}

/* The first authenticator stands for whichever would have known the caller. */
static enum fault accept_caller(struct explained *e, const struct authenticate_conf *c) {
    must(c->count); /* the loader saw to it */
    e->caller.by = c->by[0];
    return authenticate_accept(c, e->x, &e->caller, 1);
}

static enum fault run_filters(struct explained *e) {
    struct exchange *x = e->x;
    struct template_values v = explain_values(e);
    const struct plan *p = route_whole(x->route);
    for (unsigned i = 0; i < p->count; i++) {
        const struct filter *f = &p->filter[i];
        enum fault fault = FAULT_NONE;
        if (f->when)
            e->when[i] = explain_test(e, f->when);
        if (!explain_runs(f, &e->when[i]))
            continue;
        if (f->ops == &rewrite_ops)
            fault = rewrite_apply(f->conf, &x->req, &v);
        else if (f->ops == &authenticate_ops && e->called)
            fault = accept_caller(e, f->conf);
        if (fault)
            return fault;
    }
    return FAULT_NONE;
}

static struct span host_for(const struct explained *e) {
    const struct service_conf *s = e->target->service;
    switch (s->host_mode) {
    case HOST_KEEP:
        return e->x->req.authority;
    case HOST_SERVICE:
        return s->endpoint_count ? s->endpoint[0].address_text : SPAN_NONE;
    case HOST_NAME:
        return s->host_name;
    }
    return SPAN_NONE;
}

/* Where a field of the service's credentials would stand; its value is nobody's business. */
static void credentials(struct exchange *x, const struct credentials_conf *c, struct h1_print *how,
                        struct field *extra) {
    if (c->caller == CALLER_DROP)
        hdr_remove(&x->req, HDR_AUTHORIZATION);
    if (!c->field.n || how->extra_count == EXTRA_FIELDS)
        return;
    hdr_remove_name(&x->req, c->field);
    extra[how->extra_count++] = (struct field){.name = c->field.p,
                                               .value = "***",
                                               .value_len = 3,
                                               .name_len = (uint16_t)c->field.n,
                                               .id = (uint16_t)hdr_lookup(c->field)};
}

static void upstream(struct explained *e, const struct forward_conf *conf) {
    struct exchange *x = e->x;
    struct field extra[EXTRA_FIELDS];
    e->target = targets_choose(x, conf);
    x->service = e->target->service;
    struct h1_print how = {.extra = extra, .authority = host_for(e), .framing = FRAMING_NONE};
    how.extra_count = forward_fields(x, extra, EXTRA_FIELDS);
    credentials(x, &x->service->credentials, &how, extra);
    how.no_length = x->up_half.length <= 0;
    if (x->up_half.length > 0) {
        how.framing = FRAMING_LENGTH;
        how.length = (uint64_t)x->up_half.length;
    }
    e->upstream = h1_print_request(&x->req, &x->arena, &how);
}

static enum fault respond(struct explained *e, const struct respond_conf *c) {
    struct template_values v = explain_values(e);
    e->status = c->status;
    e->content_type = c->content_type;
    if (c->has_file)
        e->body = c->file;
    else if (c->body && !template_eval(c->body, &e->x->arena, &v, BODY_MAX, &e->body))
        return FAULT_EXPRESSION_FAILED;
    return FAULT_NONE;
}

static enum fault answer(struct explained *e) {
    const struct plan *p = e->x->plan;
    struct template_values v = explain_values(e);
    if (strcmp(p->back->name, "proxy") == 0)
        upstream(e, p->back_conf);
    else if (p->back == &canned_respond)
        return respond(e, p->back_conf);
    else if (p->back == &canned_redirect) {
        const struct redirect_conf *c = p->back_conf;
        e->status = c->status;
        return canned_location(c, &e->x->req, &v, &e->x->arena, &e->location);
    }
    return FAULT_NONE;
}

/* A policy answers before the others are asked. False: it is no preflight, or nobody's. */
static bool preflight(struct explained *e, enum fault *f) {
    const struct plan *p = e->x->plan;
    unsigned i = 0;
    if (!e->x->route->preflights || !cors_is_preflight(&e->x->req))
        return false;
    while (i < p->count && p->filter[i].ops != cors_policy.ops)
        i++;
    if (i == p->count)
        return false;
    e->status = 204;
    *f = cors_preflight_wrong(p->filter[i].conf, e->x) ? FAULT_CORS_REFUSED : FAULT_NONE;
    return true;
}

static enum fault follow(struct explained *e, struct span text) {
    enum fault f = parse(e, text);
    e->tls = (struct tls_info){.version = "TLSv1.3", .cipher = "", .alpn = "http/1.1"};
    if (e->x->req.host.n && lower(e->x->req.host.p[0]) >= 'a')
        e->tls.sni = e->x->req.host;
    if (!f && e->listener->redirect_https) {
        e->status = 308;
        return FAULT_NONE;
    }
    if (!f)
        f = forward_prepare(e->x);
    if (!f)
        f = find_route(e);
    if (f == FAULT_NO_ROUTE && span_eq(e->x->req.path, SPAN("*"))) {
        e->status = 204; /* OPTIONS *: about the gateway itself */
        return FAULT_NONE;
    }
    if (!f && preflight(e, &f))
        return f;
    if (!f)
        f = run_filters(e);
    return f ? f : answer(e);
}

/* A request may carry secrets of the configuration; people need not see them. Shorter ones than
 * what stands for them are left: they would be found everywhere. */
static struct span hide(const struct explained *e, struct span text) {
    for (uint32_t i = 0; i < e->s->secret_count; i++) {
        struct span s = e->s->secret[i], rest = text;
        const char *at;
        if (s.n <= 3 || s.n > text.n)
            continue;
        struct str out = str_on(arena_alloc(&e->x->arena, text.n), text.n);
        while (rest.n && (at = memmem(rest.p, rest.n, s.p, s.n))) {
            str_add(&out, span_cut(rest, 0, (size_t)(at - rest.p)));
            str_lit(&out, "***");
            rest = span_from(rest, (size_t)(at - rest.p) + s.n);
        }
        str_add(&out, rest);
        text = str_span(&out);
    }
    return text;
}

static void hide_secrets(struct explained *e) {
    e->upstream = hide(e, e->upstream);
    e->location = hide(e, e->location);
    e->body = hide(e, e->body);
}

static const struct listener_conf *listener_named(const struct snapshot *s, const char *name) {
    for (uint32_t i = 0; i < s->listener_count; i++)
        if (span_eq(s->listener[i].name, span_z(name)))
            return &s->listener[i];
    return NULL;
}

/* The one that is named, else the first that speaks the URL's scheme, else the first. */
static const struct listener_conf *listener_for(const struct snapshot *s, const struct cli *c) {
    if (c->listener)
        return listener_named(s, c->listener);
    struct span url = span_z(c->argument[1]);
    struct span scheme = span_starts(url, SPAN("https://")) ? SPAN("https") : SPAN("http");
    for (uint32_t i = 0; span_find(url, ':') > 0 && i < s->listener_count; i++)
        if (span_eq(s->listener[i].scheme, scheme))
            return &s->listener[i];
    return s->listener_count ? &s->listener[0] : NULL;
}

bool explain_run(struct cli *c, struct snapshot *s, struct explained *e, int *code) {
    struct url u;
    *e = (struct explained){.s = s, .listener = listener_for(s, c)};
    *code = CLI_USAGE;
    if (!e->listener)
        return cli_misused(c, "there is no listener `%s`", c->listener), false;
    if (!read_url(c->argument[1], &u))
        return cli_misused(c, "`%s` is no URL and no path that begins with /", c->argument[1]),
               false;
    for (unsigned i = 0; i < c->headers; i++)
        if (!header_fine(c->header[i]))
            return cli_misused(c, "-H wants 'Name: value', not `%s`", c->header[i]), false;
    e->thread = mem_alloc(sizeof *e->thread);
    e->x = mem_alloc(sizeof *e->x);
    struct exchange *x = e->x;
    arena_init(&x->arena, NULL);
    e->ref = (struct snapshot_ref){.snapshot = s};
    x->thread = e->thread;
    memcpy(e->thread->id_prefix, "example", sizeof "example");
    x->snap = &e->ref;
    head_init(&x->req, &x->arena);
    x->facts.listener = e->listener;
    x->facts.http_minor = 11;
    x->facts.protocol = "HTTP/1.1";
    if (address_parse(SPAN("127.0.0.1:50000"), &x->facts.peer))
        x->facts.client = x->facts.peer, x->facts.peer_text = SPAN("127.0.0.1");
    struct span text = request_text(c, &u, &x->arena);
    if (!text.p) {
        explain_finish(e);
        return cli_misused(c, "the request is larger than 128 KiB"), false;
    }
    if (e->listener->tls)
        x->facts.tls = &e->tls;
    e->url = u.target;
    x->front_data = e;
    log_event_level(LEVEL_ERROR); /* what fails is told below */
    if (!explain_caller(c, e, code)) {
        explain_finish(e);
        return false;
    }
    e->fault = follow(e, text);
    log_event_level(LEVEL_INFO);
    hide_secrets(e);
    *code = CLI_FINE;
    return true;
}

void explain_finish(struct explained *e) {
    if (e->x)
        arena_finish(&e->x->arena);
    mem_free(e->x);
    mem_free(e->thread);
    e->x = NULL;
    e->thread = NULL;
}

int cli_explain(struct cli *c) {
    struct diag_list d;
    struct explained e;
    int code;
    diag_init(&d, false);
    struct snapshot *s = cli_load(c, &d, stderr);
    diag_finish(&d);
    if (!s)
        return CLI_CONFIG;
    if (explain_run(c, s, &e, &code)) {
        if (c->format == DIAG_JSON)
            explain_json(c, &e);
        else
            explain_text(c, &e);
        explain_finish(&e);
    }
    snapshot_unref_atomic(s);
    return code;
}
