#include "conf/build.h"
#include "conf/files.h"
#include "conf/path.h"
#include "core/problem.h"

enum { FILE_ANSWER_MAX = 16 << 20 };

static bool there(const struct node *n) {
    return n && !node_null(n);
}

const struct back_ops *action_back(struct build *b, const char *name) {
    const struct conf_registry *r = b->options->registry;
    for (unsigned i = 0; r && i < r->backs; i++)
        if (strcmp(r->back[i]->name, name) == 0)
            return r->back[i];
    return NULL;
}

/* --- to --- */

static uint32_t weight_of(struct node *n) {
    uint64_t w = 1;
    struct node *weight = node_get(n, "weight");
    if (there(weight) && weight->kind == NODE_SCALAR && !weight->bad &&
        !parse_dec(node_plain(weight), 1000000, &w))
        w = 1;
    return (uint32_t)w;
}

/* NULL: it has none, or a wrong one. */
static const struct expr *target_when(struct build *b, struct node *n,
                                      const struct fact_captures *captures) {
    struct node *when = n->kind == NODE_MAP ? node_get(n, "when") : NULL;
    struct schema_fill fill = build_fill(b, captures);
    return there(when) ? schema_cel(&fill, when, SCOPE_REQUEST, true) : NULL;
}

/* Both would say how many requests go there. */
static void weight_and_when(struct build *b, struct node *n) {
    struct node *weight = n->kind == NODE_MAP ? node_get(n, "weight") : NULL;
    if (there(weight))
        diag_add(
            b->diags, DIAG_W0110, weight->at,
            "this weight says nothing: a target with a `when` takes all requests that it holds "
            "for");
}

static void add_target(struct build *b, struct forward_conf *f, struct target *t, struct node *n,
                       const struct fact_captures *captures) {
    struct node *name = n->kind == NODE_MAP ? node_get(n, "service") : n;
    if (!there(name) || name->kind != NODE_SCALAR || name->bad)
        return;
    const struct service_conf *s = build_service(b, name);
    uint32_t weight = n->kind == NODE_MAP ? weight_of(n) : 1;
    if (!s)
        return;
    const struct expr *when = target_when(b, n, captures);
    if (when)
        weight_and_when(b, n);
    else if (weight == 0)
        diag_add(b->diags, DIAG_W0110, n->at, "the weight of %.*s is 0: it gets no requests",
                 SPAN_ARG(s->name));
    weight = when ? 0 : weight;
    t[f->target_count++] = (struct target){s, weight, when, build_where(b, n)};
    f->conditional |= when != NULL;
    f->weight_sum += weight;
}

static void no_weights(struct build *b, const struct forward_conf *f, const struct node *list) {
    const char *text = f->conditional ? "no target is left for requests that no `when` holds for"
                                      : "the weights of all targets are 0";
    struct diag *d = diag_add(b->diags, DIAG_E0308, list->at, "%s", text);
    if (f->conditional)
        diag_help(b->diags, d, "add a target without `when`");
}

static void forward(struct build *b, struct node *n, const struct policy_level *p, struct route *r,
                    const struct fact_captures *captures) {
    struct forward_conf *f = arena_zero(b->arena, sizeof *f);
    n = schema_long(b->tree, b->diags, &schema_to_type, n);
    struct node *list = node_get(n, "targets"), *timeout = policies_value(p, "timeout");
    bool many = there(list) && list->kind == NODE_LIST;
    uint32_t count = many ? list->count : 1;
    struct target *t = arena_zero(b->arena, (count + 1) * sizeof *t);
    f->target = t;
    for (uint32_t i = 0; there(list) && i < count; i++)
        add_target(b, f, t, many ? list->item[i] : list, captures);
    if (f->target_count && !f->weight_sum)
        no_weights(b, f, list);
    struct schema_fill fill = build_fill(b, captures);
    if (n->kind == NODE_MAP)
        schema_fill(&fill, &schema_to_type, n, f);
    const struct schema_field *field = schema_field_of(&schema_route_type, SPAN("timeout"));
    if (timeout && timeout->kind == NODE_SCALAR && !timeout->bad)
        (void)!schema_scalar(b->arena, b->diags, field->type, 8, timeout, &f->timeout_ms);
    r->plan.back = action_back(b, "proxy");
    r->plan.back_conf = f;
    policies_on_route(b, r, f);
}

/* --- answers --- */

static bool header_allowed(struct build *b, struct node *key, struct span name) {
    bool token = name.n > 0 && name.n <= 256;
    for (size_t i = 0; i < name.n; i++)
        token = token && token_char[(unsigned char)name.p[i]];
    if (!token) {
        diag_add(b->diags, DIAG_E0212, key->at, "\"%.*s\" is not a header name",
                 SPAN_ARG(key->text));
        return false;
    }
    enum hdr_id id = hdr_lookup(name);
    if (id != HDR_OTHER && (hdr_table[id].flags & (HF_HOP | HF_FRAMING))) {
        struct diag *d = diag_add(b->diags, DIAG_E0212, key->at,
                                  "the header %.*s belongs to the connection, nobody sets it",
                                  SPAN_ARG(key->text));
        diag_help(b->diags, d, "the gateway writes it as each connection needs it");
        return false;
    }
    return true;
}

struct answer_header *answer_headers(struct build *b, struct node *map, const struct schema_fill *f,
                                     unsigned scopes, uint32_t *count) {
    if (!there(map) || map->kind != NODE_MAP)
        return NULL;
    struct answer_header *h = arena_zero(b->arena, map->count * sizeof *h + 1);
    for (uint32_t i = 0; i < map->count; i++) {
        struct node *key = map->pair[i].key, *value = map->pair[i].value;
        char *z = arena_text(b->arena, key->text);
        for (size_t k = 0; k < key->text.n; k++)
            z[k] = lower(z[k]);
        struct span name = span_of(z, key->text.n);
        if (value->bad || node_null(value) || !header_allowed(b, key, name))
            continue;
        const struct template *t = schema_template(f, value, PLACE_HEADER, scopes);
        if (t)
            h[(*count)++] = (struct answer_header){name, t};
    }
    return h;
}

const struct template *answer_body(struct build *b, struct node *body, const struct schema_fill *f,
                                   unsigned scopes, struct span *content_type) {
    if (!there(body) || body->bad)
        return NULL;
    (void)b;
    if (body->kind == NODE_SCALAR && (body->quoted || !(node_true(body) || node_false(body)))) {
        *content_type = SPAN("text/plain; charset=utf-8");
        return schema_template(f, body, PLACE_TEXT, scopes);
    }
    *content_type = SPAN("application/json");
    return schema_json(f, body, scopes);
}

static const char *type_of_file(struct span path) {
    static const char *const types[][2] = {
        {".html", "text/html; charset=utf-8"},
        {".htm", "text/html; charset=utf-8"},
        {".json", "application/json"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".txt", "text/plain; charset=utf-8"},
        {".xml", "application/xml"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".jpg", "image/jpeg"},
        {".ico", "image/x-icon"},
        {".yaml", "application/yaml"},
    };
    for (size_t i = 0; i < array_len(types); i++)
        if (span_ends(path, span_z(types[i][0])))
            return types[i][1];
    return "application/octet-stream";
}

static void respond_file(struct build *b, struct respond_conf *r, struct node *file) {
    if (!there(file) || file->kind != NODE_SCALAR || file->bad)
        return;
    const char *path = files_beside(b->tree, b->diags, file->at.file, node_plain(file));
    const char *why = files_read(b->arena, path, FILE_ANSWER_MAX, &r->file);
    if (why)
        diag_add(b->diags, DIAG_E0101, file->at, "%s: %s", path, why);
    r->has_file = !why;
    r->content_type = span_z(type_of_file(span_z(path)));
}

static bool no_body(int status) {
    return status == 204 || status == 205 || status == 304;
}

static void respond(struct build *b, struct node *n, struct route *r,
                    const struct fact_captures *captures) {
    struct respond_conf *c = arena_zero(b->arena, sizeof *c);
    struct schema_fill f = build_fill(b, captures);
    n = schema_long(b->tree, b->diags, &schema_respond_type, n);
    schema_shipped(b->arena, &schema_respond, c);
    if (n->kind != NODE_MAP)
        return;
    schema_fill(&f, &schema_respond_type, n, c);
    c->header = answer_headers(b, node_get(n, "headers"), &f, SCOPE_REQUEST, &c->header_count);
    struct node *body = node_get(n, "body");
    c->body = answer_body(b, body, &f, SCOPE_REQUEST, &c->content_type);
    respond_file(b, c, node_get(n, "file"));
    if (no_body(c->status) && (there(body) || c->has_file))
        diag_add(b->diags, DIAG_E0505, there(body) ? body->at : n->at,
                 "an answer with status %d has no body", c->status);
    r->plan.back = action_back(b, "respond");
    r->plan.back_conf = c;
}

static void redirect(struct build *b, struct node *n, struct route *r,
                     const struct fact_captures *captures) {
    struct redirect_conf *c = arena_zero(b->arena, sizeof *c);
    struct schema_fill f = build_fill(b, captures);
    struct node *written = n;
    n = schema_long(b->tree, b->diags, &schema_redirect_type, n);
    schema_shipped(b->arena, &schema_redirect, c);
    if (n->kind != NODE_MAP)
        return;
    schema_fill(&f, &schema_redirect_type, n, c);
    bool whole = there(node_get(n, "to"));
    struct node *part = node_get(n, "scheme");
    part = there(part) ? part : node_get(n, "host");
    part = there(part) ? part : node_get(n, "path");
    if (!whole && !there(part)) {
        struct diag *d =
            diag_add(b->diags, DIAG_E0504, written->at, "this redirect says no target");
        diag_help(b->diags, d, "give it `to`, or some of scheme, host and path");
    }
    r->plan.back = action_back(b, "redirect");
    r->plan.back_conf = c;
}

/* --- errors --- */

static bool error_code(struct span s) {
    static const char *const later[] = {"rate_limited", "unauthorized", "forbidden"};
    for (int i = 1; i < FAULT_COUNT; i++)
        if (span_eq(s, span_z(fault_table[i].code)))
            return true;
    for (size_t i = 0; i < array_len(later); i++)
        if (span_eq(s, span_z(later[i])))
            return true;
    return false;
}

static void unknown_code(struct build *b, const struct node *key) {
    const char *word[FAULT_COUNT];
    for (int i = 0; i < FAULT_COUNT; i++)
        word[i] = fault_table[i].code;
    struct diag *d = diag_add(b->diags, DIAG_E0208, key->at, "the gateway has no answer \"%.*s\"",
                              SPAN_ARG(key->text));
    const char *guess = diag_guess(key->text, word, FAULT_COUNT);
    if (guess)
        diag_help(b->diags, d, "did you mean %s?", guess);
    else
        diag_help(b->diags, d, "name a status (404), a class (4xx, 5xx) or a code like no_route");
}

static void which_errors(struct build *b, const struct node *key, struct error_answer *e) {
    struct span s = key->text;
    uint64_t status;
    if (s.n == 3 && (s.p[0] == '4' || s.p[0] == '5') && s.p[1] == 'x' && s.p[2] == 'x') {
        e->status_from = (s.p[0] - '0') * 100;
        e->status_to = e->status_from + 99;
    } else if (parse_dec(s, 599, &status) && status >= 400) {
        e->status_from = e->status_to = (int)status;
    } else if (error_code(s)) {
        e->code = arena_span(b->arena, s);
    } else {
        unknown_code(b, key);
    }
}

static void one_error(struct build *b, struct error_answer *e, const struct pair *p,
                      const struct schema_fill *f) {
    struct node *n = schema_long(b->tree, b->diags, &schema_error_type, p->value);
    unsigned scopes = SCOPE_REQUEST | SCOPE_ERROR;
    uint64_t status;
    e->where = build_where(b, p->key);
    which_errors(b, p->key, e);
    if (n->kind != NODE_MAP || n->bad)
        return;
    struct node *own = node_get(n, "status");
    if (there(own) && own->kind == NODE_SCALAR && !own->bad &&
        parse_dec(node_plain(own), 599, &status))
        e->status = (int)status;
    e->header = answer_headers(b, node_get(n, "headers"), f, scopes, &e->header_count);
    e->body = answer_body(b, node_get(n, "body"), f, scopes, &e->content_type);
}

/* A code goes before a status, a status before a class. */
static int rank(const struct error_answer *e) {
    return e->code.n ? 0 : e->status_from == e->status_to ? 1 : 2;
}

const struct errors_conf *errors_build(struct build *b, struct node *errors,
                                       const struct fact_captures *captures) {
    struct errors_conf *c = arena_zero(b->arena, sizeof *c);
    struct schema_fill f = build_fill(b, captures);
    if (errors->kind != NODE_MAP)
        return NULL;
    struct error_answer *all = arena_zero(b->arena, errors->count * sizeof *all + 1);
    for (int r = 0; r < 3; r++)
        for (uint32_t i = 0; i < errors->count; i++) {
            struct error_answer e = {0};
            if (node_null(errors->pair[i].value))
                continue;
            which_errors(b, errors->pair[i].key, &e);
            if (rank(&e) == r)
                one_error(b, &all[c->count++], &errors->pair[i], &f);
        }
    c->answer = all;
    return c;
}

void action_build(struct build *b, struct node *route, const struct policy_level *p,
                  struct route *r, const struct fact_captures *captures) {
    struct node *n;
    if (there(node_get(route, "aggregate")) || there(node_get(route, "batch")) ||
        there(node_get(route, "openapi")))
        return; /* told: not available yet; `respond` beside it speaks of its branches */
    if (there(n = node_get(route, "to")) && !n->bad)
        forward(b, n, p, r, captures);
    else if (there(n = node_get(route, "respond")) && !n->bad)
        respond(b, n, r, captures);
    else if (there(n = node_get(route, "redirect")) && !n->bad)
        redirect(b, n, r, captures);
}
