/*
 * oidc - browsers log in: OpenID Connect's authorization code flow, ended here (OpenID Connect Core
 * 1.0; RFC 7636 PKCE, RFC 9207 iss, RFC 9700 for what to be careful of).
 *
 * A page asked for without a session sends the browser to the issuer; it comes back to `callback`
 * with a code, which is changed for tokens; the claims of the id_token become the session: an
 * encrypted cookie (identity/seal), so no store is needed and every gateway with the same secret
 * knows it. Where the issuer gave a refresh token the session is renewed before its access token
 * ends, in the background and once for all requests that carry it. `logout` ends it here and at the
 * issuer.
 *
 * Only navigations are redirected; other requests get 401. state, nonce and PKCE are always used
 * and once only; after a login the browser goes to a path of this site and nowhere else. The
 * session cookies do not go on to services. Owner: sessions lie with the browser. Thread: any;
 * renewals are kept in one small table under a lock (identity/oidc_renew.c).
 */
#pragma once
#include "core/authenticator.h"

extern const struct auth_kind oidc_kind;
