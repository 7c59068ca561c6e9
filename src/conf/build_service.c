#include "conf/build.h"
#include "core/limits.h"

static bool host_char(char c) {
    c = lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

/* A host name as DNS takes it: labels of 1 to 63, 253 in all. */
static bool host_name(struct span s) {
    size_t label = 0;
    for (size_t i = 0; i < s.n; i++) {
        label = s.p[i] == '.' ? 0 : label + 1;
        if (!host_char(s.p[i]) || label > 63 || (s.p[i] == '.' && (i == 0 || s.p[i - 1] == '.')))
            return false;
    }
    return s.n > 0 && s.n <= 253;
}

static bool all_digits(struct span s) {
    for (size_t i = 0; i < s.n; i++)
        if ((s.p[i] < '0' || s.p[i] > '9') && s.p[i] != '.')
            return false;
    return true;
}

static void wrong_address(struct build *b, struct node *n, const char *why) {
    struct span t = node_plain(n);
    struct diag *d = diag_add(b->diags, DIAG_E0209, n->at,
                              "\"%.*s\" is not the address of a service%s", SPAN_ARG(t), why);
    diag_help(b->diags, d, "write 10.0.0.1:8080, [::1]:8080, host.internal:8080 or unix:/path");
    n->bad = true;
}

static void endpoint_address(struct build *b, struct endpoint_conf *e, struct node *n,
                             bool name_only) {
    struct span t = node_plain(n);
    size_t colon = t.n;
    uint64_t port;
    if (n->bad)
        return;
    e->address_text = build_text(b, n);
    if (!name_only && address_parse(t, &e->address)) {
        e->port = (uint16_t)address_port(&e->address);
        if (e->port == 0 && !span_starts(t, SPAN("unix:")))
            wrong_address(b, n, ": the port is 0");
        return;
    }
    if (span_starts(t, SPAN("http://")) || span_starts(t, SPAN("https://"))) {
        wrong_address(b, n, ": it is a URL");
        return;
    }
    while (colon && t.p[colon - 1] != ':')
        colon--;
    if (!colon) {
        wrong_address(b, n, ": the port is missing");
        return;
    }
    struct span host = span_cut(t, 0, colon - 1);
    if (!parse_dec(span_from(t, colon), 65535, &port) || port == 0)
        wrong_address(b, n, ": the port is no number from 1 to 65535");
    else if (!host_name(host) || all_digits(host))
        wrong_address(b, n, "");
    e->host = arena_span(b->arena, host);
    e->port = (uint16_t)port;
}

static void endpoint(struct build *b, struct endpoint_conf *e, struct node *n) {
    struct node *address = n, *weight = NULL;
    *e = (struct endpoint_conf){.weight = 1, .where = build_where(b, n)};
    if (n->kind == NODE_MAP) {
        address = node_get(n, "address");
        weight = node_get(n, "weight");
    }
    if (address && address->kind == NODE_SCALAR && !node_null(address))
        endpoint_address(b, e, address, false);
    uint64_t w;
    if (weight && weight->kind == NODE_SCALAR && !weight->bad &&
        parse_dec(node_plain(weight), UINT32_MAX, &w))
        e->weight = (uint32_t)w;
}

static void endpoints(struct build *b, struct service_conf *s, struct node *n) {
    bool one = n->kind != NODE_LIST;
    uint32_t count = one ? 1 : n->count;
    struct endpoint_conf *e = arena_zero(b->arena, (count + 1) * sizeof *e);
    for (uint32_t i = 0; i < count; i++)
        endpoint(b, &e[i], one ? n : n->item[i]);
    s->endpoint = e;
    s->endpoint_count = count;
}

static void discover(struct build *b, struct service_conf *s, struct node *n) {
    struct node *dns = node_get(n, "dns");
    struct endpoint_conf *e = arena_zero(b->arena, sizeof *e);
    *e = (struct endpoint_conf){.weight = 1, .where = build_where(b, dns ? dns : n)};
    if (dns && dns->kind == NODE_SCALAR)
        endpoint_address(b, e, dns, true);
    s->endpoint = e;
    s->endpoint_count = 1;
    s->discover = true;
}

static void host_of(struct build *b, struct service_conf *s, struct node *n) {
    struct span t = n && n->kind == NODE_SCALAR && !node_null(n) ? node_plain(n) : SPAN("keep");
    if (!n || span_eq(t, SPAN("keep"))) {
        s->host_mode = HOST_KEEP;
        return;
    }
    if (span_eq(t, SPAN("service"))) {
        s->host_mode = HOST_SERVICE;
        return;
    }
    s->host_mode = HOST_NAME;
    s->host_name = build_text(b, n);
    ptrdiff_t colon = span_find(t, ':');
    uint64_t port;
    struct span host = colon < 0 ? t : span_cut(t, 0, (size_t)colon);
    bool port_fine = colon < 0 || parse_dec(span_from(t, (size_t)colon + 1), 65535, &port);
    must(n); /* else it was "keep" */
    if (!n->bad && (!host_name(host) || !port_fine))
        diag_add(b->diags, DIAG_E0211, n->at, "\"%.*s\" is not keep, service or a host name",
                 SPAN_ARG(t));
}

static void credentials(struct build *b, struct service_conf *s, struct node *n) {
    const struct conf_registry *r = b->options->registry;
    if (!n || n->kind != NODE_MAP || n->bad || !r || !r->credentials)
        return;
    const char *wrong = r->credentials->finish(b->arena, &s->credentials);
    if (wrong)
        diag_add(b->diags, DIAG_E0115, n->at, "credentials: %s", wrong);
    s->credentials.ops = r->credentials;
}

/* It holds without a word of the file too. */
static void gate(struct build *b, struct service_conf *s, struct node *n) {
    const struct conf_registry *r = b->options->registry;
    struct schema_fill f = build_fill(b, NULL);
    if ((n && (n->bad || node_false(n))) || !r || !r->gate)
        return;
    n = n ? schema_long(b->tree, b->diags, &gate_type, n) : NULL;
    bool said = n && n->kind == NODE_MAP;
    if (said)
        schema_fill(&f, &gate_type, n, &s->gate);
    s->gate.adaptive.off = said && node_false(node_get(n, "adaptive"));
    const char *wrong = r->gate->finish(b->arena, &s->gate);
    if (wrong)
        diag_add(b->diags, DIAG_E0115, said ? n->at : b->root->at, "concurrency: %s", wrong);
    s->gate.ops = r->gate;
}

static void service_rate(struct build *b, struct service_conf *s, struct node *n) {
    struct rate_limit_conf *c = arena_zero(b->arena, sizeof *c);
    struct schema_fill f = build_fill(b, NULL);
    uint32_t before = b->diags->errors;
    const struct schema_type *t = schema_field_of(&schema_service_type, SPAN("rate_limit"))->type;
    n = n && !node_null(n) ? schema_long(b->tree, b->diags, t, n) : NULL;
    if (!n || n->kind != NODE_MAP || n->bad || !s->gate.ops)
        return;
    schema_shipped(b->arena, &service_rate_limit_object, c);
    schema_fill(&f, t, n, c);
    const char *wrong = b->diags->errors == before ? rate_limit_finish(b->arena, c) : NULL;
    if (wrong)
        diag_add(b->diags, DIAG_E0115, n->at, "rate_limit: %s", wrong);
    s->gate.rate = c;
}

/* Without `concurrency` a rate needs a gate all the same. */
static void protection(struct build *b, struct service_conf *s, const struct node *n) {
    struct node *rate = node_get(n, "rate_limit");
    gate(b, s, node_get(n, "concurrency"));
    if (!s->gate.ops && rate && !node_null(rate) && !node_false(rate) && b->options->registry) {
        s->gate.adaptive.off = true;
        s->gate.ops = b->options->registry->gate;
    }
    service_rate(b, s, rate);
}

static const struct level own_level = {{"service", 7}}, defaults_level = {{"service_defaults", 16}};

static void build_one(struct build *b, struct service_conf *s, const struct pair *p,
                      struct node *defaults) {
    struct node *value = p->value;
    if (node_null(value))
        value = node_new_map(b->tree, p->key, 0);
    struct node *own = schema_long(b->tree, b->diags, &schema_service_type, value), *n = own;
    if (defaults && own->kind == NODE_MAP)
        n = merge(b->tree, b->diags, &schema_service_type,
                  (struct pair){.value = defaults, .from = &defaults_level},
                  (struct pair){.value = own, .from = &own_level});
    struct schema_fill f = build_fill(b, NULL);
    uint32_t before = b->diags->errors;
    schema_shipped(b->arena, &schema_service, s);
    schema_fill(&f, &schema_service_type, n, s);
    host_of(b, s, node_get(n, "host"));
    build_service_tls(b, s, n);
    if (b->diags->errors == before) /* else what is missing is told already */
        credentials(b, s, node_get(n, "credentials"));
    protection(b, s, n);
    s->multiplexes = s->protocol == PROTOCOL_H2 || (s->protocol == PROTOCOL_AUTO && s->tls);
    s->settings = build_settings(b, &schema_service_type, n, own_level.name, &s->setting_count);
    struct node *list = node_get(own, "endpoints"), *found = node_get(own, "discover");
    if (list && !node_null(list) && !list->bad)
        endpoints(b, s, list);
    else if (found && !node_null(found) && !found->bad)
        discover(b, s, found);
    else if (own->kind == NODE_MAP && !own->bad && !(list && list->bad) && !(found && found->bad)) {
        struct diag *d = diag_add(b->diags, DIAG_E0307, p->key->at,
                                  "the service %.*s has no endpoints", SPAN_ARG(p->key->text));
        diag_help(b->diags, d, "write endpoints: [127.0.0.1:7001], or discover: {dns: host:7001}");
    }
}

void build_services(struct build *b) {
    struct node *n = node_get(b->root, "services");
    struct node *defaults = node_get(b->root, "service_defaults");
    if (defaults && (defaults->kind != NODE_MAP || defaults->bad))
        defaults = NULL;
    uint32_t more = outbound_services_max(b->root);
    n = n ? schema_long(b->tree, b->diags, &schema_services_type, n) : NULL;
    uint32_t count = n && n->kind == NODE_MAP ? n->count : 0;
    b->service = arena_zero(b->arena, (count + more + 1) * sizeof *b->service);
    b->service_used = arena_zero(b->tree, count + more + 1);
    b->service_node = arena_zero(b->tree, (count + more + 1) * sizeof(struct node *));
    for (uint32_t i = 0; i < count; i++) {
        struct service_conf *s = &b->service[i];
        build_one(b, s, &n->pair[i], defaults);
        s->name = arena_span(b->arena, n->pair[i].key->text);
        s->index = i;
        s->where = build_where(b, n->pair[i].key);
        b->service_node[i] = n->pair[i].key;
        map_put(&b->services, s->name, s);
    }
    b->s->service = b->service;
    b->s->service_count = count;
}

const struct service_conf *build_service(struct build *b, const struct node *name) {
    struct service_conf *s = map_get(&b->services, node_plain(name));
    if (s)
        b->service_used[s->index] = true;
    return s;
}
