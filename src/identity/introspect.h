/*
 * introspect - authenticators of the kind introspection: an opaque token is good if the server that
 * made it says so (RFC 7662).
 *
 * Asked once per token and thread, however many requests bring it; remembered for `cache`, never
 * beyond the token's own end, and a refusal for ten seconds at most. `active` must be the JSON
 * value true (F18). Every other answer, and none, is 503: who cannot judge says neither yes nor no.
 * What the server answered is `claim`. Owner: conf belongs to the snapshot. Thread: the exchange's.
 */
#pragma once
#include "identity/bearer.h"

extern const struct auth_kind auth_introspection;
