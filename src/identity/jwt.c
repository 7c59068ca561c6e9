#include "identity/jwt_source.h"
#include "base/env.h"
#include "core/thread.h"
#include "identity/jws.h"
#include "identity/tokens.h"

/* ---- what a thread keeps ----------------------------------------------------------------------
 */

struct local {
    struct tokens *tokens;
    struct jws_thread *jws;
};

static struct local *local_of(struct thread *t) {
    struct local *l = t->local[LOCAL_TOKENS];
    if (likely(l != NULL))
        return l;
    struct jws_thread *jws = jws_thread_create();
    if (!jws)
        return NULL;
    l = mem_alloc(sizeof *l);
    *l = (struct local){tokens_create(&t->loop.arenas), jws};
    t->local[LOCAL_TOKENS] = l;
    return l;
}

static void local_finish(struct thread *t) {
    struct local *l = t->local[LOCAL_TOKENS];
    if (!l)
        return;
    tokens_destroy(l->tokens);
    jws_thread_destroy(l->jws);
    mem_free(l);
    t->local[LOCAL_TOKENS] = NULL;
}

/* ---- the exchange holds what it uses ----------------------------------------------------------
 */

struct hold { /* in the exchange's arena */
    struct op op;
    struct deferred later;
    struct exchange *x;
    struct token *token;
};

static void let_go(struct deferred *d) {
    token_unref(container_of(d, struct hold, later)->token);
}

/* The log still reads claims after the exchange's ops are gone. */
static void exchange_ends(struct op *op) {
    struct hold *h = container_of(op, struct hold, op);
    h->later.run = let_go;
    loop_after_drain(&h->x->thread->loop, &h->later);
}

static enum auth_result let_pass(struct auth *a, struct token *k) {
    struct hold *h = arena_zero(&a->x->arena, sizeof *h);
    h->x = a->x;
    h->token = k;
    token_ref(k);
    op_start(&a->x->ops, &h->op, exchange_ends);
    a->caller.claims = k->claims;
    a->caller.not_after = k->expires;
    return AUTH_OK;
}

/* ---- judging ----------------------------------------------------------------------------------
 */

/* One token at work. */
struct work {
    struct auth *a;
    const struct jwt_conf *c;
    struct jwt_live *live;
    struct local *local;
    struct token *token; /* being verified */
    struct jws jws;
    struct source *source;
    bool newer; /* a newer set might say otherwise */
};

static int64_t now_s(const struct work *w) {
    struct thread *t = w->a->x->thread;
    return thread_wall_ns(t, t->loop.now) / 1000000000;
}

static bool claims_read(struct work *w) {
    static const struct json_limits limits = {
        .depth = JWS_DEPTH_MAX, .nodes = JWS_NODES_MAX, .unique = true};
    struct token *k = w->token;
    struct span text;
    struct json_error err;
    if (k->claims.kind == VALUE_MAP)
        return true;
    return jws_payload(&k->arena, &w->jws, &text) &&
           json_read(&k->arena, text, &limits, &k->claims, &err) && k->claims.kind == VALUE_MAP;
}

/* What it says of itself, believed only to see who might know it. */
static int issuer_said(struct work *w) {
    const struct value *iss = claims_read(w) ? value_find(&w->token->claims, SPAN("iss")) : NULL;
    for (uint32_t i = 0; iss && iss->kind == VALUE_STRING && i < w->c->rules.issuer_count; i++)
        if (span_eq(value_span(iss), w->c->rules.issuer[i]))
            return (int)i;
    return -1;
}

static bool is_foreign(struct work *w) {
    return w->c->rules.issuer_count && issuer_said(w) < 0 && w->token->claims.kind == VALUE_MAP;
}

static enum auth_result other(struct work *w, enum fault why, const char *detail) {
    (void)auth_refuse(w->a, why, detail);
    return AUTH_OTHER;
}

static bool type_fits(const struct work *w) {
    const struct value *typ = value_find(&w->jws.header, SPAN("typ"));
    if (!w->c->type.n)
        return true;
    struct span s = typ && typ->kind == VALUE_STRING ? value_span(typ) : SPAN_NONE;
    if (s.n > 12 && span_eq_nocase(span_cut(s, 0, 12), SPAN("application/")))
        s = span_from(s, 12); /* RFC 7515 4.1.9: may be left out */
    return span_eq_nocase(s, w->c->type);
}

static enum auth_result judge_claims(struct work *w) {
    struct token *k = w->token;
    const char *why = NULL;
    if (!claims_read(w))
        return auth_refuse(w->a, k->arena.failed ? FAULT_OUT_OF_MEMORY : FAULT_JWT_FORMAT,
                           "its payload is no JSON object that can be taken");
    enum fault f = claims_judge(&w->c->rules, &k->claims, now_s(w), &k->time, &why);
    if (f == FAULT_JWT_ISSUER)
        return other(w, f, why);
    return f ? auth_refuse(w->a, f, why) : AUTH_OK;
}

static void remember(struct work *w, const struct key_set *s, const struct jwk *by) {
    struct token *k = w->token;
    const struct value *exp = value_find(&k->claims, SPAN("exp"));
    uint64_t at = 0;
    if (exp && parse_dec(value_span(exp), NUMERIC_DATE_MAX, &at))
        k->expires = (int64_t)at;
    k->owner = w->live->number;
    k->generation = s->generation;
    k->source = (unsigned)(w->source - w->live->source);
    memcpy(k->key, by->print, sizeof k->key);
    tokens_put(w->local->tokens, k);
}

/* AUTH_WAIT: the set that is there does not answer. */
static enum auth_result judge_signature(struct work *w) {
    struct thread *t = w->a->x->thread;
    struct key_set *s = source_set(w->source, t);
    const struct jwk *by;
    if (!s) {
        w->newer = true;
        return auth_refuse(w->a, FAULT_KEYS_UNAVAILABLE, "its keys were never had, or are too old");
    }
    enum fault f = jws_verify(w->local->jws, s, &w->jws, &by, &w->newer);
    count_up(t, tokens_verified);
    if (f && is_foreign(w))
        return other(w, FAULT_JWT_ISSUER, "its issuer is another");
    if (f)
        return auth_refuse(w->a, f,
                           f == FAULT_JWT_KEY ? "no key has its kid and algorithm"
                                              : "its signature does not verify");
    enum auth_result r = judge_claims(w);
    w->newer = false;
    if (r == AUTH_OK && w->token->arena.failed)
        return auth_refuse(w->a, FAULT_OUT_OF_MEMORY, NULL);
    if (r == AUTH_OK)
        remember(w, s, by);
    return r;
}

/* Whose keys: with several sources its issuer says it. */
static enum auth_result choose_source(struct work *w) {
    int i = w->live->count > 1 ? issuer_said(w) : 0;
    if (i < 0)
        return other(w, FAULT_JWT_ISSUER, "its issuer is missing or another");
    w->source = &w->live->source[i];
    return AUTH_OK;
}

static enum auth_result judge(struct work *w) {
    const char *why = NULL;
    enum fault f = jws_read(&w->token->arena, w->token->text, &w->jws, &why);
    if (w->jws.embeds)
        count_up(w->a->x->thread, tokens_with_keys);
    if (f == FAULT_JWT_FORMAT && !w->jws.signed_part.n)
        return other(w, f, why); /* an opaque token, which somebody else may know */
    if (f)
        return auth_refuse(w->a, f, why);
    if (!(w->c->accepted >> w->jws.algorithm & 1))
        return is_foreign(w) ? other(w, FAULT_JWT_ISSUER, "its issuer is another")
                             : auth_refuse(w->a, FAULT_JWT_ALG, "its algorithm is not accepted");
    if (!type_fits(w))
        return auth_refuse(w->a, FAULT_JWT_FORMAT, "its typ is another");
    enum auth_result r = choose_source(w);
    return r == AUTH_OK ? judge_signature(w) : r;
}

/* ---- remembered ones --------------------------------------------------------------------------
 */

static bool key_stands(struct token *k, const struct key_set *s) {
    if (likely(k->generation == s->generation))
        return true;
    for (uint32_t i = 0; i < s->count; i++)
        if (memcmp(s->key[i].print, k->key, sizeof k->key) == 0) {
            k->generation = s->generation;
            return true;
        }
    return false;
}

/* Lends. NULL: it must be verified. */
static struct token *remembered(struct work *w, struct span text) {
    struct token *k = tokens_get(w->local->tokens, w->live->number, text);
    if (!k)
        return NULL;
    struct key_set *s = source_set(&w->live->source[k->source], w->a->x->thread);
    int64_t now = now_s(w);
    if (s && now >= k->time.from && now < k->time.until && key_stands(k, s)) {
        count_up(w->a->x->thread, tokens_remembered);
        return k;
    }
    tokens_drop(w->local->tokens, k);
    return NULL;
}

/* ---- checking ---------------------------------------------------------------------------------
 */

struct waiting { /* in the exchange's arena */
    struct keys_wait keys;
    struct auth *a;
    struct span text;
};

/* What is unknown while keys cannot be had is nobody's fault but ours. */
static enum auth_result settle(struct work *w, enum auth_result r) {
    if (r == AUTH_REFUSED && w->newer && source_failing(w->source, w->a->x->thread))
        return auth_refuse(w->a, FAULT_KEYS_UNAVAILABLE,
                           "a key that is not there, and its issuer cannot be asked");
    return r;
}

static void keys_came(struct keys_wait *w, bool newer);

static bool wait_for_keys(struct work *w, struct span text) {
    struct auth *a = w->a;
    if (!w->newer || !w->source->fetched)
        return false;
    struct waiting *p = arena_zero(&a->x->arena, sizeof *p);
    p->a = a;
    p->text = text;
    p->keys.ready = keys_came;
    return source_refresh(w->source, a->x->thread, &a->step->ops, &p->keys, w->jws.kid);
}

static enum auth_result judge_text(struct auth *a, struct span text, bool may_wait) {
    struct work w = {.a = a, .c = a->by->conf, .live = a->by->lasting};
    w.local = local_of(a->x->thread);
    if (!w.local)
        return auth_refuse(a, FAULT_OUT_OF_MEMORY, NULL);
    struct token *known = remembered(&w, text);
    if (likely(known != NULL))
        return let_pass(a, known);
    w.token = token_create(w.local->tokens, text);
    if (!w.token)
        return auth_refuse(a, FAULT_OUT_OF_MEMORY, NULL);
    enum auth_result r = judge(&w);
    if (r == AUTH_OK)
        r = let_pass(a, w.token);
    else if (r == AUTH_REFUSED && may_wait && wait_for_keys(&w, text))
        r = AUTH_WAIT;
    else
        r = settle(&w, r);
    token_unref(w.token);
    return r;
}

static void keys_came(struct keys_wait *k, bool newer) {
    struct waiting *w = container_of(k, struct waiting, keys);
    (void)newer; /* what is there now decides either way */
    auth_resume(w->a, judge_text(w->a, w->text, false));
}

static enum auth_result check(struct auth *a) {
    struct span text;
    const struct jwt_conf *c = a->by->conf;
    enum auth_result r = bearer_find(a, &c->token, &text);
    return r == AUTH_OK ? judge_text(a, text, true) : r;
}

/* ---- what else a kind does --------------------------------------------------------------------
 */

/* RFC 6750 3.1: nothing but the class of the error; our own sentence for it tells no secret. */
static void challenge(const struct authenticator *by, enum fault fault, struct str *out) {
    bearer_challenge(by, fault, SPAN(""), out);
}

/* Where the token belongs elsewhere, somebody may send it there all the same. */
static struct span parameter(const void *conf) {
    const struct jwt_conf *c = conf;
    return bearer_parameter(&c->token);
}

static void conceal(const struct authenticator *by, struct exchange *x) {
    const struct jwt_conf *c = by->conf;
    bearer_conceal(&c->token, x);
}

const struct auth_kind jwt_kind = {.name = "jwt",
                                   .form = &jwt_form,
                                   .size = sizeof(struct jwt_conf),
                                   .keeps = true,
                                   .finish = jwt_finish,
                                   .check = check,
                                   .challenge = challenge,
                                   .parameter = parameter,
                                   .conceal = conceal,
                                   .attach = jwt_attach,
                                   .detach = jwt_detach,
                                   .thread_finish = local_finish};
