/* Places that only an answer names: the jwks_uri of a discovery document. */
#include "core/outbound.h"
#include "base/env.h"

struct own { /* the outbound first */
    struct outbound outbound;
    struct service_conf service;
    struct arena arena;
    bool attached;
};

static const struct outbound_hooks *hooks;

void outbound_set_hooks(const struct outbound_hooks *h) {
    hooks = h;
}

static struct span without_port(struct span authority) {
    size_t n = authority.n;
    while (n && authority.p[n - 1] >= '0' && authority.p[n - 1] <= '9')
        n--;
    return n && authority.p[n - 1] == ':' ? span_cut(authority, 0, n - 1) : authority;
}

/* Nobody meant an address that somebody else's document names, unless it is where that came from.
 */
static void guard(struct own *own, const struct url_origin *at, const struct outbound *like,
                  const struct outbound_conf *conf) {
    struct service_conf *s = &own->service;
    if (span_eq(at->host, without_port(like->host)))
        return;
    struct cidr *all = arena_alloc(&own->arena, conf->allow_count * sizeof *all + 1);
    for (uint32_t i = 0; i < conf->allow_count; i++)
        all[i] = conf->allow[i];
    s->guarded = true;
    s->allowed = all;
    s->allowed_count = conf->allow_count;
}

/* The loader has told what is wrong with the CA file already. */
static void no_file(void *ctx, const struct tls_problem *p) {
    (void)ctx;
    (void)p;
}

static const char *own_service(struct own *own, const struct url_origin *at,
                               const struct outbound *like, const struct outbound_conf *conf) {
    struct service_conf *s = &own->service;
    *s = *like->service; /* its times and limits */
    s->tls = NULL;
    s->lasting = s->stats = NULL;
    s->guarded = false;
    s->allowed_count = 0;
    outbound_service(&own->arena, at, conf, s);
    guard(own, at, like, conf);
    if (!at->tls)
        return NULL;
    struct tls_client_settings c = {.ca = conf->ca, .min_version = TLS_1_2, .offer_h1 = true};
    s->tls = tls_client_create(&c, no_file, NULL);
    return s->tls ? NULL : "its certificate cannot be checked: the CA file is unreadable";
}

struct outbound *outbound_make(const struct snapshot *s, const struct outbound *like,
                               struct span url, const char **why) {
    static const struct outbound_conf nothing = {.allow_count = 0};
    const struct outbound_conf *conf = s->outbound ? s->outbound : &nothing;
    struct own *own = mem_alloc(sizeof *own);
    struct url_origin at;
    arena_init(&own->arena, NULL);
    struct outbound *o = &own->outbound;
    o->url = arena_span(&own->arena, url);
    *why = url.n > OUTBOUND_URL_MAX ? "a URL in the answer is too long"
                                    : outbound_read(&own->arena, o->url, &at);
    if (*why)
        *why = "the answer names a URL that the gateway does not ask";
    else if (like->service->tls && !at.tls)
        *why = "the answer of an https:// URL leads to http://";
    if (!*why) {
        o->host = at.authority;
        o->path = at.path;
        *why = own_service(own, &at, like, conf);
    }
    if (*why) {
        outbound_destroy(o);
        return NULL;
    }
    outbound_aim(o, &own->service, like->plan.back);
    if (hooks) {
        hooks->attach(&own->service);
        own->attached = true;
    }
    return o;
}

void outbound_destroy(struct outbound *o) {
    if (!o)
        return;
    struct own *own = (struct own *)(void *)o;
    if (own->attached)
        hooks->detach(&own->service);
    if (own->service.tls)
        tls_client_unref(own->service.tls);
    arena_finish(&own->arena);
    mem_free(own);
}
