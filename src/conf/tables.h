/*
 * tables - the keys of CONFIG.md, all of them, as const tables. Thread: any (const).
 */
#pragma once
#include "core/canned.h"
#include "core/schema.h"

extern const struct schema_object schema_root, schema_service, schema_service_defaults,
    schema_route, schema_defaults, schema_policy_set, schema_match, schema_listener, schema_limits,
    schema_route_limits, schema_listener_limits, schema_to, schema_target, schema_rewrite,
    schema_redirect, schema_respond, schema_error, schema_endpoint, schema_admin;
extern const struct schema_type schema_root_type, schema_service_type, schema_service_defaults_type,
    schema_route_type, schema_defaults_type, schema_policy_set_type, schema_match_type,
    schema_limits_type, schema_route_limits_type, schema_listener_limits_type, schema_rewrite_type,
    schema_redirect_type, schema_respond_type, schema_to_type, schema_errors_type,
    schema_error_type, schema_listener_type, schema_listeners_type, schema_services_type,
    schema_routes_type, schema_policies_type, schema_authenticators_type, schema_consumers_type,
    schema_plans_type, schema_admin_type, schema_log_type, schema_retry_type, schema_outbounds_type;

extern const struct schema_object schema_tls, schema_certificate, schema_client_certificate,
    schema_proxy_protocol, schema_service_tls;
extern const struct schema_type schema_tls_type, schema_certificate_type,
    schema_client_certificate_type, schema_proxy_protocol_type, schema_service_tls_type;

/* What every policy's long form takes besides. */
extern const struct schema_object schema_policy_common;
/* The same of every kind of authenticator. */
extern const struct schema_object schema_kind_common;
extern const struct schema_object schema_authenticator, schema_consumer;
extern const struct schema_type schema_authenticator_type, schema_consumer_type;

/* Types of policies that later versions bring; their keys are known already. */
extern const struct schema_type later_security_headers, later_request, later_cache, later_response,
    later_compress, later_mirror, later_switch, later_aggregate;
