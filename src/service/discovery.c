#include "service/discovery.h"
#include "base/log.h"
#include "core/publish.h"
#include "io/dns.h"
#include "service/upstream.h"

static struct { /* what is to be asked; set from any thread */
    pthread_mutex_t lock;
    struct address *server;
    uint32_t count;
} servers = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct {            /* of the control thread alone */
    struct thread *thread; /* NULL: not running */
    struct dns *dns;
    struct list services;
} discovery;

struct followed { /* a service with names */
    struct list node, lookups;
    struct upstream *upstream; /* a reference */
};

struct lookup {
    struct list node;
    struct followed *service;
    struct span host;
    struct dns_query query;
    struct timer timer;
    unsigned failures; /* in a row */
    bool resolved;     /* once at least */
    bool wanted;       /* found in the sources just now */
};

static uint64_t random_below(uint64_t n) {
    uint64_t r;
    env.random(&r, sizeof r);
    return n ? r % n : 0;
}

static void ask(struct lookup *l) {
    dns_query_start(discovery.dns, &l->query, l->host);
}

static void due(struct timer *t) {
    ask(container_of(t, struct lookup, timer));
}

/* Up to a tenth earlier, so that what began together does not stay together. */
static void ask_in(struct lookup *l, uint64_t ms) {
    struct loop *loop = &discovery.thread->loop;
    timer_start(&loop->timers, &l->timer, loop->now / 1000000, ms - random_below(ms / 10));
}

static uint64_t ttl_ms(uint32_t ttl) {
    ttl = ttl < DNS_TTL_MIN_S ? DNS_TTL_MIN_S : ttl;
    ttl = ttl > DNS_TTL_MAX_S ? DNS_TTL_MAX_S : ttl;
    return (uint64_t)ttl * 1000;
}

static uint64_t retry_ms(unsigned failures) {
    uint64_t ms = (uint64_t)DNS_RETRY_MIN_MS << (failures < 6 ? failures - 1 : 5);
    return ms < DNS_RETRY_MAX_MS ? ms : DNS_RETRY_MAX_MS;
}

static void failed(struct lookup *l, const struct dns_answer *a) {
    char host[LOG_QUOTED_MAX];
    struct span name = l->service->upstream->name;
    l->failures++;
    log_event(LEVEL_WARNING, "dns_failed", "service %.*s: looking up %s failed: %s; %s failures=%u",
              SPAN_ARG(name), log_quoted(l->host, host), a->error,
              l->resolved ? "the last good addresses stay in use"
                          : "requests get 503 dns_failed until it resolves",
              l->failures);
    ask_in(l, retry_ms(l->failures));
}

static void found(struct dns_query *q, const struct dns_answer *a) {
    struct lookup *l = container_of(q, struct lookup, query);
    char host[LOG_QUOTED_MAX];
    if (!a->count) {
        failed(l, a);
        return;
    }
    if (l->failures)
        log_event(LEVEL_INFO, "dns_resolved", "service %.*s: %s resolves now addresses=%u",
                  SPAN_ARG(l->service->upstream->name), log_quoted(l->host, host), a->count);
    l->failures = 0;
    l->resolved = true;
    upstream_found(l->service->upstream, l->host, a->ip, a->count);
    ask_in(l, ttl_ms(a->ttl));
}

static void lookup_drop(struct lookup *l) {
    dns_query_cancel(&l->query);
    timer_stop(&l->timer);
    list_remove(&l->node);
    mem_free((char *)(uintptr_t)l->host.p);
    mem_free(l);
}

static void want(void *ctx, struct span host) {
    struct followed *f = ctx;
    for (struct list *n = f->lookups.next; n != &f->lookups; n = n->next) {
        struct lookup *l = container_of(n, struct lookup, node);
        if (span_eq(l->host, host)) {
            l->wanted = true;
            return;
        }
    }
    struct lookup *l = mem_alloc(sizeof *l);
    l->service = f;
    l->host = span_of(mem_text(host.p, host.n), host.n);
    l->query.done = found;
    l->timer.fire = due;
    l->wanted = true;
    list_append(&f->lookups, &l->node);
}

static struct followed *follow(struct upstream *u) {
    for (struct list *n = discovery.services.next; n != &discovery.services; n = n->next) {
        struct followed *f = container_of(n, struct followed, node);
        if (f->upstream == u)
            return f;
    }
    struct followed *f = mem_alloc(sizeof *f);
    upstream_ref(u);
    f->upstream = u;
    list_init(&f->lookups);
    list_append(&discovery.services, &f->node);
    return f;
}

/* Drops what is no longer wanted, starts what is new; a service without names is forgotten. */
static void settle_lookups(struct followed *f) {
    for (struct list *n = f->lookups.next, *next; n != &f->lookups; n = next) {
        struct lookup *l = container_of(n, struct lookup, node);
        next = n->next;
        if (!l->wanted)
            lookup_drop(l);
        else if (!l->query.ask && !timer_running(&l->timer))
            ask(l);
        else if (!l->query.ask && l->failures)
            ask_in(l, 0); /* a reload is a good moment to try again */
    }
    if (list_linked(&f->lookups))
        return;
    list_remove(&f->node);
    upstream_unref(f->upstream);
    mem_free(f);
}

static void sync_service(struct upstream *u) {
    struct followed *f = follow(u);
    for (struct list *n = f->lookups.next; n != &f->lookups; n = n->next)
        container_of(n, struct lookup, node)->wanted = false;
    upstream_hosts(u, want, f);
    settle_lookups(f);
}

/* Messages to the control thread */

struct change {
    struct message message;
    struct upstream *upstream; /* a reference; NULL: the servers changed */
};

/* Without servers that make sense those of the system are asked; better than none. */
static void open_dns(void) {
    struct loop *l = &discovery.thread->loop;
    pthread_mutex_lock(&servers.lock);
    discovery.dns = dns_create(l, servers.server, servers.count);
    pthread_mutex_unlock(&servers.lock);
    if (discovery.dns)
        return;
    log_event(LEVEL_ERROR, "dns_servers",
              "dns: the servers cannot be used, those of /etc/resolv.conf are asked");
    discovery.dns = dns_create(l, NULL, 0);
    must(discovery.dns); /* no memory for a small thing */
}

static void ask_again(struct lookup *l) {
    dns_query_cancel(&l->query);
    timer_stop(&l->timer);
    ask(l);
}

/* Queries under way end with the old servers' channel; all is asked anew. */
static void servers_changed(void) {
    dns_destroy(discovery.dns);
    open_dns();
    for (struct list *n = discovery.services.next; n != &discovery.services; n = n->next) {
        struct followed *f = container_of(n, struct followed, node);
        for (struct list *k = f->lookups.next; k != &f->lookups; k = k->next)
            ask_again(container_of(k, struct lookup, node));
    }
}

static void receive_change(struct message *m) {
    struct change *c = container_of(m, struct change, message);
    if (discovery.thread && c->upstream)
        sync_service(c->upstream);
    else if (discovery.thread)
        servers_changed();
    if (c->upstream)
        upstream_unref(c->upstream);
    mem_free(c);
}

static void tell_control(struct upstream *u) {
    struct thread *control = publish_control();
    if (!control)
        return; /* it looks at everything when it starts */
    struct change *c = mem_alloc(sizeof *c);
    *c = (struct change){{NULL, receive_change}, u};
    if (u)
        upstream_ref(u);
    loop_send(&control->loop, &c->message);
}

void discovery_changed(struct upstream *u) {
    tell_control(u);
}

static bool same_servers(const struct address *server, uint32_t count) {
    if (count != servers.count)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (!address_eq(&server[i], &servers.server[i]))
            return false;
    return true;
}

void discovery_servers(const struct address *server, uint32_t count) {
    pthread_mutex_lock(&servers.lock);
    bool changed = !same_servers(server, count);
    if (changed) {
        mem_free(servers.server);
        servers.server = mem_alloc(count * sizeof *server + 1);
        servers.count = count;
        for (uint32_t i = 0; i < count; i++)
            servers.server[i] = server[i];
    }
    pthread_mutex_unlock(&servers.lock);
    if (changed)
        tell_control(NULL);
}

/* Starting and stopping */

static void collect(struct upstream *u, void *ctx) {
    (void)ctx;
    follow(u); /* no more than this under the registry's lock */
}

void discovery_start(struct thread *control) {
    must(!discovery.thread);
    discovery.thread = control;
    list_init(&discovery.services);
    open_dns();
    upstream_each(collect, NULL);
    for (struct list *n = discovery.services.next, *next; n != &discovery.services; n = next) {
        struct followed *f = container_of(n, struct followed, node);
        next = n->next;
        upstream_hosts(f->upstream, want, f);
        settle_lookups(f);
    }
    loop_drain(&control->loop); /* the loop may not be running yet, and some answers are there */
}

void discovery_stop(void) {
    if (!discovery.thread)
        return;
    for (struct list *n; (n = list_shift(&discovery.services));) {
        struct followed *f = container_of(n, struct followed, node);
        for (struct list *k; (k = f->lookups.next) != &f->lookups;)
            lookup_drop(container_of(k, struct lookup, node));
        upstream_unref(f->upstream);
        mem_free(f);
    }
    dns_destroy(discovery.dns);
    discovery.dns = NULL;
    discovery.thread = NULL;
}
