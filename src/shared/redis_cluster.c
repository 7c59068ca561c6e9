#include "shared/redis_cluster.h"
#include "shared/redis_slots.h"

enum {
    LOOK_MIN_MS = 200,
    LOOK_MAX_MS = 2000,
    LOOK_EVERY_MS = 60000,
    NOBODY = REDIS_NODES_MAX,
    HOST_MAX = 253
};

struct redis_cluster {
    struct redis_here *here;
    struct redis_node *node[REDIS_NODES_MAX]; /* NULL: a free place */
    uint16_t owner[REDIS_SLOTS];              /* places; NOBODY */
    bool known, away;
    struct redis_conn *conn; /* the one that is asked for the map; NULL: nobody is */
    struct timer look;
    uint64_t looked_at; /* ms */
    uint32_t pause_ms;  /* since it was asked in vain */
    struct dns_query query;
    uint16_t port;
    char host[HOST_MAX + 1]; /* of the one that is asked */
};

/* ---- nodes ----------------------------------------------------------------------------------- */

struct place { /* as a node is named */
    struct span host;
    uint16_t port;
};

static bool host_good(struct span s) {
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7f)
            return false;
    return s.n > 0 && s.n <= HOST_MAX;
}

/* NOBODY: there are too many already. */
static unsigned node_at(struct redis_cluster *k, struct place p) {
    unsigned free = NOBODY;
    for (unsigned i = 0; i < REDIS_NODES_MAX; i++) {
        struct redis_node *n = k->node[i];
        if (n && n->port == p.port && span_eq(n->host, p.host))
            return i;
        if (!n && free == NOBODY)
            free = i;
    }
    if (free == NOBODY)
        return NOBODY;
    struct redis_node *n = redis_node_make(k->here);
    n->own_host = mem_text(p.host.p, p.host.n);
    n->host = span_of(n->own_host, p.host.n);
    n->port = p.port;
    if (address_parse_ip(n->host, &n->address))
        address_set_port(&n->address, n->port);
    else
        n->address.len = 0;
    k->node[free] = n;
    return free;
}

static void let_go_of_idle(struct redis_cluster *k) {
    for (unsigned i = 0; i < REDIS_NODES_MAX; i++)
        if (k->node[i] && !k->node[i]->slots) {
            redis_node_drop(k->node[i]);
            k->node[i] = NULL;
        }
}

/* Ahead of the first ask. */
static void connect_all(struct redis_cluster *k) {
    for (unsigned i = 0; i < REDIS_NODES_MAX; i++)
        if (k->node[i])
            (void)redis_node_conn(k->node[i]);
}

/* ---- the map --------------------------------------------------------------------------------- */

struct range {
    unsigned first, last;
    struct place master;
};

/* [first, last, [host, port, ..], replicas ..]; the host may be unknown: the one that was asked. */
static bool range_read(const struct redis_cluster *k, const struct redis_reply *r,
                       struct range *out) {
    if (r->kind != REDIS_LIST || r->count < 3 || r->item[0].kind != REDIS_INTEGER ||
        r->item[1].kind != REDIS_INTEGER || r->item[2].kind != REDIS_LIST || r->item[2].count < 2)
        return false;
    int64_t first = r->item[0].integer, last = r->item[1].integer;
    const struct redis_reply *host = &r->item[2].item[0], *port = &r->item[2].item[1];
    if (first < 0 || last < first || last >= REDIS_SLOTS || port->kind != REDIS_INTEGER ||
        port->integer < 1 || port->integer > 65535)
        return false;
    bool unsaid = host->kind == REDIS_NULL || !host->text.n || span_eq(host->text, SPAN("?"));
    out->first = (unsigned)first;
    out->last = (unsigned)last;
    out->master.host = unsaid ? span_z(k->host) : host->text;
    out->master.port = (uint16_t)port->integer;
    return unsaid || (host->kind == REDIS_TEXT && host_good(host->text));
}

static bool map_good(const struct redis_cluster *k, const struct redis_reply *r) {
    struct range range;
    if (r->kind != REDIS_LIST || !r->count)
        return false;
    for (uint32_t i = 0; i < r->count; i++)
        if (!range_read(k, &r->item[i], &range))
            return false;
    return true;
}

static void map_take(struct redis_cluster *k, const struct redis_reply *r) {
    for (unsigned i = 0; i < REDIS_SLOTS; i++)
        k->owner[i] = NOBODY;
    for (unsigned i = 0; i < REDIS_NODES_MAX; i++)
        if (k->node[i])
            k->node[i]->slots = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        struct range range;
        if (!range_read(k, &r->item[i], &range))
            continue;
        unsigned at = node_at(k, range.master);
        if (at == NOBODY)
            continue; /* more than 256 nodes: asks of these slots find nobody */
        for (unsigned slot = range.first; slot <= range.last; slot++)
            k->owner[slot] = (uint16_t)at;
        k->node[at]->slots += range.last - range.first + 1;
    }
}

static void look_in(struct redis_cluster *k, uint64_t ms) {
    timer_start(&k->here->thread->loop.timers, &k->look, redis_now_ms(k->here), ms);
}

static void let_go(struct redis_cluster *k) {
    struct redis_conn *c = k->conn;
    dns_query_cancel(&k->query);
    k->conn = NULL;
    if (c)
        redis_conn_drop(c);
}

static void in_vain(struct redis_cluster *k, const char *why) {
    struct redis_here *h = k->here;
    k->pause_ms = k->pause_ms ? k->pause_ms * 2 : LOOK_MIN_MS;
    k->pause_ms = k->pause_ms < LOOK_MAX_MS ? k->pause_ms : LOOK_MAX_MS;
    look_in(k, k->pause_ms);
    if (k->known || k->away)
        return; /* its nodes tell what can be had */
    k->away = true;
    redis_went_away(h->redis, h->thread->loop.now, why);
}

static void told_slots(struct redis_conn *c, const struct redis_reply *r) {
    struct redis_cluster *k = c->owner;
    struct redis_here *h = k->here;
    if (!map_good(k, r)) {
        let_go(k);
        in_vain(k, "it says nothing of slots: is it a cluster?");
        return;
    }
    map_take(k, r);
    let_go(k);
    let_go_of_idle(k);
    k->known = true;
    k->pause_ms = 0;
    if (k->away)
        redis_came_back(h->redis, h->thread->loop.now);
    k->away = false;
    connect_all(k);
    look_in(k, LOOK_EVERY_MS);
}

static void ready(struct redis_conn *c) {
    struct span word[] = {SPAN("CLUSTER"), SPAN("SLOTS")};
    if (!redis_conn_command(c, word, 2, told_slots))
        redis_conn_close(c, "no memory");
}

static void closed(struct redis_conn *c, const char *why) {
    struct redis_cluster *k = c->owner;
    if (k->conn != c)
        return;
    dns_query_cancel(&k->query);
    k->conn = NULL;
    if (!k->here->ending)
        in_vain(k, why);
}

static void answered(struct redis_conn *c, struct redis_slot *slot, const struct redis_reply *r) {
    (void)c, (void)slot, (void)r; /* nobody asks here */
}

static const struct redis_conn_ops ops = {ready, closed, answered};

static void looked_up(struct dns_query *q, const struct dns_answer *a) {
    struct redis_cluster *k = container_of(q, struct redis_cluster, query);
    if (!a->count) {
        redis_conn_close(k->conn, a->error);
        return;
    }
    struct address to = a->ip[k->here->turn % a->count];
    address_set_port(&to, k->port);
    redis_conn_to(k->conn, &to, span_z(k->host));
}

/* One node after the other: those that are known and here, and those of the configuration. */
static struct place whom_to_ask(struct redis_cluster *k) {
    struct redis_here *h = k->here;
    const struct state_conf *conf = &h->redis->conf;
    for (unsigned tries = 0; tries < REDIS_NODES_MAX; tries++) {
        unsigned at = h->turn++ % (REDIS_NODES_MAX + conf->nodes);
        struct redis_node *n = at < REDIS_NODES_MAX ? k->node[at] : NULL;
        if (n && !n->away)
            return (struct place){n->host, n->port};
        if (at >= REDIS_NODES_MAX)
            break;
    }
    const struct state_node *seed = &conf->node[h->turn++ % conf->nodes];
    return (struct place){seed->host, seed->port};
}

static void look(struct timer *t) {
    struct redis_cluster *k = container_of(t, struct redis_cluster, look);
    struct redis_here *h = k->here;
    const struct state_conf *conf = &h->redis->conf;
    struct redis_hello hello = {.user = conf->user, .password = conf->password};
    struct place p = whom_to_ask(k);
    struct address to;
    if (k->conn)
        return;
    k->looked_at = redis_now_ms(h);
    memcpy(k->host, p.host.p, p.host.n);
    k->host[p.host.n] = 0;
    k->port = p.port;
    k->conn = redis_conn_open(h, &ops, k, &hello);
    if (!k->conn) {
        in_vain(k, "no memory for a connection");
        return;
    }
    if (address_parse_ip(span_z(k->host), &to)) {
        address_set_port(&to, k->port);
        redis_conn_to(k->conn, &to, span_z(k->host));
        return;
    }
    struct dns *dns = redis_dns(h);
    k->query.done = looked_up;
    if (dns)
        dns_query_start(dns, &k->query, span_z(k->host));
}

void redis_cluster_look(struct redis_here *h) {
    struct redis_cluster *k = h->cluster;
    if (!k || h->ending || k->conn || k->pause_ms)
        return; /* it is under way */
    uint64_t since = redis_now_ms(h) - k->looked_at;
    look_in(k, since < LOOK_MIN_MS ? LOOK_MIN_MS - since : 0);
}

/* ---- asks ------------------------------------------------------------------------------------ */

struct redis_conn *redis_cluster_conn(struct redis_here *h, const struct redis_ask *a) {
    struct redis_cluster *k = h->cluster;
    unsigned at = k->owner[a->keys ? redis_slot_of(a->key[0]) : h->turn++ % REDIS_SLOTS];
    return at == NOBODY ? NULL : redis_node_conn(k->node[at]);
}

bool redis_cluster_usable(struct redis_here *h) {
    struct redis_cluster *k = h->cluster;
    for (unsigned i = 0; k->known && i < REDIS_NODES_MAX; i++)
        if (k->node[i] && !k->node[i]->away)
            return true;
    return false;
}

/* "MOVED 3999 127.0.0.1:6381", "ASK ..": the slot, and who; an empty host is that of who says it.
 */
static bool target_read(struct span text, unsigned *slot, struct place *p) {
    uint64_t n, port;
    struct span rest = text;
    span_split(&rest, ' ');
    struct span number = span_split(&rest, ' ');
    if (!rest.p || !parse_dec(number, REDIS_SLOTS - 1, &n))
        return false;
    size_t colon = rest.n;
    while (colon && rest.p[colon - 1] != ':')
        colon--;
    if (!colon || !parse_dec(span_from(rest, colon), 65535, &port) || !port)
        return false;
    *slot = (unsigned)n;
    p->host = span_cut(rest, 0, colon - 1);
    p->port = (uint16_t)port;
    return !p->host.n || host_good(p->host);
}

void redis_cluster_redirect(struct redis_conn *c, struct redis_slot *s,
                            const struct redis_reply *r) {
    struct redis_here *h = c->here;
    struct redis_cluster *k = h->cluster;
    const struct redis_node *from = c->owner;
    struct place p;
    unsigned slot;
    bool asking = redis_error_is(r, "ASK");
    if (!target_read(r->text, &slot, &p)) {
        redis_done(h, s->ask, REDIS_REFUSED, r);
        return;
    }
    p.host = p.host.n ? p.host : from->host;
    unsigned at = node_at(k, p);
    struct redis_conn *to = at == NOBODY ? NULL : redis_node_conn(k->node[at]);
    if (at != NOBODY && !asking) {
        if (k->owner[slot] < NOBODY)
            k->node[k->owner[slot]]->slots--;
        k->node[at]->slots++;
        k->owner[slot] = (uint16_t)at;
        redis_cluster_look(h);
    }
    if (!to)
        redis_done(h, s->ask, REDIS_AWAY, NULL);
    else if ((asking && !redis_conn_command(to, &SPAN("ASKING"), 1, NULL)) ||
             !redis_conn_again(to, s->ask, c, s))
        redis_done(h, s->ask, REDIS_FULL, NULL);
}

/* ---- life ------------------------------------------------------------------------------------ */

void redis_cluster_start(struct redis_here *h) {
    struct redis_cluster *k = mem_alloc(sizeof *k);
    uint64_t r;
    k->here = h;
    k->look.fire = look;
    for (unsigned i = 0; i < REDIS_SLOTS; i++)
        k->owner[i] = NOBODY;
    h->cluster = k;
    env.random(&r, sizeof r);
    h->turn = (unsigned)(r % REDIS_SLOTS);
    look_in(k, 0);
}

void redis_cluster_stop(struct redis_here *h) {
    struct redis_cluster *k = h->cluster;
    if (!k)
        return;
    timer_stop(&k->look);
    let_go(k);
    if (k->away)
        redis_came_back(h->redis, h->thread->loop.now);
    mem_free(k);
    h->cluster = NULL;
}
