#include "base/env.h"
#include "conf/build.h"
#include "conf/files.h"

/* The URLs that the gateway itself asks. They are read where they stand (whoever owns them judges
 * them in its finish()); their services are made when everything else is there. */

static bool there(const struct node *n) {
    return n && !node_null(n);
}

/* --- one of them --- */

static void not_a_url(const struct schema_fill *f, struct node *n, const char *why) {
    struct span t = node_secret(n) ? SPAN("***") : span_cut(node_plain(n), 0, 80);
    struct diag *d =
        diag_add(f->diags, DIAG_E0219, n->at, "\"%.*s\" is not a URL that the gateway can ask: %s",
                 SPAN_ARG(t), why);
    diag_help(f->diags, d,
              "write https://host/path, or {service: NAME, path: /path} for a service of "
              "this file");
    n->bad = true;
}

static bool looks_like_url(struct span s) {
    return span_starts(s, SPAN("http://")) || span_starts(s, SPAN("https://"));
}

/* OpenID Connect Discovery 4.1: below the issuer, without its last slash. */
static struct span discovery_path(struct arena *a, struct span path) {
    size_t n = path.n;
    while (n && path.p[n - 1] == '/')
        n--;
    return span_z(
        arena_fmt(a, "%.*s/.well-known/openid-configuration", SPAN_ARG(span_cut(path, 0, n))));
}

static void read_url(const struct schema_fill *f, const struct schema_type *t, struct node *n,
                     struct outbound *o) {
    struct url_origin at;
    struct span text = node_plain(n);
    bool issuer = t->flags & TYPE_ISSUER;
    o->url = arena_span(f->arena, text);
    if (issuer && !looks_like_url(text))
        return; /* its keys come from elsewhere, says finish() */
    if ((t->flags & TYPE_OR_FILE) && span_starts(text, SPAN("file:"))) {
        const char *path = files_beside(f->arena, f->diags, n->at.file, span_from(text, 5));
        o->file = span_z(path);
        return;
    }
    const char *wrong = outbound_read(f->arena, o->url, &at);
    if (!wrong && issuer && span_find(at.path, '?') >= 0)
        wrong = "an issuer has no query";
    if (wrong) {
        not_a_url(f, n, wrong);
        return;
    }
    o->host = at.authority;
    o->path = issuer ? discovery_path(f->arena, at.path) : at.path;
}

static void read_path(const struct schema_fill *f, struct node *n, struct outbound *o) {
    struct span path = there(n) ? node_plain(n) : SPAN("/");
    o->path = arena_span(f->arena, path);
    if (!there(n) || n->bad)
        return;
    bool fine = path.n && path.p[0] == '/';
    for (size_t i = 0; i < path.n; i++)
        fine = fine && path.p[i] > 0x20 && path.p[i] < 0x7f && path.p[i] != '#';
    if (!fine)
        not_a_url(f, n, "a path begins with / and holds no blanks, no # and nothing beyond ASCII");
}

const struct outbound *schema_url_fill(const struct schema_fill *f, const struct schema_type *t,
                                       struct node *n) {
    struct node *url = node_get(n, "url"), *service = node_get(n, "service");
    if (n->kind != NODE_MAP || n->bad)
        return NULL;
    struct outbound *o = arena_zero(f->arena, sizeof *o);
    if (there(url) && url->kind == NODE_SCALAR && !url->bad)
        read_url(f, t, url, o);
    else if (there(service) && service->kind == NODE_SCALAR && !service->bad)
        read_path(f, node_get(n, "path"), o);
    else if (!there(url) && !there(service))
        not_a_url(f, n, "neither `url` nor `service` is said");
    if (f->outbounds) {
        struct outbound_link *l = arena_alloc(f->tree, sizeof *l);
        *l = (struct outbound_link){o, n, f->outbounds->last};
        f->outbounds->last = l;
    }
    return o;
}

/* --- all of them --- */

void build_outbound_conf(struct build *b) {
    struct node *n = node_get(b->root, "outbound");
    struct outbound_conf *c = arena_zero(b->arena, sizeof *c);
    struct schema_fill f = build_fill(b, NULL);
    if (there(n) && n->kind == NODE_MAP)
        schema_fill(&f, &schema_outbounds_type, n, c);
    b->s->outbound = c;
}

/* Every text that begins like a URL may be one; an upper bound is enough. */
uint32_t outbound_services_max(const struct node *root) {
    uint32_t found = 0;
    size_t count = 0, cap = 256;
    const struct node **todo = mem_alloc(cap * sizeof *todo);
    todo[count++] = root;
    while (count) {
        const struct node *n = todo[--count];
        if (n->kind == NODE_SCALAR) {
            found += looks_like_url(node_plain(n));
            continue;
        }
        if (count + n->count > cap) {
            size_t more = (count + n->count) * 2;
            todo = mem_realloc(todo, cap * sizeof *todo, more * sizeof *todo);
            cap = more;
        }
        for (uint32_t i = 0; i < n->count; i++)
            todo[count++] = n->kind == NODE_MAP ? n->pair[i].value : n->item[i];
    }
    mem_free(todo);
    return found;
}

static void clear_text(struct build *b, const struct node *n, const struct url_origin *at) {
    if (at->tls || at->loopback)
        return;
    struct diag *d = diag_add(b->diags, DIAG_W0119, n->at,
                              "what is asked here goes over the network in clear text");
    diag_help(b->diags, d,
              "write https://%.*s; keys, tokens and decisions that anybody on the way can "
              "change protect nothing",
              SPAN_ARG(at->authority));
}

static struct service_conf *make_service(struct build *b, const struct url_origin *at,
                                         struct node *n) {
    struct service_conf *s = &b->service[b->s->service_count];
    const struct node *twin = map_get(&b->names.map[REFERS_SERVICE], at->origin);
    if (twin) {
        struct diag *d = diag_add(b->diags, DIAG_E0116, n->at,
                                  "a service of this file has the name of this URL's origin");
        diag_note(b->diags, d, twin->at, "it stands here");
    }
    schema_shipped(b->arena, &schema_service, s);
    outbound_service(b->arena, at, b->s->outbound, s);
    s->index = b->s->service_count++;
    s->where = build_where(b, n);
    b->service_used[s->index] = true;
    b->service_node[s->index] = n;
    if (at->tls)
        build_url_tls(b, s, n);
    return s;
}

static const struct service_conf *of_url(struct build *b, const struct outbound *o, struct node *n,
                                         struct map *made) {
    struct url_origin at;
    if (outbound_read(b->arena, o->url, &at))
        return NULL; /* told */
    struct service_conf *s = map_get(made, at.origin);
    if (!s) {
        clear_text(b, n, &at);
        s = make_service(b, &at, n);
        map_put(made, s->name, s);
    }
    return s;
}

/* The Host that a service of the file is asked with: its own name for it, else its first address.
 */
static struct span host_of(const struct service_conf *s) {
    if (s->host_mode == HOST_NAME)
        return s->host_name;
    if (!s->endpoint_count || span_starts(s->endpoint[0].address_text, SPAN("unix:")))
        return SPAN("localhost");
    return s->endpoint[0].address_text;
}

void build_outbounds(struct build *b) {
    struct map made = {0};
    const struct back_ops *proxy = action_back(b, "proxy");
    for (struct outbound_link *l = b->outbounds.last; l; l = l->next) {
        struct outbound *o = l->outbound;
        struct node *url = node_get(l->node, "url"), *name = node_get(l->node, "service");
        const struct service_conf *s = NULL;
        o->where = build_where(b, l->node);
        if (o->unused || o->file.n || (there(url) && !o->host.n))
            continue;
        if (there(url))
            s = of_url(b, o, url, &made);
        else if (there(name) && !name->bad)
            s = build_service(b, name);
        if (s && !there(url))
            o->host = host_of(s);
        if (s)
            outbound_aim(o, s, proxy);
    }
    map_finish(&made);
}
