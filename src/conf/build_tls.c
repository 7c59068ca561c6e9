#include "conf/build.h"
#include "conf/tls_form.h"
#include "core/state.h"

/* TLS of listeners and services: forms are filled here, tls/ judges files and settings, and what it
 * says is told where the file was named. */

static bool there(const struct node *n) {
    return n && !node_null(n) && !n->bad;
}

/* Where a problem is told: the node of the certificate it is about, else that of the whole. */
struct problems {
    struct build *b;
    struct node *whole; /* the tls map */
    struct node **cert; /* maps of `certificates`; NULL: the map itself */
    uint32_t count;
};

static enum diag_code code_of(enum tls_problem_kind k) {
    switch (k) {
    case TLS_FILE_UNREADABLE:
    case TLS_FILE_MALFORMED:
    case TLS_KEY_ENCRYPTED:
    case TLS_KEY_WEAK:
        return DIAG_E0310;
    case TLS_KEY_MISMATCH:
        return DIAG_E0311;
    case TLS_CIPHERS_UNKNOWN:
    case TLS_NAME_TWICE:
        return DIAG_E0312;
    case TLS_EXPIRED:
    case TLS_EXPIRES_SOON:
    case TLS_NOT_YET_VALID:
        return DIAG_W0112;
    case TLS_NAME_NOT_COVERED:
        return DIAG_W0117;
    case TLS_CHAIN_INCOMPLETE:
        return DIAG_W0113;
    case TLS_KEY_READABLE:
        return DIAG_W0114;
    case TLS_OCSP_STALE:
        return DIAG_W0115;
    }
    return DIAG_E0310;
}

static const char *help_of(enum tls_problem_kind k) {
    switch (k) {
    case TLS_FILE_UNREADABLE:
        return "the path is relative to the folder of this file; the gateway's user must be able "
               "to read it";
    case TLS_FILE_MALFORMED:
        return "PEM begins with -----BEGIN; `openssl x509 -in FILE -text` shows a certificate";
    case TLS_KEY_ENCRYPTED:
        return "take the passphrase off: openssl pkey -in KEY -out NEW";
    case TLS_KEY_WEAK:
        return "use ECDSA P-256 or RSA with 2048 bits or more";
    case TLS_KEY_MISMATCH:
        return "the file begins with the server's own certificate, the chain follows";
    case TLS_CIPHERS_UNKNOWN:
        return "leave it out for a good default; `openssl ciphers` lists names";
    case TLS_NAME_TWICE:
        return "one ECDSA and one RSA certificate may share a name, two of one kind may not";
    case TLS_EXPIRED:
    case TLS_EXPIRES_SOON:
        return "renew it in place: the files are read again when they change";
    case TLS_NAME_NOT_COVERED:
        return "clients that ask for this name will refuse the certificate";
    case TLS_NOT_YET_VALID:
        return "is the clock right?";
    case TLS_CHAIN_INCOMPLETE:
        return "append the issuer's certificate to the file: many clients cannot find it "
               "themselves";
    case TLS_KEY_READABLE:
        return "chmod 600";
    case TLS_OCSP_STALE:
        return "fetch a new response; until then none is stapled";
    }
    return NULL;
}

static void tell(void *ctx, const struct tls_problem *t) {
    const struct problems *p = ctx;
    struct node *n =
        t->cert >= 0 && p->cert && (uint32_t)t->cert < p->count ? p->cert[t->cert] : p->whole;
    struct node *part = t->part ? node_get(n, t->part) : NULL;
    if (!part && t->part) /* of the listener's client_certificate */
        part = node_get(node_get(n, "client_certificate"), t->part);
    struct node *at = there(part) ? part : n;
    struct diag *d = diag_add(p->b->diags, code_of(t->kind), at->at, "%s", t->text);
    if (help_of(t->kind))
        diag_help(p->b->diags, d, "%s", help_of(t->kind));
}

/* --- listeners --- */

static void client_of(struct build *b, struct node *n, struct tls_client_conf *out) {
    struct tls_client_form form = {0};
    struct schema_fill f = build_fill(b, NULL);
    if (!there(n) || node_false(n))
        return;
    schema_shipped(b->arena, &schema_client_certificate, &form);
    schema_fill(&f, &schema_client_certificate_type, n, &form);
    *out = (struct tls_client_conf){.mode = (enum tls_client_mode)form.mode,
                                    .ca = form.ca,
                                    .crl = form.crl,
                                    .depth = form.depth,
                                    .no_pem = !form.headers};
}

static void cert_of(struct build *b, const struct tls_cert_form *form, struct node *n,
                    struct tls_cert_conf *out) {
    struct node *client = node_get(n, "client_certificate");
    *out = (struct tls_cert_conf){.certificate = form->certificate,
                                  .private_key = form->private_key,
                                  .ocsp = form->ocsp,
                                  .names = form->names,
                                  .name_count = form->name_count};
    if (!there(client))
        return;
    struct tls_client_conf *c = arena_zero(b->arena, sizeof *c);
    client_of(b, client, c);
    out->client = c;
}

static void incomplete(struct build *b, struct node *n, const char *what) {
    struct diag *d = diag_add(b->diags, DIAG_E0313, n->at, "%s", what);
    diag_help(b->diags, d, "write tls: {certificate: chain.pem, private_key: key.pem}");
}

/* The listener's one certificate, or its list. False: told why. */
static bool certificates(struct build *b, struct node *n, const struct tls_server_form *form,
                         struct tls_server_conf *out, struct problems *p) {
    struct node *list = node_get(n, "certificates");
    bool one = form->one.certificate.n || form->one.private_key.n;
    if (one && (!form->one.certificate.n || !form->one.private_key.n)) {
        incomplete(b, n,
                   form->one.certificate.n ? "the certificate has no private_key"
                                           : "the private_key has no certificate");
        return false;
    }
    uint32_t more = there(list) && list->kind == NODE_LIST ? list->count : 0;
    if (!one && !more) {
        incomplete(b, n, "TLS needs a certificate");
        return false;
    }
    struct tls_cert_conf *c = arena_zero(b->arena, (more + 1) * sizeof *c);
    p->cert = arena_zero(b->tree, (more + 1) * sizeof(struct node *));
    if (one) {
        cert_of(b, &form->one, NULL, &c[p->count]);
        p->cert[p->count++] = n;
    }
    for (uint32_t i = 0; i < more; i++) {
        struct tls_cert_form each = {0};
        struct schema_fill f = build_fill(b, NULL);
        schema_fill(&f, &schema_certificate_type, list->item[i], &each);
        cert_of(b, &each, list->item[i], &c[p->count]);
        p->cert[p->count++] = list->item[i];
    }
    out->cert = c;
    out->cert_count = p->count;
    return true;
}

void build_listener_tls(struct build *b, struct listener_conf *l, struct node *n) {
    if (!there(n) || node_false(n))
        return;
    l->scheme = SPAN("https");
    if (n->kind != NODE_MAP)
        return;
    struct tls_server_form form = {0};
    struct schema_fill f = build_fill(b, NULL);
    unsigned before = b->diags->errors;
    schema_shipped(b->arena, &schema_tls, &form);
    schema_fill(&f, &schema_tls_type, n, &form);
    struct problems p = {.b = b, .whole = n};
    struct tls_server_conf c = {.name = l->name,
                                .min_version = form.min_version,
                                .ciphers = form.ciphers,
                                .cipher_suites = form.cipher_suites,
                                .curves = form.curves,
                                .no_h2 = l->no_h2,
                                .no_tickets = !form.tickets,
                                .ticket_rotate_ms = form.ticket_rotate_ms};
    client_of(b, node_get(n, "client_certificate"), &c.client);
    if (certificates(b, n, &form, &c, &p) && b->diags->errors == before)
        l->tls = tls_server_create(&c, tell, &p);
}

static void trusts_everybody(struct build *b, const struct listener_conf *l, struct node *n) {
    struct node *from = node_get(n, "from");
    for (uint32_t i = 0; from && i < l->proxy.trusted_count; i++) {
        if (!lint_everybody(&l->proxy.trusted[i]))
            continue;
        struct mark at = from->kind == NODE_LIST && i < from->count ? from->item[i]->at : from->at;
        struct diag *d =
            diag_add(b->diags, DIAG_W0109, at, "every address may send the PROXY header");
        diag_help(b->diags, d,
                  "then every client may say where it comes from; name your balancers only");
    }
}

void build_listener_proxy(struct build *b, struct listener_conf *l, struct node *n) {
    if (!there(n) || node_false(n))
        return;
    struct proxy_form form = {0};
    struct schema_fill f = build_fill(b, NULL);
    n = schema_long(b->tree, b->diags, &schema_proxy_protocol_type, n);
    schema_shipped(b->arena, &schema_proxy_protocol, &form);
    schema_fill(&f, &schema_proxy_protocol_type, n, &form);
    l->proxy = (struct proxy_in_conf){.on = true,
                                      .required = form.required,
                                      .trusted = form.from,
                                      .trusted_count = form.from_count};
    trusts_everybody(b, l, n);
    if (form.from_count || b->s->trusted_count)
        return;
    struct diag *d = diag_add(b->diags, DIAG_E0314, n->at,
                              "nobody may send the PROXY header: there is no trusted source");
    diag_help(b->diags, d,
              "name the balancers: proxy_protocol: {from: [10.0.0.0/8]}, or "
              "trusted_proxies at the top");
}

/* --- services --- */

static void h2c_with_tls(struct build *b, struct node *n) {
    struct node *protocol = node_get(n, "protocol");
    if (!there(protocol) || protocol->kind != NODE_SCALAR ||
        !span_eq(node_plain(protocol), SPAN("h2c")))
        return;
    struct diag *d = diag_add(b->diags, DIAG_E0315, protocol->at,
                              "h2c is HTTP/2 on clear text, and this service has tls");
    diag_help(b->diags, d, "write http2 (always HTTP/2) or auto (what the service chooses)");
    struct node *tls = node_get(n, "tls");
    must(tls); /* else nobody looks */
    diag_note(b->diags, d, tls->at, "its tls stands here");
}

/* The service's own word; one of service_defaults is for those with TLS. */
static void auto_without_tls(struct build *b, const struct service_conf *s, const struct node *n) {
    for (uint32_t i = 0; s->protocol == PROTOCOL_AUTO && i < n->count; i++) {
        const struct pair *p = &n->pair[i];
        if (!span_eq(p->key->text, SPAN("protocol")) ||
            (p->from && span_eq(p->from->name, SPAN("service_defaults"))))
            continue;
        struct diag *d = diag_add(b->diags, DIAG_W0118, p->value->at,
                                  "without tls nobody is asked: HTTP/1.1 is spoken");
        diag_help(b->diags, d, "write h2c for HTTP/2 on clear text, or give the service tls");
    }
}

/* `s` holds the protocol already. */
void build_service_tls(struct build *b, struct service_conf *s, struct node *n) {
    struct node *tls = node_get(n, "tls"), *proxy = node_get(n, "proxy_protocol");
    uint64_t version = 0;
    if (there(proxy) && proxy->kind == NODE_SCALAR) {
        struct span t = node_plain(proxy);
        version = span_eq(t, SPAN("v1")) ? 1 : span_eq(t, SPAN("v2")) ? 2 : 0;
    }
    s->proxy_protocol = (unsigned char)version;
    if (!there(tls) || node_false(tls)) {
        if (n->kind == NODE_MAP)
            auto_without_tls(b, s, n);
        return;
    }
    h2c_with_tls(b, n);
    tls = schema_long(b->tree, b->diags, &schema_service_tls_type, tls);
    if (tls->kind != NODE_MAP)
        return;
    struct tls_client_settings c = {0};
    struct schema_fill f = build_fill(b, NULL);
    unsigned before = b->diags->errors;
    schema_shipped(b->arena, &schema_service_tls, &c);
    schema_fill(&f, &schema_service_tls_type, tls, &c);
    c.offer_h1 = s->protocol != PROTOCOL_H2;
    c.offer_h2 = s->protocol != PROTOCOL_HTTP1;
    if (!c.certificate.n != !c.private_key.n)
        incomplete(b, tls, "a certificate and its private_key belong together");
    if (c.insecure_skip_verify)
        diag_add(b->diags, DIAG_W0116, node_get(tls, "insecure_skip_verify")->at,
                 "whoever answers at this address is taken for the service");
    struct problems p = {.b = b, .whole = tls};
    if (b->diags->errors == before)
        s->tls = tls_client_create(&c, tell, &p);
}

/* Of an implicit service. What is wrong with the CA is told where that stands. */
void build_url_tls(struct build *b, struct service_conf *s, struct node *url) {
    struct node *said = node_get(b->root, "outbound");
    struct tls_client_settings c = {
        .ca = b->s->outbound->ca, .min_version = TLS_1_2, .offer_h1 = true};
    struct problems p = {.b = b, .whole = c.ca.n && said ? said : url};
    s->tls = tls_client_create(&c, tell, &p);
}

/* Of the store that gateways share; `n`: state.shared. */
void build_state_tls(struct build *b, struct state_conf *c, struct node *n) {
    struct node *tls = node_get(n, "tls");
    struct problems p = {.b = b, .whole = there(tls) ? tls : n};
    c->tls = tls_client_create(&c->shared.tls, tell, &p);
}

void free_tls(struct snapshot *s) {
    if (s->state)
        tls_client_unref(s->state->tls);
    for (uint32_t i = 0; i < s->listener_count; i++)
        if (s->listener[i].tls)
            tls_server_unref(s->listener[i].tls);
    for (uint32_t i = 0; i < s->service_count; i++)
        if (s->service[i].tls)
            tls_client_unref(s->service[i].tls);
}
