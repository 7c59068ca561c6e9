#include "cli/certificate.h"
#include "cli/explain.h"
#include "conf/schema.h"
#include "conf/tables.h"

/* What explain tells of a listener and of the way to a service: TLS, versions, protocols. */

static const char *const listener_keys[] = {"tls", "http2", "proxy_protocol"};

static const struct schema_field *shipped(const struct listener_conf *l, const char *key) {
    const struct schema_field *f = schema_field_of(&schema_listener_type, span_z(key));
    return explain_set(l->settings, l->setting_count, key) || !f->shipped ? NULL : f;
}

static const char *versions(const struct listener_conf *l) {
    return tls_server_min_version(l->tls) == TLS_1_3 ? "TLS 1.3" : "TLS 1.2 and 1.3";
}

static const char *client_words(enum tls_client_mode m) {
    return m == TLS_CLIENT_REQUIRE ? "required" : m == TLS_CLIENT_REQUEST ? "asked for" : "none";
}

struct answering {
    struct span host;
    struct jout *j; /* or NULL: text */
};

static void print_certificate(void *ctx, const struct tls_cert_state *c) {
    const struct answering *a = ctx;
    printf("  %-18s ", "certificate");
    certificate_print(stdout, c);
    printf("\n");
    if (!certificate_names(c, a->host))
        printf("  %-18s it is not for %.*s: clients refuse it\n", "", SPAN_ARG(a->host));
    if (c->client != TLS_CLIENT_NONE)
        printf("  %-18s %s\n", "client certificate", client_words(c->client));
}

void explain_print_listener(const struct explained *e) {
    const struct listener_conf *l = e->listener;
    if (!l->tls && !l->proxy.on && !l->no_h2)
        return;
    printf("\nlistener %.*s (", SPAN_ARG(l->name));
    explain_print_where(&l->where);
    printf(")\n");
    for (uint32_t i = 0; i < l->setting_count; i++)
        explain_print_setting(&l->settings[i]);
    for (size_t i = 0; i < array_len(listener_keys); i++) {
        const struct schema_field *f = shipped(l, listener_keys[i]);
        if (f)
            printf("  %-18s %-32s shipped\n", f->key, f->shipped);
    }
    if (!l->tls)
        return;
    printf("  %-18s %s\n  %-18s %s\n", "versions", versions(l), "offers",
           l->no_h2 ? "http/1.1" : "h2, http/1.1");
    tls_server_answering(l->tls, e->x->req.host, print_certificate,
                         &(struct answering){.host = e->x->req.host});
}

static void put_names(struct jout *j, struct span rest) {
    jout_open(j, "names", '[');
    while (rest.n)
        jout_text(j, NULL, span_split(&rest, ','));
    jout_close(j, ']');
}

static void put_certificate(void *ctx, const struct tls_cert_state *c) {
    const struct answering *a = ctx;
    char day[CERTIFICATE_DAY];
    struct jout *j = a->j;
    jout_open(j, NULL, '{');
    jout_text(j, "certificate", c->file);
    jout_text(j, "kind", span_z(c->kind));
    put_names(j, c->names);
    jout_text(j, "issuer", c->issuer);
    jout_text(j, "not_before", span_z(certificate_day(c->not_before, day)));
    jout_text(j, "not_after", span_z(certificate_day(c->not_after, day)));
    jout_bool(j, "fits_host", certificate_names(c, a->host));
    jout_bool(j, "stapled", c->stapled);
    jout_text(j, "client_certificate", span_z(client_words(c->client)));
    jout_close(j, '}');
}

static void put_tls(struct jout *j, const struct explained *e) {
    const struct listener_conf *l = e->listener;
    jout_open(j, "tls", '{');
    jout_text(j, "min_version",
              tls_server_min_version(l->tls) == TLS_1_3 ? SPAN("1.3") : SPAN("1.2"));
    jout_open(j, "alpn", '[');
    if (!l->no_h2)
        jout_text(j, NULL, SPAN("h2"));
    jout_text(j, NULL, SPAN("http/1.1"));
    jout_close(j, ']');
    jout_open(j, "certificates", '[');
    tls_server_answering(l->tls, e->x->req.host, put_certificate,
                         &(struct answering){e->x->req.host, j});
    jout_close(j, ']');
    jout_close(j, '}');
}

void explain_put_listener(struct jout *j, const struct explained *e) {
    const struct listener_conf *l = e->listener;
    jout_open(j, "listener", '{');
    jout_text(j, "name", l->name);
    jout_text(j, "scheme", l->scheme);
    explain_put_where(j, &l->where);
    jout_open(j, "settings", '[');
    for (uint32_t i = 0; i < l->setting_count; i++)
        explain_put_setting(j, &l->settings[i]);
    for (size_t i = 0; i < array_len(listener_keys); i++)
        explain_put_shipped(j, shipped(l, listener_keys[i]));
    jout_close(j, ']');
    if (l->tls)
        put_tls(j, e);
    jout_close(j, '}');
}

/* --- the way to a service --- */

const char *explain_protocol(const struct service_conf *s) {
    switch (s->protocol) {
    case PROTOCOL_H2:
        return "HTTP/2";
    case PROTOCOL_AUTO:
        return s->tls ? "HTTP/2 or HTTP/1.1 (as it chooses)" : "HTTP/1.1";
    case PROTOCOL_HTTP1:
        break;
    }
    return "HTTP/1.1";
}

/* The name that its certificate must have, of the first endpoint where that decides: what
 * back/setup.c asks for. */
struct span explain_tls_name(const struct service_conf *s) {
    struct span name = tls_client_name(s->tls);
    if (name.n || !s->endpoint_count)
        return name;
    const struct endpoint_conf *e = &s->endpoint[0];
    if (e->host.n)
        return e->host;
    if (span_starts(e->address_text, SPAN("unix:")))
        return SPAN("localhost");
    size_t n = e->address_text.n;
    while (n && e->address_text.p[n - 1] != ':')
        n--;
    struct span ip = span_cut(e->address_text, 0, n ? n - 1 : 0);
    return ip.n > 2 && ip.p[0] == '[' ? span_cut(ip, 1, ip.n - 2) : ip;
}
