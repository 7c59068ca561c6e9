/*
 * mtls - authenticators of the kind mtls: the client certificate that the listener verified.
 *
 * What the certificate says are the claims: subject, issuer, san, sans, serial, fingerprint. A
 * consumer is found by its subject, or by one of its names ("dns:..", "uri:..", "email:.."); with
 * `consumers_only` an unknown one is refused, else every certificate that the listener's CA signed
 * is accepted. Headers that claim a certificate are stripped from clients always (F23). Thread:
 * any.
 */
#pragma once
#include "core/authenticator.h"

struct mtls_conf {
    bool consumers_only;
};

extern const struct auth_kind mtls_kind;
