/*
 * Renewal of sessions (OpenID Connect Core 12). Requests that carry the same session come at the
 * same time, on any thread, and many issuers take a refresh token once only: so who comes first
 * asks, and the answer lies for a minute in one small table, where everybody who still carries the
 * old session finds the new one. Before the access token's end nobody waits for it.
 */
#include "base/env.h"
#include "core/thread.h"
#include "identity/oidc_in.h"
#include <openssl/evp.h>
#include <pthread.h>

enum { SLOTS = 1024, KEEP_SECONDS = 60, LOOK_MS = 20, LOOKS_MAX = 250, KEY = 32 };

enum renewal { FREE, RUNNING, DONE, REFUSED, FAILED };
struct slot {
    unsigned char key[KEY]; /* SHA-256 of the refresh token */
    enum renewal state;
    int64_t until;
    char *session; /* JSON, DONE */
    size_t n;
};
static struct {
    pthread_mutex_t lock;
    struct slot slot[SLOTS];
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- the table --------------------------------------------------------------------------------
 */

static bool key_of(struct span token, unsigned char key[KEY]) {
    return EVP_Digest(token.p, token.n, key, NULL, EVP_sha256(), NULL) == 1;
}

static size_t place_of(const unsigned char key[KEY]) {
    size_t h;
    memcpy(&h, key, sizeof h);
    return h % SLOTS;
}

static void clear(struct slot *s) {
    mem_free(s->session);
    *s = (struct slot){0};
}

/* The slot that has the key; else a free one (or the oldest of a few that is not running); NULL. */
static struct slot *find(const unsigned char key[KEY], int64_t now) {
    struct slot *free_one = NULL;
    for (size_t i = 0; i < 8; i++) {
        struct slot *s = &table.slot[(place_of(key) + i) % SLOTS];
        if (s->state != FREE && s->until <= now)
            clear(s);
        if (s->state != FREE && memcmp(s->key, key, KEY) == 0)
            return s;
        if (s->state == FREE && !free_one)
            free_one = s;
    }
    return free_one;
}

/* RUNNING: somebody asks; FREE: the caller does, and must call settle. *json in the arena when
 * DONE. */
static enum renewal look(const unsigned char key[KEY], bool claim, struct arena *a,
                         struct span *json) {
    int64_t now = oidc_now();
    enum renewal state = FAILED;
    pthread_mutex_lock(&table.lock);
    struct slot *s = find(key, now);
    if (s) {
        state = s->state;
        if (state == DONE)
            *json = arena_span(a, span_of(s->session, s->n));
        if ((state == FREE) && claim) {
            memcpy(s->key, key, KEY);
            s->state = RUNNING;
            s->until = now + OIDC_CALL_MS / 1000 + 5;
        }
    }
    pthread_mutex_unlock(&table.lock);
    return state;
}

static void settle(const unsigned char key[KEY], enum renewal state, struct span json) {
    int64_t now = oidc_now();
    pthread_mutex_lock(&table.lock);
    struct slot *s = find(key, now);
    if (s) {
        clear(s);
        memcpy(s->key, key, KEY);
        s->session = state == DONE ? mem_text(json.p, json.n) : NULL;
        s->n = json.n;
        s->state = state;
        s->until = now + (state == FAILED ? 2 : KEEP_SECONDS); /* a failure is soon tried again */
    }
    pthread_mutex_unlock(&table.lock);
}

/* ---- asking -----------------------------------------------------------------------------------
 */

/* The request that carried the session need not live until the answer: a copy of what it takes. */
struct asking {
    unsigned char key[KEY];
    struct op op; /* in the exchange that asked: its end is noticed */
    struct oidc_work *w;
};

/* It may well say yes another time: that is no end of a session. */
static bool cannot_say(int status) {
    return status >= 500 || status == 429 || status == 408;
}

static void answered(void *ctx, const struct call_answer *r) {
    struct asking *k = ctx;
    const char *detail = "";
    struct span json = SPAN_NONE;
    struct oidc_work *w = k->w;
    enum renewal state = FAILED;
    op_end(&k->op);
    w->call = NULL;
    if (!r->fault && !cannot_say(r->head->status)) {
        struct oidc_session s = w->session;
        w->status = r->head->status;
        w->answer = arena_span(&w->a->x->arena, r->body);
        state = oidc_token_read(w, SPAN_NONE, &s, &detail) &&
                        oidc_session_json(&w->a->x->arena, &s, &json)
                    ? DONE
                    : REFUSED;
    }
    if (state == DONE)
        count_up(w->a->x->thread, sessions_renewed);
    else
        count_up(w->a->x->thread, sessions_not_renewed);
    settle(k->key, state, json);
}

/* The asker is gone, and its call with it: the next one asks again. */
static void forsaken(struct op *op) {
    struct asking *k = container_of(op, struct asking, op);
    settle(k->key, FAILED, SPAN_NONE);
}

static bool ask(struct oidc_work *w, const unsigned char key[KEY]) {
    struct arena *a = &w->a->x->arena;
    struct asking *k = arena_zero(a, sizeof *k);
    size_t max = 64 + 3 * w->session.refresh_token.n;
    char *room = arena_try(a, max);
    struct call_ask call;
    const char *detail = NULL;
    if (!room)
        return false;
    struct str s = str_on(room, max);
    str_lit(&s, "grant_type=refresh_token");
    oidc_param(&s, "refresh_token", w->session.refresh_token);
    if (!oidc_token_ask(w, str_span(&s), &call, &detail))
        return false;
    memcpy(k->key, key, KEY);
    k->w = w;
    w->call = call_start(w->a->x->thread, &w->a->step->ops, &call, answered, k);
    if (!w->call)
        return false;
    op_start(&w->a->step->ops, &k->op, forsaken);
    return true;
}

/* ---- going on ---------------------------------------------------------------------------------
 */

static enum auth_result let_pass(struct oidc_work *w) {
    w->a->caller =
        (struct caller){.by = w->a->by, .claims = w->session.claims, .not_after = w->session.ends};
    return AUTH_OK;
}

static enum auth_result adopt(struct oidc_work *w, struct span json) {
    struct oidc_session s;
    if (!oidc_session_parse(&w->a->x->arena, json, &s) || s.ends <= oidc_now())
        return AUTH_MISSING;
    w->session = s;
    if (!oidc_session_write(w, &s, &w->cookies))
        return auth_refuse(w->a, FAULT_OUT_OF_MEMORY, "session");
    return let_pass(w);
}

static enum auth_result decide(struct oidc_work *w, bool *again);

static void look_again(struct timer *t) {
    struct oidc_work *w = container_of(t, struct oidc_work, timer);
    struct loop *l = &w->a->x->thread->loop;
    bool again = false;
    enum auth_result r = decide(w, &again);
    if (again && w->looks++ < LOOKS_MAX) {
        timer_start(&l->timers, t, l->now / 1000000, LOOK_MS);
        return;
    }
    op_end(&w->op);
    if (again)
        r = auth_refuse(w->a, FAULT_AUTH_UNAVAILABLE, "the session's renewal takes too long");
    auth_resume(w->a, r);
}

static void stop_looking(struct op *op) {
    timer_stop(&container_of(op, struct oidc_work, op)->timer);
}

static enum auth_result decide(struct oidc_work *w, bool *again) {
    unsigned char key[KEY];
    struct span json = SPAN_NONE;
    bool good = oidc_now() < w->session.good_until;
    if (!key_of(w->session.refresh_token, key))
        return auth_refuse(w->a, FAULT_AUTH_UNAVAILABLE, "the session cannot be renewed");
    switch (look(key, !w->call, &w->a->x->arena, &json)) {
    case DONE:
        return adopt(w, json);
    case REFUSED: /* the issuer has ended it */
        if (!oidc_session_write(w, NULL, &w->cookies))
            return auth_refuse(w->a, FAULT_OUT_OF_MEMORY, "session");
        return AUTH_MISSING;
    case FREE:
        if (!w->call && !ask(w, key)) {
            settle(key, FAILED, SPAN_NONE);
            return good ? let_pass(w) : auth_refuse(w->a, FAULT_AUTH_UNAVAILABLE, "token endpoint");
        }
        break;
    case FAILED:
        return good ? let_pass(w)
                    : auth_refuse(w->a, FAULT_AUTH_UNAVAILABLE, "the token endpoint failed");
    case RUNNING:
        if (good && !w->call)
            return let_pass(w);
        break;
    }
    *again = true;
    return AUTH_WAIT;
}

enum auth_result oidc_renew(struct oidc_work *w) {
    struct loop *l = &w->a->x->thread->loop;
    bool again = false;
    enum auth_result r = decide(w, &again);
    if (!again)
        return r;
    w->timer.fire = look_again;
    op_start(&w->a->step->ops, &w->op, stop_looking);
    timer_start(&l->timers, &w->timer, l->now / 1000000, LOOK_MS);
    return AUTH_WAIT;
}
