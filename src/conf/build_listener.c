#include "conf/build.h"

enum { LISTENERS_MAX = 64 };

static void same_address(struct build *b, uint32_t i, const struct node *const *at) {
    for (uint32_t k = 0; k < i; k++)
        if (address_port(&b->listener[i].address) != 0 && b->listener[k].address.len &&
            address_eq(&b->listener[i].address, &b->listener[k].address)) {
            struct diag *d = diag_add(b->diags, DIAG_E0306, at[i]->at,
                                      "the listeners %.*s and %.*s have the same address",
                                      SPAN_ARG(b->listener[k].name), SPAN_ARG(b->listener[i].name));
            diag_note(b->diags, d, at[k]->at, "it stands here first");
        }
}

static void build_one(struct build *b, struct listener_conf *l, const struct pair *p, uint32_t i) {
    struct node *n = schema_long(b->tree, b->diags, &schema_listener_type, p->value);
    struct schema_fill f = build_fill(b, NULL);
    *l = (struct listener_conf){.name = arena_span(b->arena, p->key->text),
                                .scheme = SPAN("http"),
                                .index = i,
                                .routes_bit = 1ull << i,
                                .where = build_where(b, p->key)};
    schema_fill(&f, &schema_listener_type, n, l);
    l->settings = build_settings(b, &schema_listener_type, n, SPAN("listener"), &l->setting_count);
    struct node *address = node_get(n, "address"), *redirect = node_get(n, "redirect");
    if (address && address->kind == NODE_SCALAR)
        l->address_text = build_text(b, address);
    l->redirect_https = redirect && !node_null(redirect) && !redirect->bad;
    if (l->redirect_https)
        l->plan.back = action_back(b, "redirect_https");
    struct node *http2 = node_get(n, "http2"), *tls = node_get(n, "tls");
    l->no_h2 = http2 && span_eq(node_plain(http2), SPAN("false"));
    build_listener_tls(b, l, tls);
    build_listener_proxy(b, l, node_get(n, "proxy_protocol"));
    if (redirect && l->redirect_https && l->tls)
        diag_add(b->diags, DIAG_E0316, redirect->at,
                 "this listener speaks TLS already: its redirects would lead back to it");
    l->limits = &b->s->limits;
    struct node *limits = node_get(n, "limits");
    if (limits && !node_null(limits)) {
        struct limits_conf *own = arena_alloc(b->arena, sizeof *own);
        *own = b->s->limits;
        build_limits(b, &schema_listener_limits_type, limits, own);
        l->limits = own;
    }
}

static void none(struct build *b, struct mark at, bool there) {
    struct diag *d = diag_add(b->diags, DIAG_E0305, at, "no listener is defined");
    if (there) {
        diag_help(b->diags, d, "are the lines below indented deeper than `listeners`?");
        return;
    }
    diag_help(b->diags, d, "add listeners: {public: {address: 0.0.0.0:8080}}");
}

void build_listeners(struct build *b) {
    struct node *n = node_get(b->root, "listeners");
    struct mark top = {b->root->at.file, 0, 0, 0};
    if (!n || node_null(n)) {
        none(b, n ? n->at : top, n != NULL);
        return;
    }
    n = schema_long(b->tree, b->diags, &schema_listeners_type, n);
    if (n->kind != NODE_MAP)
        return;
    if (n->count == 0)
        none(b, n->at, false);
    uint32_t count = n->count > LISTENERS_MAX ? LISTENERS_MAX : n->count;
    if (n->count > LISTENERS_MAX)
        diag_add(b->diags, DIAG_E0121, n->at, "there are %u listeners; at most 64 are served",
                 n->count);
    b->listener = arena_zero(b->arena, (count + 1) * sizeof *b->listener);
    b->listener_used = arena_zero(b->tree, count + 1);
    const struct node **at = arena_zero(b->tree, (count + 1) * sizeof *at);
    for (uint32_t i = 0; i < count; i++) {
        build_one(b, &b->listener[i], &n->pair[i], i);
        struct node *address = node_get(n->pair[i].value, "address");
        at[i] = address ? address : n->pair[i].value;
        if (b->listener[i].address.len)
            same_address(b, i, at);
    }
    b->s->listener = b->listener;
    b->s->listener_count = count;
}
