#include "observe/log_fields.h"
#include "base/log.h"
#include "core/authenticator.h"
#include "core/told.h"
#include "observe/log.h"

static const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;

/* A byte of the eight that must be escaped: a control byte, a quote, a backslash, 0x7f or above. */
static bool odd_byte(uint64_t w) {
    uint64_t quote = w ^ (ones * '"'), slash = w ^ (ones * '\\'), del = w ^ (ones * 0x7f);
    uint64_t low = (w - ones * 0x20) | (quote - ones) | (slash - ones) | (del - ones);
    return ((low | w) & highs) != 0;
}

static bool plain_byte(unsigned char c) {
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static bool plain(struct span v) {
    size_t at = 0;
    for (; at + 8 <= v.n; at += 8) {
        uint64_t w;
        memcpy(&w, v.p + at, 8);
        if (odd_byte(w))
            return false;
    }
    for (; at < v.n; at++)
        if (!plain_byte((unsigned char)v.p[at]))
            return false;
    return true;
}

static void put_odd(struct str *out, struct span v) {
    bool cut = v.n > LOG_TEXT_MAX;
    if (cut) { /* not within a character */
        unsigned back = 0;
        for (v.n = LOG_TEXT_MAX; back < 3 && ((unsigned char)v.p[v.n] & 0xc0) == 0x80; back++)
            v.n--;
    }
    str_json(out, v);
    if (cut)
        str_lit(out, "\xe2\x80\xa6");
}

void log_put_text(struct str *out, struct span v) {
    if (likely(v.n <= LOG_TEXT_MAX && plain(v)))
        str_add(out, v);
    else
        put_odd(out, v);
}

static void put_quoted(struct str *out, struct span v) {
    if (!v.p || !v.n) {
        str_lit(out, "null");
        return;
    }
    str_char(out, '"');
    log_put_text(out, v);
    str_char(out, '"');
}

static void put_time(struct str *out, int64_t wall_ns, struct log_clock *c) {
    int64_t second = wall_ns / 1000000000;
    unsigned ms = (unsigned)(wall_ns / 1000000 % 1000);
    if (unlikely(second != c->second)) {
        time_text(second * 1000000000, c->text);
        c->second = second;
    }
    char text[TIME_TEXT];
    memcpy(text, c->text, TIME_TEXT);
    text[20] = (char)('0' + ms / 100);
    text[21] = (char)('0' + ms / 10 % 10);
    text[22] = (char)('0' + ms % 10);
    str_put(out, text, TIME_TEXT);
}

/* Seconds with six digits behind the point. */
static void put_seconds(struct str *out, uint64_t ns) {
    uint64_t us = ns / 1000;
    uint32_t fraction = (uint32_t)(us % 1000000);
    char d[7] = {'.'};
    for (unsigned i = 6; i; i--, fraction /= 10)
        d[i] = (char)('0' + fraction % 10);
    str_u64(out, us / 1000000);
    str_put(out, d, sizeof d);
}

static void put_some_seconds(struct str *out, int64_t ns) {
    if (ns < 0)
        str_lit(out, "null");
    else
        put_seconds(out, (uint64_t)ns);
}

static void put_number(struct str *out, uint64_t v) { /* 0: none */
    if (v)
        str_u64(out, v);
    else
        str_lit(out, "null");
}

static void put_address(struct str *out, const struct address *a) {
    char buf[ADDRESS_TEXT_MAX];
    put_quoted(out, a->len ? address_text(a, buf, false) : SPAN_NONE);
}

static const char *end_name(enum x_end end) {
    static const char *const name[] = {"", "completed", "aborted", "rejected"};
    return name[end];
}

/* What a field's writer sees. */
struct line {
    const struct record *r;
    const struct exchange *x;
    struct log_clock *clock;
};

/* Without the credentials that stand in its query. Where there are some, what does not fit is cut
 * off. `buf`: LOG_TEXT_MAX + 4 bytes. */
static struct span shown(const struct record *r, struct span text, char *buf) {
    if (!r->snapshot || !r->snapshot->hidden_count || span_find(text, '?') < 0)
        return text;
    struct str s = str_on(buf, LOG_TEXT_MAX + 4);
    snapshot_hide(r->snapshot, text, &s);
    return str_span(&s);
}

/* One writer a field, named after it. */
#define WRITE(name) static void write_##name(struct str *out, const struct line *l)

WRITE(time) {
    str_char(out, '"');
    put_time(out, l->r->wall_ns, l->clock);
    str_char(out, '"');
}
WRITE(request_id) {
    put_quoted(out, span_of(l->x->facts.request_id, l->x->facts.request_id_len));
}
WRITE(client) {
    put_address(out, &l->x->facts.client);
}
WRITE(client_port) {
    put_number(out, l->x->facts.client.len ? address_port(&l->x->facts.client) : 0);
}
WRITE(peer) {
    put_address(out, &l->x->facts.peer);
}
WRITE(listener) {
    put_quoted(out, l->x->facts.listener ? l->x->facts.listener->name : SPAN_NONE);
}
WRITE(protocol) {
    put_quoted(out, span_z(l->x->facts.protocol));
}
WRITE(upgrade) {
    put_quoted(out, l->x->req.protocol);
}
WRITE(tls_version) {
    put_quoted(out, l->x->facts.tls ? span_z(l->x->facts.tls->version) : SPAN_NONE);
}
WRITE(tls_cipher) {
    put_quoted(out, l->x->facts.tls ? span_z(l->x->facts.tls->cipher) : SPAN_NONE);
}
WRITE(tls_resumed) {
    if (!l->x->facts.tls)
        str_lit(out, "null");
    else
        str_add(out, l->x->facts.tls->resumed ? SPAN("true") : SPAN("false"));
}
WRITE(sni) {
    put_quoted(out, l->x->facts.tls ? l->x->facts.tls->sni : SPAN_NONE);
}
WRITE(alpn) {
    put_quoted(out, l->x->facts.tls ? span_z(l->x->facts.tls->alpn) : SPAN_NONE);
}
static const struct tls_client_cert *certificate(const struct line *l) {
    return l->x->facts.tls ? l->x->facts.tls->client : NULL;
}
WRITE(client_subject) {
    put_quoted(out, certificate(l) ? certificate(l)->subject : SPAN_NONE);
}
WRITE(client_san) {
    put_quoted(out, certificate(l) ? certificate(l)->san : SPAN_NONE);
}
WRITE(scheme) {
    put_quoted(out, l->x->req.scheme);
}
WRITE(method) {
    put_quoted(out, head_method_text(&l->x->req));
}
WRITE(host) {
    put_quoted(out, l->x->req.host);
}
WRITE(path) {
    ptrdiff_t query = span_find(l->x->req.target, '?');
    put_quoted(out, query < 0 ? l->x->req.target : span_cut(l->x->req.target, 0, (size_t)query));
}
WRITE(canonical_path) {
    put_quoted(out, l->x->req.path);
}
WRITE(query) {
    char buf[LOG_TEXT_MAX + 4];
    ptrdiff_t mark = span_find(l->x->req.target, '?');
    struct span all = mark < 0 ? SPAN_NONE : span_from(l->x->req.target, (size_t)mark);
    put_quoted(out, span_from(shown(l->r, all, buf), 1));
}
WRITE(target) {
    char buf[LOG_TEXT_MAX + 4];
    put_quoted(out, shown(l->r, l->x->req.target, buf));
}
WRITE(status) {
    put_number(out, (uint64_t)(unsigned)l->r->status);
}
WRITE(end) {
    put_quoted(out, span_z(end_name(l->r->end)));
}
WRITE(bytes) {
    str_u64(out, l->r->response_body);
}
WRITE(request_bytes) {
    str_u64(out, l->r->request_body);
}
WRITE(bytes_received) {
    str_u64(out, l->r->bytes_in);
}
WRITE(bytes_sent) {
    str_u64(out, l->r->bytes_out);
}
WRITE(duration) {
    put_seconds(out, l->r->total_ns);
}
WRITE(upstream_duration) {
    put_some_seconds(out, l->r->upstream_ns);
}
WRITE(queue_duration) {
    put_some_seconds(out, l->x->queued_ns ? (int64_t)l->x->queued_ns : -1);
}
WRITE(connect_duration) {
    put_some_seconds(out, l->r->connect_ns);
}
WRITE(upstream_status) {
    put_number(out, (uint64_t)(unsigned)l->x->upstream_status);
}
WRITE(grpc_status) {
    int code = l->r->grpc_status;
    put_quoted(out, code < 0 ? SPAN_NONE : span_z(grpc_code_name((enum grpc_code)code)));
}
WRITE(attempts) {
    str_u64(out, l->r->attempts);
}
WRITE(route) {
    put_quoted(out, l->r->route);
}
WRITE(service) {
    put_quoted(out, l->r->service);
}
WRITE(endpoint) {
    put_quoted(out, l->r->endpoint);
}
WRITE(consumer) {
    put_quoted(out, l->x->caller ? l->x->caller->name : SPAN_NONE);
}
WRITE(authenticator) {
    bool judged = l->x->asked && l->x->auth_fault != FAULT_MISSING_CREDENTIALS;
    put_quoted(out, judged ? l->x->asked->name : SPAN_NONE);
}
WRITE(auth_error) {
    put_quoted(out, span_z(fault_table[l->x->auth_fault].code));
}
WRITE(code) {
    put_quoted(out, span_z(l->r->code));
}
WRITE(who) {
    put_quoted(out, span_z(l->r->who));
}
WRITE(detail) {
    put_quoted(out, span_z(l->x->fault_detail));
}
WRITE(observed) {
    put_quoted(out, l->x->observed);
}
WRITE(user_agent) {
    put_quoted(out, hdr_get(&l->x->req, HDR_USER_AGENT));
}
WRITE(referer) {
    char buf[LOG_TEXT_MAX + 4];
    put_quoted(out, shown(l->r, hdr_get(&l->x->req, HDR_REFERER), buf));
}
WRITE(generation) {
    str_u64(out, l->r->snapshot ? l->r->snapshot->generation : 0);
}
WRITE(limit_name) {
    const struct limit_told *t = limit_told_tightest(l->x);
    put_quoted(out, t ? t->id : SPAN_NONE);
}
WRITE(limit_remaining) {
    const struct limit_told *t = limit_told_tightest(l->x);
    if (t)
        str_u64(out, t->remaining);
    else
        str_lit(out, "null");
}
WRITE(limit_verdict) {
    const struct limit_told *t = limit_told_tightest(l->x);
    put_quoted(out, t ? span_z(told_verdict_name(t->verdict)) : SPAN_NONE);
}

static const struct field_writer {
    struct span key; /* with the comma before it */
    void (*write)(struct str *out, const struct line *l);
} writers[LOG_FIELD_COUNT] = {
#define F(name, doc) {{",\"" #name "\":", sizeof ",\"" #name "\":" - 1}, write_##name},
    LOG_FIELD_LIST(F)
#undef F
#define F(id, name, doc) {SPAN(",\"" name "\":"), write_##id},
        LOG_DOTTED_LIST(F)
#undef F
};

void log_json_line(const struct log_conf *conf, const struct record *r, struct log_clock *c,
                   struct str *out) {
    const int *field = conf->field_count ? conf->field : log_fields_shipped;
    uint32_t count = conf->field_count ? conf->field_count : LOG_SHIPPED_COUNT;
    struct line l = {r, r->x, c};
    size_t from = out->n;
    for (uint32_t i = 0; i < count; i++) {
        const struct field_writer *w = &writers[field[i]];
        str_add(out, w->key);
        w->write(out, &l);
    }
    if (out->n > from)
        out->p[from] = '{'; /* where the first comma stands */
    str_char(out, '}');
}

/* "25/Nov/2026:01:20:16 +0000" */
static void put_clf_time(struct str *out, int64_t wall_ns) {
    static const char month[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char text[TIME_TEXT];
    time_text(wall_ns, text);
    struct civil c = time_civil(wall_ns / 1000000000);
    str_put(out, text + 8, 2);
    str_char(out, '/');
    str_put(out, month + (c.month - 1) * 3, 3);
    str_char(out, '/');
    str_put(out, text, 4);
    str_char(out, ':');
    str_put(out, text + 11, 8);
    str_lit(out, " +0000");
}

/* "-" for what is missing. */
static void put_or_dash(struct str *out, struct span v) {
    if (v.n)
        log_put_text(out, v);
    else
        str_char(out, '-');
}

void log_combined_line(const struct record *r, struct str *out) {
    const struct exchange *x = r->x;
    char buf[ADDRESS_TEXT_MAX];
    put_or_dash(out, x->facts.client.len ? address_text(&x->facts.client, buf, false) : SPAN_NONE);
    str_lit(out, " - - [");
    put_clf_time(out, r->wall_ns);
    str_lit(out, "] \"");
    put_or_dash(out, head_method_text(&x->req));
    str_char(out, ' ');
    char target[LOG_TEXT_MAX + 4], referer[LOG_TEXT_MAX + 4];
    put_or_dash(out, shown(r, x->req.target, target));
    str_char(out, ' ');
    put_or_dash(out, span_z(x->facts.protocol));
    str_lit(out, "\" ");
    str_u64(out, (uint64_t)(unsigned)r->status);
    str_char(out, ' ');
    str_u64(out, r->response_body);
    str_lit(out, " \"");
    put_or_dash(out, shown(r, hdr_get(&x->req, HDR_REFERER), referer));
    str_lit(out, "\" \"");
    put_or_dash(out, hdr_get(&x->req, HDR_USER_AGENT));
    str_char(out, '"');
}
