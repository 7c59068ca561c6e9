#include "shared/redis_node.h"
#include "base/log.h"
#include "shared/redis_cluster.h"
#include "shared/redis_sentinel.h"

static struct redis_node *node_of(const struct redis_conn *c) {
    return c->owner;
}

static struct timers *timers(const struct redis_node *n) {
    return &n->here->thread->loop.timers;
}

/* ---- away and back --------------------------------------------------------------------------- */

static uint64_t jittered(uint64_t ms) {
    uint64_t r;
    env.random(&r, sizeof r);
    return ms - ms / 4 + r % (ms / 2 + 1); /* three to five quarters */
}

/* The pauses grow until it has been of use for a while. */
static void pause(struct redis_node *n) {
    uint64_t now = n->here->thread->loop.now;
    bool anew = !n->pause_ms || now - n->returned_at > REDIS_STEADY_MS * 1000000ull;
    if (!n->away && anew)
        n->pause_ms = REDIS_PAUSE_MIN_MS;
    else
        n->pause_ms = n->pause_ms * 2 < REDIS_PAUSE_MAX_MS ? n->pause_ms * 2 : REDIS_PAUSE_MAX_MS;
    timer_start(timers(n), &n->probe, redis_now_ms(n->here), jittered(n->pause_ms));
}

void redis_node_away(struct redis_node *n, const char *why) {
    struct redis_here *h = n->here;
    pause(n);
    if (n->away || h->ending)
        return;
    n->away = true;
    redis_went_away(h->redis, h->thread->loop.now, why);
}

static void back(struct redis_node *n) {
    struct redis_here *h = n->here;
    n->failures = 0;
    n->pinging = false;
    if (!n->away)
        return;
    timer_stop(&n->probe);
    n->away = false;
    n->returned_at = h->thread->loop.now;
    redis_came_back(h->redis, h->thread->loop.now);
}

void redis_node_failed(struct redis_node *n, const char *why) {
    uint64_t now = n->here->thread->loop.now;
    if (!n->failures || now - n->failing_since > REDIS_BREAKER_MS * 1000000ull) {
        n->failures = 0;
        n->failing_since = now;
    }
    if (++n->failures >= REDIS_BREAKER_FAILURES && !n->away)
        redis_node_away(n, why);
}

/* ---- its connection -------------------------------------------------------------------------- */

static void ready(struct redis_conn *c) {
    back(node_of(c));
}

static void closed(struct redis_conn *c, const char *why) {
    struct redis_node *n = node_of(c);
    uint64_t now = n->here->thread->loop.now;
    bool of_use = c->served || now - c->ready_at > REDIS_STEADY_MS * 1000000ull;
    dns_query_cancel(&n->query);
    n->conn = NULL;
    n->pinging = false;
    if (n->here->ending)
        return;
    if (n->away || !c->ready_at || !of_use) {
        redis_node_away(n, why);
    } else {
        if (c->head != c->tail)
            redis_node_failed(n, why);
        if (!n->away) /* at once, but not within this call */
            timer_start(timers(n), &n->probe, redis_now_ms(n->here), 0);
    }
    redis_cluster_look(n->here);
}

/* ---- answers --------------------------------------------------------------------------------- */

enum meaning {
    MEANS_REFUSED,   /* the ask was wrong; the server is well */
    MEANS_UNWELL,    /* refused, and a failure */
    MEANS_AWAY,      /* it cannot answer anything now */
    MEANS_ELSEWHERE, /* the same; another server may: connect anew */
    MEANS_SCRIPT,
    MEANS_MOVED,
    MEANS_ASK,
    MEANS_AGAIN
};
static const struct {
    const char *word;
    enum meaning means;
} errors[] = {
    {"NOSCRIPT", MEANS_SCRIPT},     {"MOVED", MEANS_MOVED},          {"ASK", MEANS_ASK},
    {"TRYAGAIN", MEANS_AGAIN},      {"LOADING", MEANS_AWAY},         {"CLUSTERDOWN", MEANS_AWAY},
    {"READONLY", MEANS_ELSEWHERE},  {"MASTERDOWN", MEANS_ELSEWHERE}, {"NOAUTH", MEANS_ELSEWHERE},
    {"WRONGPASS", MEANS_ELSEWHERE}, {"OOM", MEANS_UNWELL},           {"BUSY", MEANS_UNWELL},
    {"MISCONF", MEANS_UNWELL},      {"NOREPLICAS", MEANS_UNWELL},    {"UNBLOCKED", MEANS_UNWELL},
};

static enum meaning meaning(const struct redis_reply *r) {
    for (size_t i = 0; i < array_len(errors); i++)
        if (redis_error_is(r, errors[i].word))
            return errors[i].means;
    return MEANS_REFUSED;
}

/* What the server said, for people. */
static const char *quote(struct redis_node *n, const struct redis_reply *r) {
    char text[LOG_QUOTED_MAX];
    struct str s = str_on(n->why, sizeof n->why - 1);
    log_quoted(span_cut(r->text, 0, 100), text);
    str_fmt(&s, "it answers %.160s", text);
    n->why[s.n] = 0;
    return n->why;
}

static void once_more(struct redis_conn *c, struct redis_slot *s, const struct redis_reply *r) {
    if (s->ask->tries++ < REDIS_TRIES_MAX && redis_conn_again(c, s->ask, c, s))
        return;
    redis_done(c->here, s->ask, REDIS_REFUSED, r);
}

static void redirected(struct redis_conn *c, struct redis_slot *s, const struct redis_reply *r) {
    struct redis_here *h = c->here;
    if (!h->cluster) {
        redis_node_failed(node_of(c), "it is one of a cluster: write redis+cluster://");
        redis_done(h, s->ask, REDIS_REFUSED, r);
    } else if (s->ask->tries++ >= REDIS_TRIES_MAX) {
        redis_node_failed(node_of(c), "it sends asks round in circles");
        redis_done(h, s->ask, REDIS_REFUSED, r);
    } else {
        redis_cluster_redirect(c, s, r);
    }
}

static void sent_away(struct redis_conn *c, struct redis_slot *s, const struct redis_reply *r) {
    struct redis_node *n = node_of(c);
    const char *why = quote(n, r);
    bool elsewhere = meaning(r) == MEANS_ELSEWHERE;
    redis_node_away(n, why);
    if (s->ask)
        redis_done(c->here, s->ask, REDIS_AWAY, NULL);
    if (elsewhere)
        redis_conn_close(c, why);
}

static void said_error(struct redis_conn *c, struct redis_slot *s, const struct redis_reply *r) {
    struct redis_node *n = node_of(c);
    switch (meaning(r)) {
    case MEANS_SCRIPT:
        c->scripts &= ~((uint64_t)1 << s->script);
        once_more(c, s, r);
        return;
    case MEANS_AGAIN:
        once_more(c, s, r);
        return;
    case MEANS_MOVED:
    case MEANS_ASK:
        redirected(c, s, r);
        return;
    case MEANS_UNWELL:
        redis_node_failed(n, quote(n, r));
        break;
    case MEANS_REFUSED:
        n->failures = 0;
        break;
    case MEANS_AWAY:
    case MEANS_ELSEWHERE:
        break; /* sent_away */
    }
    redis_done(c->here, s->ask, REDIS_REFUSED, r);
}

static void answered(struct redis_conn *c, struct redis_slot *s, const struct redis_reply *r) {
    bool error = r->kind == REDIS_ERROR;
    c->served = true;
    if (error && (meaning(r) == MEANS_AWAY || meaning(r) == MEANS_ELSEWHERE)) {
        sent_away(c, s, r);
    } else if (!s->ask) {
        redis_count(c->here, dropped);
    } else if (error) {
        said_error(c, s, r);
    } else {
        node_of(c)->failures = 0;
        redis_done(c->here, s->ask, REDIS_FINE, r);
    }
}

static const struct redis_conn_ops ops = {ready, closed, answered};

/* ---- connecting ------------------------------------------------------------------------------ */

void redis_node_found(struct redis_node *n, const struct address *a) {
    if (n->conn && n->conn->stage == CONN_ADDRESS)
        redis_conn_to(n->conn, a, n->host);
}

void redis_node_lost(struct redis_node *n, const char *why) {
    if (n->conn && n->conn->stage == CONN_ADDRESS)
        redis_conn_close(n->conn, why);
}

static void looked_up(struct dns_query *q, const struct dns_answer *a) {
    struct redis_node *n = container_of(q, struct redis_node, query);
    if (!a->count) {
        char host[LOG_QUOTED_MAX];
        struct str s = str_on(n->why, sizeof n->why - 1);
        log_quoted(span_cut(n->host, 0, 80), host);
        str_fmt(&s, "looking up %.100s failed: %.60s", host, a->error);
        n->why[s.n] = 0;
        redis_node_lost(n, n->why);
        return;
    }
    struct address to = a->ip[n->attempts % a->count]; /* the next time another one */
    address_set_port(&to, n->port);
    redis_node_found(n, &to);
}

void redis_node_look_up(struct redis_node *n) {
    struct dns *dns = redis_dns(n->here);
    n->query.done = looked_up;
    if (dns) /* else the connection's time runs out */
        dns_query_start(dns, &n->query, n->host);
}

static void connect_anew(struct redis_node *n) {
    struct redis_here *h = n->here;
    const struct state_conf *conf = &h->redis->conf;
    struct redis_hello hello = {.user = conf->user,
                                .password = conf->password,
                                .database = conf->database,
                                .master = conf->kind != STATE_CLUSTER};
    n->conn = redis_conn_open(h, &ops, n, &hello);
    if (!n->conn) {
        redis_node_away(n, "no memory for a connection");
        return;
    }
    n->attempts++;
    if (h->sentinel)
        redis_sentinel_find(h);
    else if (n->address.len)
        redis_conn_to(n->conn, &n->address, n->host);
    else
        redis_node_look_up(n);
}

struct redis_conn *redis_node_conn(struct redis_node *n) {
    if (n->away || n->here->ending)
        return NULL;
    if (!n->conn)
        connect_anew(n);
    return n->away ? NULL : n->conn;
}

/* ---- probes ---------------------------------------------------------------------------------- */

static void pong(struct redis_conn *c, const struct redis_reply *r) {
    struct redis_node *n = node_of(c);
    uint64_t took = c->here->thread->loop.now - n->pinged_at;
    n->pinging = false;
    if (r->kind != REDIS_ERROR && took <= c->here->redis->conf.timeout_ms * 1000000)
        back(n); /* else the next probe tells */
}

static void probe(struct timer *t) {
    struct redis_node *n = container_of(t, struct redis_node, probe);
    if (!n->conn) {
        connect_anew(n);
        return;
    }
    if (!n->away || n->conn->stage != CONN_READY)
        return; /* its own end, good or bad, will tell */
    pause(n);
    if (n->pinging)
        return;
    n->pinging = redis_conn_command(n->conn, &SPAN("PING"), 1, pong);
    n->pinged_at = n->here->thread->loop.now;
}

struct redis_node *redis_node_make(struct redis_here *h) {
    struct redis_node *n = mem_alloc(sizeof *n);
    n->here = h;
    n->probe.fire = probe;
    list_append(&h->nodes, &n->node);
    return n;
}

void redis_node_drop(struct redis_node *n) {
    struct redis_here *h = n->here;
    dns_query_cancel(&n->query);
    timer_stop(&n->probe);
    list_remove(&n->node);
    if (n->away)
        redis_came_back(h->redis, h->thread->loop.now);
    if (n->conn)
        redis_conn_drop(n->conn);
    mem_free(n->own_host);
    mem_free(n);
}
