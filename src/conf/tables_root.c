#include "conf/tables.h"
#include "conf/types.h"
#include "core/outbound.h"
#include "core/overload.h"
#include "core/state.h"

static const struct schema_type version = {
    .kind = SCHEMA_INT, .min = 1, .max = 1, .what = "a version of the configuration; there is 1"};
static const struct schema_type variables = {
    .kind = SCHEMA_MAP, .of = &type_any, .flags = TYPE_IDENTIFIERS};

static const struct schema_word redirect_words[] = {{"https", 1, false}, {NULL, 0, false}};
static const struct schema_type redirect = {.kind = SCHEMA_ENUM, .words = redirect_words};
static const struct schema_field listener[] = {
    {ROW("address", type_address, "Where it listens."), FIELD(struct listener_conf, address),
     .flags = FIELD_REQUIRED},
    {ROW("redirect", redirect, "Answers with redirects to https only."), .flags = FIELD_NO_FILL},
    {ROW("limits", schema_listener_limits_type, "Limits that differ here from the top-level ones."),
     .flags = FIELD_NO_FILL},
    {ROW("tls", schema_tls_type, "TLS for clients."), .flags = FIELD_NO_FILL},
    {ROW("http2", type_bool,
         "HTTP/2 as well: by ALPN over TLS, to clients that begin with it on clear text."),
     .flags = FIELD_NO_FILL, .shipped = "true"},
    {ROW("proxy_protocol", schema_proxy_protocol_type,
         "The PROXY protocol of a balancer in front."),
     .flags = FIELD_NO_FILL, .shipped = "false"},
};
const struct schema_object schema_listener = {.name = "listener",
                                              SCHEMA_OBJECT_OF(listener),
                                              .doc = "An address that clients connect to.",
                                              .short_scalar = "address"};
const struct schema_type schema_listener_type = OBJECT_TYPE(schema_listener, 0);
const struct schema_type schema_listeners_type = {
    .kind = SCHEMA_MAP, .of = &schema_listener_type, .flags = TYPE_NAMED_LIST};
const struct schema_type schema_services_type = {
    .kind = SCHEMA_MAP, .of = &schema_service_type, .flags = TYPE_NAMED_LIST};

static const struct schema_field admin[] = {
    {ROW("address", type_address, "Where it listens; best a loopback address."),
     .flags = FIELD_REQUIRED | FIELD_NO_FILL},
};
const struct schema_object schema_admin = {
    .name = "admin",
    SCHEMA_OBJECT_OF(admin),
    .short_scalar = "address",
    .doc = "The listener for operators: metrics, and later API and dashboard."};
const struct schema_type schema_admin_type = OBJECT_TYPE(schema_admin, TYPE_OR_OFF);

static const struct schema_type workers = {.kind = SCHEMA_INT, .max = 512};
static const struct schema_type list_files = {
    .kind = SCHEMA_LIST, .of = &type_file, .flags = TYPE_ONE_OR_MANY};

static const struct schema_type dns_server = {
    .kind = SCHEMA_TEXT, .min = 1, .what = "an address like 10.0.0.2 or 10.0.0.2:53"};
static const struct schema_type dns_servers = {
    .kind = SCHEMA_LIST, .of = &dns_server, .flags = TYPE_ONE_OR_MANY, .min = 1, .max = 8};
static const struct schema_field dns[] = {
    {ROW("servers", dns_servers,
         "Name servers to ask, port 53 unless it is given; none: those of /etc/resolv.conf."),
     .flags = FIELD_NO_FILL},
};
static const struct schema_object dns_object = {
    .name = "dns", SCHEMA_OBJECT_OF(dns), .doc = "How host names of services are looked up."};
static const struct schema_type dns_type = OBJECT_TYPE(dns_object, 0);

#define O(member) FIELD(struct outbound_conf, member)
static const struct schema_field outbound[] = {
    {ROW("ca", type_file,
         "Certificates that those of https:// URLs must come from, PEM; else the system's."),
     O(ca)},
    {ROW("allow_private", type_networks,
         "Loopback, private and other special addresses that the host names of URLs may lead to."),
     FIELD_LIST(struct outbound_conf, allow, allow_count)},
};
static const struct schema_object outbound_object = {
    .name = "outbound",
    SCHEMA_OBJECT_OF(outbound),
    .doc = "What holds for the URLs that the gateway itself asks: keys, introspection and others."};
const struct schema_type schema_outbounds_type = OBJECT_TYPE(outbound_object, 0);

static const struct schema_field root[] = {
    {ROW("version", version, "The version of this language: 1."),
     .flags = FIELD_REQUIRED | FIELD_NO_FILL},
    {ROW("include", list_files, "Files, or patterns, that add named things and routes."),
     .flags = FIELD_NO_FILL},
    {ROW("vars", variables, "Constants, as ${vars.name}."), .flags = FIELD_NO_FILL},
    {ROW("listeners", schema_listeners_type, "Where clients connect, by name."),
     .flags = FIELD_NO_FILL},
    {ROW("admin", schema_admin_type, "The listener for operators; false: none."),
     .flags = FIELD_NO_FILL},
    {ROW("service_defaults", schema_service_defaults_type, "What holds for every service."),
     .flags = FIELD_NO_FILL},
    {ROW("services", schema_services_type, "What requests are sent to, by name."),
     .flags = FIELD_NO_FILL},
    {ROW("authenticators", schema_authenticators_type, "Ways to tell who asks, by name."),
     .flags = FIELD_NO_FILL},
    {ROW("consumers", schema_consumers_type, "Who calls, by name."), .flags = FIELD_NO_FILL},
    {ROW("plans", schema_plans_type, "What consumers may use, by name."), .flags = FIELD_NO_FILL},
    {ROW("state", schema_state_type, "What gateways share, and what survives a restart."),
     .flags = FIELD_NO_FILL},
    {ROW("policies", schema_policies_type, "Policies under a name, for `use`."),
     .flags = FIELD_NO_FILL},
    {ROW("defaults", schema_defaults_type, "Policies and values for every route."),
     .flags = FIELD_NO_FILL},
    {ROW("routes", schema_routes_type, "Which requests, and what happens to them."),
     .flags = FIELD_NO_FILL},
    {ROW("limits", schema_limits_type, "Limits against too much and too slow."),
     .flags = FIELD_NO_FILL},
    {ROW("overload", schema_overload_type,
         "When requests are refused because there is too much to do or too little memory; false: "
         "never."),
     .flags = FIELD_NO_FILL},
    {ROW("log", schema_log_type, "The access log of every route that has none of its own."),
     .flags = FIELD_NO_FILL | FIELD_POLICY},
    LATER("trace", later_switch, "Traces."),
    {ROW("metrics", type_bool, "Whether the admin listener serves /metrics."),
     .flags = FIELD_NO_FILL, .shipped = "true"},
    {ROW("trusted_proxies", type_networks, "Whose X-Forwarded-For and Forwarded are believed."),
     FIELD_LIST(struct snapshot, trusted, trusted_count)},
    {ROW("outbound", schema_outbounds_type, "The gateway's own requests to URLs."),
     .flags = FIELD_NO_FILL},
    {ROW("dns", dns_type, "How host names of services are looked up."), .flags = FIELD_NO_FILL},
    {ROW("workers", workers, "Threads that serve; 0: one for each processor."),
     FIELD(struct snapshot, workers), .shipped = "0"},
    {ROW("shutdown_grace", type_duration, "How long exchanges may end after the signal to stop."),
     FIELD(struct snapshot, shutdown_grace_ms), .shipped = "30s"},
};
const struct schema_object schema_root = {
    .name = "configuration",
    SCHEMA_OBJECT_OF(root),
    .doc = "The whole configuration: one file, with those that it includes."};
const struct schema_type schema_root_type = OBJECT_TYPE(schema_root, 0);
