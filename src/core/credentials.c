#include "core/credentials.h"
#include "core/facts.h"
#include "core/outbound.h"
#include "core/schema.h"

/* How credentials for services are written. */

#define C(member) FIELD(struct credentials_conf, member)

static const struct schema_type word = {.kind = SCHEMA_TEXT, .min = 1, .size = sizeof(struct span)};
static const struct schema_type words = {
    .kind = SCHEMA_LIST, .of = &word, .size = sizeof(struct span), .flags = TYPE_ONE_OR_MANY};
static const struct schema_type secret = {.kind = SCHEMA_SECRET, .min = 1};
static const struct schema_type duration = {.kind = SCHEMA_DURATION, .min = 1000, .max = 86400000};
static const struct schema_type text = {
    .kind = SCHEMA_TEMPLATE, .place = PLACE_TEXT, .scopes = SCOPE_REQUEST | SCOPE_CALLER};
static const struct schema_type claims = {.kind = SCHEMA_ANY,
                                          .place = PLACE_JSON,
                                          .scopes = SCOPE_REQUEST | SCOPE_CALLER,
                                          .what = "a map of claims"};

#define OBJECT(name_, text_, doc_)                                                                 \
    static const struct schema_object name_##_object = {                                           \
        .name = text_, SCHEMA_OBJECT_OF(name_), .doc = doc_};                                      \
    static const struct schema_type name_##_type = {.kind = SCHEMA_OBJECT,                         \
                                                    .object = &name_##_object}

static const struct schema_field header[] = {
    {.key = "name", .type = &word, C(header.name), .flags = FIELD_REQUIRED, .doc = "Its name."},
    {.key = "value",
     .type = &secret,
     C(header.value),
     .flags = FIELD_REQUIRED,
     .doc = "Its value."},
};
OBJECT(header, "header of credentials", "A header field that never changes.");

static const struct schema_field basic[] = {
    {.key = "user", .type = &word, C(basic.user), .flags = FIELD_REQUIRED, .doc = "The name."},
    {.key = "password",
     .type = &secret,
     C(basic.password),
     .flags = FIELD_REQUIRED,
     .doc = "The password."},
};
OBJECT(basic, "basic of credentials", "Name and password (RFC 7617).");

static const struct schema_word how_words[] = {
    {"basic", 0, false}, {"post", 1, false}, {NULL, 0, false}};
static const struct schema_type how = {.kind = SCHEMA_ENUM, .words = how_words};

#define TOKEN_ROWS(member_)                                                                        \
    {.key = "url",                                                                                 \
     .type = &schema_url,                                                                          \
     C(member_.url),                                                                               \
     .flags = FIELD_REQUIRED,                                                                      \
     .doc = "The token endpoint: a URL, or {service, path}."},                                     \
        {.key = "client_id",                                                                       \
         .type = &word,                                                                            \
         C(member_.client_id),                                                                     \
         .flags = FIELD_REQUIRED,                                                                  \
         .doc = "Who the gateway is there."},                                                      \
        {.key = "client_secret",                                                                   \
         .type = &secret,                                                                          \
         C(member_.client_secret),                                                                 \
         .doc = "How it proves that."},                                                            \
        {.key = "client_auth",                                                                     \
         .type = &how,                                                                             \
         C(member_.how),                                                                           \
         .doc = "How id and secret are sent: basic (else), or post: in the body."},                \
        {.key = "scopes",                                                                          \
         .type = &words,                                                                           \
         FIELD_LIST(struct credentials_conf, member_.scope, member_.scopes),                       \
         .doc = "What is asked for."},                                                             \
        {.key = "audience",                                                                        \
         .type = &word,                                                                            \
         C(member_.audience),                                                                      \
         .doc = "For whom the token shall be."},                                                   \
    {                                                                                              \
        .key = "resource", .type = &word, C(member_.resource),                                     \
        .doc = "The service's URL, as RFC 8707 has it."                                            \
    }

static const struct schema_field client[] = {TOKEN_ROWS(client)};
OBJECT(client, "client_credentials", "A token for the gateway itself (RFC 6749 4.4).");

static const struct schema_field exchange[] = {
    TOKEN_ROWS(exchange),
    {.key = "subject_token_type",
     .type = &word,
     C(exchange.subject_type),
     .doc = "What the caller's token is; else urn:ietf:params:oauth:token-type:access_token."},
};
OBJECT(exchange, "token_exchange", "A token for each caller, for the caller's own (RFC 8693).");

static const struct schema_word algorithm_words[] = {
    {"HS256", 1, false},  {"HS384", 2, false},  {"HS512", 3, false},  {"RS256", 4, false},
    {"RS384", 5, false},  {"RS512", 6, false},  {"PS256", 7, false},  {"PS384", 8, false},
    {"PS512", 9, false},  {"ES256", 10, false}, {"ES384", 11, false}, {"ES512", 12, false},
    {"EdDSA", 13, false}, {NULL, 0, false}};
static const struct schema_type algorithm = {.kind = SCHEMA_ENUM, .words = algorithm_words};
static const struct schema_field jwt[] = {
    {.key = "key",
     .type = &secret,
     C(jwt.key),
     .flags = FIELD_REQUIRED,
     .doc = "The private key as PEM, or for HS256 and its kin the secret: "
            "\"${secret('file:gateway.pem')}\"."},
    {.key = "algorithm",
     .type = &algorithm,
     C(jwt.algorithm),
     .flags = FIELD_REQUIRED,
     .doc = "What it is signed with."},
    {.key = "kid", .type = &word, C(jwt.kid), .doc = "The key's name, for the token's header."},
    {.key = "issuer", .type = &word, C(jwt.issuer), .doc = "Claim iss; else sluice."},
    {.key = "audience",
     .type = &words,
     FIELD_LIST(struct credentials_conf, jwt.audience, jwt.audiences),
     .doc = "Claim aud; else the service's name."},
    {.key = "subject",
     .type = &text,
     C(jwt.subject),
     .doc = "Claim sub, as \"${claim.sub}\"; else none."},
    {.key = "claims", .type = &claims, C(jwt.claims), .doc = "Further claims by name."},
    {.key = "ttl", .type = &duration, C(jwt.ttl_ms), .doc = "How long it is good; else 5m."},
    {.key = "header",
     .type = &word,
     C(jwt.header),
     .doc = "The header field that it stands in by itself; else Authorization, as Bearer."},
};
OBJECT(jwt, "jwt of credentials", "A token that the gateway signs (RFC 7519).");

static const struct schema_word caller_words[] = {
    {"pass", CALLER_PASS, false}, {"drop", CALLER_DROP, false}, {NULL, 0, false}};
static const struct schema_type caller = {.kind = SCHEMA_ENUM, .words = caller_words};

#define WAY(key_, type_) .key = key_, .type = &(type_), .group = "way"
static const struct schema_field fields[] = {
    {WAY("header", header_type), .doc = "A header field that never changes."},
    {WAY("bearer", secret), C(bearer), .doc = "A token that never changes."},
    {WAY("basic", basic_type), .doc = "Name and password."},
    {WAY("client_credentials", client_type), .doc = "A token that is fetched and renewed."},
    {WAY("token_exchange", exchange_type), .doc = "A token for each caller."},
    {WAY("jwt", jwt_type), .doc = "A token that the gateway signs."},
    {.key = "caller",
     .type = &caller,
     C(caller),
     .doc =
         "The caller's own Authorization: pass (else), or drop. What is set in its place replaces "
         "it."},
};
static const struct schema_object form = {
    .name = "credentials",
    SCHEMA_OBJECT_OF(fields),
    .doc = "What the gateway shows the service: one way, and what becomes of the caller's token."};
const struct schema_type credentials_type = {
    .kind = SCHEMA_OBJECT, .object = &form, .flags = TYPE_OR_OFF};
