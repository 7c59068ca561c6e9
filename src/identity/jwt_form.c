/* How a jwt authenticator is written, and what is wrong with it. */
#include "base/env.h"
#include "identity/jwt.h"
#include <errno.h>
#include <fcntl.h>

#define J(member) FIELD(struct jwt_conf, member)

static const struct schema_type text = {.kind = SCHEMA_TEXT, .min = 1};
static const struct schema_type texts = {.kind = SCHEMA_LIST,
                                         .of = &text,
                                         .size = sizeof(struct span),
                                         .flags = TYPE_ONE_OR_MANY,
                                         .min = 1,
                                         .max = 64};
static const struct schema_type issuers = {.kind = SCHEMA_LIST,
                                           .of = &schema_issuer,
                                           .size = sizeof(const struct outbound *),
                                           .flags = TYPE_ONE_OR_MANY,
                                           .min = 1,
                                           .max = JWT_ISSUERS_MAX};
static const struct schema_type secret = {.kind = SCHEMA_SECRET, .min = 1};
static const struct schema_word algorithm_words[] = {
    {"HS256", JWA_HS256, false}, {"HS384", JWA_HS384, false},
    {"HS512", JWA_HS512, false}, {"RS256", JWA_RS256, false},
    {"RS384", JWA_RS384, false}, {"RS512", JWA_RS512, false},
    {"PS256", JWA_PS256, false}, {"PS384", JWA_PS384, false},
    {"PS512", JWA_PS512, false}, {"ES256", JWA_ES256, false},
    {"ES384", JWA_ES384, false}, {"ES512", JWA_ES512, false},
    {"EdDSA", JWA_EDDSA, false}, {NULL, 0, false}};
static const struct schema_type algorithm = {
    .kind = SCHEMA_ENUM, .words = algorithm_words, .size = sizeof(int)};
static const struct schema_type algorithms = {.kind = SCHEMA_LIST,
                                              .of = &algorithm,
                                              .size = sizeof(int),
                                              .flags = TYPE_ONE_OR_MANY,
                                              .min = 1,
                                              .max = JWA_COUNT};
static const struct schema_type leeway = {.kind = SCHEMA_DURATION, .max = 3600ull * 1000};
static const struct schema_type age = {
    .kind = SCHEMA_DURATION, .min = 1000, .max = 3650ull * 86400000};
static const struct schema_type flag = {.kind = SCHEMA_BOOL};
static const struct schema_field fields[] = {
    {.key = "issuer",
     .type = &issuers,
     FIELD_LIST(struct jwt_conf, issuer, issuer_count),
     .doc =
         "Who must have made the token (`iss`): one, or a list. Without `jwks` and `key` the keys "
         "come by its discovery document."},
    {.key = "audience",
     .type = &texts,
     FIELD_LIST(struct jwt_conf, audience, audience_count),
     .doc = "For whom it must be (`aud`): one of these."},
    {.key = "jwks",
     .type = &schema_url_or_file,
     J(jwks),
     .doc = "Where the keys are: a URL, file:PATH, or {service: NAME, path: /x}.",
     .group = "keys"},
    {.key = "key",
     .type = &secret,
     J(key),
     .doc = "The keys themselves: a shared secret, PEM, JWK or JWKS.",
     .group = "keys"},
    {.key = "algorithms",
     .type = &algorithms,
     FIELD_LIST(struct jwt_conf, algorithm, algorithm_count),
     .doc = "Algorithms that are accepted; else all that the keys allow."},
    {.key = "leeway",
     .type = &leeway,
     J(leeway_ms),
     .shipped = "60s",
     .doc = "How far clocks may differ."},
    {.key = "max_age",
     .type = &age,
     J(max_age_ms),
     .doc = "How long ago it may have been made (`iat`), whatever its `exp`."},
    {.key = "require_exp",
     .type = &flag,
     J(require_exp),
     .shipped = "true",
     .doc = "A token without `exp` is refused."},
    {.key = "require",
     .type = &texts,
     FIELD_LIST(struct jwt_conf, require, require_count),
     .doc = "Claims that must be there."},
    {.key = "type",
     .type = &text,
     J(type),
     .doc = "The header's `typ` must be this, as at+jwt (RFC 9068)."},
    BEARER_ROWS(struct jwt_conf, token),
};
const struct schema_object jwt_form = {.name = "jwt",
                                       SCHEMA_OBJECT_OF(fields),
                                       .doc = "A signed token (RFC 7519), verified by its issuer's "
                                              "keys."};

/* ---- where the keys come from -----------------------------------------------------------------
 */

static const char *file_text(struct arena *a, struct span path, struct span *out) {
    char *p = arena_alloc(a, JWKS_BYTES_MAX + 1);
    size_t n = 0;
    ssize_t got = 1;
    int fd = env.open(arena_text(a, path), O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0)
        return errno == ENOENT   ? "there is no such file"
               : errno == EACCES ? "it must not be read by this user"
                                 : "it cannot be read";
    while (got > 0 && n <= JWKS_BYTES_MAX) {
        got = env.read(fd, p + n, JWKS_BYTES_MAX + 1 - n);
        n += got > 0 ? (size_t)got : 0;
    }
    env.close(fd);
    *out = span_of(p, n);
    return got < 0 ? "it cannot be read" : NULL;
}

/* Keys that are there already are read once here, to tell what is wrong with them. */
static const char *judge_keys(struct arena *a, const struct jwt_conf *c, const char *what) {
    const char *why = NULL;
    struct key_set *s = key_set_read_local(c->text, c->accepted, &why);
    if (s && !s->count)
        why = s->refused ? s->refused_why : "it holds no key";
    key_set_unref(s);
    return why ? arena_fmt(a, "%s verifies nothing: %s", what, why) : NULL;
}

static const char *keys_there(struct arena *a, struct jwt_conf *c) {
    if (c->key.n) {
        c->text = c->key;
        return judge_keys(a, c, "`key`");
    }
    const char *why = file_text(a, c->jwks->file, &c->text);
    if (why)
        return arena_fmt(a, "%.*s: %s", SPAN_ARG(c->jwks->file), why);
    return judge_keys(a, c, arena_text(a, c->jwks->file));
}

static const char *keys_fetched(struct jwt_conf *c) {
    c->accepted &= JWA_PUBLIC; /* a secret that can be fetched is none */
    if (!c->accepted)
        return "shared secrets are not fetched: HS256, HS384 and HS512 need `key`";
    if (c->jwks)
        return NULL;
    if (!c->issuer_count)
        return "it has no keys: give it `jwks`, `key`, or an `issuer` that is discovered";
    for (uint32_t i = 0; i < c->issuer_count; i++)
        if (!c->issuer[i]->host.n)
            return "it has no keys: without `jwks` and `key` an issuer must be a URL, whose "
                   "discovery document names them";
    return NULL;
}

static const char *keys_of(struct arena *a, struct jwt_conf *c) {
    bool there = c->key.n || (c->jwks && c->jwks->file.n);
    for (uint32_t i = 0; c->jwks || c->key.n ? i < c->issuer_count : false; i++)
        outbound_unused(c->issuer[i]);
    return there ? keys_there(a, c) : keys_fetched(c);
}

/* ---- the whole --------------------------------------------------------------------------------
 */

static void rules_of(struct arena *a, struct jwt_conf *c) {
    struct span *issuer = arena_alloc(a, c->issuer_count * sizeof *issuer + 1);
    for (uint32_t i = 0; i < c->issuer_count; i++)
        issuer[i] = c->issuer[i]->url;
    c->rules = (struct claims_rules){.issuer = issuer,
                                     .issuer_count = c->issuer_count,
                                     .audience = c->audience,
                                     .audience_count = c->audience_count,
                                     .require = c->require,
                                     .require_count = c->require_count,
                                     .leeway_s = (int64_t)(c->leeway_ms / 1000),
                                     .max_age_s = (int64_t)(c->max_age_ms / 1000),
                                     .may_last = !c->require_exp};
}

const char *jwt_finish(struct arena *a, void *conf) {
    struct jwt_conf *c = conf;
    c->accepted = c->algorithm_count ? 0 : JWA_ALL;
    for (uint32_t i = 0; i < c->algorithm_count; i++)
        c->accepted |= 1u << c->algorithm[i];
    rules_of(a, c);
    c->token.too_long = FAULT_JWT_FORMAT;
    const char *why = bearer_finish(a, &c->token);
    return why ? why : keys_of(a, c);
}
