#include "conf/tables.h"
#include "conf/identity_form.h"
#include "conf/types.h"

/* --- authenticators --- */

static const struct schema_type identity_headers = {.kind = SCHEMA_MAP,
                                                    .of = &type_template_header,
                                                    .size = sizeof(struct answer_header),
                                                    .what = "a map of header names to texts"};
static const struct schema_type groups = {
    .kind = SCHEMA_LIST, .of = &type_template_text, .flags = TYPE_ONE_OR_MANY, .max = 64};
static const struct schema_field caller[] = {
    {ROW("name", type_template_text, "Its name: \"${claim.sub}\"."), .flags = FIELD_NO_FILL},
    {ROW("plan", type_template_text, "The name of its plan."), .flags = FIELD_NO_FILL},
    {ROW("groups", groups, "Groups, each a text or a list of texts: \"${claim.groups}\"."),
     .flags = FIELD_NO_FILL},
};
static const struct schema_object caller_object = {
    .name = "consumer of claims",
    SCHEMA_OBJECT_OF(caller),
    .doc = "Which claims say who the consumer is. A consumer of that name in `consumers` lends "
           "the rest: plan, groups, tags.",
    .short_scalar = "name"};
static const struct schema_type caller_type = OBJECT_TYPE(caller_object, 0);

#define COMMON_ROWS                                                                                \
    {ROW("headers", identity_headers,                                                              \
         "Header fields for the service, of the caller's claims; clients' own are stripped."),     \
     .flags = FIELD_NO_FILL},                                                                      \
    {                                                                                              \
        ROW("consumer", caller_type, "Name, plan and groups from claims."), .flags = FIELD_NO_FILL \
    }
static const struct schema_field common[] = {COMMON_ROWS};
const struct schema_object schema_kind_common = {
    .name = "kind", SCHEMA_OBJECT_OF(common), .doc = "What every kind of authenticator takes."};

#define KIND(key_, doc_)                                                                           \
    {                                                                                              \
        .key = key_, .type = &type_any, .doc = doc_,                                               \
        .flags = FIELD_LATER | FIELD_NO_FILL | FIELD_KIND, .group = "kind"                         \
    }
static const struct schema_field authenticator[] = {
    KIND("jwt", "Signed tokens (JWT), with keys from a file, a URL or an issuer."),
    KIND("introspection", "Opaque OAuth 2.0 tokens, which their issuer is asked about."),
    KIND("oidc", "Browsers log in at an OpenID Connect provider."),
    KIND("api_key", "Keys of consumers, in a header, query parameter or cookie."),
    KIND("basic", "User name and password."),
    KIND("mtls", "Client certificates."),
    KIND("signature", "Signed requests (RFC 9421)."),
    KIND("forward", "A service decides."),
    COMMON_ROWS,
    {ROW("forward_credential", type_bool,
         "Whether the service gets to see the credential; else: tokens and signatures yes, API "
         "keys and passwords no."),
     .flags = FIELD_NO_FILL},
};
const struct schema_object schema_authenticator = {
    .name = "authenticator",
    SCHEMA_OBJECT_OF(authenticator),
    .doc = "How callers say who they are: one of the kinds."};
const struct schema_type schema_authenticator_type = OBJECT_TYPE(schema_authenticator, 0);
const struct schema_type schema_authenticators_type = {
    .kind = SCHEMA_MAP, .of = &schema_authenticator_type, .flags = TYPE_NAMED_LIST};

/* --- consumers --- */

static const struct schema_field key[] = {
    {ROW("key", type_secret, "Its SHA-256: \"sha256:..\", as `sluice hash key` prints it."),
     FIELD(struct key_form, key), .flags = FIELD_REQUIRED},
    {ROW("not_after", type_word, "Until when it is good: 2027-01-31, or with a time of day."),
     FIELD(struct key_form, not_after)},
};
static const struct schema_object key_object = {.name = "consumer key",
                                                SCHEMA_OBJECT_OF(key),
                                                .doc = "An API key of a consumer.",
                                                .short_scalar = "key"};
static const struct schema_type key_type = {
    .kind = SCHEMA_OBJECT, .object = &key_object, .size = sizeof(struct key_form)};
static const struct schema_type keys = {.kind = SCHEMA_LIST,
                                        .of = &key_type,
                                        .size = sizeof(struct key_form),
                                        .flags = TYPE_ONE_OR_MANY,
                                        .max = 64};

static const struct schema_word algorithms[] = {
    {"hmac-sha256", SIGN_HMAC_SHA256, false},
    {"ed25519", SIGN_ED25519, false},
    {"ecdsa-p256-sha256", SIGN_ECDSA_P256_SHA256, false},
    {"ecdsa-p384-sha384", SIGN_ECDSA_P384_SHA384, false},
    {"rsa-pss-sha512", SIGN_RSA_PSS_SHA512, false},
    {"rsa-v1_5-sha256", SIGN_RSA_V1_5_SHA256, false},
    {NULL, 0, false}};
static const struct schema_type algorithm = {.kind = SCHEMA_ENUM, .words = algorithms};
static const struct schema_field signing[] = {
    {ROW("id", type_word, "The `keyid` that signatures name."), FIELD(struct signing_form, id),
     .flags = FIELD_REQUIRED},
    {ROW("algorithm", algorithm, "The one algorithm that it is good for."),
     FIELD(struct signing_form, algorithm), .flags = FIELD_REQUIRED},
    {ROW("key", type_secret,
         "A public key as PEM; for hmac-sha256 the shared secret, or base64: and its base64."),
     FIELD(struct signing_form, key), .flags = FIELD_REQUIRED},
};
static const struct schema_object signing_object = {
    .name = "signature key", SCHEMA_OBJECT_OF(signing), .doc = "A key that a consumer signs with."};
static const struct schema_type signing_type = {
    .kind = SCHEMA_OBJECT, .object = &signing_object, .size = sizeof(struct signing_form)};
static const struct schema_type signings = {.kind = SCHEMA_LIST,
                                            .of = &signing_type,
                                            .size = sizeof(struct signing_form),
                                            .flags = TYPE_ONE_OR_MANY,
                                            .max = 64};

static const struct schema_type texts = {
    .kind = SCHEMA_LIST, .of = &type_word, .size = sizeof(struct span), .flags = TYPE_ONE_OR_MANY};
static const struct schema_type plan_ref = {
    .kind = SCHEMA_REF, .refers = REFERS_PLAN, .what = "the name of a plan"};
static const struct schema_type tags = {
    .kind = SCHEMA_MAP, .of = &type_text, .size = sizeof(struct tag_form)};
#define C(member) FIELD(struct consumer_form, member)
#define C_LIST(member, count) FIELD_LIST(struct consumer_form, member, count)
static const struct schema_field consumer[] = {
    {ROW("plan", plan_ref, "What it may use."), C(plan)},
    {ROW("groups", texts, "What it belongs to."), C_LIST(group, group_count)},
    {ROW("tags", tags, "Further words about it, by name: ${consumer.tags.region}."),
     .flags = FIELD_NO_FILL},
    {ROW("keys", keys, "Its API keys, hashed; several while they are exchanged."),
     C_LIST(key, key_count)},
    {ROW("password", type_secret,
         "Its password, hashed with bcrypt, argon2id or yescrypt (`sluice hash password`)."),
     C(password)},
    {ROW("certificates", texts,
         "Its client certificates: a subject as CN=ann,O=shop, or dns:, uri:, email: and a name."),
     C_LIST(subject, subject_count)},
    {ROW("signature_keys", signings, "Its keys for signed requests."),
     C_LIST(signing, signing_count)},
};
const struct schema_object schema_consumer = {
    .name = "consumer", SCHEMA_OBJECT_OF(consumer), .doc = "Somebody who calls."};
const struct schema_type schema_consumer_type = OBJECT_TYPE(schema_consumer, 0);
const struct schema_type schema_consumers_type = {
    .kind = SCHEMA_MAP, .of = &schema_consumer_type, .flags = TYPE_NAMED_LIST, .max = 100000};
