#include "main/registry.h"
#include "back/canned.h"
#include "back/proxy.h"
#include "cli/cli.h"
#include "cli/status.h"
#include "filter/authenticate.h"
#include "filter/authorize.h"
#include "filter/concurrency.h"
#include "filter/cors.h"
#include "filter/csrf.h"
#include "filter/grpc.h"
#include "filter/ip.h"
#include "filter/quota.h"
#include "filter/rate_limit.h"
#include "filter/rewrite.h"
#include "filter/security_headers.h"
#include "filter/websocket.h"
#include "identity/api_key.h"
#include "identity/basic.h"
#include "identity/forward.h"
#include "identity/introspect.h"
#include "identity/jwt.h"
#include "identity/mtls.h"
#include "identity/oidc.h"
#include "identity/signature.h"
#include "identity/credentials.h"
#include "limit/gate.h"
#include "main/control.h"
#include "main/run.h"
#include "observe/log.h"

/* A line each, so that additions do not meet. */
/* clang-format off */
static const struct policy *const policies[] = {
    &ip_policy,
    &cors_policy,
    &security_headers_policy,
    &csrf_policy,
    &authenticate_policy,
    &authorize_policy,
    &rate_limit_policy,
    &quota_policy,
    &concurrency_policy,
    &rewrite_policy,
    &websocket_policy,
    &grpc_policy,
};
/* clang-format on */
static const struct auth_kind *const kinds[] = {&api_key_kind,       &basic_kind,  &jwt_kind,
                                                &mtls_kind,          &oidc_kind,   &signature_kind,
                                                &auth_introspection, &auth_forward};
static const struct back_ops *const backs[] = {&proxy_back, &canned_respond, &canned_redirect,
                                               &canned_https};

const struct conf_registry registry = {.policy = policies,
                                       .policies = array_len(policies),
                                       .back = backs,
                                       .backs = array_len(backs),
                                       .log = &log_policy,
                                       .credentials = &credentials_ops,
                                       .gate = &gate_ops,
                                       .auth = kinds,
                                       .auths = array_len(kinds)};

const struct cli_parts cli_parts = {
    .registry = &registry, .run = run, .reload = control_reload, .status = cli_status};
