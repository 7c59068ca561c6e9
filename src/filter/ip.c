#include "filter/ip.h"
#include "core/thread.h"
#include <stdlib.h>

/* ---- how it is written ------------------------------------------------------------------------
 */

static const struct schema_type network = {.kind = SCHEMA_CIDR, .size = sizeof(struct cidr)};
static const struct schema_type networks = {.kind = SCHEMA_LIST,
                                            .of = &network,
                                            .size = sizeof(struct cidr),
                                            .min = 1,
                                            .flags = TYPE_ONE_OR_MANY};

static const struct schema_field fields[] = {
    {.key = "allow",
     .type = &networks,
     FIELD_LIST(struct ip_conf, allow.network, allow.networks),
     .doc = "Networks that may come; all others may not."},
    {.key = "deny",
     .type = &networks,
     FIELD_LIST(struct ip_conf, deny.network, deny.networks),
     .doc = "Networks that may not come, even if they stand in allow."},
};
static const struct schema_object form = {
    .name = "ip", SCHEMA_OBJECT_OF(fields), .doc = "Who may come, by the client's address."};

/* ---- networks become ranges ----------------------------------------------------------------- */

static const unsigned char v4_first[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0};
static const unsigned char v4_last[16] = {0, 0, 0,    0,    0,    0,    0,    0,
                                          0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static int cmp16(const unsigned char *a, const unsigned char *b) {
    return memcmp(a, b, 16);
}

/* The next address up or down; false: there is none. */
static bool step16(unsigned char a[16], bool up) {
    for (int i = 15; i >= 0; i--) {
        a[i] = (unsigned char)(up ? a[i] + 1 : a[i] - 1);
        if (a[i] != (up ? 0 : 0xff))
            return true;
    }
    return false;
}

static struct ip_range range_of(const struct cidr *c) {
    struct ip_range r;
    for (unsigned i = 0; i < 16; i++) {
        unsigned free_bits = c->bits >= 8 * (i + 1) ? 0
                             : c->bits <= 8 * i     ? 8
                                                    : 8 * (i + 1) - c->bits;
        unsigned char mask = (unsigned char)((1u << free_bits) - 1);
        r.from[i] = (unsigned char)(c->ip[i] & ~mask);
        r.to[i] = c->ip[i] | mask;
    }
    return r;
}

/* A network of IPv6 that is wider than all of IPv4 means IPv6 alone: "::/0" is not everybody. */
static uint32_t put_range(struct ip_range *out, const struct cidr *c) {
    struct ip_range r = range_of(c);
    bool around = c->bits < 96 && cmp16(r.from, v4_first) <= 0 && cmp16(r.to, v4_last) >= 0;
    if (!around) {
        out[0] = r;
        return 1;
    }
    out[0] = out[1] = r;
    memcpy(out[0].to, v4_first, 16);
    memcpy(out[1].from, v4_last, 16);
    must(step16(out[0].to, false) && step16(out[1].from, true));
    return 2;
}

static int by_start(const void *a, const void *b) {
    return cmp16(((const struct ip_range *)a)->from, ((const struct ip_range *)b)->from);
}

/* Sorted, and those that touch or overlap become one. */
static void join(struct ip_list *l) {
    uint32_t n = 0;
    qsort(l->range, l->ranges, sizeof *l->range, by_start);
    for (uint32_t i = 1; i < l->ranges; i++) {
        struct ip_range *last = &l->range[n], *r = &l->range[i];
        unsigned char behind[16];
        memcpy(behind, last->to, 16);
        if (!step16(behind, true) || cmp16(r->from, behind) <= 0) {
            if (cmp16(r->to, last->to) > 0)
                memcpy(last->to, r->to, 16);
        } else {
            l->range[++n] = *r;
        }
    }
    l->ranges = l->ranges ? n + 1 : 0;
}

static void prepare(struct arena *a, struct ip_list *l) {
    l->range = arena_zero(a, 2 * l->networks * sizeof *l->range + 1);
    for (uint32_t i = 0; i < l->networks; i++)
        l->ranges += put_range(&l->range[l->ranges], &l->network[i]);
    join(l);
}

static const char *finish(struct arena *a, void *conf) {
    struct ip_conf *c = conf;
    if (!c->allow.networks && !c->deny.networks)
        return "it needs `allow`, `deny` or both";
    prepare(a, &c->allow);
    prepare(a, &c->deny);
    return NULL;
}

/* ---- for every request ------------------------------------------------------------------------
 */

static bool has(const struct ip_list *l, const unsigned char ip[16]) {
    uint32_t from = 0, to = l->ranges; /* the first that begins behind it */
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (cmp16(l->range[middle].from, ip) <= 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from && cmp16(ip, l->range[from - 1].to) <= 0;
}

enum ip_verdict ip_judge(const struct ip_conf *c, const struct address *client) {
    unsigned char ip[16];
    bool known = client->len && address_ip16(client, ip);
    if (known && has(&c->deny, ip))
        return IP_DENIED;
    return c->allow.ranges && !(known && has(&c->allow, ip)) ? IP_NOT_ALLOWED : IP_PASSES;
}

static enum verdict request(struct step *s) {
    switch (ip_judge(s->filter->conf, &s->x->facts.client)) {
    case IP_DENIED:
        return step_refuse(s, FAULT_ADDRESS_REFUSED, "ip: the address is in deny");
    case IP_NOT_ALLOWED:
        return step_refuse(s, FAULT_ADDRESS_REFUSED, "ip: the address is not in allow");
    case IP_PASSES:
        break;
    }
    return NEXT;
}

static const struct filter_ops ops = {
    .name = "ip", .phase = PHASE_GUARD, .step_size = sizeof(struct step), .request = request};

const struct policy ip_policy = {
    .name = "ip", .form = &form, .ops = &ops, .size = sizeof(struct ip_conf), .finish = finish};
