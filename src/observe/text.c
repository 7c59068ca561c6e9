#include "observe/text.h"
#include "base/env.h"

void text_finish(struct text *t) {
    mem_free(t->p);
    *t = (struct text){.max = t->max};
}

char *text_room(struct text *t, size_t n) {
    if (t->full || n > t->max - t->n) {
        t->full = true;
        return NULL;
    }
    if (n > t->cap - t->n) {
        size_t cap = t->cap ? t->cap : 4096;
        while (cap < t->n + n)
            cap *= 2;
        char *p = mem_try(cap);
        if (!p) {
            t->full = true;
            return NULL;
        }
        if (t->n)
            memcpy(p, t->p, t->n);
        mem_free(t->p);
        t->p = p;
        t->cap = cap;
    }
    return t->p + t->n;
}

void text_put(struct text *t, const char *p, size_t n) {
    char *to = text_room(t, n);
    if (to && n) {
        memcpy(to, p, n);
        t->n += n;
    }
}

void text_u64(struct text *t, uint64_t v) {
    char buf[20];
    struct str s = str_on(buf, sizeof buf);
    str_u64(&s, v);
    text_add(t, str_span(&s));
}

void text_seconds(struct text *t, uint64_t ns) {
    char digits[10];
    uint64_t fraction = ns % 1000000000;
    size_t n = sizeof digits;
    text_u64(t, ns / 1000000000);
    if (!fraction)
        return;
    for (size_t i = n; i-- > 1; fraction /= 10)
        digits[i] = (char)('0' + fraction % 10);
    digits[0] = '.';
    while (digits[n - 1] == '0')
        n--;
    text_put(t, digits, n);
}

void text_json(struct text *t, struct span v) {
    size_t max = 6 * v.n;
    char *to = text_room(t, max);
    if (!to)
        return;
    struct str s = str_on(to, max);
    str_json(&s, v);
    t->n += s.n;
}

static void key_of(struct text *t, const char *key) {
    if (t->n && t->p[t->n - 1] != '{' && t->p[t->n - 1] != '[')
        text_lit(t, ",");
    if (!key)
        return;
    text_lit(t, "\"");
    text_json(t, span_z(key));
    text_lit(t, "\":");
}

void json_open(struct text *t, const char *key, char bracket) {
    key_of(t, key);
    text_put(t, &bracket, 1);
}

void json_close(struct text *t, char bracket) {
    text_put(t, &bracket, 1);
}

void json_str(struct text *t, const char *key, struct span v) {
    key_of(t, key);
    if (!v.p) {
        text_lit(t, "null");
        return;
    }
    text_lit(t, "\"");
    text_json(t, v);
    text_lit(t, "\"");
}

void json_u64(struct text *t, const char *key, uint64_t v) {
    key_of(t, key);
    text_u64(t, v);
}

void json_bool(struct text *t, const char *key, bool v) {
    key_of(t, key);
    text_z(t, v ? "true" : "false");
}

void json_seconds(struct text *t, const char *key, uint64_t ns) {
    key_of(t, key);
    text_seconds(t, ns);
}
