/* The parser: code is made as the pattern is read. A piece that is repeated or an alternative gets
 * its jumps put in front of it, which is what relative jumps are for. No recursion: open groups
 * stand on a stack. */
#include "data/linear.h"
#include "base/env.h"
#include "data/linear_code.h"

struct group {
    size_t from;                  /* of the pattern: its "(" */
    uint32_t start, branch;       /* of the code: the group, its alternative under way */
    int32_t ends;                 /* the last jump to the end + 1; each holds the one before */
    int32_t slot;                 /* of its end, or -1 */
    bool fold, lines, dots, lazy; /* flags outside, back at its end */
};

struct linear_build {
    struct linear_parse p;
    struct linear_code *code;
    uint32_t count, groups;
    struct group open[LINEAR_DEPTH_MAX];
    size_t depth;
    uint32_t atom; /* where the last piece begins */
    bool has_atom; /* there is one that may be repeated */
    bool repeated; /* and it is already: "a**" is a mistake */
};

bool linear_wrong(struct linear_parse *p, size_t at, const char *text) {
    if (p->result != LINEAR_FINE)
        return false;
    struct str s = str_on(p->err->text, sizeof p->err->text - 1);
    str_add(&s, span_z(text));
    p->err->text[s.n] = 0;
    p->err->at = at;
    p->result = LINEAR_WRONG;
    return false;
}

bool linear_unicode(struct linear_parse *p) {
    if (p->result == LINEAR_FINE)
        p->result = LINEAR_UNICODE;
    return false;
}

/* Room for n more at `at`, what stands behind moved. False: too much. */
static bool insert(struct linear_build *b, uint32_t at, uint32_t n) {
    if (n > LINEAR_CODE_MAX - b->count)
        return linear_wrong(&b->p, b->p.at, "the pattern is too large");
    memmove(b->code + at + n, b->code + at, (b->count - at) * sizeof *b->code);
    b->count += n;
    return true;
}

static bool emit(struct linear_build *b, enum linear_op op, int32_t x, int32_t y) {
    if (!insert(b, b->count, 1))
        return false;
    b->code[b->count - 1] = (struct linear_code){op, x, y};
    return true;
}

static bool insert_split(struct linear_build *b, uint32_t at, int32_t x, int32_t y) {
    if (!insert(b, at, 1))
        return false;
    b->code[at] = (struct linear_code){OP_SPLIT, x, y};
    return true;
}

static bool begin_atom(struct linear_build *b) {
    b->atom = b->count;
    b->has_atom = true;
    b->repeated = false;
    return true;
}

static bool put_char(struct linear_build *b, uint32_t ch) {
    struct linear_parse *p = &b->p;
    uint32_t l = ch | 0x20;
    if (!p->fold || (ch < 128 && (l < 'a' || l > 'z')))
        return emit(b, OP_CHAR, (int32_t)ch, 0);
    if (ch >= 128)
        return linear_unicode(p);
    struct linear_class *c = linear_class_new(p);
    if (!c)
        return false;
    linear_class_add(p, c, ch, ch);
    return p->result == LINEAR_FINE && emit(b, OP_CLASS, (int32_t)p->classes - 1, 0);
}

static bool put_class(struct linear_build *b, char letter) {
    struct linear_parse *p = &b->p;
    struct linear_class *c = linear_class_new(p);
    bool fine = c && (letter == '[' ? linear_class_parse(p, c) : linear_class_perl(p, c, letter));
    return fine && emit(b, OP_CLASS, (int32_t)p->classes - 1, 0);
}

/* ---- repeats ---- */

/* Greedy goes in first; lazy the other way. */
static bool star(struct linear_build *b, uint32_t from, bool lazy) {
    int32_t n = (int32_t)(b->count - from);
    return (lazy ? insert_split(b, from, n + 2, 1) : insert_split(b, from, 1, n + 2)) &&
           emit(b, OP_JUMP, -n - 1, 0);
}

static bool plus(struct linear_build *b, uint32_t from, bool lazy) {
    int32_t n = (int32_t)(b->count - from);
    return lazy ? emit(b, OP_SPLIT, 1, -n) : emit(b, OP_SPLIT, -n, 1);
}

static bool maybe(struct linear_build *b, uint32_t from, bool lazy) {
    int32_t n = (int32_t)(b->count - from);
    return lazy ? insert_split(b, from, n + 1, 1) : insert_split(b, from, 1, n + 1);
}

static bool copy(struct linear_build *b, uint32_t from, uint32_t n) {
    uint32_t at = b->count;
    if (!insert(b, at, n))
        return false;
    memcpy(b->code + at, b->code + from, n * sizeof *b->code);
    return true;
}

/* x{low,high}; high < 0: no end. The optional ones at the end leave together: (x(x)?)?. */
static bool repeat(struct linear_build *b, int low, int high, bool lazy) {
    uint32_t from = b->atom, n = b->count - from, last = from;
    if (low == 0 && high < 0)
        return star(b, from, lazy);
    if (high == 0) {
        b->count = from;
        return true;
    }
    for (int i = 1; i < low; i++) {
        last = b->count;
        if (!copy(b, from, n))
            return false;
    }
    if (high < 0)
        return plus(b, last, lazy);
    uint32_t more = (uint32_t)(high - low);
    if (low == 0) { /* the first itself is optional */
        if (!maybe(b, from, lazy))
            return false;
        more--;
    }
    uint32_t whole = more * (n + 1), tail = b->count, at = low == 0 ? from + 1 : from;
    if (low == 0) { /* and leaves behind all that follow */
        int32_t far = (int32_t)(n + 1 + whole);
        b->code[from] = (struct linear_code){OP_SPLIT, lazy ? far : 1, lazy ? 1 : far};
    }
    for (uint32_t i = 0; i < more; i++) {
        int32_t far = (int32_t)(whole - (b->count - tail));
        if (!emit(b, OP_SPLIT, lazy ? far : 1, lazy ? 1 : far) || !copy(b, at, n))
            return false;
    }
    return true;
}

static bool take_count(struct linear_parse *p, size_t *at, int *out) {
    size_t from = *at;
    int v = 0;
    while (*at < p->s.n && p->s.p[*at] >= '0' && p->s.p[*at] <= '9') {
        v = v > LINEAR_REPEAT_MAX ? v : v * 10 + (p->s.p[*at] - '0');
        ++*at;
    }
    *out = v;
    return *at > from;
}

/* "{2}", "{2,}", "{2,5}" at p->at; anything else is a plain brace. */
static bool take_braces(struct linear_parse *p, int *low, int *high) {
    size_t at = p->at + 1;
    if (!take_count(p, &at, low))
        return false;
    *high = *low;
    if (at < p->s.n && p->s.p[at] == ',') {
        at++;
        if (!take_count(p, &at, high))
            *high = -1;
    }
    if (at >= p->s.n || p->s.p[at] != '}')
        return false;
    p->at = at + 1;
    return true;
}

static bool take_repeat(struct linear_build *b, char ch) {
    struct linear_parse *p = &b->p;
    size_t from = p->at;
    int low = ch == '+', high = ch == '?' ? 1 : -1;
    if (ch != '{')
        p->at++;
    else if (!take_braces(p, &low, &high))
        return begin_atom(b) && ++p->at && put_char(b, '{');
    if (!b->has_atom)
        return linear_wrong(p, from, "there is nothing in front of it to repeat");
    if (b->repeated)
        return linear_wrong(p, from, "it is repeated already");
    if (low > LINEAR_REPEAT_MAX || high > LINEAR_REPEAT_MAX)
        return linear_wrong(p, from, "more than 1000 repeats");
    if (high >= 0 && high < low)
        return linear_wrong(p, from, "the repeat is not from low to high");
    bool lazy = p->lazy;
    if (p->at < p->s.n && p->s.p[p->at] == '?') {
        lazy = !lazy;
        p->at++;
    }
    b->repeated = true;
    return repeat(b, low, high, lazy);
}

/* ---- groups ---- */

static bool open_group(struct linear_build *b, size_t from, int32_t slot) {
    struct linear_parse *p = &b->p;
    if (b->depth == LINEAR_DEPTH_MAX)
        return linear_wrong(p, from, "groups lie too deep in each other");
    b->open[b->depth++] =
        (struct group){from, b->count, b->count, 0, slot, p->fold, p->lines, p->dots, p->lazy};
    b->has_atom = false;
    if (slot < 0)
        return true;
    b->open[b->depth - 1].branch++; /* the alternatives begin behind the SAVE */
    return emit(b, OP_SAVE, slot, 0);
}

static bool capture(struct linear_build *b, size_t from) {
    if (++b->groups >= REGEX_GROUPS_MAX)
        return linear_wrong(&b->p, from,
                            "the pattern has more than 31 groups; (?:..) does not count");
    return open_group(b, from, (int32_t)(2 * b->groups));
}

static bool alternative(struct linear_build *b) {
    struct group *g = &b->open[b->depth - 1];
    int32_t n = (int32_t)(b->count - g->branch);
    if (!insert_split(b, g->branch, 1, n + 2) || !emit(b, OP_JUMP, g->ends, 0))
        return false;
    g->ends = (int32_t)b->count; /* place + 1, until the end is known */
    g->branch = b->count;
    b->has_atom = false;
    return true;
}

static bool close_group(struct linear_build *b) {
    struct linear_parse *p = &b->p;
    struct group g = b->open[--b->depth];
    for (int32_t at = g.ends; at > 0;) {
        struct linear_code *jump = &b->code[at - 1];
        int32_t before = jump->a;
        jump->a = (int32_t)b->count - (at - 1);
        at = before;
    }
    p->fold = g.fold;
    p->lines = g.lines;
    p->dots = g.dots;
    p->lazy = g.lazy;
    b->atom = g.start;
    b->has_atom = true;
    b->repeated = false;
    return g.slot < 0 || emit(b, OP_SAVE, g.slot + 1, 0);
}

/* The letters of "(?i-s:" from p->at on. */
static bool take_flags(struct linear_build *b, size_t from) {
    struct linear_parse *p = &b->p;
    struct group outside = {0, 0, 0, 0, 0, p->fold, p->lines, p->dots, p->lazy};
    bool on = true, any = false;
    for (; p->at < p->s.n; p->at++) {
        char ch = p->s.p[p->at];
        if (ch == ')' || ch == ':')
            break;
        any = true;
        if (ch == 'i')
            p->fold = on;
        else if (ch == 'm')
            p->lines = on;
        else if (ch == 's')
            p->dots = on;
        else if (ch == 'U')
            p->lazy = on;
        else if (ch == '-' && on)
            on = any = false;
        else
            return linear_wrong(p, from, "RE2 has no group of this kind");
    }
    if (p->at >= p->s.n)
        return linear_wrong(p, from, "the ) that ends the group is missing");
    bool scoped = p->s.p[p->at++] == ':';
    if (!any && !(scoped && on))
        return linear_wrong(p, from, "flags are missing in (?..)");
    b->has_atom = false;
    if (!scoped)
        return true;
    struct linear_parse inside = *p;
    p->fold = outside.fold, p->lines = outside.lines;
    p->dots = outside.dots, p->lazy = outside.lazy;
    if (!open_group(b, from, -1))
        return false;
    p->fold = inside.fold, p->lines = inside.lines;
    p->dots = inside.dots, p->lazy = inside.lazy;
    return true;
}

/* "(?P<name>" and "(?<name>", p->at at the name. */
static bool take_name(struct linear_build *b, size_t from) {
    struct linear_parse *p = &b->p;
    size_t n = p->at;
    while (n < p->s.n && p->s.p[n] != '>') {
        char l = lower(p->s.p[n]);
        if (!((l >= 'a' && l <= 'z') || l == '_' || (l >= '0' && l <= '9')))
            break;
        n++;
    }
    if (n >= p->s.n || p->s.p[n] != '>' || n == p->at)
        return linear_wrong(p, p->at, "a group's name is letters, digits and _, and ends with >");
    p->at = n + 1;
    return capture(b, from);
}

static bool take_group(struct linear_build *b) {
    struct linear_parse *p = &b->p;
    size_t from = p->at++;
    struct span rest = span_from(p->s, p->at);
    if (rest.n == 0 || rest.p[0] != '?')
        return capture(b, from);
    bool look = span_starts(rest, SPAN("?<=")) || span_starts(rest, SPAN("?<!"));
    bool named = span_starts(rest, SPAN("?P<"));
    if (named || (span_starts(rest, SPAN("?<")) && !look)) {
        p->at += named ? 3 : 2;
        return take_name(b, from);
    }
    p->at++;
    return take_flags(b, from);
}

/* ---- the rest ---- */

static bool put_assert(struct linear_build *b, enum linear_assert what) {
    return begin_atom(b) && emit(b, OP_ASSERT, (int32_t)what, 0);
}

/* "\Q..\E": plain characters up to the \E, or the end. */
static bool take_quoted(struct linear_build *b) {
    struct linear_parse *p = &b->p;
    while (p->at < p->s.n && !span_starts(span_from(p->s, p->at), SPAN("\\E"))) {
        size_t n;
        uint32_t ch = linear_char(p->s, p->at, &n);
        begin_atom(b);
        if (!put_char(b, ch))
            return false;
        p->at += n;
    }
    p->at += p->at < p->s.n ? 2 : 0;
    return true;
}

static bool take_backslash(struct linear_build *b) {
    struct linear_parse *p = &b->p;
    char ch = ++p->at < p->s.n ? p->s.p[p->at] : 0;
    uint32_t c;
    switch (ch) {
    case 'A':
    case 'z':
    case 'b':
    case 'B':
        p->at++;
        return put_assert(b, ch == 'A'   ? AT_BEGIN
                             : ch == 'z' ? AT_END
                             : ch == 'b' ? AT_WORD
                                         : AT_NO_WORD);
    case 'Q':
        p->at++;
        return take_quoted(b);
    case 'd':
    case 'D':
    case 's':
    case 'S':
    case 'w':
    case 'W':
        p->at++;
        begin_atom(b);
        return put_class(b, ch);
    default:
        break;
    }
    begin_atom(b);
    return linear_escape(p, &c) && put_char(b, c);
}

static bool take_plain(struct linear_build *b) {
    size_t n;
    uint32_t ch = linear_char(b->p.s, b->p.at, &n);
    if (ch == 0xfffd && n == 1)
        return linear_wrong(&b->p, b->p.at, "the pattern is not UTF-8");
    begin_atom(b);
    b->p.at += n;
    return put_char(b, ch);
}

static bool take(struct linear_build *b) {
    struct linear_parse *p = &b->p;
    char ch = p->s.p[p->at];
    switch (ch) {
    case '*':
    case '+':
    case '?':
    case '{':
        return take_repeat(b, ch);
    case '(':
        return take_group(b);
    case '\\':
        return take_backslash(b);
    case ')':
    case '|':
    case '[':
    case '.':
    case '^':
    case '$':
        break;
    default:
        return take_plain(b);
    }
    size_t from = p->at++;
    switch (ch) {
    case ')':
        return b->depth > 1 ? close_group(b)
                            : linear_wrong(p, from, "there is no ( that this ) ends");
    case '|':
        return alternative(b);
    case '[':
        return begin_atom(b) && put_class(b, '[');
    case '.':
        return begin_atom(b) && emit(b, p->dots ? OP_ANY : OP_LINE, 0, 0);
    case '^':
        return put_assert(b, p->lines ? AT_LINE_BEGIN : AT_BEGIN);
    default:
        return put_assert(b, p->lines ? AT_LINE_END : AT_END);
    }
}

static bool build(struct linear_build *b) {
    struct linear_parse *p = &b->p;
    if (p->s.n > REGEX_PATTERN_MAX)
        return linear_wrong(p, REGEX_PATTERN_MAX, "the pattern is longer than 4096 bytes");
    if (!emit(b, OP_SAVE, 0, 0) || !open_group(b, 0, -1))
        return false;
    while (p->at < p->s.n)
        if (!take(b))
            return false;
    if (b->depth > 1)
        return linear_wrong(p, b->open[b->depth - 1].from, "the ) that ends the group is missing");
    return close_group(b) && emit(b, OP_SAVE, 1, 0) && emit(b, OP_MATCH, 0, 0);
}

static bool keep(struct arena *a, const struct linear_build *b, const struct linear **out) {
    struct linear *r = arena_try(a, sizeof *r);
    struct linear_code *code = arena_try(a, b->count * sizeof *code);
    if (!r || !code)
        return false;
    memcpy(code, b->code, b->count * sizeof *code);
    *r = (struct linear){code, b->p.class_at, b->count, b->groups};
    *out = r;
    return true;
}

enum linear_result linear_compile(struct arena *a, struct span pattern, const struct linear **out,
                                  struct regex_error *err) {
    /* What is made does not know its size: built outside the arena, then kept in it. */
    struct linear_build *b = mem_try(sizeof *b + LINEAR_CODE_MAX * sizeof *b->code);
    enum linear_result result = LINEAR_WRONG;
    *out = NULL;
    if (b) {
        memset(b, 0, sizeof *b);
        b->p = (struct linear_parse){.a = a, .s = pattern, .err = err};
        b->code = (void *)(b + 1);
        result = build(b) ? LINEAR_FINE : b->p.result;
    }
    if (!b || (result == LINEAR_FINE && !keep(a, b, out))) {
        *err = (struct regex_error){.text = "no memory for the pattern"};
        result = LINEAR_WRONG;
    }
    mem_free(b);
    return result;
}

unsigned linear_groups(const struct linear *r) {
    return r->groups;
}
