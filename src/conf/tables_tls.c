#include "conf/tables.h"
#include "conf/tls_form.h"
#include "conf/types.h"

/* --- listeners --- */

#define T(member) FIELD(struct tls_server_form, member)
#define K(member) FIELD(struct tls_cert_form, member)
#define C(member) FIELD(struct tls_client_form, member)

static const struct schema_word client_words[] = {{"require", TLS_CLIENT_REQUIRE, false},
                                                  {"request", TLS_CLIENT_REQUEST, false},
                                                  {NULL, 0, false}};
static const struct schema_type client_mode = {.kind = SCHEMA_ENUM, .words = client_words};
static const struct schema_type chain_depth = {.kind = SCHEMA_INT, .min = 1, .max = 16};
static const struct schema_field client_certificate[] = {
    {ROW("ca", type_file, "Who must have signed it: a file of certificates, PEM."), C(ca),
     .flags = FIELD_REQUIRED},
    {ROW("crl", type_file, "Certificates that were revoked, PEM."), C(crl)},
    {ROW("depth", chain_depth, "Certificates between it and the CA, at most."), C(depth),
     .shipped = "4"},
    {ROW("mode", client_mode,
         "require: without a good one the handshake fails; request: it may be missing."),
     C(mode), .shipped = "require"},
    {ROW("headers", type_bool, "Services get a verified one as X-Client-Cert: PEM, URL-encoded."),
     C(headers), .shipped = "true"},
};
const struct schema_object schema_client_certificate = {
    .name = "client_certificate",
    SCHEMA_OBJECT_OF(client_certificate),
    .doc = "Certificates that clients show. Their names are ${client.tls.subject} and "
           "${client.tls.san}."};
const struct schema_type schema_client_certificate_type =
    OBJECT_TYPE(schema_client_certificate, TYPE_OR_OFF);

static const struct schema_type names = {
    .kind = SCHEMA_LIST, .of = &type_word, .size = sizeof(struct span), .flags = TYPE_ONE_OR_MANY};
static const struct schema_field certificate[] = {
    {ROW("certificate", type_file, "The certificate and the chain behind it, PEM."), K(certificate),
     .flags = FIELD_REQUIRED},
    {ROW("private_key", type_file, "Its key, PEM."), K(private_key), .flags = FIELD_REQUIRED},
    {ROW("ocsp", type_file, "An OCSP response to staple, DER."), K(ocsp)},
    {ROW("names", names, "Server names that it serves; else those that stand in it."),
     FIELD_LIST(struct tls_cert_form, names, name_count)},
    {ROW("client_certificate", schema_client_certificate_type,
         "Certificates of clients of these names."),
     .flags = FIELD_NO_FILL},
};
const struct schema_object schema_certificate = {
    .name = "certificate", SCHEMA_OBJECT_OF(certificate), .doc = "A certificate and its key."};
const struct schema_type schema_certificate_type = OBJECT_TYPE(schema_certificate, 0);
static const struct schema_type certificates = {
    .kind = SCHEMA_LIST, .of = &schema_certificate_type, .min = 1, .max = 1024};

static const struct schema_word version_words[] = {
    {"1.2", TLS_1_2, false}, {"1.3", TLS_1_3, false}, {NULL, 0, false}};
static const struct schema_type tls_version = {.kind = SCHEMA_ENUM, .words = version_words};
static const struct schema_field tls[] = {
    {ROW("certificate", type_file, "The certificate and the chain behind it, PEM."),
     T(one.certificate)},
    {ROW("private_key", type_file, "Its key, PEM."), T(one.private_key)},
    {ROW("ocsp", type_file, "An OCSP response to staple, DER."), T(one.ocsp)},
    {ROW("certificates", certificates,
         "Several, chosen by the name that a client asks for; the first is for all others."),
     .flags = FIELD_NO_FILL},
    {ROW("client_certificate", schema_client_certificate_type, "Certificates of clients."),
     .flags = FIELD_NO_FILL},
    {ROW("min_version", tls_version, "The oldest version that is spoken."), T(min_version),
     .shipped = "1.2"},
    {ROW("ciphers", type_word,
         "Ciphers of TLS 1.2, as OpenSSL names them; shipped: Mozilla's intermediate profile."),
     T(ciphers)},
    {ROW("cipher_suites", type_word, "Cipher suites of TLS 1.3."), T(cipher_suites)},
    {ROW("curves", type_word, "Groups for the key exchange."), T(curves)},
    {ROW("tickets", type_bool, "Sessions may be resumed by ticket."), T(tickets),
     .shipped = "true"},
    {ROW("ticket_rotation", type_duration1, "How long a key for tickets makes new ones."),
     T(ticket_rotate_ms), .shipped = "12h"},
};
const struct schema_object schema_tls = {
    .name = "tls", SCHEMA_OBJECT_OF(tls), .doc = "TLS for clients."};
const struct schema_type schema_tls_type = OBJECT_TYPE(schema_tls, TYPE_OR_OFF);

static const struct schema_field proxy[] = {
    {ROW("required", type_bool, "A connection without the header is closed."),
     FIELD(struct proxy_form, required), .shipped = "true"},
    {ROW("from", type_networks, "Who may send it; else trusted_proxies."),
     FIELD_LIST(struct proxy_form, from, from_count)},
};
const struct schema_object schema_proxy_protocol = {
    .name = "proxy_protocol",
    SCHEMA_OBJECT_OF(proxy),
    .doc = "The PROXY protocol (versions 1 and 2) of a balancer in front: it tells who the client "
           "is."};
const struct schema_type schema_proxy_protocol_type =
    OBJECT_TYPE(schema_proxy_protocol, TYPE_OR_OFF | TYPE_OR_ON);

/* --- services --- */

#define S(member) FIELD(struct tls_client_settings, member)

static const struct schema_field service_tls[] = {
    {ROW("ca", type_file,
         "Certificates that the service's own must come from, PEM; else the system's."),
     S(ca)},
    {ROW("name", type_word,
         "The name that its certificate must have, and that is asked for; else the endpoint's "
         "host."),
     S(name)},
    {ROW("certificate", type_file, "A certificate that the gateway shows, PEM."), S(certificate)},
    {ROW("private_key", type_file, "Its key, PEM."), S(private_key)},
    {ROW("min_version", tls_version, "The oldest version that is spoken."), S(min_version),
     .shipped = "1.2"},
    {ROW("insecure_skip_verify", type_bool,
         "true: whoever answers is taken for the service. Only for experiments."),
     S(insecure_skip_verify), .shipped = "false"},
};
const struct schema_object schema_service_tls = {
    .name = "tls of a service", SCHEMA_OBJECT_OF(service_tls), .doc = "TLS towards a service."};
const struct schema_type schema_service_tls_type =
    OBJECT_TYPE(schema_service_tls, TYPE_OR_OFF | TYPE_OR_ON);
