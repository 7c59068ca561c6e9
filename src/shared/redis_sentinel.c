#include "shared/redis_sentinel.h"

enum { SENTINEL_MS = REDIS_SETUP_MS / 4, HOST_MAX = 253 };

struct redis_sentinel {
    struct redis_here *here;
    struct redis_conn *conn;     /* to the one that is asked; NULL: nobody is */
    const struct state_node *at; /* that one */
    unsigned tried;              /* in this search */
    struct dns_query query;
    char host[HOST_MAX + 1]; /* of the master, as it was named last */
};

static void next(struct redis_sentinel *s);

static void let_go(struct redis_sentinel *s) {
    struct redis_conn *c = s->conn;
    dns_query_cancel(&s->query);
    s->conn = NULL;
    if (c)
        redis_conn_drop(c);
}

static void named(struct redis_conn *c, const struct redis_reply *r) {
    struct redis_sentinel *s = c->owner;
    struct redis_here *h = s->here;
    uint64_t port;
    bool good = r->kind == REDIS_LIST && r->count == 2 && r->item[0].kind == REDIS_TEXT &&
                r->item[1].kind == REDIS_TEXT && r->item[0].text.n <= HOST_MAX &&
                r->item[0].text.n && parse_dec(r->item[1].text, 65535, &port) && port;
    if (!good) { /* it does not know the name, or lies */
        let_go(s);
        next(s);
        return;
    }
    struct redis_node *n = h->only;
    memcpy(s->host, r->item[0].text.p, r->item[0].text.n);
    n->host = span_of(s->host, r->item[0].text.n);
    n->port = (uint16_t)port;
    let_go(s);
    struct address a;
    if (address_parse_ip(n->host, &a)) {
        address_set_port(&a, n->port);
        redis_node_found(n, &a);
    } else {
        redis_node_look_up(n);
    }
}

static void ready(struct redis_conn *c) {
    struct redis_sentinel *s = c->owner;
    struct span word[] = {SPAN("SENTINEL"), SPAN("get-master-addr-by-name"),
                          s->here->redis->conf.master};
    if (!redis_conn_command(c, word, 3, named))
        redis_conn_close(c, "no memory");
}

static void closed(struct redis_conn *c, const char *why) {
    struct redis_sentinel *s = c->owner;
    (void)why;
    if (s->conn != c)
        return;
    dns_query_cancel(&s->query);
    s->conn = NULL;
    next(s);
}

static void answered(struct redis_conn *c, struct redis_slot *slot, const struct redis_reply *r) {
    (void)c, (void)slot, (void)r; /* nobody asks here */
}

static const struct redis_conn_ops ops = {ready, closed, answered};

static void looked_up(struct dns_query *q, const struct dns_answer *a) {
    struct redis_sentinel *s = container_of(q, struct redis_sentinel, query);
    if (!a->count) {
        redis_conn_close(s->conn, a->error);
        return;
    }
    struct address to = a->ip[s->here->turn % a->count];
    address_set_port(&to, s->at->port);
    redis_conn_to(s->conn, &to, s->at->host);
}

static void look_up(struct redis_sentinel *s) {
    struct dns *dns = redis_dns(s->here);
    s->query.done = looked_up;
    if (dns)
        dns_query_start(dns, &s->query, s->at->host);
}

static void next(struct redis_sentinel *s) {
    struct redis_here *h = s->here;
    const struct state_conf *conf = &h->redis->conf;
    struct redis_hello hello = {.password = conf->sentinel_password};
    if (h->ending)
        return;
    if (s->tried++ < conf->nodes)
        s->conn = redis_conn_open(h, &ops, s, &hello);
    if (!s->conn) {
        redis_node_lost(h->only, "no sentinel names its master");
        return;
    }
    s->at = &conf->node[h->turn++ % conf->nodes];
    timer_start(&h->thread->loop.timers, &s->conn->timer, redis_now_ms(h), SENTINEL_MS);
    if (s->at->address.len)
        redis_conn_to(s->conn, &s->at->address, s->at->host);
    else
        look_up(s);
}

void redis_sentinel_find(struct redis_here *h) {
    let_go(h->sentinel); /* of a search whose time ran out */
    h->sentinel->tried = 0;
    next(h->sentinel);
}

void redis_sentinel_start(struct redis_here *h) {
    uint64_t r;
    h->sentinel = mem_alloc(sizeof *h->sentinel);
    h->sentinel->here = h;
    env.random(&r, sizeof r);
    h->turn = (unsigned)(r % REDIS_NODES_MAX); /* not all begin with the same one */
}

void redis_sentinel_stop(struct redis_here *h) {
    if (!h->sentinel)
        return;
    let_go(h->sentinel);
    mem_free(h->sentinel);
    h->sentinel = NULL;
}
