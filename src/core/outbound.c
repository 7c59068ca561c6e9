#include "core/outbound.h"
#include "core/schema.h"

/* ---- how it is written ------------------------------------------------------------------------
 */

static const struct schema_type url_text = {.kind = SCHEMA_TEXT, .min = 1, .what = "a URL"};
static const struct schema_type service_name = {
    .kind = SCHEMA_REF, .refers = REFERS_SERVICE, .what = "the name of a service"};
static const struct schema_type path_text = {
    .kind = SCHEMA_TEXT, .min = 1, .what = "a path that begins with /"};
static const struct schema_field fields[] = {
    {.key = "url",
     .type = &url_text,
     .doc = "An https:// URL; http:// for loopback.",
     .flags = FIELD_NO_FILL,
     .group = "u/url"},
    {.key = "service",
     .type = &service_name,
     .doc = "Instead of a URL: a service of this file.",
     .flags = FIELD_NO_FILL,
     .group = "u/service"},
    {.key = "path",
     .type = &path_text,
     .doc = "The path there, with its query.",
     .flags = FIELD_NO_FILL,
     .shipped = "/",
     .group = "u/service"},
};
const struct schema_object schema_outbound = {
    .name = "URL",
    SCHEMA_OBJECT_OF(fields),
    .doc = "Where the gateway itself asks: a URL, or {service: NAME, path: /x}.",
    .short_scalar = "url"};
const struct schema_type schema_url = {.kind = SCHEMA_OBJECT,
                                       .object = &schema_outbound,
                                       .flags = TYPE_OUTBOUND,
                                       .what = "a URL, or {service: NAME, path: /x}"};
const struct schema_type schema_url_or_file = {
    .kind = SCHEMA_OBJECT,
    .object = &schema_outbound,
    .flags = TYPE_OUTBOUND | TYPE_OR_FILE,
    .what = "a URL, file:PATH, or {service: NAME, path: /x}"};
const struct schema_type schema_issuer = {.kind = SCHEMA_OBJECT,
                                          .object = &schema_outbound,
                                          .flags = TYPE_OUTBOUND | TYPE_ISSUER,
                                          .what = "an issuer, best its URL"};

/* ---- reading a URL ----------------------------------------------------------------------------
 */

static bool url_char(char c) {
    return c > 0x20 && c < 0x7f && !memchr("\"<>\\^`{|}", c, 9);
}

static bool host_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

static const char *host_name(struct span h) {
    size_t label = 0;
    bool letters = false;
    if (h.n > 253)
        return "its host name is too long";
    for (size_t i = 0; i < h.n; i++) {
        label = h.p[i] == '.' ? 0 : label + 1;
        if (!host_char(h.p[i]) || label > 63 || (h.p[i] == '.' && (i == 0 || h.p[i - 1] == '.')))
            return "its host is no host name";
        letters |= h.p[i] >= 'a';
    }
    return letters ? NULL : "its host is neither a name nor an IP address";
}

static const struct cidr loopback[] = {
    {{[10] = 0xff, [11] = 0xff, [12] = 127}, 104},
    {{[15] = 1}, 128},
};

static bool in(const struct cidr *list, size_t count, const struct address *a) {
    for (size_t i = 0; i < count; i++)
        if (cidr_has(&list[i], a))
            return true;
    return false;
}

static const char *read_host(struct url_origin *o) {
    const char *wrong;
    if (address_parse_ip(o->host, &o->address)) {
        address_set_port(&o->address, o->port);
        o->loopback = in(loopback, array_len(loopback), &o->address);
        return NULL;
    }
    o->address.len = 0;
    o->name = true;
    o->loopback = span_eq(o->host, SPAN("localhost"));
    wrong = o->host.n ? host_name(o->host) : "it has no host";
    return wrong;
}

/* "[::1]:80", "a:80", "a" */
static const char *read_authority(struct url_origin *o, struct span a) {
    size_t end = a.n && a.p[0] == '[' ? (size_t)(span_find(a, ']') + 1) : a.n;
    ptrdiff_t colon = a.n && a.p[0] == '[' ? -1 : span_find(a, ':');
    uint64_t port = o->tls ? 443 : 80;
    if (a.n && a.p[0] == '[' && end == 0)
        return "its host is no IP address";
    if (colon >= 0)
        end = (size_t)colon;
    o->host = span_cut(a, 0, end);
    if (end < a.n && (a.p[end] != ':' || !parse_dec(span_from(a, end + 1), 65535, &port) || !port))
        return "its port is no number from 1 to 65535";
    o->port = (uint16_t)port;
    return read_host(o);
}

static const char *read_scheme(struct span *rest, struct url_origin *o) {
    static const struct span https = {"https://", 8}, http = {"http://", 7};
    o->tls = rest->n > https.n && span_eq_nocase(span_cut(*rest, 0, https.n), https);
    if (!o->tls && !(rest->n > http.n && span_eq_nocase(span_cut(*rest, 0, http.n), http)))
        return "it does not begin with https:// (or http://)";
    *rest = span_from(*rest, o->tls ? https.n : http.n);
    return NULL;
}

/* Behind the authority: "" is "/", "?a" is "/?a". */
static struct span path_of(struct arena *a, struct span rest) {
    if (!rest.n)
        return SPAN("/");
    if (rest.p[0] == '/')
        return arena_span(a, rest);
    return span_z(arena_fmt(a, "/%.*s", SPAN_ARG(rest)));
}

static void name_origin(struct arena *a, struct url_origin *o) {
    bool usual = o->port == (o->tls ? 443 : 80);
    const char *scheme = o->tls ? "https" : "http";
    o->address_text = span_z(arena_fmt(a, "%.*s:%u", SPAN_ARG(o->host), o->port));
    o->authority = usual ? o->host : o->address_text;
    o->origin = span_z(arena_fmt(a, "%s://%.*s", scheme, SPAN_ARG(o->authority)));
}

const char *outbound_read(struct arena *a, struct span url, struct url_origin *out) {
    struct span rest = url;
    *out = (struct url_origin){0};
    for (size_t i = 0; i < url.n; i++)
        if (!url_char(url.p[i]))
            return "it holds a character that no URL holds as it is";
    const char *wrong = read_scheme(&rest, out);
    if (wrong)
        return wrong;
    if (span_find(url, '#') >= 0)
        return "a fragment (#) means nothing to a server";
    size_t end = 0;
    while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?')
        end++;
    struct span authority = span_cut(rest, 0, end);
    if (span_find(authority, '@') >= 0)
        return "a user name or password does not stand in a URL: who reads the log reads it";
    char *z = arena_text(a, authority);
    for (size_t i = 0; i < end; i++)
        z[i] = lower(z[i]);
    wrong = read_authority(out, span_of(z, end));
    if (wrong)
        return wrong;
    out->path = path_of(a, span_from(rest, end));
    name_origin(a, out);
    return NULL;
}

/* ---- services ---------------------------------------------------------------------------------
 */

static void guard(struct arena *a, const struct url_origin *o, const struct outbound_conf *conf,
                  struct service_conf *s) {
    size_t own = o->loopback ? array_len(loopback) : 0;
    struct cidr *all = arena_alloc(a, (own + conf->allow_count) * sizeof *all + 1);
    for (size_t i = 0; i < own; i++)
        all[i] = loopback[i];
    for (uint32_t i = 0; i < conf->allow_count; i++)
        all[own + i] = conf->allow[i];
    s->guarded = true;
    s->allowed = all;
    s->allowed_count = (uint32_t)own + conf->allow_count;
}

void outbound_service(struct arena *a, const struct url_origin *o, const struct outbound_conf *conf,
                      struct service_conf *s) {
    struct endpoint_conf *e = arena_zero(a, sizeof *e);
    *e = (struct endpoint_conf){.address_text = o->address_text,
                                .host = o->name ? o->host : SPAN_NONE,
                                .port = o->port,
                                .address = o->address,
                                .weight = 1};
    s->name = o->origin;
    s->endpoint = e;
    s->endpoint_count = 1;
    s->host_mode = HOST_NAME;
    s->host_name = o->authority;
    s->protocol = PROTOCOL_HTTP1;
    if (o->name)
        guard(a, o, conf, s);
}

void outbound_aim(struct outbound *o, const struct service_conf *s, const struct back_ops *proxy) {
    o->service = s;
    o->target = (struct target){.service = s, .weight = 1, .where = o->where};
    o->forward = (struct forward_conf){.target = &o->target, .target_count = 1, .weight_sum = 1};
    o->plan = (struct plan){.back = proxy, .back_conf = &o->forward};
}

/* ---- where a URL must not lead ----------------------------------------------------------------
 */

#define V4(a, b, c, d, bits_)                                                                      \
    { {[10] = 0xff, [11] = 0xff, [12] = (a), [13] = (b), [14] = (c), [15] = (d)}, 96 + (bits_) }
/* IANA's registries of special addresses, as far as something may answer there. */
static const struct cidr special[] = {
    V4(0, 0, 0, 0, 8),                 /* this host */
    V4(10, 0, 0, 0, 8),                /* private */
    V4(100, 64, 0, 0, 10),             /* shared, carriers' */
    V4(127, 0, 0, 0, 8),               /* loopback */
    V4(169, 254, 0, 0, 16),            /* link-local: metadata of clouds */
    V4(172, 16, 0, 0, 12),             /* private */
    V4(192, 0, 0, 0, 24),              /* IETF */
    V4(192, 168, 0, 0, 16),            /* private */
    V4(198, 18, 0, 0, 15),             /* benchmarks */
    V4(224, 0, 0, 0, 3),               /* multicast, reserved, broadcast */
    {{0}, 96},                         /* unspecified, loopback, IPv4-compatible */
    {{0, 0x64, 0xff, 0x9b}, 96},       /* NAT64: any IPv4 address behind it */
    {{0, 0x64, 0xff, 0x9b, 0, 1}, 48}, /* the same, local */
    {{0x01}, 64},                      /* discard */
    {{0x20, 0x01}, 32},                /* Teredo */
    {{0x20, 0x02}, 16},                /* 6to4: any IPv4 address behind it */
    {{0xfc}, 7},                       /* unique local: metadata of clouds, too */
    {{0xfe, 0x80}, 10},                /* link-local */
    {{0xfe, 0xc0}, 10},                /* site-local */
    {{0xff}, 8},                       /* multicast */
};

bool outbound_refuses(const struct service_conf *s, const struct address *to) {
    if (likely(!s->guarded) || in(s->allowed, s->allowed_count, to))
        return false;
    unsigned char ip[16];
    return !address_ip16(to, ip) || in(special, array_len(special), to);
}
