#include "identity/password.h"
#include "base/env.h"
#include <argon2.h>
#include <crypt.h>
#include <openssl/crypto.h>

/* What one verification may cost at most. */
enum {
    BCRYPT_COST_MAX = 15,
    ARGON2_KIB_MAX = 1024 * 1024,
    ARGON2_PASSES_MAX = 32,
    ARGON2_LANES_MAX = 16,
    ROUNDS_MAX = 2000000
};
/* What is made here: tens of milliseconds. */
enum { BCRYPT_COST = 11, ARGON2_KIB = 19456, ARGON2_PASSES = 2, ARGON2_LANES = 1 };

static bool is_argon2(struct span hash) {
    return span_starts(hash, SPAN("$argon2id$"));
}

/* The number behind `name` among "m=65536,t=3,p=4"; false: there is none. */
static bool parameter(struct span list, struct span name, uint64_t max, uint64_t *out) {
    while (list.p) {
        struct span part = span_split(&list, ',');
        if (span_starts(part, name))
            return parse_dec(span_from(part, name.n), max, out);
    }
    return false;
}

/* $argon2id$v=19$m=65536,t=3,p=4$salt$hash */
static const char *judge_argon2(struct span hash) {
    struct span part[6], rest = hash;
    unsigned n = 0;
    while (rest.p && n < 6)
        part[n++] = span_split(&rest, '$');
    uint64_t v;
    if (n != 6 || rest.p || !span_eq(part[2], SPAN("v=19")) || part[4].n < 11 || part[5].n < 16)
        return "an argon2id hash looks like $argon2id$v=19$m=19456,t=2,p=1$salt$hash";
    if (!parameter(part[3], SPAN("m="), ARGON2_KIB_MAX, &v) || v < 8 ||
        !parameter(part[3], SPAN("t="), ARGON2_PASSES_MAX, &v) || v < 1 ||
        !parameter(part[3], SPAN("p="), ARGON2_LANES_MAX, &v) || v < 1)
        return "this argon2id hash costs more than is borne: at most 1 GiB (m=1048576), t=32, p=16";
    return NULL;
}

static const char *judge_rounds(struct span hash) {
    struct span rest = span_from(hash, 3);
    uint64_t rounds;
    if (span_starts(rest, SPAN("rounds=")) &&
        !parse_dec(span_split(&(struct span){rest.p + 7, rest.n - 7}, '$'), ROUNDS_MAX, &rounds))
        return "this hash has more rounds than are borne: at most 2000000";
    return NULL;
}

const char *password_judge(struct span hash) {
    uint64_t cost;
    if (hash.n < 8 || hash.n >= PASSWORD_HASH_MAX)
        return "the hash is too short or too long";
    if (is_argon2(hash))
        return judge_argon2(hash);
    bool bcrypt = span_starts(hash, SPAN("$2"));
    if (bcrypt && (hash.n != 60 || hash.p[3] != '$'))
        return "a bcrypt hash has 60 characters: $2b$11$ and 53 more";
    struct span digits = span_cut(hash, hash.p[4] == '0' ? 5 : 4, hash.p[4] == '0' ? 1 : 2);
    if (bcrypt && (!parse_dec(digits, BCRYPT_COST_MAX, &cost) || cost < 4))
        return "the cost of this bcrypt hash is out of range: 4 to 15";
    if (span_starts(hash, SPAN("$5$")) || span_starts(hash, SPAN("$6$")))
        return judge_rounds(hash);
    char text[PASSWORD_HASH_MAX];
    memcpy(text, hash.p, hash.n);
    text[hash.n] = 0;
    if (!bcrypt && !span_starts(hash, SPAN("$y$")))
        return "the hash is of no kind that is known here";
    return crypt_checksalt(text) == CRYPT_SALT_OK ? NULL : "the hash is malformed";
}

static bool verify_crypt(const char *hash, size_t len, const char *password) {
    struct crypt_data *d = mem_alloc(sizeof *d);
    const char *got = crypt_r(password, hash, d);
    bool same = got && got[0] != '*' && strlen(got) == len && CRYPTO_memcmp(got, hash, len) == 0;
    OPENSSL_cleanse(d, sizeof *d);
    mem_free(d);
    return same;
}

bool password_verify(struct span hash, struct span password) {
    if (is_argon2(hash)) /* password and hash end with NUL; this one takes any bytes */
        return argon2id_verify(hash.p, password.p, password.n) == ARGON2_OK;
    return strlen(password.p) == password.n && verify_crypt(hash.p, hash.n, password.p);
}

static bool make_argon2(struct span password, char *out) {
    unsigned char salt[16];
    env.random(salt, sizeof salt);
    return argon2id_hash_encoded(ARGON2_PASSES, ARGON2_KIB, ARGON2_LANES, password.p, password.n,
                                 salt, sizeof salt, 32, out, PASSWORD_HASH_MAX) == ARGON2_OK;
}

static bool make_crypt(const char *prefix, unsigned long cost, struct span password, char *out) {
    char random[32], setting[CRYPT_GENSALT_OUTPUT_SIZE];
    env.random(random, sizeof random);
    if (!crypt_gensalt_rn(prefix, cost, random, sizeof random, setting, sizeof setting))
        return false;
    struct crypt_data *d = mem_alloc(sizeof *d);
    const char *got = crypt_r(password.p, setting, d);
    size_t n = got ? strlen(got) : 0;
    bool fine = got && got[0] == '$' && n < PASSWORD_HASH_MAX;
    if (fine)
        memcpy(out, got, n + 1);
    OPENSSL_cleanse(d, sizeof *d);
    mem_free(d);
    return fine;
}

bool password_make(enum password_form form, struct span password, char out[PASSWORD_HASH_MAX]) {
    switch (form) {
    case PASSWORD_YESCRYPT:
        return make_crypt("$y$", 0, password, out);
    case PASSWORD_BCRYPT:
        return make_crypt("$2b$", BCRYPT_COST, password, out);
    case PASSWORD_ARGON2ID:
        break;
    }
    return make_argon2(password, out);
}
