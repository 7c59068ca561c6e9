#include "identity/basic.h"
#include "base/env.h"
#include "base/hash.h"
#include "core/thread.h"
#include "data/base64.h"
#include "identity/htpasswd.h"
#include "identity/password.h"
#include "identity/verdicts.h"

#define B(member) FIELD(struct basic_conf, member)
static const struct schema_type text = {.kind = SCHEMA_TEXT, .min = 1};
static const struct schema_type file = {.kind = SCHEMA_FILE, .min = 1};
static const struct schema_field fields[] = {
    {.key = "realm",
     .type = &text,
     B(realm),
     .shipped = "sluice",
     .doc = "What browsers show when they ask for a password."},
    {.key = "file",
     .type = &file,
     B(file),
     .doc = "A file of htpasswd: users beside the consumers that have a password. Read with the "
            "configuration."},
};
static const struct schema_object form = {.name = "basic",
                                          SCHEMA_OBJECT_OF(fields),
                                          .doc = "User name and password (RFC 7617).",
                                          .short_scalar = "realm"};

static const char *finish(struct arena *a, void *conf) {
    struct basic_conf *c = conf;
    for (size_t i = 0; i < c->realm.n; i++)
        if (c->realm.p[i] < ' ' || c->realm.p[i] == '"' || c->realm.p[i] == '\\')
            return "a realm holds no quotes, backslashes and control characters";
    return c->file.n ? htpasswd_read(a, c) : NULL;
}

static const char *judge(struct arena *a, const struct consumer *c) {
    (void)a;
    return c->password.n ? password_judge(c->password) : NULL;
}

/* ---- credentials --------------------------------------------------------------------------------
 */

enum { DECODED_MAX = 2 * PASSWORD_MAX + 2 };

struct credentials {
    struct span user, password; /* a NUL follows the password */
};

/* "Basic" and one token68. False: it is no Basic. */
static bool is_basic(struct span value, struct span *rest) {
    if (value.n < 6 || !span_eq_nocase(span_cut(value, 0, 6), SPAN("basic ")))
        return value.n == 5 && span_eq_nocase(value, SPAN("basic"));
    *rest = span_trim(span_from(value, 6));
    return true;
}

static bool decode(struct arena *a, struct span encoded, struct credentials *out) {
    size_t n;
    if (!encoded.n || encoded.n > base64_encode_max(DECODED_MAX))
        return false;
    char *p = arena_alloc(a, base64_decode_max(encoded.n) + 1);
    if (!base64_decode(BASE64_LENIENT, encoded, (unsigned char *)p, &n))
        return false;
    p[n] = 0;
    out->password = span_of(p, n);
    out->user = span_split(&out->password, ':');
    return out->password.p && memchr(p, 0, n) == NULL && out->user.n <= PASSWORD_MAX &&
           out->password.n <= PASSWORD_MAX;
}

/* The user's hash; *known false: somebody else's, so that it costs the same. */
static struct span hash_of(const struct auth *a, struct span user, bool *known) {
    static const struct span nobody =
        SPAN("$2b$11$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt.wU1qD4aFDcga");
    const struct snapshot *s = a->x->snap->snapshot;
    const struct consumer *c = consumer_by_name(s, user);
    *known = true;
    if (c && c->password.n)
        return c->password;
    const struct basic_user *u = htpasswd_find(a->by->conf, user);
    if (u)
        return u->hash;
    *known = false;
    for (uint32_t i = 0; i < s->consumer_count; i++)
        if (s->consumer[i].password.n)
            return s->consumer[i].password;
    u = htpasswd_any(a->by->conf);
    return u ? u->hash : nobody;
}

/* ---- judging ------------------------------------------------------------------------------------
 */

struct wait { /* in the exchange's arena */
    struct verdict_wait wait;
    struct auth *auth;
    struct span user;
};

static enum auth_result judged(struct auth *a, struct span user, enum verdict_word v) {
    switch (v) {
    case VERDICT_RIGHT:
        break;
    case VERDICT_WRONG:
    case VERDICT_UNKNOWN:
        return auth_refuse(a, FAULT_INVALID_CREDENTIALS, "user or password is wrong");
    case VERDICT_BUSY:
        return auth_refuse(a, FAULT_AUTH_UNAVAILABLE, "too many passwords wait to be verified");
    }
    const struct consumer *c = consumer_by_name(a->x->snap->snapshot, user);
    if (c) {
        caller_of_consumer(&a->caller, c);
        return AUTH_OK;
    }
    struct value_member *sub = arena_alloc(&a->x->arena, sizeof *sub);
    *sub = (struct value_member){value_string(SPAN("sub")), value_string(user)};
    a->caller.claims = (struct value){.kind = VALUE_MAP, .n = 1, .member = sub};
    a->caller.tags = (struct value){.kind = VALUE_MAP};
    a->caller.name = user;
    return AUTH_OK;
}

static void ready(struct verdict_wait *vw, enum verdict_word v) {
    struct wait *w = container_of(vw, struct wait, wait);
    auth_resume(w->auth, judged(w->auth, w->user, v));
}

static enum auth_result check(struct auth *a) {
    struct span value = hdr_get(&a->x->req, HDR_AUTHORIZATION), encoded = SPAN_NONE;
    struct credentials c;
    bool known;
    if (!value.p || !is_basic(value, &encoded))
        return AUTH_MISSING;
    if (!decode(&a->x->arena, encoded, &c))
        return auth_refuse(a, FAULT_BAD_CREDENTIALS, "the Basic credentials are malformed");
    struct verdict_ask ask = {.user = c.user, .password = c.password};
    ask.hash = hash_of(a, c.user, &known);
    ask.known = known;
    enum verdict_word v = verdicts_now(a->x->thread, &ask);
    if (v != VERDICT_UNKNOWN)
        return judged(a, c.user, v);
    struct wait *w = arena_zero(&a->x->arena, sizeof *w);
    w->auth = a;
    w->user = c.user;
    w->wait.ready = ready;
    if (!verdicts_ask(a->x->thread, &a->step->ops, &ask, &w->wait))
        return judged(a, c.user, VERDICT_BUSY);
    return AUTH_WAIT;
}

static void challenge(const struct authenticator *by, enum fault fault, struct str *out) {
    const struct basic_conf *c = by->conf;
    (void)fault;
    str_fmt(out, "Basic realm=\"%.*s\", charset=\"UTF-8\"", SPAN_ARG(c->realm));
}

static void conceal(const struct authenticator *by, struct exchange *x) {
    struct span encoded;
    (void)by;
    struct span value = hdr_get(&x->req, HDR_AUTHORIZATION);
    if (value.p && is_basic(value, &encoded))
        hdr_remove(&x->req, HDR_AUTHORIZATION);
}

const struct auth_kind basic_kind = {.name = "basic",
                                     .form = &form,
                                     .size = sizeof(struct basic_conf),
                                     .finish = finish,
                                     .consumer = judge,
                                     .check = check,
                                     .challenge = challenge,
                                     .conceal = conceal,
                                     .thread_finish = verdicts_thread_finish};
