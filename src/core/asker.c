#include "core/asker.h"
#include "core/authenticator.h"
#include "core/facts.h"

enum { KEY_MAX = 65536 };

/* ---- the key ----------------------------------------------------------------------------------
 */

static bool is_mapped(const unsigned char ip[16]) {
    static const unsigned char prefix[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(ip, prefix, sizeof prefix) == 0;
}

/* One customer has at least a /64, so its other half says nothing of who it is. */
static struct span address_key(struct exchange *x) {
    const struct address *c = x->facts.client.len ? &x->facts.client : &x->facts.peer;
    unsigned char ip[16];
    char buf[ADDRESS_TEXT_MAX];
    struct address a;
    if (c->sa.sa_family == AF_INET && x->facts.peer_text.n && address_eq(c, &x->facts.peer))
        return x->facts.peer_text; /* made when the connection came */
    if (!address_ip16(c, ip))
        return SPAN("local"); /* by a unix socket */
    if (is_mapped(ip)) {
        a = (struct address){.len = sizeof a.in};
        a.in.sin_family = AF_INET;
        memcpy(&a.in.sin_addr, ip + 12, 4);
        return arena_span(&x->arena, address_text(&a, buf, false));
    }
    memset(ip + 8, 0, 8);
    a = (struct address){.len = sizeof a.in6};
    a.in6.sin6_family = AF_INET6;
    memcpy(&a.in6.sin6_addr, ip, 16);
    return span_z(arena_fmt(&x->arena, "%.*s/64", SPAN_ARG(address_text(&a, buf, false))));
}

static struct span joined(struct arena *a, struct span kind, struct span by, struct span name) {
    size_t max = kind.n + by.n + name.n + 2;
    struct str s = str_on(arena_alloc(a, max), max);
    str_add(&s, kind);
    str_add(&s, by);
    if (by.n)
        str_char(&s, ':');
    str_add(&s, name);
    return str_span(&s);
}

struct span asker_key(struct exchange *x) {
    const struct caller *c = x->caller;
    if (c && c->name.n)
        return joined(&x->arena, SPAN("consumer:"), SPAN_NONE, c->name);
    const struct value *sub =
        c && c->claims.kind == VALUE_MAP ? value_find(&c->claims, SPAN("sub")) : NULL;
    if (sub && sub->kind == VALUE_STRING && sub->n)
        return joined(&x->arena, SPAN("sub:"), c->by ? c->by->name : SPAN_NONE, value_span(sub));
    return address_key(x);
}

/* As facts_values, but for addresses: IPv6 by its /64, mapped IPv4 as IPv4. */
static bool get(void *ctx, struct arena *a, const struct expr_ref *ref, struct value *out) {
    struct exchange *x = ctx;
    struct template_values v = facts_values(x);
    if (!v.get(v.ctx, a, ref, out))
        return false;
    if (out->kind != VALUE_IP || out->n != 16)
        return true;
    if (is_mapped(out->ip)) {
        out->ip += 12;
        out->n = 4;
        return true;
    }
    unsigned char *cut = arena_zero(a, 16);
    memcpy(cut, out->ip, 8);
    out->ip = cut;
    return true;
}

struct span asker_key_of(const struct template *t, struct exchange *x) {
    struct template_values v = facts_values(x);
    struct span key;
    if (!t)
        return asker_key(x);
    v.get = get;
    v.get_encoded = NULL;
    return template_eval(t, &x->arena, &v, KEY_MAX, &key) ? key : SPAN("");
}

/* ---- what it costs ----------------------------------------------------------------------------
 */

static bool number_of(const struct value *v, uint64_t *out) {
    switch ((unsigned)v->kind) {
    case VALUE_INT:
        *out = (uint64_t)v->i;
        return v->i >= 0;
    case VALUE_UINT:
        *out = v->u;
        return true;
    case VALUE_DOUBLE: /* part of a token counts as one */
        if (!(v->d >= 0))
            return false;
        *out = v->d >= ASKER_COST_MAX ? ASKER_COST_MAX
                                      : (uint64_t)v->d + (v->d > (double)(uint64_t)v->d);
        return true;
    case VALUE_STRING:
        return parse_dec(span_trim(value_span(v)), UINT64_MAX, out);
    default:
        return false;
    }
}

uint64_t asker_cost(const struct template *t, struct exchange *x) {
    struct template_values v = facts_values(x);
    struct value out;
    uint64_t n;
    enum template_result r = template_value(t, &x->arena, &v, KEY_MAX, &out, NULL);
    if (r != TEMPLATE_FINE && r != TEMPLATE_NULL)
        return 1; /* told already */
    out = r == TEMPLATE_FINE ? value_settle(out) : VALUE_NOTHING;
    if (number_of(&out, &n))
        return n < ASKER_COST_MAX ? n : ASKER_COST_MAX;
    facts_failed(x, t->source,
                 &(struct expr_error){.text = "it gives no number from 0; that counts 1"});
    return 1;
}
