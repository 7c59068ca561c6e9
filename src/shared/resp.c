#include "shared/resp.h"

struct level {
    struct redis_reply *item;
    uint32_t count, at;
};

struct reading {
    struct arena *arena;
    struct span in;
    size_t at;
    uint32_t items;
};

static bool line(struct reading *r, struct span *out) {
    struct span rest = span_from(r->in, r->at);
    const char *cr = rest.n ? memchr(rest.p, '\r', rest.n) : NULL;
    if (!cr || (size_t)(cr - rest.p) + 1 >= rest.n)
        return false;
    *out = span_cut(rest, 0, (size_t)(cr - rest.p));
    return true;
}

static bool integer(struct span s, int64_t *out) {
    bool minus = s.n && s.p[0] == '-';
    uint64_t v;
    if (!parse_dec(minus ? span_from(s, 1) : s, INT64_MAX, &v))
        return false;
    *out = minus ? -(int64_t)v : (int64_t)v;
    return true;
}

/* A bulk text behind its length. */
static enum resp_result bulk(struct reading *r, int64_t n, struct redis_reply *out) {
    if (n > RESP_REPLY_MAX)
        return RESP_BROKEN;
    size_t len = (size_t)n;
    if (r->in.n - r->at < len + 2)
        return RESP_MORE;
    *out = (struct redis_reply){.kind = REDIS_TEXT, .text = span_cut(r->in, r->at, len)};
    if (r->in.p[r->at + len] != '\r' || r->in.p[r->at + len + 1] != '\n')
        return RESP_BROKEN;
    r->at += len + 2;
    return RESP_WHOLE;
}

static enum resp_result list(struct reading *r, int64_t n, struct redis_reply *out) {
    if (n > RESP_ITEMS_MAX || (r->items += (uint32_t)n) > RESP_ITEMS_MAX)
        return RESP_BROKEN;
    struct redis_reply *item = arena_try(r->arena, (size_t)n * sizeof *item + 1);
    if (!item)
        return RESP_BROKEN;
    *out = (struct redis_reply){.kind = REDIS_LIST, .item = item, .count = (uint32_t)n};
    return RESP_WHOLE;
}

/* One value; of a list its head alone. */
static enum resp_result value(struct reading *r, struct redis_reply *out) {
    struct span s;
    int64_t n;
    if (!line(r, &s))
        return r->in.n - r->at > RESP_REPLY_MAX ? RESP_BROKEN : RESP_MORE;
    if (!s.n || s.p[s.n + 1] != '\n')
        return RESP_BROKEN;
    r->at += s.n + 2;
    struct span rest = span_from(s, 1);
    *out = (struct redis_reply){.text = rest};
    switch (s.p[0]) {
    case '+':
        out->kind = REDIS_TEXT;
        return RESP_WHOLE;
    case '-':
        out->kind = REDIS_ERROR;
        return RESP_WHOLE;
    case ':':
        out->kind = REDIS_INTEGER;
        return integer(rest, &out->integer) ? RESP_WHOLE : RESP_BROKEN;
    case '$':
    case '*':
        if (!integer(rest, &n) || n < -1)
            return RESP_BROKEN;
        if (n >= 0)
            return s.p[0] == '$' ? bulk(r, n, out) : list(r, n, out);
        *out = (struct redis_reply){.kind = REDIS_NULL};
        return RESP_WHOLE;
    default:
        return RESP_BROKEN;
    }
}

enum resp_result resp_read(struct arena *a, struct span in, struct redis_reply *out, size_t *used) {
    struct reading r = {.arena = a, .in = in};
    struct level open[RESP_DEPTH];
    unsigned depth = 0;
    struct redis_reply *to = out;
    for (;;) {
        enum resp_result got = value(&r, to);
        if (got == RESP_MORE && in.n > RESP_REPLY_MAX)
            return RESP_BROKEN;
        if (got != RESP_WHOLE)
            return got;
        if (to->kind == REDIS_LIST && to->count) {
            if (depth == RESP_DEPTH)
                return RESP_BROKEN;
            open[depth++] = (struct level){(struct redis_reply *)(uintptr_t)to->item, to->count, 0};
        }
        while (depth && open[depth - 1].at == open[depth - 1].count)
            depth--;
        if (!depth)
            break;
        to = &open[depth - 1].item[open[depth - 1].at++];
    }
    *used = r.at;
    return RESP_WHOLE;
}

void resp_list(struct str *out, size_t n) {
    str_char(out, '*');
    str_u64(out, n);
    str_lit(out, "\r\n");
}

void resp_text(struct str *out, struct span text) {
    str_char(out, '$');
    str_u64(out, text.n);
    str_lit(out, "\r\n");
    str_add(out, text);
    str_lit(out, "\r\n");
}

void resp_number(struct str *out, uint64_t n) {
    char buf[24];
    struct str s = str_on(buf, sizeof buf);
    str_u64(&s, n);
    resp_text(out, str_span(&s));
}
