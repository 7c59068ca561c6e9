/* Classes of characters and escapes in a pattern. */
#include "data/linear_code.h"

enum { CLASSES_MAX = 1000, RANGES_MAX = 4096, LAST = 0x10ffff };

struct linear_class *linear_class_new(struct linear_parse *p) {
    if (p->classes == CLASSES_MAX) {
        linear_wrong(p, p->at, "the pattern has too many classes");
        return NULL;
    }
    if (p->classes == p->class_cap) {
        uint32_t cap = p->class_cap ? p->class_cap * 2 : 8;
        struct linear_class *more = arena_try(p->a, cap * sizeof *more);
        if (!more) {
            linear_wrong(p, p->at, "no memory for the pattern");
            return NULL;
        }
        if (p->classes)
            memcpy(more, p->class_at, p->classes * sizeof *more);
        p->class_at = more;
        p->class_cap = cap;
    }
    struct linear_class *c = &p->class_at[p->classes++];
    *c = (struct linear_class){0};
    return c;
}

static void add_ascii(struct linear_class *c, uint32_t ch) {
    c->ascii[ch >> 6] |= UINT64_C(1) << (ch & 63);
}

/* Of a letter both cases, and the two characters beyond ASCII that fold to one. */
static void add_folded(struct linear_parse *p, struct linear_class *c, uint32_t ch) {
    uint32_t l = ch | 0x20;
    if (l < 'a' || l > 'z')
        return;
    add_ascii(c, l);
    add_ascii(c, l - 0x20);
    if (l == 'k')
        linear_class_add(p, c, 0x212a, 0x212a); /* the Kelvin sign */
    if (l == 's')
        linear_class_add(p, c, 0x17f, 0x17f); /* the long s */
}

static void add_wide(struct linear_parse *p, struct linear_class *c, uint32_t low, uint32_t high) {
    /* Grown by one block of a power of two at a time. */
    if ((c->ranges & (c->ranges - 1)) == 0) {
        uint32_t cap = c->ranges ? c->ranges * 2 : 2;
        struct linear_range *more =
            c->ranges < RANGES_MAX ? arena_try(p->a, cap * sizeof *more) : NULL;
        if (!more) {
            linear_wrong(p, p->at, "a class has too many ranges");
            return;
        }
        if (c->ranges)
            memcpy(more, c->range, c->ranges * sizeof *more);
        c->range = more;
    }
    c->range[c->ranges++] = (struct linear_range){low, high};
}

void linear_class_add(struct linear_parse *p, struct linear_class *c, uint32_t low, uint32_t high) {
    for (uint32_t ch = low; ch <= high && ch < 128; ch++) {
        add_ascii(c, ch);
        if (p->fold)
            add_folded(p, c, ch);
    }
    if (high >= 128)
        add_wide(p, c, low < 128 ? 128 : low, high);
}

void linear_class_not(struct linear_class *c) {
    c->ascii[0] = ~c->ascii[0];
    c->ascii[1] = ~c->ascii[1];
    c->other = !c->other;
}

/* All of them are ASCII; in lower case: what is in, in upper case: what is not. */
static const struct {
    char letter;
    const char *ranges; /* pairs */
} perl[] = {{'d', "09"}, {'w', "09AZ__az"}, {'s', "\t\n\f\r  "}};

static void add_pairs(struct linear_class *c, const char *pair, bool inside) {
    uint64_t in[2] = {0};
    for (; *pair; pair += 2)
        for (unsigned char ch = (unsigned char)pair[0]; ch <= (unsigned char)pair[1]; ch++)
            in[ch >> 6] |= UINT64_C(1) << (ch & 63);
    c->ascii[0] |= inside ? in[0] : ~in[0];
    c->ascii[1] |= inside ? in[1] : ~in[1];
}

bool linear_class_perl(struct linear_parse *p, struct linear_class *c, char letter) {
    for (size_t i = 0; i < array_len(perl); i++) {
        if (lower(letter) != perl[i].letter)
            continue;
        bool inside = letter == perl[i].letter;
        add_pairs(c, perl[i].ranges, inside);
        if (!inside)
            add_wide(p, c, 128, LAST);
        return true;
    }
    return false;
}

static const struct {
    struct span name;
    const char *ranges;
} posix[] = {
    {SPAN("alnum"), "09AZaz"},
    {SPAN("alpha"), "AZaz"},
    {SPAN("ascii"), "\x01\x7f"},
    {SPAN("blank"), "\t\t  "},
    {SPAN("cntrl"), "\x01\x1f\x7f\x7f"},
    {SPAN("digit"), "09"},
    {SPAN("graph"), "!~"},
    {SPAN("lower"), "az"},
    {SPAN("print"), " ~"},
    {SPAN("punct"), "!/:@[`{~"},
    {SPAN("space"), "\t\r  "},
    {SPAN("upper"), "AZ"},
    {SPAN("word"), "09AZ__az"},
    {SPAN("xdigit"), "09AFaf"},
};

/* "[:alpha:]" or "[:^alpha:]", if it stands there. False: an unknown name. */
static bool take_posix(struct linear_parse *p, struct linear_class *c, bool *taken) {
    struct span rest = span_from(p->s, p->at);
    *taken = false;
    if (!span_starts(rest, SPAN("[:")))
        return true;
    const char *end = memmem(rest.p + 2, rest.n - 2, ":]", 2);
    if (!end)
        return true;
    struct span name = span_of(rest.p + 2, (size_t)(end - rest.p) - 2);
    bool inside = !span_starts(name, SPAN("^"));
    name = inside ? name : span_from(name, 1);
    for (size_t i = 0; i < array_len(posix); i++) {
        if (!span_eq(name, posix[i].name))
            continue;
        bool one_case = p->fold && (span_eq(name, SPAN("lower")) || span_eq(name, SPAN("upper")));
        add_pairs(c, one_case ? "AZaz" : posix[i].ranges, inside);
        bool zero = i == 2 || i == 4; /* ascii and cntrl have NUL, which a pair cannot say */
        if (zero)
            c->ascii[0] = inside ? c->ascii[0] | 1 : c->ascii[0] & ~UINT64_C(1);
        if (!inside)
            add_wide(p, c, 128, LAST);
        p->at += name.n + 4 + !inside;
        *taken = true;
        return true;
    }
    return linear_wrong(p, p->at, "there is no character class of that name");
}

static bool hex(struct linear_parse *p, uint32_t *out) {
    struct span rest = span_from(p->s, p->at + 1), digits = span_cut(rest, 0, 2);
    bool braces = rest.n > 0 && rest.p[0] == '{';
    uint64_t v = 0;
    if (braces) {
        ptrdiff_t end = span_find(rest, '}');
        digits = span_cut(rest, 1, end < 0 ? 0 : (size_t)end - 1);
    }
    if ((!braces && digits.n != 2) || !parse_hex(digits, &v) || v > LAST)
        return linear_wrong(p, p->at, "\\x takes two digits, or {digits} up to 10FFFF");
    p->at += 1 + digits.n + (braces ? 2 : 0);
    *out = (uint32_t)v;
    return true;
}

static void octal(struct linear_parse *p, uint32_t *out) {
    uint32_t v = 0;
    for (int i = 0; i < 3 && p->at < p->s.n && p->s.p[p->at] >= '0' && p->s.p[p->at] <= '7'; i++)
        v = v * 8 + (uint32_t)(p->s.p[p->at++] - '0');
    *out = v;
}

bool linear_escape(struct linear_parse *p, uint32_t *out) {
    static const char letter[] = "aftnrv", value[] = "\a\f\t\n\r\v";
    if (p->at >= p->s.n)
        return linear_wrong(p, p->s.n, "the pattern ends with a backslash");
    char ch = p->s.p[p->at], next = p->at + 1 < p->s.n ? p->s.p[p->at + 1] : 0;
    if (ch == 'x')
        return hex(p, out);
    if (ch == '0' || (ch >= '1' && ch <= '7' && next >= '0' && next <= '7')) {
        octal(p, out);
        return true;
    }
    const char *known = ch ? strchr(letter, ch) : NULL;
    bool word = (lower(ch) >= 'a' && lower(ch) <= 'z') || (ch >= '0' && ch <= '9') || ch & 0x80;
    if (ch == 'p' || ch == 'P')
        return linear_unicode(p);
    if (!known && word)
        return linear_wrong(p, p->at - 1, "there is no such escape");
    *out = known ? (uint32_t)value[known - letter] : (unsigned char)ch;
    p->at++;
    return true;
}

/* One end of a range. *was_class: it was \d or the like instead, and is in c already. */
static bool take_member(struct linear_parse *p, struct linear_class *c, uint32_t *out,
                        bool *was_class) {
    *was_class = false;
    if (p->s.p[p->at] == '\\') {
        p->at++;
        if (p->at < p->s.n && linear_class_perl(p, c, p->s.p[p->at])) {
            p->at++;
            *was_class = true;
            return true;
        }
        return linear_escape(p, out);
    }
    size_t n;
    *out = linear_char(p->s, p->at, &n);
    p->at += n;
    return true;
}

static bool take_range(struct linear_parse *p, struct linear_class *c) {
    size_t from = p->at;
    uint32_t low = 0, high;
    bool was_class;
    if (!take_posix(p, c, &was_class) || was_class)
        return p->result == LINEAR_FINE;
    if (!take_member(p, c, &low, &was_class) || was_class)
        return p->result == LINEAR_FINE;
    high = low;
    if (p->at + 1 < p->s.n && p->s.p[p->at] == '-' && p->s.p[p->at + 1] != ']') {
        p->at++;
        if (!take_member(p, c, &high, &was_class))
            return false;
        if (was_class || high < low)
            return linear_wrong(p, from, "the range is not from low to high");
    }
    if (p->fold && high >= 128)
        return linear_unicode(p);
    linear_class_add(p, c, low, high);
    return p->result == LINEAR_FINE;
}

bool linear_class_parse(struct linear_parse *p, struct linear_class *c) {
    size_t from = p->at - 1;
    bool inside = !(p->at < p->s.n && p->s.p[p->at] == '^');
    p->at += !inside;
    bool first = true;
    for (; p->at < p->s.n && (first || p->s.p[p->at] != ']'); first = false)
        if (!take_range(p, c))
            return false;
    if (p->at >= p->s.n)
        return linear_wrong(p, from, "the ] that ends the class is missing");
    p->at++;
    if (!inside)
        linear_class_not(c);
    return true;
}
