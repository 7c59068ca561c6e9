#include "core/forward.h"
#include "core/thread.h"

/* ---- the request's id ----------------------------------------------------------------------- */

/* What may stand in logs, headers and URLs without thought. */
static bool id_sane(struct span s) {
    if (!s.n || s.n >= sizeof((struct facts *)0)->request_id)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i], l = lower(c);
        if (!(l >= 'a' && l <= 'z') && !(c >= '0' && c <= '9') && !memchr("._:+/=-", c, 7))
            return false;
    }
    return true;
}

static void set_id(struct facts *f, struct span id) {
    memcpy(f->request_id, id.p, id.n);
    f->request_id_len = (unsigned char)id.n;
}

/* The thread's random prefix and its count of exchanges, which never repeats. */
void forward_request_id(struct exchange *x) {
    static const char digit[] = "0123456789abcdef";
    struct thread *t = x->thread;
    char number[16];
    unsigned n = sizeof number;
    if (x->facts.request_id_len)
        return;
    uint64_t v = ++t->request_seq;
    do
        number[--n] = digit[v & 15];
    while (v >>= 4);
    struct str s = str_on(x->facts.request_id, sizeof x->facts.request_id);
    str_put(&s, t->id_prefix, strnlen(t->id_prefix, sizeof t->id_prefix));
    str_char(&s, '-');
    str_put(&s, number + n, sizeof number - n);
    x->facts.request_id_len = (unsigned char)s.n;
}

/* A number moves on with every exchange, whoever made its id: choices by turn depend on it. */
static void take_id(struct exchange *x, bool trusted) {
    struct span told = hdr_get(&x->req, HDR_X_REQUEST_ID);
    if (trusted && told.p && id_sane(told)) {
        set_id(&x->facts, told);
        x->thread->request_seq++;
    }
    hdr_remove(&x->req, HDR_X_REQUEST_ID);
    forward_request_id(x);
}

/* ---- what trusted proxies say -----------------------------------------------------------------
 */

static bool trusts(const struct snapshot *s, const struct address *a) {
    for (uint32_t i = 0; i < s->trusted_count; i++)
        if (cidr_has(&s->trusted[i], a))
            return true;
    return false;
}

struct hops { /* the last ones of a list, oldest first */
    struct span text[FORWARD_HOPS_MAX];
    unsigned count; /* of all that came */
};

static void hop_add(struct hops *h, struct span s) {
    h->text[h->count++ % FORWARD_HOPS_MAX] = s;
}

/* "for=x" of one element of Forwarded (RFC 7239 4), or nothing. */
static struct span forwarded_part(struct span element, struct span name) {
    while (element.p) {
        struct span pair = span_trim(span_split(&element, ';'));
        struct span key = span_split(&pair, '=');
        if (!pair.p || !span_eq_nocase(span_trim(key), name))
            continue;
        bool quoted = pair.n >= 2 && pair.p[0] == '"' && pair.p[pair.n - 1] == '"';
        return quoted ? span_cut(pair, 1, pair.n - 2) : pair;
    }
    return SPAN("");
}

/* Splits at commas outside of quotes. */
static struct span next_element(struct span *rest) {
    bool quoted = false;
    for (size_t i = 0; i < rest->n; i++) {
        if (rest->p[i] == '\\' && quoted)
            i++;
        else if (rest->p[i] == '"')
            quoted = !quoted;
        else if (rest->p[i] == ',' && !quoted) {
            struct span first = span_cut(*rest, 0, i);
            *rest = span_from(*rest, i + 1);
            return first;
        }
    }
    struct span last = *rest;
    *rest = SPAN_NONE;
    return last;
}

static struct span last_value(const struct head *h, enum hdr_id id) {
    struct span last = SPAN_NONE;
    for (uint16_t i = 0; i < h->count && hdr_has(h, id); i++)
        if (h->field[i].id == id)
            last = field_value(&h->field[i]);
    return last;
}

/* X-Forwarded-For where there is one, else Forwarded: a proxy that writes one of them passes the
 * other on as its client wrote it. */
static void collect(const struct head *h, struct hops *out) {
    enum hdr_id id = hdr_has(h, HDR_X_FORWARDED_FOR) ? HDR_X_FORWARDED_FOR : HDR_FORWARDED;
    for (uint16_t i = 0; i < h->count; i++) {
        struct span rest = field_value(&h->field[i]);
        while (h->field[i].id == id && rest.p) {
            struct span e = next_element(&rest);
            hop_add(out, span_trim(id == HDR_FORWARDED ? forwarded_part(e, SPAN("for")) : e));
        }
    }
}

/* An address, alone or with a port; names, "unknown" and "_hidden" are none. */
static bool hop_parse(struct span s, struct address *out) {
    if (address_parse_ip(s, out))
        return true;
    if (span_starts(s, SPAN("unix:")) || !address_parse(s, out))
        return false;
    address_set_port(out, 0);
    return true;
}

/* From the right, as far as each hop was named by one that is trusted. A bad entry ends the walk:
 * what stands before it may be anybody's. */
static void walk(struct exchange *x, const struct hops *h) {
    const struct snapshot *s = x->snap->snapshot;
    unsigned kept = h->count < FORWARD_HOPS_MAX ? h->count : FORWARD_HOPS_MAX, used = 0;
    struct address a;
    while (used < kept && hop_parse(h->text[(h->count - 1 - used) % FORWARD_HOPS_MAX], &a)) {
        x->facts.client = a;
        used++;
        if (!trusts(s, &a))
            break;
    }
    struct str out = str_on(arena_alloc(&x->arena, used * (size_t)ADDRESS_TEXT_MAX + 1),
                            used * (size_t)ADDRESS_TEXT_MAX);
    char text[ADDRESS_TEXT_MAX];
    for (unsigned i = used; i > 0; i--) {
        if (hop_parse(h->text[(h->count - i) % FORWARD_HOPS_MAX], &a))
            str_add(&out, address_text(&a, text, false));
        if (i > 1)
            str_lit(&out, ", ");
    }
    x->facts.hops = str_span(&out);
}

static void take_scheme(struct exchange *x) {
    struct span told = last_value(&x->req, HDR_X_FORWARDED_PROTO), last = SPAN_NONE;
    if (!told.p) {
        struct span rest = last_value(&x->req, HDR_FORWARDED), e = SPAN("");
        while (rest.p)
            e = next_element(&rest);
        told = forwarded_part(e, SPAN("proto"));
    }
    while (told.p)
        last = span_trim(span_split(&told, ','));
    if (span_eq_nocase(last, SPAN("https")))
        x->req.scheme = SPAN("https");
    else if (span_eq_nocase(last, SPAN("http")))
        x->req.scheme = SPAN("http");
}

static bool host_sane(struct span s) {
    for (size_t i = 0; i < s.n; i++) {
        char l = lower(s.p[i]);
        if (!(l >= 'a' && l <= 'z') && !(l >= '0' && l <= '9') && !memchr(".-_:[]", l, 6))
            return false;
    }
    return s.n > 0 && s.n < 256;
}

static void listen_to_proxies(struct exchange *x) {
    struct hops h;
    struct span host = last_value(&x->req, HDR_X_FORWARDED_HOST);
    h.count = 0;
    collect(&x->req, &h);
    walk(x, &h);
    take_scheme(x);
    if (host_sane(host))
        x->facts.host_told = host;
}

/* ---- what clients may not say -----------------------------------------------------------------
 */

/* Equal once "_" is read as "-", as many frameworks do. */
static bool same_folded(struct span a, struct span b) {
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++) {
        char ca = a.p[i] == '_' ? '-' : lower(a.p[i]), cb = b.p[i] == '_' ? '-' : lower(b.p[i]);
        if (ca != cb)
            return false;
    }
    return true;
}

static bool is_identity(const struct snapshot *s, struct span name) {
    for (uint32_t i = 0; i < s->identity_count; i++)
        if (same_folded(s->identity[i], name))
            return true;
    return false;
}

/* Names that the configuration sets for services: every copy and every spelling. */
static void strip_identity(struct exchange *x) {
    const struct snapshot *s = x->snap->snapshot;
    for (uint16_t i = 0; s->identity_count && i < x->req.count;) {
        struct span name = field_name(&x->req.field[i]);
        uint16_t before = x->req.count;
        if (is_identity(s, name)) {
            hdr_remove_name(&x->req, name);
            count_add(x->thread->counters.identity_headers_stripped,
                      (uint64_t)(before - x->req.count));
        }
        i = before == x->req.count ? (uint16_t)(i + 1) : i;
    }
}

/* Fields that would be rebuilt are taken away whoever sent them; of a trusted proxy those stay that
 * the gateway does not write itself. */
static void strip_forwarded(struct exchange *x, bool trusted) {
    static const enum hdr_id ours[] = {HDR_X_FORWARDED_FOR, HDR_X_FORWARDED_HOST,
                                       HDR_X_FORWARDED_PROTO, HDR_FORWARDED};
    if (!trusted)
        hdr_remove_flags(&x->req, HF_FORWARDED);
    else
        for (size_t i = 0; i < array_len(ours); i++)
            hdr_remove(&x->req, ours[i]);
    hdr_remove_flags(&x->req, HF_IDENTITY | HF_OVERRIDE);
    strip_identity(x);
}

/* ---- loops ---------------------------------------------------------------------------------- */

/* "1.1 sluice (comment)" in Via; "sluice; parameter" in CDN-Loop (RFC 8586). */
static bool names_us(struct span element, enum hdr_id id) {
    struct span e = span_trim(element);
    if (id == HDR_VIA) {
        span_split(&e, ' ');
        e = span_trim(e.p ? e : SPAN(""));
        return span_eq_nocase(span_split(&e, ' '), SPAN(FORWARD_PSEUDONYM));
    }
    return span_eq_nocase(span_trim(span_split(&e, ';')), SPAN(FORWARD_PSEUDONYM));
}

static unsigned count_us(const struct head *h, enum hdr_id id) {
    unsigned n = 0;
    for (uint16_t i = 0; hdr_has(h, id) && i < h->count; i++) {
        struct span rest = field_value(&h->field[i]);
        while (h->field[i].id == id && rest.p)
            n += names_us(span_split(&rest, ','), id);
    }
    return n;
}

static bool loops(const struct exchange *x) {
    unsigned max = x->snap->snapshot->limits.max_forwards_depth;
    unsigned via = count_us(&x->req, HDR_VIA), cdn = count_us(&x->req, HDR_CDN_LOOP);
    return max && (via > cdn ? via : cdn) > max;
}

enum fault forward_prepare(struct exchange *x) {
    if (unlikely(x->facts.own)) {
        forward_request_id(x);
        return FAULT_NONE;
    }
    bool trusted = trusts(x->snap->snapshot, &x->facts.peer);
    address_copy(&x->facts.client, &x->facts.peer);
    if (trusted)
        listen_to_proxies(x);
    strip_forwarded(x, trusted);
    take_id(x, trusted);
    return loops(x) ? FAULT_LOOP_DETECTED : FAULT_NONE;
}

/* ---- towards the service ----------------------------------------------------------------------
 */

static void field_set(struct field *f, enum hdr_id id, struct span value) {
    struct span name = hdr_table[id].name;
    *f = (struct field){.name = name.p,
                        .value = value.p,
                        .value_len = (uint32_t)value.n,
                        .name_len = (uint16_t)name.n,
                        .id = (uint16_t)id};
}

static struct span since(const struct str *s, size_t from) {
    return span_of(s->p + from, s->n - from);
}

/* Hops are plain addresses; an IPv6 one is quoted and in brackets (RFC 7239 6). */
static void put_for(struct str *s, struct span a) {
    bool v6 = span_find(a, ':') >= 0;
    str_lit(s, "for=");
    str_add(s, v6 ? SPAN("\"[") : SPAN(""));
    str_add(s, a.n ? a : SPAN("unknown"));
    str_add(s, v6 ? SPAN("]\"") : SPAN(""));
}

static struct span forwarded_for(struct str *s, struct span hops, struct span peer) {
    size_t from = s->n;
    str_add(s, hops);
    if (hops.n && peer.n)
        str_lit(s, ", ");
    str_add(s, peer.n || hops.n ? peer : SPAN("unknown"));
    return since(s, from);
}

static struct span forwarded(struct str *s, const struct exchange *x, struct span host,
                             struct span peer) {
    size_t from = s->n;
    struct span hops = x->facts.hops;
    while (hops.n) {
        put_for(s, span_trim(span_split(&hops, ',')));
        str_lit(s, ", ");
    }
    put_for(s, peer);
    if (host.n) {
        str_lit(s, ";host=\"");
        str_add(s, host);
        str_char(s, '"');
    }
    str_lit(s, ";proto=");
    str_add(s, x->req.scheme);
    return since(s, from);
}

/* RFC 9110 7.6.3. */
struct span forward_via(unsigned minor) {
    switch (minor) {
    case 10:
        return SPAN("1.0 " FORWARD_PSEUDONYM);
    case 20:
        return SPAN("2 " FORWARD_PSEUDONYM);
    default:
        return SPAN("1.1 " FORWARD_PSEUDONYM);
    }
}

size_t forward_fields(struct exchange *x, struct field *out, size_t max) {
    const struct facts *f = &x->facts;
    struct span host = f->host_told.n ? f->host_told : x->req.authority;
    size_t room = 4 * f->hops.n + host.n + 2 * ADDRESS_TEXT_MAX + 128, n = 0;
    char *p = max < FORWARD_FIELDS_MAX ? NULL : arena_try(&x->arena, room);
    if (!p)
        return 0;
    struct str s = str_on(p, room);
    struct span peer = f->peer_text;
    field_set(&out[n++], HDR_VIA, forward_via(f->http_minor));
    if (unlikely(f->own)) {
        field_set(&out[n++], HDR_X_REQUEST_ID, span_of(f->request_id, f->request_id_len));
        return n;
    }
    field_set(&out[n++], HDR_X_FORWARDED_FOR, forwarded_for(&s, f->hops, peer));
    field_set(&out[n++], HDR_X_FORWARDED_PROTO, x->req.scheme);
    if (host.n)
        field_set(&out[n++], HDR_X_FORWARDED_HOST, host);
    field_set(&out[n++], HDR_FORWARDED, forwarded(&s, x, host, peer));
    field_set(&out[n++], HDR_X_REQUEST_ID, span_of(f->request_id, f->request_id_len));
    const struct tls_client_cert *cert = f->tls ? f->tls->client : NULL;
    if (cert && cert->verified && cert->pem.n)
        field_set(&out[n++], HDR_X_CLIENT_CERT, cert->pem);
    must(!s.full);
    return n;
}
