#include "identity/bearer.h"

static const struct schema_word in_words[] = {{"header", CREDENTIAL_HEADER, false},
                                              {"query", CREDENTIAL_QUERY, false},
                                              {"cookie", CREDENTIAL_COOKIE, false},
                                              {NULL, 0, false}};
const struct schema_type bearer_in = {.kind = SCHEMA_ENUM, .words = in_words, .size = sizeof(int)};
const struct schema_type bearer_name = {.kind = SCHEMA_TEXT, .min = 1};
const struct schema_type bearer_size = {.kind = SCHEMA_SIZE, .min = 16, .max = BEARER_SIZE_MAX};

static bool is_token(struct span s) {
    for (size_t i = 0; i < s.n; i++)
        if (!token_char[(unsigned char)s.p[i]])
            return false;
    return s.n > 0 && s.n <= 256;
}

const char *bearer_finish(struct arena *a, struct bearer_conf *c) {
    static const struct span usual[] = {[CREDENTIAL_HEADER] = {"authorization", 13},
                                        [CREDENTIAL_QUERY] = {"access_token", 12},
                                        [CREDENTIAL_COOKIE] = {NULL, 0}};
    c->authorization = false;
    c->place = c->name.n ? c->name : usual[c->in];
    if (!c->place.n)
        return "which cookie holds the token is missing: `name`";
    if (c->in != CREDENTIAL_QUERY && !is_token(c->place))
        return "`name` is no name of a header or cookie";
    if (c->in != CREDENTIAL_HEADER)
        return NULL;
    char *z = arena_text(a, c->place);
    for (size_t i = 0; i < c->place.n; i++)
        z[i] = lower(z[i]);
    c->place = span_of(z, c->place.n);
    c->authorization = span_eq(c->place, SPAN("authorization"));
    return NULL;
}

/* "Bearer" and blanks; the scheme's name in any case. False: another scheme. */
static bool cut_scheme(struct span *s) {
    if (s->n < 6 || !span_eq_nocase(span_cut(*s, 0, 6), SPAN("Bearer")) ||
        (s->n > 6 && s->p[6] != ' '))
        return false;
    *s = span_from(*s, 6);
    while (s->n && *s->p == ' ')
        *s = span_from(*s, 1);
    return true;
}

static bool has_scheme(const struct head *h) {
    struct span v = hdr_get(h, HDR_AUTHORIZATION);
    return v.p && cut_scheme(&v);
}

static bool stands_elsewhere(const struct bearer_conf *c, const struct head *h) {
    bool more = false;
    bool query = c->in == CREDENTIAL_QUERY && span_eq(c->place, SPAN("access_token"));
    if (!c->authorization && has_scheme(h))
        return true;
    return h->has_query && !query &&
           credential_find(h, CREDENTIAL_QUERY, SPAN("access_token"), &more).p;
}

enum auth_result bearer_find(struct auth *a, const struct bearer_conf *c, struct span *out) {
    const struct head *h = &a->x->req;
    bool more = false;
    struct span s = credential_find(h, (enum credential_in)c->in, c->place, &more);
    if (!s.p || (!cut_scheme(&s) && c->authorization)) /* elsewhere the scheme may be left out */
        return AUTH_MISSING;
    if (more || stands_elsewhere(c, h))
        return auth_refuse(a, FAULT_AMBIGUOUS_CREDENTIALS, "tokens came in more than one place");
    if (c->in == CREDENTIAL_QUERY && !credential_decode(&a->x->arena, &s))
        return auth_refuse(a, FAULT_BAD_CREDENTIALS, "the token's percent-encoding is malformed");
    if (!s.n)
        return auth_refuse(a, FAULT_BAD_CREDENTIALS, "the token is empty");
    if (s.n > c->max_size)
        return auth_refuse(a, c->too_long ? c->too_long : FAULT_BAD_CREDENTIALS,
                           "the token is longer than max_size");
    *out = s;
    return AUTH_OK;
}

struct span bearer_parameter(const struct bearer_conf *c) {
    return c->in == CREDENTIAL_QUERY ? c->place : SPAN("access_token");
}

void bearer_conceal(const struct bearer_conf *c, struct exchange *x) {
    if (!c->authorization || has_scheme(&x->req))
        credential_drop(x, (enum credential_in)c->in, c->place);
}

/* A quoted text; bytes that would need an escape are left out. */
static void put_quoted(struct str *out, struct span s) {
    str_char(out, '"');
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] >= ' ' && s.p[i] < 0x7f && s.p[i] != '"' && s.p[i] != '\\')
            str_char(out, s.p[i]);
    str_char(out, '"');
}

void bearer_challenge(const struct authenticator *by, enum fault fault, struct span scopes,
                      struct str *out) {
    str_lit(out, "Bearer realm=");
    put_quoted(out, by->name);
    if (fault == FAULT_MISSING_CREDENTIALS)
        return;
    bool request = fault == FAULT_AMBIGUOUS_CREDENTIALS || fault == FAULT_BAD_CREDENTIALS;
    bool scope = fault == FAULT_INSUFFICIENT_SCOPE;
    str_fmt(out, ", error=\"%s\", error_description=\"%s\"",
            request ? "invalid_request"
            : scope ? "insufficient_scope"
                    : "invalid_token",
            fault_table[fault].text);
    if (scope && scopes.n) {
        str_lit(out, ", scope=");
        put_quoted(out, scopes);
    }
}
