/* Making texts of texts. */
#include "expr/lib.h"

static bool ascii_case(struct expr_call *c, char from, char to) {
    struct span s = lib_span(c, 0);
    size_t at = 0;
    while (at < s.n && (s.p[at] < from || s.p[at] > to))
        at++;
    if (at == s.n) /* nothing changes: nothing is copied */
        return lib_spend_bytes(c, s.n) && lib_given_string(c, s);
    char *p = lib_spend_bytes(c, 2 * s.n) ? expr_memory(c, s.n) : NULL;
    if (!p)
        return false;
    for (size_t i = 0; i < s.n; i++)
        p[i] = s.p[i] >= from && s.p[i] <= to ? (char)(s.p[i] ^ 0x20) : s.p[i];
    return lib_given_string(c, span_of(p, s.n));
}

static bool lower_ascii(struct expr_call *c) {
    return ascii_case(c, 'A', 'Z');
}

static bool upper_ascii(struct expr_call *c) {
    return ascii_case(c, 'a', 'z');
}

/* The next place of `what` in s behind `at` (an empty one: the next character). */
static bool next_place(struct span s, struct span what, size_t at, size_t *place) {
    if (what.n == 0) {
        size_t step = lib_character_at(span_from(s, at), 1);
        *place = step == SIZE_MAX ? s.n : at + step;
        return at < s.n;
    }
    const char *p = at < s.n ? memmem(s.p + at, s.n - at, what.p, what.n) : NULL;
    *place = p ? (size_t)(p - s.p) : s.n;
    return p != NULL;
}

/* An empty `what` stands before every character and at the end. */
static bool replace_up_to(struct expr_call *c, int64_t most) {
    struct span s = lib_span(c, 0), what = lib_span(c, 1), by = lib_span(c, 2);
    struct lib_text t = {.c = c};
    size_t at = 0, place;
    int64_t done = 0;
    if (!lib_spend_bytes(c, s.n))
        return false;
    if (what.n == 0 && most != 0) {
        lib_put(&t, by);
        done++;
    }
    while ((most < 0 || done < most) && !t.failed && next_place(s, what, at, &place)) {
        if (!expr_spend(c, 1))
            return false;
        lib_put(&t, span_cut(s, at, place - at));
        lib_put(&t, by);
        at = place + what.n;
        done++;
    }
    if (done == 0)
        return lib_given_string(c, s);
    lib_put(&t, span_from(s, at));
    return lib_text_give(&t);
}

static bool replace(struct expr_call *c) {
    return replace_up_to(c, -1);
}

static bool replace_some(struct expr_call *c) {
    return replace_up_to(c, c->arg[3].i);
}

/* At most `most` parts; negative: all. An empty separator splits into characters. */
static bool split_up_to(struct expr_call *c, int64_t most) {
    struct span s = lib_span(c, 0), sep = lib_span(c, 1);
    struct lib_items l = {.c = c};
    size_t at = 0, place;
    if (!lib_spend_bytes(c, s.n) || most == 0 || (s.n == 0 && sep.n == 0))
        return c->run->steps > 0 && lib_list_of(c, NULL, 0);
    while ((most < 0 || (int64_t)l.n + 1 < most) && next_place(s, sep, at, &place)) {
        if (sep.n == 0 && place == s.n) /* the last character is the rest */
            break;
        if (!expr_spend(c, 1) || !lib_add(&l, value_string(span_cut(s, at, place - at))))
            return false;
        at = place + sep.n;
    }
    return lib_add(&l, value_string(span_from(s, at))) && lib_list_of(c, l.item, l.n);
}

static bool split(struct expr_call *c) {
    return split_up_to(c, -1);
}

static bool split_some(struct expr_call *c) {
    return split_up_to(c, c->arg[2].i);
}

static bool join_with(struct expr_call *c, struct span sep) {
    struct lib_text t = {.c = c};
    uint32_t n = value_count(&c->arg[0]);
    for (uint32_t i = 0; i < n && !t.failed; i++) {
        struct value v;
        if (!lib_item(c, &c->arg[0], i, &v))
            return false;
        if (v.kind != VALUE_STRING)
            return lib_no_overload(c);
        if (i)
            lib_put(&t, sep);
        lib_put(&t, value_span(&v));
    }
    return lib_text_give(&t);
}

static bool join(struct expr_call *c) {
    return join_with(c, SPAN(""));
}

static bool join_by(struct expr_call *c) {
    return join_with(c, lib_span(c, 1));
}

/* Bytes of the white space that s begins with, by Unicode's White_Space; 0: none. */
static size_t space(struct span s) {
    static const struct span wide[] = {
        SPAN("\xc2\x85"), SPAN("\u00a0"), SPAN("\u1680"), SPAN("\u2028"),
        SPAN("\u2029"),   SPAN("\u202f"), SPAN("\u205f"), SPAN("\u3000"),
    };
    if (s.n == 0)
        return 0;
    if (s.p[0] == ' ' || (s.p[0] >= '\t' && s.p[0] <= '\r'))
        return 1;
    if (s.n >= 3 && memcmp(s.p, "\xe2\x80", 2) == 0 && (unsigned char)s.p[2] >= 0x80 &&
        (unsigned char)s.p[2] <= 0x8a) /* U+2000 to U+200A */
        return 3;
    for (size_t i = 0; i < array_len(wide); i++)
        if (span_starts(s, wide[i]))
            return wide[i].n;
    return 0;
}

static bool trim(struct expr_call *c) {
    struct span s = lib_span(c, 0);
    size_t n;
    if (!lib_spend_bytes(c, s.n))
        return false;
    while ((n = space(s)) > 0)
        s = span_from(s, n);
    while (s.n > 0) {
        n = 1;
        while (n < 4 && n < s.n && ((unsigned char)s.p[s.n - n] & 0xc0) == 0x80)
            n++;
        if (space(span_from(s, s.n - n)) != n)
            break;
        s.n -= n;
    }
    return lib_given_string(c, s);
}

static bool reverse(struct expr_call *c) {
    struct span s = lib_span(c, 0);
    char *p = lib_spend_bytes(c, 2 * s.n) ? expr_memory(c, s.n) : NULL;
    if (!p)
        return false;
    for (size_t at = 0; at < s.n;) {
        size_t n = utf8_len((const unsigned char *)s.p + at, s.n - at);
        n = n ? n : 1;
        memcpy(p + (s.n - at - n), s.p + at, n);
        at += n;
    }
    return lib_given_string(c, span_of(p, s.n));
}

static void put_quoted(struct lib_text *t, struct span s) {
    static const char plain[] = "\a\b\f\n\r\t\v\\\"", letter[] = "abfnrtv\\\"";
    for (size_t at = 0; at < s.n && !t->failed;) {
        const char *known = s.p[at] ? strchr(plain, s.p[at]) : NULL;
        size_t n = utf8_len((const unsigned char *)s.p + at, s.n - at);
        if (known) {
            lib_put_char(t, '\\');
            lib_put_char(t, letter[known - plain]);
        } else if (n) {
            lib_put(t, span_cut(s, at, n));
        } else {
            lib_put_lit(t, "\uFFFD");
        }
        at += n ? n : 1;
    }
}

static bool quote(struct expr_call *c) {
    struct lib_text t = {.c = c};
    struct span s = lib_span(c, 0);
    if (!lib_spend_bytes(c, s.n))
        return false;
    lib_put_char(&t, '"');
    put_quoted(&t, s);
    lib_put_char(&t, '"');
    return lib_text_give(&t);
}

const struct expr_function lib_string[] = {
    {.signature = "string.lowerAscii() -> string", .fn = lower_ascii},
    {.signature = "string.upperAscii() -> string", .fn = upper_ascii},
    {.signature = "string.replace(string, string) -> string", .fn = replace},
    {.signature = "string.replace(string, string, int) -> string", .fn = replace_some},
    {.signature = "string.split(string) -> list<string>", .fn = split},
    {.signature = "string.split(string, int) -> list<string>", .fn = split_some},
    {.signature = "list<string>.join() -> string", .fn = join},
    {.signature = "list<string>.join(string) -> string", .fn = join_by},
    {.signature = "string.trim() -> string", .fn = trim},
    {.signature = "string.reverse() -> string", .fn = reverse},
    {.signature = "strings.quote(string) -> string", .fn = quote},
    {0},
};
