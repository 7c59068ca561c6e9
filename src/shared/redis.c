#include "base/hash.h"
#include "base/log.h"
#include "shared/redis_in.h"
#include <openssl/evp.h>
#include <pthread.h>

/* ---- what lasts -------------------------------------------------------------------------------
 */

static void close_redis(void *obj) {
    struct redis *r = obj;
    tls_client_unref(r->tls);
    arena_finish(&r->arena);
}

static const struct lasting_kind kind = {
    .name = "shared state", .size = sizeof(struct redis), .close = close_redis};

static void tls_wrong(void *ctx, const struct tls_problem *p) {
    struct redis *r = ctx;
    log_event(LEVEL_ERROR, "state_tls", "TLS to the shared state %.*s: %s", SPAN_ARG(r->conf.shown),
              p->text);
}

/* Spans of the snapshot's do not last. */
static void keep_conf(struct redis *r, const struct state_conf *c) {
    struct arena *a = &r->arena;
    struct state_node *node = arena_zero(a, c->nodes * sizeof *node + 1);
    struct address *dns = arena_zero(a, c->dns_servers * sizeof *dns + 1);
    r->conf = *c;
    for (uint32_t i = 0; i < c->nodes; i++) {
        node[i] = c->node[i];
        node[i].host = arena_span(a, c->node[i].host);
        node[i].text = arena_span(a, c->node[i].text);
    }
    for (uint32_t i = 0; i < c->dns_servers; i++)
        dns[i] = c->dns_server[i];
    r->conf.node = node;
    r->conf.dns_server = dns;
    struct span *text[] = {
        &r->conf.master, &r->conf.user,     &r->conf.password, &r->conf.shown,
        &r->conf.prefix, &r->conf.tls_name, &r->conf.ca,       &r->conf.sentinel_password};
    for (size_t i = 0; i < array_len(text); i++)
        *text[i] = arena_span(a, *text[i]);
}

static void make(struct redis *r, const struct state_conf *c) {
    unsigned char id[8];
    arena_init(&r->arena, NULL);
    keep_conf(r, c);
    env.random(id, sizeof id);
    struct str s = str_on(r->id, sizeof r->id);
    for (size_t i = 0; i < sizeof id; i++)
        str_fmt(&s, "%02x", id[i]);
    atomic_store(&r->gateways, 1);
    if (c->tls) {
        struct tls_client_settings t = {.ca = r->conf.ca, .name = r->conf.tls_name};
        r->tls = tls_client_create(&t, tls_wrong, r);
    }
}

/* All that a connection depends on; the password by its hash, so that it stands nowhere in clear.
 */
static struct span name_of(struct arena *a, const struct state_conf *c) {
    struct str s = str_on(arena_alloc(a, 4096), 4096);
    str_fmt(&s, "%d %u %d %.*s %.*s %016llx %llu ", (int)c->kind, c->database, (int)c->tls,
            SPAN_ARG(c->master), SPAN_ARG(c->prefix),
            (unsigned long long)(hash_span(c->password) ^ hash_span(c->sentinel_password)),
            (unsigned long long)c->timeout_ms);
    str_fmt(&s, "%.*s %.*s %.*s", SPAN_ARG(c->user), SPAN_ARG(c->ca), SPAN_ARG(c->tls_name));
    for (uint32_t i = 0; i < c->nodes; i++)
        str_fmt(&s, " %.*s", SPAN_ARG(c->node[i].text));
    return str_span(&s);
}

struct redis *redis_attach(const struct state_conf *conf) {
    static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
    if (!conf || conf->kind == STATE_MEMORY)
        return NULL;
    struct arena a;
    arena_init(&a, NULL);
    struct redis *r = lasting_get(&kind, name_of(&a, conf));
    arena_finish(&a);
    pthread_mutex_lock(&making);
    if (!atomic_load(&r->made))
        make(r, conf);
    atomic_store(&r->made, true);
    pthread_mutex_unlock(&making);
    atomic_fetch_add(&r->users, 1);
    redis_beat_start(r);
    return r;
}

void redis_detach(struct redis *r) {
    if (!r)
        return;
    atomic_fetch_sub(&r->users, 1);
    lasting_unref(r);
}

/* ---- a thread's connections -------------------------------------------------------------------
 */

struct known_script { /* its SHA-1, as EVALSHA wants it */
    const struct redis_script *script;
    char sha[41];
};
struct redis_local {
    struct list conns, beats;
    struct known_script script[REDIS_SCRIPTS_MAX];
    unsigned scripts;
};

static struct redis_local *local_of(struct thread *t) {
    struct redis_local *l = t->local[LOCAL_REDIS];
    if (l)
        return l;
    t->local[LOCAL_REDIS] = l = mem_alloc(sizeof *l);
    list_init(&l->conns);
    list_init(&l->beats);
    return l;
}

struct list *redis_beats(struct thread *t) {
    return &local_of(t)->beats;
}

static struct conn *find(struct redis *r, struct thread *t) {
    struct redis_local *l = local_of(t);
    for (struct list *n = l->conns.next; n != &l->conns; n = n->next) {
        struct conn *c = container_of(n, struct conn, node);
        if (c->redis == r)
            return c;
    }
    return NULL;
}

static struct conn *conn_of(struct redis *r, struct thread *t) {
    struct conn *c = find(r, t);
    if (!c) {
        c = conn_create(r, t);
        list_append(&local_of(t)->conns, &c->node);
    }
    return c;
}

void redis_thread_finish(struct thread *t) {
    struct redis_local *l = t->local[LOCAL_REDIS];
    if (!l)
        return;
    while (l->conns.next != &l->conns)
        conn_destroy(container_of(l->conns.next, struct conn, node));
    redis_beats_end(&l->beats);
    mem_free(l);
    t->local[LOCAL_REDIS] = NULL;
}

/* ---- asking -----------------------------------------------------------------------------------
 */

static const char *sha_of(struct thread *t, const struct redis_script *s) {
    struct redis_local *l = local_of(t);
    for (unsigned i = 0; i < l->scripts; i++)
        if (l->script[i].script == s)
            return l->script[i].sha;
    must(l->scripts < REDIS_SCRIPTS_MAX);
    struct known_script *k = &l->script[l->scripts++];
    unsigned char hash[20];
    unsigned n = sizeof hash;
    k->script = s;
    must(EVP_Digest(s->source, strlen(s->source), hash, &n, EVP_sha1(), NULL) == 1);
    struct str out = str_on(k->sha, sizeof k->sha);
    for (unsigned i = 0; i < n; i++)
        str_fmt(&out, "%02x", hash[i]);
    return k->sha;
}

static bool knows(const struct conn *c, const struct redis_script *s) {
    for (unsigned i = 0; i < c->knows; i++)
        if (c->known[i] == s)
            return true;
    return false;
}

static size_t bytes_of(const struct redis_ask *a, struct span text) {
    size_t n = 128 + text.n;
    for (unsigned i = 0; i < a->keys; i++)
        n += a->key[i].n + 16;
    for (unsigned i = 0; i < a->args; i++)
        n += a->arg[i].n + 16;
    return n;
}

static void cancel(struct op *op) {
    struct redis_ask *a = container_of(op, struct redis_ask, op);
    struct conn *c = a->conn;
    if (c && a->number - c->head < c->pending)
        c->slot[a->number % REDIS_PENDING_MAX].ask = NULL;
    a->conn = NULL;
}

/* EVALSHA sha keys key.. arg.., EVAL source .. where this connection has not used it yet; or the
 * words as they are. */
static void write_command(struct str *out, const struct redis_ask *a, struct span text,
                          bool known) {
    if (a->script) {
        resp_list(out, 3u + a->keys + a->args);
        resp_text(out, known ? SPAN("EVALSHA") : SPAN("EVAL"));
        resp_text(out, text);
        resp_number(out, a->keys);
        for (unsigned i = 0; i < a->keys; i++)
            resp_text(out, a->key[i]);
    } else {
        resp_list(out, a->args);
    }
    for (unsigned i = 0; i < a->args; i++)
        resp_text(out, a->arg[i]);
}

bool redis_ask(struct redis *r, struct redis_ask *a, enum redis_failure *why) {
    struct thread *t = thread_me();
    struct conn *c = conn_of(r, t);
    struct str out;
    must(a->keys <= REDIS_KEYS_MAX && a->args <= REDIS_ARGS_MAX);
    atomic_fetch_add_explicit(&r->asks, 1, memory_order_relaxed);
    *why = REDIS_AWAY;
    if (!conn_want(c))
        return false;
    bool known = a->script && knows(c, a->script);
    struct span text =
        a->script ? span_z(known ? sha_of(t, a->script) : a->script->source) : SPAN_NONE;
    *why = REDIS_FULL;
    if (!conn_room(c, bytes_of(a, text), &out))
        return false;
    write_command(&out, a, text, known);
    uint64_t until = t->loop.now + r->conf.timeout_ms * 1000000;
    a->conn = c;
    a->number = conn_push(c, &out, (struct slot){a, until, a->script, NULL});
    if (a->ops)
        op_start(a->ops, &a->op, cancel);
    else
        a->op = (struct op){0};
    *why = REDIS_FINE;
    return true;
}

bool redis_usable(struct redis *r) {
    const struct conn *c = find(r, thread_me());
    return !c || !c->away;
}

uint64_t redis_returned_at(struct redis *r) {
    return atomic_load_explicit(&r->returned_at, memory_order_relaxed);
}

struct span redis_prefix(const struct redis *r) {
    return span_cut(r->conf.prefix, 0, REDIS_PREFIX_MAX);
}

uint32_t redis_gateways(struct redis *r) {
    return atomic_load_explicit(&r->gateways, memory_order_relaxed);
}

/* ---- for people ---- */

struct walking {
    void (*fn)(void *ctx, const struct redis_state *);
    void *ctx;
};

static void walk_one(void *obj, void *ctx) {
    struct redis *r = obj;
    struct walking *w = ctx;
    if (!atomic_load(&r->made))
        return;
    struct redis_state s = {.name = r->conf.shown,
                            .gateways = atomic_load(&r->gateways),
                            .connections = atomic_load(&r->connections),
                            .away = atomic_load(&r->away) > 0,
                            .asks = atomic_load(&r->asks),
                            .failures = atomic_load(&r->failures),
                            .late = atomic_load(&r->late),
                            .reconnects = atomic_load(&r->reconnects),
                            .away_total = atomic_load(&r->away_total)};
    w->fn(w->ctx, &s);
}

void redis_walk(void (*fn)(void *ctx, const struct redis_state *), void *ctx) {
    struct walking w = {fn, ctx};
    lasting_each(&kind, walk_one, &w);
}
