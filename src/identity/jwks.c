#include "identity/jwk.h"
#include "base/env.h"
#include "data/base64.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

enum { JWKS_DEPTH = 16, SECRET_MAX = 4096 };

/* ---- the set ----------------------------------------------------------------------------------
 */

static struct key_set *set_create(void) {
    static atomic_uint_fast64_t generations;
    struct key_set *s = mem_alloc(sizeof *s);
    atomic_init(&s->refs, 1);
    arena_init(&s->arena, NULL);
    s->generation = atomic_fetch_add(&generations, 1) + 1;
    s->key = arena_zero(&s->arena, JWKS_KEYS_MAX * sizeof *s->key);
    return s;
}

static struct jwk *keys_of(struct key_set *s) {
    return (struct jwk *)(uintptr_t)s->key; /* ours alone until it is handed out */
}

void key_set_ref(struct key_set *s) {
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
}

void key_set_unref(struct key_set *s) {
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < s->count; i++)
        jwk_finish(&keys_of(s)[i]);
    arena_finish(&s->arena);
    mem_free(s);
}

static void refuse(struct key_set *s, const char *why) {
    s->refused++;
    s->refused_why = why;
}

static bool is_usable(const struct jwk *k) {
    return k->pkey || k->pads[JWA_SHA256].inner || k->pads[JWA_SHA384].inner ||
           k->pads[JWA_SHA512].inner;
}

/* `why` NULL: the key joins the set; else it is counted, and stands for its kid until the whole is
 * judged: its twin must not verify in its place. */
static void take(struct key_set *s, struct jwk *k, const char *why) {
    if (why) {
        jwk_finish(k);
        refuse(s, why);
    }
    k->kid = k->kid.n ? arena_span(&s->arena, k->kid) : SPAN_NONE;
    keys_of(s)[s->count++] = *k;
}

/* ---- what is wrong with several ---------------------------------------------------------------
 */

static bool clash(const struct jwk *a, const struct jwk *b) {
    return a->kid.n && span_eq(a->kid, b->kid) && (a->algorithms & b->algorithms);
}

/* And those that were refused before. */
static void drop_marked(struct key_set *s, const bool *drop, const char *why) {
    uint32_t left = 0;
    struct jwk *k = keys_of(s);
    for (uint32_t i = 0; i < s->count; i++) {
        if (drop[i] && is_usable(&k[i])) {
            jwk_finish(&k[i]);
            refuse(s, why);
        } else if (is_usable(&k[i])) {
            k[left++] = k[i];
        }
    }
    s->count = left;
}

/* Which of them a token means nobody can say. The same key twice is one key. */
static void drop_ambiguous(struct key_set *s) {
    bool drop[JWKS_KEYS_MAX] = {false};
    for (uint32_t i = 0; i < s->count; i++)
        for (uint32_t j = i + 1; j < s->count; j++) {
            if (!clash(&s->key[i], &s->key[j]))
                continue;
            bool same = memcmp(s->key[i].print, s->key[j].print, sizeof s->key[i].print) == 0;
            drop[i] |= !same;
            drop[j] = true;
        }
    drop_marked(s, drop, "two keys have the same kid and algorithm");
}

/* A set of public keys is no place for a secret: whoever may read it could sign. */
static void drop_mixed(struct key_set *s) {
    bool drop[JWKS_KEYS_MAX] = {false}, public = false;
    for (uint32_t i = 0; i < s->count; i++) {
        public |= s->key[i].pkey != NULL;
        drop[i] = !s->key[i].pkey;
    }
    if (public)
        drop_marked(s, drop, "a shared secret stands beside public keys");
}

/* ---- JSON -------------------------------------------------------------------------------------
 */

/* A member that must be a text where it stands. False: it is something else. */
static bool text_of(const struct value *v, struct span name, struct span *out) {
    const struct value *m = value_find(v, name);
    *out = SPAN_NONE;
    if (!m)
        return true;
    if (m->kind != VALUE_STRING)
        return false;
    *out = value_span(m);
    return true;
}

/* A member of base64url: missing, empty or malformed is false. */
static bool bytes_of(struct arena *a, const struct value *v, struct span name,
                     struct jwk_bytes *out) {
    struct span text;
    if (!text_of(v, name, &text) || !text.n)
        return false;
    out->p = arena_alloc(a, base64_decode_max(text.n));
    return base64_decode(BASE64_URL, text, out->p, &out->n);
}

static bool ops_fit(const struct value *v) {
    const struct value *ops = value_find(v, SPAN("key_ops"));
    bool verify = false;
    if (!ops)
        return true;
    if (ops->kind != VALUE_LIST || ops->form != VALUE_PLAIN)
        return false;
    for (uint32_t i = 0; i < ops->n; i++) {
        if (ops->item[i].kind != VALUE_STRING)
            return false;
        verify |= span_eq(value_span(&ops->item[i]), SPAN("verify"));
    }
    return verify;
}

/* The bits of `alg`; all where it is missing, none where it is nothing that verifies here. */
static uint32_t said_of(struct span alg, struct span curve) {
    enum jwa a;
    if (!alg.p)
        return JWA_ALL;
    /* A frequent slip of the pen: the algorithm called as its curve. */
    if (span_eq(alg, SPAN("ES521")) && span_eq(curve, SPAN("P-521")))
        return 1u << JWA_ES512;
    return jwa_parse(alg, &a) ? 1u << a : 0;
}

struct jwk_reader {
    struct arena *a; /* for what does not outlive the reading */
    const struct value *v;
    struct span kty, alg, curve;
    uint32_t accepted;
};

static const char *read_public(struct jwk_reader *r, struct jwk *k) {
    struct jwk_bytes x, y;
    if (value_find(r->v, SPAN("d")))
        return "it is a private key";
    if (span_eq(r->kty, SPAN("RSA")))
        return bytes_of(r->a, r->v, SPAN("n"), &x) && bytes_of(r->a, r->v, SPAN("e"), &y)
                   ? jwk_rsa(k, x, y)
                   : "n or e is missing or malformed";
    if (!bytes_of(r->a, r->v, SPAN("x"), &x))
        return "x is missing or malformed";
    if (span_eq(r->kty, SPAN("OKP")))
        return jwk_okp(k, r->curve, x);
    return bytes_of(r->a, r->v, SPAN("y"), &y) ? jwk_ec(k, r->curve, x, y)
                                               : "y is missing or malformed";
}

static const char *read_material(struct jwk_reader *r, struct jwk *k) {
    uint32_t said = said_of(r->alg, r->curve);
    struct jwk_bytes secret;
    if (!said)
        return "its alg is not one that verifies tokens";
    k->algorithms = said;
    if (span_eq(r->kty, SPAN("oct")))
        return bytes_of(r->a, r->v, SPAN("k"), &secret)
                   ? jwk_bind_secret(k, span_of((const char *)secret.p, secret.n), said,
                                     r->accepted)
                   : "k is missing or malformed";
    if (!span_eq(r->kty, SPAN("RSA")) && !span_eq(r->kty, SPAN("EC")) &&
        !span_eq(r->kty, SPAN("OKP")))
        return "its kty is unknown";
    const char *why = read_public(r, k);
    return why ? why : jwk_bind(k, said, r->accepted);
}

static const char *read_jwk(struct jwk_reader *r, struct jwk *k) {
    struct span use;
    if (r->v->kind != VALUE_MAP || r->v->form != VALUE_PLAIN)
        return "it is not an object";
    if (!text_of(r->v, SPAN("kty"), &r->kty) || !text_of(r->v, SPAN("alg"), &r->alg) ||
        !text_of(r->v, SPAN("crv"), &r->curve) || !text_of(r->v, SPAN("use"), &use) ||
        !text_of(r->v, SPAN("kid"), &k->kid))
        return "a member that must be a text is none";
    if (use.p && !span_eq(use, SPAN("sig")))
        return "its use is not sig";
    if (!ops_fit(r->v))
        return "its key_ops do not hold verify";
    if (k->kid.n > KID_MAX)
        return "its kid is longer than 256 bytes";
    return read_material(r, k);
}

static void read_one(struct key_set *s, struct arena *a, const struct value *v, uint32_t accepted) {
    struct jwk k = {.kid = SPAN_NONE};
    struct jwk_reader r = {.a = a, .v = v, .accepted = accepted};
    const char *why = read_jwk(&r, &k);
    take(s, &k, why);
}

static const char *read_json(struct key_set *s, struct arena *a, struct span text,
                             uint32_t accepted) {
    struct value doc;
    struct json_error err;
    static const struct json_limits limits = {.depth = JWKS_DEPTH, .unique = true};
    if (!json_read(a, text, &limits, &doc, &err))
        return err.text ? err.text : "it is not JSON";
    if (doc.kind != VALUE_MAP)
        return "it is not a JSON object";
    const struct value *keys = value_find(&doc, SPAN("keys"));
    if (!keys && !value_find(&doc, SPAN("kty")))
        return "it is neither a key set (\"keys\") nor a key (\"kty\")";
    if (keys && (keys->kind != VALUE_LIST || keys->form != VALUE_PLAIN))
        return "\"keys\" is not a list";
    if (keys && keys->n > JWKS_KEYS_MAX)
        return "there are more than 64 keys";
    for (uint32_t i = 0; keys && i < keys->n; i++)
        read_one(s, a, &keys->item[i], accepted);
    if (!keys)
        read_one(s, a, &doc, accepted);
    return NULL;
}

static struct key_set *finish(struct key_set *s, const char *fault, const char **why) {
    if (fault) {
        *why = fault;
        key_set_unref(s);
        return NULL;
    }
    drop_ambiguous(s);
    drop_mixed(s);
    return s;
}

struct key_set *key_set_read(struct span text, uint32_t accepted, const char **why) {
    if (text.n > JWKS_BYTES_MAX) {
        *why = "it is larger than 256 KiB";
        return NULL;
    }
    struct key_set *s = set_create();
    struct arena a;
    arena_init(&a, NULL);
    const char *fault = read_json(s, &a, text, accepted);
    arena_finish(&a);
    return finish(s, fault, why);
}

/* ---- what operators write ---------------------------------------------------------------------
 */

static bool holds(struct span text, const char *word) {
    return memmem(text.p, text.n, word, strlen(word)) != NULL;
}

static EVP_PKEY *pem_key(const char *type, const unsigned char *der, long n) {
    const unsigned char *p = der;
    if (strcmp(type, "CERTIFICATE") == 0) {
        X509 *x = d2i_X509(NULL, &p, n);
        EVP_PKEY *k = x ? X509_get_pubkey(x) : NULL;
        X509_free(x);
        return k;
    }
    if (strcmp(type, "RSA PUBLIC KEY") == 0)
        return d2i_PublicKey(EVP_PKEY_RSA, NULL, &p, n);
    return strcmp(type, "PUBLIC KEY") == 0 ? d2i_PUBKEY(NULL, &p, n) : NULL;
}

static const char *read_pem(struct key_set *s, struct span text, uint32_t accepted) {
    BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);
    char *name, *header;
    unsigned char *der;
    long n;
    const char *fault = NULL;
    while (bio && !fault && PEM_read_bio(bio, &name, &header, &der, &n) == 1) {
        struct jwk k = {.pkey = pem_key(name, der, n)};
        if (strstr(name, "PRIVATE KEY"))
            fault = "it holds a private key: tokens are verified with the public one";
        else if (s->count >= JWKS_KEYS_MAX)
            fault = "there are more than 64 keys";
        else
            take(s, &k, k.pkey ? jwk_bind(&k, JWA_ALL, accepted) : "it is no public key");
        if (fault)
            jwk_finish(&k);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_clear_free(der, (size_t)n);
    }
    BIO_free(bio);
    ERR_clear_error();
    return fault || s->count ? fault : "its PEM is malformed";
}

static const char *read_secret(struct key_set *s, struct span text, uint32_t accepted) {
    struct jwk k = {.kid = SPAN_NONE};
    if (text.n && text.p[text.n - 1] == '\n') /* of the file that it stood in */
        text.n--;
    if (text.n > SECRET_MAX)
        return "a shared secret is longer than 4096 bytes";
    const char *why = jwk_bind_secret(&k, text, JWA_HS, accepted);
    take(s, &k, why);
    return why;
}

struct key_set *key_set_read_local(struct span text, uint32_t accepted, const char **why) {
    size_t at = 0;
    while (at < text.n && strchr(" \t\r\n", text.p[at]))
        at++;
    if (text.n > JWKS_BYTES_MAX || (at < text.n && text.p[at] == '{'))
        return key_set_read(text, accepted, why);
    struct key_set *s = set_create();
    const char *fault =
        holds(text, "-----BEGIN ") ? read_pem(s, text, accepted) : read_secret(s, text, accepted);
    return finish(s, fault, why);
}
