#include "identity/signature.h"
#include "base/env.h"
#include "core/thread.h"
#include "identity/message_signature.h"
#include "identity/replays.h"

#define S(member) FIELD(struct signature_conf, member)
static const struct schema_type flag = {.kind = SCHEMA_BOOL};
static const struct schema_type component = {.kind = SCHEMA_TEXT,
                                             .min = 1,
                                             .size = sizeof(struct span),
                                             .what = "a component like \"@method\" or date"};
static const struct schema_type components = {.kind = SCHEMA_LIST,
                                              .of = &component,
                                              .size = sizeof(struct span),
                                              .flags = TYPE_ONE_OR_MANY,
                                              .max = COMPONENTS_MAX};
static const struct schema_type age = {.kind = SCHEMA_DURATION, .min = 1000, .max = 3600000};
static const struct schema_type skew = {.kind = SCHEMA_DURATION, .max = 600000};
static const struct schema_type size = {.kind = SCHEMA_SIZE, .max = 64 << 20};
static const struct schema_field fields[] = {
    {.key = "components",
     .type = &components,
     FIELD_LIST(struct signature_conf, component, component_count),
     .doc = "What a signature must cover; shipped: \"@method\", \"@authority\", \"@path\", "
            "\"@query\". \"@target-uri\" stands for the last three."},
    {.key = "max_age",
     .type = &age,
     S(max_age_ms),
     .shipped = "5m",
     .doc = "How old a signature may be, by its `created`."},
    {.key = "clock_skew",
     .type = &skew,
     S(skew_ms),
     .shipped = "30s",
     .doc = "How far the signer's clock may be off."},
    {.key = "nonce",
     .type = &flag,
     S(nonce),
     .shipped = "false",
     .doc = "Whether a nonce is required; one that comes is good for one request anyhow."},
    {.key = "body",
     .type = &flag,
     S(body),
     .shipped = "true",
     .doc = "Whether a body must be covered, by Content-Digest (RFC 9530)."},
    {.key = "max_body",
     .type = &size,
     S(max_body),
     .shipped = "1MiB",
     .doc = "The largest body that is collected to compare it with its digest; larger is 413."},
};
static const struct schema_object form = {.name = "signature",
                                          SCHEMA_OBJECT_OF(fields),
                                          .doc = "Requests signed with keys of consumers "
                                                 "(`signature_keys`), as RFC 9421 says."};

static const char *finish(struct arena *a, void *conf) {
    static const struct span shipped[] = {SPAN("@method"), SPAN("@authority"), SPAN("@path"),
                                          SPAN("@query")};
    struct signature_conf *c = conf;
    if (!c->component_count) {
        c->component = shipped;
        c->component_count = array_len(shipped);
        return NULL;
    }
    struct span *all = arena_alloc(a, c->component_count * sizeof *all);
    for (uint32_t i = 0; i < c->component_count; i++) {
        char *z = arena_text(a, c->component[i]);
        for (size_t k = 0; k < c->component[i].n; k++)
            z[k] = lower(z[k]);
        all[i] = span_of(z, c->component[i].n);
        if (memchr(z, '"', all[i].n) || memchr(z, ';', all[i].n))
            return "a component is written as its name alone: \"@method\", date";
    }
    c->component = all;
    return NULL;
}

static const char *judge(struct arena *a, const struct consumer *c) {
    (void)a;
    const char *why = NULL;
    for (uint32_t i = 0; i < c->signing_count && !why; i++)
        EVP_PKEY_free(signature_key(c->signing[i].algorithm, c->signing[i].key, &why));
    return why;
}

/* ---- keys, prepared once per snapshot -----------------------------------------------------------
 */

struct prepared {
    uint32_t *first; /* by place of the consumer */
    EVP_PKEY **key;
    uint32_t count;
};

static void attach(struct snapshot *s, struct authenticator *by) {
    struct prepared *p = arena_zero(&s->arena, sizeof *p);
    p->first = arena_zero(&s->arena, s->consumer_count * sizeof *p->first + 1);
    for (uint32_t i = 0; i < s->consumer_count; i++) {
        p->first[i] = p->count;
        p->count += s->consumer[i].signing_count;
    }
    p->key = arena_zero(&s->arena, p->count * sizeof(EVP_PKEY *) + 1);
    for (uint32_t i = 0; i < s->consumer_count; i++)
        for (uint32_t k = 0; k < s->consumer[i].signing_count; k++) {
            const struct consumer_signing *own = &s->consumer[i].signing[k];
            const char *why;
            p->key[p->first[i] + k] = signature_key(own->algorithm, own->key, &why);
        }
    by->lasting = p;
}

static void detach(struct snapshot *s, struct authenticator *by) {
    struct prepared *p = by->lasting;
    (void)s;
    for (uint32_t i = 0; p && i < p->count; i++)
        EVP_PKEY_free(p->key[i]);
    by->lasting = NULL;
}

/* ---- judging ------------------------------------------------------------------------------------
 */

struct judging { /* in the exchange's arena */
    struct signature_input in;
    const struct consumer *who;
    const struct consumer_signing *key;
};

static int64_t now_of(const struct auth *a) {
    return thread_wall_ns(a->x->thread, a->x->thread->loop.now) / 1000000000;
}

static bool covers(const struct signature_input *in, struct span name) {
    if (signature_covers(in, name))
        return true;
    bool target = span_eq(name, SPAN("@path")) || span_eq(name, SPAN("@query"));
    bool uri = target || span_eq(name, SPAN("@authority")) || span_eq(name, SPAN("@scheme"));
    return (target && signature_covers(in, SPAN("@request-target"))) ||
           (uri && signature_covers(in, SPAN("@target-uri"))) ||
           (span_eq(name, SPAN("@authority")) && signature_covers(in, SPAN("host")));
}

static bool has_body(const struct exchange *x) {
    return x->up_half.length != 0 && !x->req.protocol.n;
}

static bool covers_enough(const struct auth *a, const struct signature_input *in) {
    const struct signature_conf *c = a->by->conf;
    for (uint32_t i = 0; i < c->component_count; i++)
        if (!covers(in, c->component[i]))
            return false;
    return !c->body || !has_body(a->x) || signature_covers(in, SPAN("content-digest"));
}

static enum fault time_fault(const struct auth *a, const struct signature_input *in) {
    const struct signature_conf *c = a->by->conf;
    int64_t now = now_of(a), skew_s = (int64_t)c->skew_ms / 1000;
    int64_t oldest = now - (int64_t)c->max_age_ms / 1000 - skew_s;
    if (in->created < 0)
        return FAULT_SIGNATURE_INVALID;
    if (in->created > now + skew_s || in->created < oldest)
        return FAULT_SIGNATURE_EXPIRED;
    return in->expires >= 0 && in->expires + skew_s < now ? FAULT_SIGNATURE_EXPIRED : FAULT_NONE;
}

static EVP_PKEY *pkey_of(const struct auth *a, const struct judging *j) {
    const struct prepared *p = a->by->lasting;
    const struct snapshot *s = a->x->snap->snapshot;
    return p ? p->key[p->first[j->who - s->consumer] + (uint32_t)(j->key - j->who->signing)] : NULL;
}

/* Of somebody else: an unknown keyid takes as long as a wrong signature. */
static void decoy(const struct auth *a, struct span base, struct span signature) {
    const struct snapshot *s = a->x->snap->snapshot;
    for (uint32_t i = 0; i < s->consumer_count; i++)
        if (s->consumer[i].signing_count) {
            struct judging j = {.who = &s->consumer[i], .key = &s->consumer[i].signing[0]};
            (void)signature_verify(j.key, pkey_of(a, &j), base, signature);
            return;
        }
}

static enum auth_result invalid(struct auth *a, const char *detail) {
    return auth_refuse(a, FAULT_SIGNATURE_INVALID, detail);
}

static enum auth_result accepted_by(struct auth *a, const struct judging *j) {
    const struct signature_conf *c = a->by->conf;
    int64_t now = now_of(a);
    int64_t until = now + (int64_t)(c->max_age_ms + 2 * c->skew_ms) / 1000 + 1;
    if (j->in.nonce.p) {
        switch (replays_take(j->in.keyid, j->in.nonce, now, until)) {
        case REPLAY_SEEN:
            return auth_refuse(a, FAULT_SIGNATURE_EXPIRED, "the nonce was used before");
        case REPLAY_NO_ROOM:
            return auth_refuse(a, FAULT_AUTH_UNAVAILABLE, "no room to remember nonces");
        case REPLAY_NEW:
            break;
        }
    }
    caller_of_consumer(&a->caller, j->who);
    a->caller.not_after = j->in.expires > 0 ? j->in.expires : 0;
    return AUTH_OK;
}

static enum auth_result verify(struct auth *a, struct judging *j) {
    struct exchange *x = a->x;
    const char *why;
    struct span base;
    if (!signature_base(&j->in, &x->req, x->up_half.length, &x->arena, &base, &why))
        return invalid(a, why);
    j->who = j->in.keyid.p ? consumer_by_signing(x->snap->snapshot, j->in.keyid, &j->key) : NULL;
    if (!j->who) {
        decoy(a, base, j->in.signature);
        return invalid(a, "no consumer has a key of this keyid");
    }
    if (j->in.alg.p && !span_eq(j->in.alg, signing_name(j->key->algorithm)))
        return invalid(a, "the key is for another algorithm");
    if (!signature_verify(j->key, pkey_of(a, j), base, j->in.signature))
        return invalid(a, "the signature is wrong");
    return AUTH_OK;
}

static enum auth_result judge_one(struct auth *a, struct judging *j) {
    const struct signature_conf *c = a->by->conf;
    enum fault late = time_fault(a, &j->in);
    if (!covers_enough(a, &j->in))
        return invalid(a, "the signature does not cover what it must");
    if (late)
        return auth_refuse(a, late, "`created` or `expires` is missing or out of the window");
    if (c->nonce && !j->in.nonce.n)
        return invalid(a, "a nonce is required");
    return verify(a, j);
}

/* The first label that holds; what is wrong with the first one is told. */
static enum auth_result judge_labels(struct auth *a, struct judging *j) {
    enum auth_result first = AUTH_MISSING;
    enum fault fault = FAULT_NONE;
    const char *detail = NULL, *why = NULL;
    for (unsigned i = 0; i < LABELS_MAX; i++) {
        enum signature_step step = signature_read(&a->x->req, &a->x->arena, i, &j->in, &why);
        if (step == SIGNATURE_NONE)
            break;
        if (step == SIGNATURE_MALFORMED)
            return invalid(a, why);
        enum auth_result r = judge_one(a, j);
        if (r == AUTH_OK)
            return r;
        if (first == AUTH_MISSING) {
            first = r;
            fault = a->fault;
            detail = a->detail;
        }
    }
    a->fault = fault;
    a->detail = detail;
    return first;
}

static enum auth_result check(struct auth *a) {
    const struct signature_conf *c = a->by->conf;
    struct exchange *x = a->x;
    bool input = hdr_find(&x->req, SPAN("signature-input")).p != NULL;
    if (!input && !hdr_find(&x->req, SPAN("signature")).p)
        return AUTH_MISSING;
    if (!input)
        return invalid(a, "there is a Signature without Signature-Input");
    struct judging *j = arena_zero(&x->arena, sizeof *j);
    enum auth_result r = judge_labels(a, j);
    if (r == AUTH_MISSING)
        return invalid(a, "Signature-Input is empty");
    if (r != AUTH_OK)
        return r;
    if (!signature_covers(&j->in, SPAN("content-digest")))
        return accepted_by(a, j);
    a->part = j;
    x->collect_max = c->max_body;
    return AUTH_BODY;
}

/* The signature is good; now the body must be what it was made for. */
static enum auth_result body(struct auth *a) {
    const struct judging *j = a->part;
    struct exchange *x = a->x;
    const struct body *in = x->up_half.sink;
    int pieces = 0;
    for (const struct slice *s = in->head; s; s = s->next)
        pieces++;
    struct iovec *iov = arena_try(&x->arena, ((size_t)pieces + 1) * sizeof *iov);
    if (!iov)
        return auth_refuse(a, FAULT_OUT_OF_MEMORY, "signature");
    int n = body_get(in, iov, pieces, in->size);
    if (!content_digest_fits(&x->req, &x->arena, iov, n))
        return invalid(a, "Content-Digest is not that of the body");
    return accepted_by(a, j);
}

static void challenge(const struct authenticator *by, enum fault fault, struct str *out) {
    const struct signature_conf *c = by->conf;
    (void)fault;
    str_lit(out, "Signature components=\"");
    for (uint32_t i = 0; i < c->component_count; i++)
        str_fmt(out, "%s%.*s", i ? " " : "", SPAN_ARG(c->component[i]));
    str_lit(out, "\"");
}

const struct auth_kind signature_kind = {.name = "signature",
                                         .form = &form,
                                         .size = sizeof(struct signature_conf),
                                         .keeps = true,
                                         .finish = finish,
                                         .consumer = judge,
                                         .check = check,
                                         .body = body,
                                         .challenge = challenge,
                                         .attach = attach,
                                         .detach = detach};
