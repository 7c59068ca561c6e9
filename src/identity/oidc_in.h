/* oidc's inside: what its files share. */
#pragma once
#include "core/call.h"
#include "data/json.h"
#include "identity/keys.h"
#include "identity/oidc.h"
#include "identity/seal.h"

enum {
    OIDC_LOGIN_SECONDS = 600, /* how long somebody may take to log in */
    OIDC_COOKIE_MAX = 3800,   /* of one cookie, with its name: browsers take 4,096 */
    OIDC_COOKIES_MAX = 4,     /* of one session */
    OIDC_RETURN_MAX = 2048,   /* where to go after the login */
    OIDC_CODE_MAX = 4096,
    OIDC_ANSWER_MAX = 64 * 1024, /* of the token endpoint */
    OIDC_CALL_MS = 5000,
};

enum oidc_client_auth { OIDC_BASIC, OIDC_POST, OIDC_PUBLIC };

struct oidc_conf {
    const struct outbound *discovery; /* the issuer's document; its url is the issuer itself */
    struct span issuer;
    const struct outbound *token; /* NULL: as the document says, at the issuer's host */
    struct span client_id, client_secret;
    int client_auth;           /* enum oidc_client_auth */
    struct span authorization; /* of OIDC_BASIC, made when the file is read */
    const struct span *scope;
    uint32_t scopes;
    struct span callback, logout; /* paths of this site */
    struct span after_logout;     /* a path, or a URL that the issuer knows */
    struct span public_url;       /* "https://shop.example"; empty: as the request came */
    struct span prompt;           /* as the issuer takes it; empty: not sent */
    struct span cookie;           /* name */
    struct span session_secret;   /* empty: client_secret */
    bool cookie_plain;            /* without Secure: for tests over clear text */
    uint64_t session_ms;
    struct seal_key session_key, login_key;
};

/* Times in seconds since 1970. */
struct oidc_session {
    struct value claims;
    int64_t ends;       /* then a new login */
    int64_t renew_at;   /* 0: never */
    int64_t good_until; /* of the access token; past it, a session that renews must renew; 0 */
    struct span refresh_token;
};

struct oidc_login { /* what the login cookie keeps */
    struct span state, nonce, verifier, back_to;
    int64_t ends;
};

/* One exchange at work. */
struct oidc_work {
    struct auth *a;
    const struct oidc_conf *c;
    struct key_source *keys;
    struct keys_wait wait;
    enum auth_result (*then)(struct oidc_work *w); /* when keys are there */
    struct op op;                                  /* polls a renewal */
    struct timer timer;
    unsigned looks;
    struct call *call;
    struct oidc_login login;
    struct span code;
    struct oidc_session session;
    const struct own_field *cookies; /* set on the answer's way back */
    int status;                      /* what the token endpoint answered */
    struct span answer;
    bool newer, asked; /* newer keys may verify what these don't; they were asked for */
};

int64_t oidc_now(void); /* s since 1970 */

/* oidc.c: the issuer's keys and document, or AUTH_WAIT (then `then` is called), or refused. */
enum auth_result oidc_with_keys(struct oidc_work *w, enum auth_result (*then)(struct oidc_work *w));
/* A text of the discovery document; {NULL, 0}. Of this thread's current set. */
struct span oidc_document(struct oidc_work *w, struct span name);
bool oidc_document_says(struct oidc_work *w, struct span name); /* it is there, and true */
/* Answers the client with a redirect (303) and cookies. */
enum auth_result oidc_redirect(struct oidc_work *w, struct span location,
                               const struct own_field *cookies);

/* "__Host-", "__Secure-": browsers hold cookies of such names to more (RFC 6265bis 4.1.3). */
bool oidc_is_prefixed(const struct oidc_conf *c, struct span prefix);

/* oidc_cookie.c */
bool oidc_cookie_add(struct oidc_work *w, const struct own_field **list, struct span name,
                     struct span value, struct span path, int64_t seconds);
bool oidc_session_read(struct oidc_work *w, struct oidc_session *out);
/* Set-Cookie fields that keep the session, or take it away (NULL). False: too large. */
bool oidc_session_write(struct oidc_work *w, const struct oidc_session *s,
                        const struct own_field **list);
bool oidc_session_json(struct arena *a, const struct oidc_session *s, struct span *out);
bool oidc_session_parse(struct arena *a, struct span json, struct oidc_session *out);
/* The request's Cookie field without the session and logins under way. */
void oidc_cookies_strip(const struct oidc_conf *c, struct head *h);

/* oidc_login.c */
enum auth_result oidc_login(struct oidc_work *w);
enum auth_result oidc_callback(struct oidc_work *w);
enum auth_result oidc_logout(struct oidc_work *w);
enum auth_result oidc_login_failed(struct oidc_work *w, const char *detail);

/* oidc_token.c: the token endpoint. */
/* The request for a grant; false: the endpoint is not to be had (*detail). */
bool oidc_token_ask(struct oidc_work *w, struct span grant, struct call_ask *out,
                    const char **detail);
/* Appends "&name=value", encoded. */
void oidc_param(struct str *s, const char *name, struct span value);
/* What the endpoint answered: judges and makes a session of it. `nonce` empty: a renewal of `old`.
 * A NULL result: *fault, *detail say why. */
/* w->status, w->answer. */
bool oidc_token_read(struct oidc_work *w, struct span nonce, struct oidc_session *out,
                     const char **detail);

/* oidc_renew.c: goes on with a session whose access token ends soon or has ended. */
enum auth_result oidc_renew(struct oidc_work *w);
