#include "filter/security_headers.h"
#include "core/thread.h"

/* ---- how it is written ------------------------------------------------------------------------
 */

#define H(member) FIELD(struct security_headers_conf, member)

enum { FRAME_OFF, FRAME_DENY, FRAME_SAME };

static const struct schema_type duration = {.kind = SCHEMA_DURATION,
                                            .max = (uint64_t)10 * 365 * 86400000};
static const struct schema_type boolean = {.kind = SCHEMA_BOOL};
static const struct schema_type text = {.kind = SCHEMA_TEXT};
static const struct schema_word frame_words[] = {{"deny", FRAME_DENY, false},
                                                 {"sameorigin", FRAME_SAME, false},
                                                 {"off", FRAME_OFF, false},
                                                 {NULL, 0, false}};
static const struct schema_type frame = {.kind = SCHEMA_ENUM, .words = frame_words};

static const struct schema_field fields[] = {
    {.key = "hsts",
     .type = &duration,
     H(hsts_ms),
     .shipped = "365d",
     .doc = "Strict-Transport-Security: how long browsers shall come by https alone; 0s: none."},
    {.key = "hsts_subdomains",
     .type = &boolean,
     H(subdomains),
     .shipped = "false",
     .doc = "Whether that holds for all hosts below this one."},
    {.key = "hsts_preload",
     .type = &boolean,
     H(preload),
     .shipped = "false",
     .doc = "Whether browsers may be shipped with it; needs hsts_subdomains and 365d."},
    {.key = "nosniff",
     .type = &boolean,
     H(nosniff),
     .shipped = "true",
     .doc = "X-Content-Type-Options: a content is what its type says."},
    {.key = "frame",
     .type = &frame,
     H(frame),
     .shipped = "deny",
     .doc = "X-Frame-Options: who may show the page in a frame."},
    {.key = "referrer",
     .type = &text,
     H(referrer),
     .shipped = "strict-origin-when-cross-origin",
     .doc = "Referrer-Policy; empty: none."},
    {.key = "content", .type = &text, H(content), .doc = "Content-Security-Policy."},
    {.key = "permissions", .type = &text, H(permissions), .doc = "Permissions-Policy."},
    {.key = "opener", .type = &text, H(opener), .doc = "Cross-Origin-Opener-Policy."},
};
static const struct schema_object form = {
    .name = "security_headers",
    SCHEMA_OBJECT_OF(fields),
    .doc = "Header fields that protect browsers, where the service says nothing of them."};

static bool can_stand(struct arena *a, struct span value) {
    struct head h;
    head_init(&h, a);
    return !value.n || !hdr_put(&h, SPAN("referrer-policy"), value, ORIGIN_CONFIG);
}

static const char *finish(struct arena *a, void *conf) {
    struct security_headers_conf *c = conf;
    if (c->preload && (!c->subdomains || c->hsts_ms / 86400000 < 365))
        return "`hsts_preload` needs `hsts_subdomains: true` and `hsts` of a year: browsers' lists "
               "ask for that";
    if (!can_stand(a, c->referrer) || !can_stand(a, c->content) || !can_stand(a, c->permissions) ||
        !can_stand(a, c->opener))
        return "a text holds bytes that no header may hold, or blanks at an end";
    c->hsts = span_z(arena_fmt(a, "max-age=%llu%s%s", (unsigned long long)(c->hsts_ms / 1000),
                               c->subdomains ? "; includeSubDomains" : "",
                               c->preload ? "; preload" : ""));
    return NULL;
}

/* ---- for every answer -------------------------------------------------------------------------
 */

/* The head's budget may be spent: then the answer goes without. */
static void put(struct head *h, const char *name, struct span value) {
    if (value.n && !hdr_find(h, span_z(name)).p)
        (void)!hdr_put(h, span_z(name), value, ORIGIN_GATEWAY);
}

static enum verdict response(struct step *s) {
    const struct security_headers_conf *c = s->filter->conf;
    struct exchange *x = s->x;
    struct head *h = &x->resp;
    if (x->tunnel)
        return NEXT;
    if (c->hsts_ms && span_eq(x->req.scheme, SPAN("https")))
        put(h, "strict-transport-security", c->hsts);
    if (c->nosniff)
        put(h, "x-content-type-options", SPAN("nosniff"));
    if (c->frame != FRAME_OFF)
        put(h, "x-frame-options", c->frame == FRAME_DENY ? SPAN("DENY") : SPAN("SAMEORIGIN"));
    put(h, "referrer-policy", c->referrer);
    put(h, "content-security-policy", c->content);
    put(h, "permissions-policy", c->permissions);
    put(h, "cross-origin-opener-policy", c->opener);
    return NEXT;
}

static const struct filter_ops ops = {.name = "security_headers",
                                      .phase = PHASE_GUARD,
                                      .step_size = sizeof(struct step),
                                      .response = response};

const struct policy security_headers_policy = {.name = "security_headers",
                                               .form = &form,
                                               .ops = &ops,
                                               .size = sizeof(struct security_headers_conf),
                                               .finish = finish};
