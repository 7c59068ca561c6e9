#include "identity/jws.h"
#include "base/env.h"
#include "data/base64.h"
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

/* ---- taking apart -----------------------------------------------------------------------------
 */

static enum fault malformed(const char **why, const char *text) {
    *why = text;
    return FAULT_JWT_FORMAT;
}

/* Exactly two dots. The signature may still be empty: `alg` is judged first, so that "none" is
 * called what it is. */
static bool split(struct span token, struct jws *out, const char **why) {
    struct span rest = token;
    out->header64 = span_split(&rest, '.');
    out->payload64 = rest.p ? span_split(&rest, '.') : SPAN_NONE;
    if (!rest.p) {
        *why = "it has not three parts";
        return false;
    }
    out->signature64 = rest;
    out->signed_part = span_of(token.p, out->header64.n + 1 + out->payload64.n);
    if (span_find(rest, '.') < 0)
        return true;
    *why = "it has more than three parts (encrypted tokens are not accepted)";
    return false;
}

static bool decode(struct arena *a, struct span text, struct span *out) {
    unsigned char *p = arena_alloc(a, base64_decode_max(text.n));
    out->p = (const char *)p;
    return base64_decode(BASE64_URL, text, p, &out->n);
}

static bool read_header(struct arena *a, struct jws *j, const char **why) {
    static const struct json_limits limits = {
        .depth = JWS_DEPTH_MAX, .nodes = JWS_NODES_MAX, .unique = true};
    struct span text;
    struct json_error err;
    *why = "its header is not canonical base64url";
    if (!j->header64.n || !decode(a, j->header64, &text))
        return false;
    *why = "its header is not JSON";
    if (!json_read(a, text, &limits, &j->header, &err)) {
        *why = err.text ? err.text : *why;
        return false;
    }
    *why = "its header is not a JSON object";
    return j->header.kind == VALUE_MAP && j->header.form == VALUE_PLAIN;
}

static enum fault judge_header(struct jws *j, const char **why) {
    const struct value *alg = NULL, *kid = NULL;
    for (uint32_t i = 0; i < j->header.n; i++) {
        const struct value_member *m = &j->header.member[i];
        struct span name = value_span(&m->key);
        if (span_eq(name, SPAN("alg")))
            alg = &m->value;
        else if (span_eq(name, SPAN("kid")))
            kid = &m->value;
        else if (span_eq(name, SPAN("crit")) || span_eq(name, SPAN("b64"))) {
            *why = "crit and b64 are not accepted";
            return FAULT_JWT_CRIT;
        } else if (span_eq(name, SPAN("enc")))
            return malformed(why, "encrypted tokens are not accepted");
        else
            j->embeds |= span_eq(name, SPAN("jku")) || span_eq(name, SPAN("x5u")) ||
                         span_eq(name, SPAN("jwk")) || span_eq(name, SPAN("x5c"));
    }
    if (kid && kid->kind != VALUE_STRING)
        return malformed(why, "its kid is no text");
    j->kid = kid ? value_span(kid) : SPAN_NONE;
    *why = "its algorithm is none that is known here";
    if (!alg || alg->kind != VALUE_STRING || !jwa_parse(value_span(alg), &j->algorithm))
        return FAULT_JWT_ALG;
    return FAULT_NONE;
}

enum fault jws_read(struct arena *a, struct span token, struct jws *out, const char **why) {
    *out = (struct jws){.header = VALUE_NOTHING};
    if (!split(token, out, why) || !read_header(a, out, why))
        return FAULT_JWT_FORMAT;
    enum fault f = judge_header(out, why);
    if (f == FAULT_NONE && !out->signature64.n)
        return malformed(why, "it has no signature");
    return f;
}

bool jws_payload(struct arena *a, const struct jws *j, struct span *out) {
    return decode(a, j->payload64, out);
}

/* ---- what a thread keeps ----------------------------------------------------------------------
 */

enum { SLOTS = 16 };

struct jws_thread {
    EVP_MD *md[JWA_HASHES];
    EVP_MD_CTX *work;
    /* Set up for one key and algorithm; a context holds its key, so no other can have the same
     * address. Direct-mapped. */
    struct slot {
        const EVP_PKEY *pkey;
        enum jwa algorithm;
        EVP_PKEY_CTX *ctx;
    } slot[SLOTS];
};

struct jws_thread *jws_thread_create(void) {
    struct jws_thread *t = mem_alloc(sizeof *t);
    bool fine = (t->work = EVP_MD_CTX_new()) != NULL;
    for (int h = 0; h < JWA_HASHES; h++)
        fine &= (t->md[h] = EVP_MD_fetch(NULL, jwa_hash_name((enum jwa_hash)h), NULL)) != NULL;
    if (fine)
        return t;
    jws_thread_destroy(t);
    return NULL;
}

void jws_thread_destroy(struct jws_thread *t) {
    if (!t)
        return;
    for (int i = 0; i < SLOTS; i++)
        EVP_PKEY_CTX_free(t->slot[i].ctx);
    for (int h = 0; h < JWA_HASHES; h++)
        EVP_MD_free(t->md[h]);
    EVP_MD_CTX_free(t->work);
    mem_free(t);
}

/* RFC 7518 3.5: the salt is as long as the hash, and MGF1 uses the same hash. */
static bool set_up(EVP_PKEY_CTX *ctx, enum jwa a, const EVP_MD *md) {
    if (!ctx || EVP_PKEY_verify_init(ctx) != 1)
        return false;
    if (1u << a & JWA_RS && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) != 1)
        return false;
    if (1u << a & JWA_PS && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) != 1)
        return false;
    if (EVP_PKEY_CTX_set_signature_md(ctx, md) != 1)
        return false;
    return !(1u << a & JWA_PS) ||
           EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
}

static EVP_PKEY_CTX *context(struct jws_thread *t, const struct jwk *k, enum jwa a) {
    struct slot *s = &t->slot[((uintptr_t)k->pkey / 64 + a) % SLOTS];
    if (s->ctx && s->pkey == k->pkey && s->algorithm == a)
        return s->ctx;
    EVP_PKEY_CTX_free(s->ctx);
    *s = (struct slot){k->pkey, a, EVP_PKEY_CTX_new_from_pkey(NULL, k->pkey, NULL)};
    if (!set_up(s->ctx, a, t->md[jwa_hash(a)])) {
        EVP_PKEY_CTX_free(s->ctx);
        *s = (struct slot){.ctx = NULL};
    }
    return s->ctx;
}

/* ---- signatures -------------------------------------------------------------------------------
 */

struct signature {
    unsigned char p[JWS_SIGNATURE_MAX + 3];
    size_t n;
};

static bool digest(struct jws_thread *t, enum jwa_hash h, struct span text, unsigned char *out) {
    return EVP_DigestInit_ex(t->work, t->md[h], NULL) == 1 &&
           EVP_DigestUpdate(t->work, text.p, text.n) == 1 &&
           EVP_DigestFinal_ex(t->work, out, NULL) == 1;
}

static bool verify_hmac(struct jws_thread *t, const struct jwk *k, const struct jws *j,
                        const struct signature *sig) {
    enum jwa_hash h = jwa_hash(j->algorithm);
    size_t n = jwa_hash_len(h);
    unsigned char mac[EVP_MAX_MD_SIZE];
    if (sig->n != n || !k->pads[h].inner)
        return false;
    bool fine = EVP_MD_CTX_copy_ex(t->work, k->pads[h].inner) == 1 &&
                EVP_DigestUpdate(t->work, j->signed_part.p, j->signed_part.n) == 1 &&
                EVP_DigestFinal_ex(t->work, mac, NULL) == 1 &&
                EVP_MD_CTX_copy_ex(t->work, k->pads[h].outer) == 1 &&
                EVP_DigestUpdate(t->work, mac, n) == 1 &&
                EVP_DigestFinal_ex(t->work, mac, NULL) == 1;
    return fine && CRYPTO_memcmp(mac, sig->p, n) == 0;
}

/* 0 < v < the order of the curve (CVE-2022-21449). */
static bool scalar_fits(const unsigned char *v, const unsigned char *order, size_t n) {
    unsigned any = 0;
    for (size_t i = 0; i < n; i++)
        any |= v[i];
    return any && memcmp(v, order, n) < 0;
}

static size_t put_integer(unsigned char *out, const unsigned char *v, size_t n) {
    while (n > 1 && *v == 0) {
        v++;
        n--;
    }
    size_t zero = *v >> 7; /* else it would be negative */
    out[0] = 2;
    out[1] = (unsigned char)(n + zero);
    out[2] = 0;
    memcpy(out + 2 + zero, v, n);
    return 2 + zero + n;
}

/* r and s of the curve's exact length, one behind the other, become DER. At most 2 * 69 + 3 bytes.
 */
static bool ecdsa_der(const struct jwk *k, const struct signature *raw, struct signature *der) {
    size_t half = raw->n / 2, n = 0;
    if (!scalar_fits(raw->p, k->order, half) || !scalar_fits(raw->p + half, k->order, half))
        return false;
    unsigned char body[2 * (JWK_SCALAR_MAX + 3)];
    n = put_integer(body, raw->p, half);
    n += put_integer(body + n, raw->p + half, half);
    size_t at = 0;
    der->p[at++] = 0x30;
    if (n > 127)
        der->p[at++] = 0x81;
    der->p[at++] = (unsigned char)n;
    memcpy(der->p + at, body, n);
    der->n = at + n;
    return true;
}

static bool verify_eddsa(struct jws_thread *t, const struct jwk *k, const struct jws *j,
                         const struct signature *sig) {
    EVP_MD_CTX_reset(t->work);
    bool fine = EVP_DigestVerifyInit(t->work, NULL, NULL, NULL, k->pkey) == 1 &&
                EVP_DigestVerify(t->work, sig->p, sig->n, (const unsigned char *)j->signed_part.p,
                                 j->signed_part.n) == 1;
    EVP_MD_CTX_reset(t->work);
    return fine;
}

static bool verify_public(struct jws_thread *t, const struct jwk *k, const struct jws *j,
                          const struct signature *sig) {
    struct signature der unzeroed;
    unsigned char hash[EVP_MAX_MD_SIZE];
    if (sig->n != k->signature_len)
        return false;
    if (j->algorithm == JWA_EDDSA)
        return verify_eddsa(t, k, j, sig);
    if (1u << j->algorithm & JWA_ES) {
        if (!ecdsa_der(k, sig, &der))
            return false;
        sig = &der;
    }
    enum jwa_hash h = jwa_hash(j->algorithm);
    EVP_PKEY_CTX *ctx = context(t, k, j->algorithm);
    return ctx && digest(t, h, j->signed_part, hash) &&
           EVP_PKEY_verify(ctx, sig->p, sig->n, hash, jwa_hash_len(h)) == 1;
}

static bool verify(struct jws_thread *t, const struct jwk *k, const struct jws *j,
                   const struct signature *sig) {
    bool fine = k->pkey ? verify_public(t, k, j, sig) : verify_hmac(t, k, j, sig);
    if (!fine)
        ERR_clear_error(); /* TLS looks at the same queue */
    return fine;
}

/* ---- which key --------------------------------------------------------------------------------
 */

struct search {
    const struct jwk *candidate[JWS_TRIES_MAX];
    unsigned count;
    bool named; /* its kid is in the set */
};

static void offer(struct search *f, const struct jwk *k, const struct jws *j) {
    if (k->algorithms >> j->algorithm & 1 && f->count < JWS_TRIES_MAX)
        f->candidate[f->count++] = k;
}

/* Those of its kid; where none has it, those that have no kid themselves (a PEM, a secret). A token
 * without a kid may mean any. */
static void search(struct search *f, const struct key_set *s, const struct jws *j) {
    for (uint32_t i = 0; j->kid.n && i < s->count; i++)
        if (span_eq(s->key[i].kid, j->kid)) {
            f->named = true;
            offer(f, &s->key[i], j);
        }
    if (f->named)
        return;
    for (uint32_t i = 0; i < s->count; i++)
        if (!j->kid.p || !s->key[i].kid.n)
            offer(f, &s->key[i], j);
}

enum fault jws_verify(struct jws_thread *t, const struct key_set *s, const struct jws *j,
                      const struct jwk **by, bool *newer) {
    struct search f = {.count = 0};
    struct signature sig unzeroed;
    *by = NULL;
    *newer = false;
    if (j->signature64.n > (JWS_SIGNATURE_MAX * 4 + 2) / 3 ||
        !base64_decode(BASE64_URL, j->signature64, sig.p, &sig.n))
        return FAULT_JWT_FORMAT;
    search(&f, s, j);
    *newer = !f.named;
    if (!f.count)
        return f.named ? FAULT_JWT_ALG : FAULT_JWT_KEY;
    for (unsigned i = 0; i < f.count; i++)
        if (verify(t, f.candidate[i], j, &sig)) {
            *by = f.candidate[i];
            return FAULT_NONE;
        }
    return FAULT_JWT_SIGNATURE;
}
