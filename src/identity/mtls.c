#include "identity/mtls.h"

#define M(member) FIELD(struct mtls_conf, member)
static const struct schema_type flag = {.kind = SCHEMA_BOOL};
static const struct schema_field fields[] = {
    {.key = "consumers_only",
     .type = &flag,
     M(consumers_only),
     .shipped = "false",
     .doc = "Only certificates of consumers (`certificates`); else every one that the listener's "
            "CA signed."},
};
static const struct schema_object form = {
    .name = "mtls",
    SCHEMA_OBJECT_OF(fields),
    .doc = "Client certificates, as the listener's `tls.client_certificate` verified them."};

enum { NAMES_MAX = 64 };

/* "DNS:a" of the certificate's list is "dns:a" in the file; a name of DNS has no letter case. */
static struct span as_written(struct arena *a, struct span name) {
    ptrdiff_t colon = span_find(name, ':');
    bool dns = span_starts(name, SPAN("DNS:"));
    char *p = arena_text(a, name);
    for (ptrdiff_t i = 0; i < (dns ? (ptrdiff_t)name.n : colon); i++)
        p[i] = lower(p[i]);
    return span_of(p, name.n);
}

static struct value names_of(struct arena *a, struct span sans) {
    struct value *item = arena_alloc(a, NAMES_MAX * sizeof *item);
    struct value list = {.kind = VALUE_LIST, .item = item};
    for (struct span rest = sans.n ? sans : SPAN_NONE; rest.p && list.n < NAMES_MAX;)
        item[list.n++] = value_string(as_written(a, span_split(&rest, ',')));
    return list;
}

static const struct consumer *consumer_of(const struct snapshot *s, const struct tls_client_cert *c,
                                          const struct value *names) {
    const struct consumer *found = consumer_by_subject(s, c->subject);
    for (uint32_t i = 0; !found && i < names->n; i++)
        found = consumer_by_subject(s, value_span(&names->item[i]));
    return found;
}

static void claim(struct value *map, struct value_member *m, struct span name, struct value value) {
    m[map->n++] = (struct value_member){value_string(name), value};
}

static struct value claims_of(struct arena *a, const struct tls_client_cert *c,
                              struct value names) {
    struct value_member *m = arena_alloc(a, 6 * sizeof *m);
    struct value map = {.kind = VALUE_MAP, .member = m};
    claim(&map, m, SPAN("subject"), value_string(c->subject));
    claim(&map, m, SPAN("issuer"), value_string(c->issuer));
    claim(&map, m, SPAN("san"), value_string(c->san));
    claim(&map, m, SPAN("sans"), names);
    claim(&map, m, SPAN("serial"), value_string(c->serial));
    claim(&map, m, SPAN("fingerprint"), value_string(c->fingerprint));
    return map;
}

static enum auth_result check(struct auth *a) {
    const struct mtls_conf *conf = a->by->conf;
    const struct tls_info *tls = a->x->facts.tls;
    const struct tls_client_cert *c = tls ? tls->client : NULL;
    if (!c)
        return AUTH_MISSING;
    if (!c->verified)
        return auth_refuse(a, FAULT_CERTIFICATE_NEEDED, "the client's certificate is not verified");
    struct value names = names_of(&a->x->arena, c->sans);
    const struct consumer *who = consumer_of(a->x->snap->snapshot, c, &names);
    if (!who && conf->consumers_only)
        return auth_refuse(a, FAULT_CERTIFICATE_NEEDED, "no consumer has this certificate");
    a->caller.tags = (struct value){.kind = VALUE_MAP};
    a->caller.claims = claims_of(&a->x->arena, c, names);
    if (who)
        caller_of_consumer(&a->caller, who);
    return AUTH_OK;
}

/* No registered scheme asks for a certificate; a 401 must carry a challenge all the same. */
static void challenge(const struct authenticator *by, enum fault fault, struct str *out) {
    (void)by;
    (void)fault;
    str_lit(out, "ClientCertificate");
}

const struct auth_kind mtls_kind = {.name = "mtls",
                                    .form = &form,
                                    .size = sizeof(struct mtls_conf),
                                    .keeps = true,
                                    .check = check,
                                    .challenge = challenge};
