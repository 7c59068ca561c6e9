#include "expr/lex.h"
#include "data/number.h"
#include <math.h>

/* ---- names and marks ---- */

static bool letter(char c) {
    return c == '_' || (lower(c) >= 'a' && lower(c) <= 'z');
}
static bool digit(char c) {
    return c >= '0' && c <= '9';
}
static int hex(char c) {
    return digit(c) ? c - '0' : lower(c) >= 'a' && lower(c) <= 'f' ? lower(c) - 'a' + 10 : -1;
}

bool lex_reserved(struct span name) {
    static const char *const words[] = {"as",   "break",     "const", "continue", "else",   "false",
                                        "for",  "function",  "if",    "import",   "in",     "let",
                                        "loop", "namespace", "null",  "package",  "return", "true",
                                        "var",  "void",      "while"};
    for (size_t i = 0; i < array_len(words); i++)
        if (span_eq(name, span_z(words[i])))
            return true;
    return false;
}

static void wrong(struct token *t, const char *why) {
    t->kind = TOKEN_WRONG;
    t->text = span_z(why);
}

static size_t skip_blank(struct span s, size_t i) {
    while (i < s.n) {
        if (s.p[i] == ' ' || s.p[i] == '\t' || s.p[i] == '\n' || s.p[i] == '\r' || s.p[i] == '\f')
            i++;
        else if (s.p[i] == '/' && i + 1 < s.n && s.p[i + 1] == '/')
            while (i < s.n && s.p[i] != '\n')
                i++;
        else
            break;
    }
    return i;
}

static size_t mark(struct span s, size_t i, struct token *t) {
    static const struct {
        const char *text;
        enum mark mark;
    } marks[] = {
        {"==", MARK_EQ},      {"!=", MARK_NE},      {"<=", MARK_LE},    {">=", MARK_GE},
        {"&&", MARK_AND},     {"||", MARK_OR},      {"(", MARK_LPAREN}, {")", MARK_RPAREN},
        {"[", MARK_LBRACKET}, {"]", MARK_RBRACKET}, {"{", MARK_LBRACE}, {"}", MARK_RBRACE},
        {",", MARK_COMMA},    {":", MARK_COLON},    {".", MARK_DOT},    {"?", MARK_QUESTION},
        {"!", MARK_NOT},      {"-", MARK_MINUS},    {"+", MARK_PLUS},   {"*", MARK_STAR},
        {"/", MARK_SLASH},    {"%", MARK_PERCENT},  {"<", MARK_LT},     {">", MARK_GT},
    };
    for (size_t k = 0; k < array_len(marks); k++)
        if (span_starts(span_from(s, i), span_z(marks[k].text))) {
            t->kind = TOKEN_MARK;
            t->mark = marks[k].mark;
            return i + strlen(marks[k].text);
        }
    wrong(t, s.p[i] == '='   ? "`=` assigns nothing here: equality is `==`"
             : s.p[i] == '&' ? "write `&&`"
             : s.p[i] == '|' ? "write `||`"
                             : "this character has no meaning in CEL");
    return i + 1;
}

/* ---- numbers ---- */

static size_t digits(struct span s, size_t i) {
    while (i < s.n && digit(s.p[i]))
        i++;
    return i;
}

static size_t integer(struct span s, size_t from, size_t end, struct token *t) {
    bool is_hex = end - from > 2 && lower(s.p[from + 1]) == 'x', is_uint = false;
    uint64_t u = 0;
    bool fits = true;
    for (size_t i = from + (is_hex ? 2 : 0); i < end; i++) {
        uint64_t base = is_hex ? 16 : 10, d = (uint64_t)hex(s.p[i]);
        fits &= !__builtin_mul_overflow(u, base, &u) && !__builtin_add_overflow(u, d, &u);
    }
    if (end < s.n && lower(s.p[end]) == 'u') {
        is_uint = true;
        end++;
    }
    t->kind = TOKEN_VALUE;
    if (is_uint && fits)
        t->value = value_uint(u);
    else if (!is_uint && fits && u <= INT64_MAX)
        t->value = value_int((int64_t)u);
    else if (!is_uint && fits && u == (uint64_t)INT64_MAX + 1)
        t->kind = TOKEN_NEGATABLE;
    else
        wrong(t, "this number does not fit into 64 bits");
    return end;
}

static size_t number(struct span s, size_t i, struct token *t) {
    size_t from = i;
    double d;
    bool real = false;
    if (s.p[i] == '0' && i + 2 < s.n && lower(s.p[i + 1]) == 'x' && hex(s.p[i + 2]) >= 0) {
        i += 2;
        while (i < s.n && hex(s.p[i]) >= 0)
            i++;
        return integer(s, from, i, t);
    }
    i = digits(s, i);
    if (i + 1 < s.n && s.p[i] == '.' && digit(s.p[i + 1])) {
        real = true;
        i = digits(s, i + 1);
    }
    if (i < s.n && lower(s.p[i]) == 'e') {
        size_t k = i + 1;
        k += k < s.n && (s.p[k] == '+' || s.p[k] == '-');
        if (k < s.n && digit(s.p[k])) {
            real = true;
            i = digits(s, k);
        }
    }
    if (!real)
        return integer(s, from, i, t);
    t->kind = TOKEN_VALUE;
    struct span text = span_cut(s, from, i - from);
    if (number_read(text, &d) || (text.p[0] == '.' && number_read(text, &d)))
        t->value = value_double(d);
    else
        wrong(t, "this number is malformed");
    return i;
}

/* ---- texts ---- */

struct text {
    struct str out;
    bool bytes, raw, triple;
    const char *why;
};

static void put_rune(struct str *o, uint32_t r) {
    if (r < 0x80)
        str_char(o, (char)r);
    else if (r < 0x800) {
        str_char(o, (char)(0xc0 | r >> 6));
        str_char(o, (char)(0x80 | (r & 63)));
    } else if (r < 0x10000) {
        str_char(o, (char)(0xe0 | r >> 12));
        str_char(o, (char)(0x80 | (r >> 6 & 63)));
        str_char(o, (char)(0x80 | (r & 63)));
    } else {
        str_char(o, (char)(0xf0 | r >> 18));
        str_char(o, (char)(0x80 | (r >> 12 & 63)));
        str_char(o, (char)(0x80 | (r >> 6 & 63)));
        str_char(o, (char)(0x80 | (r & 63)));
    }
}

/* `count` digits of base 16 or 8 at i; returns the index behind them, 0: malformed. */
static size_t code(struct span s, size_t i, unsigned count, unsigned base, uint32_t *out) {
    *out = 0;
    for (unsigned k = 0; k < count; k++, i++) {
        int d = i < s.n ? hex(s.p[i]) : -1;
        if (d < 0 || d >= (int)base)
            return 0;
        *out = *out * base + (uint32_t)d;
    }
    return i;
}

/* s.p[i] stands behind the backslash. */
static size_t escape(struct text *t, struct span s, size_t i) {
    static const char names[] = "abfnrtv\\?\"'`", values[] = "\a\b\f\n\r\t\v\\?\"'`";
    char c = s.p[i];
    const char *plain = c ? strchr(names, c) : NULL;
    uint32_t r = 0;
    size_t end;
    if (plain) {
        str_char(&t->out, values[plain - names]);
        return i + 1;
    }
    if (c == 'x' || c == 'X')
        end = code(s, i + 1, 2, 16, &r);
    else if (c == 'u' && !t->bytes)
        end = code(s, i + 1, 4, 16, &r);
    else if (c == 'U' && !t->bytes)
        end = code(s, i + 1, 8, 16, &r);
    else
        end = c >= '0' && c <= '3' ? code(s, i, 3, 8, &r) : 0;
    if (!end || r > 0x10ffff || (r >= 0xd800 && r < 0xe000)) {
        t->why = "this escape is not one of CEL's, or no character";
        return i + 1;
    }
    if (t->bytes)
        str_char(&t->out, (char)r);
    else
        put_rune(&t->out, r);
    return end;
}

/* Where the text that begins at i is closed; s.n: nowhere. */
static size_t closing(struct span s, size_t i, char q, const struct text *t) {
    for (; i < s.n; i++) {
        if (s.p[i] == '\\' && !t->raw && i + 1 < s.n)
            i++;
        else if (!t->triple && (s.p[i] == '\n' || s.p[i] == '\r'))
            return s.n;
        else if (s.p[i] == q && (!t->triple || (i + 2 < s.n && s.p[i + 1] == q && s.p[i + 2] == q)))
            return i;
    }
    return s.n;
}

/* Escapes never grow; line ends of any kind are one "\n". */
static void decode(struct text *t, struct span s, size_t i, size_t end) {
    while (i < end) {
        if (s.p[i] == '\\' && !t->raw) {
            i = escape(t, s, i + 1);
        } else if (s.p[i] == '\r') {
            str_char(&t->out, '\n');
            i += i + 1 < end && s.p[i + 1] == '\n' ? 2 : 1;
        } else {
            str_char(&t->out, s.p[i++]);
        }
    }
}

static size_t text(struct arena *a, struct span s, size_t i, struct token *tok) {
    struct text t = {0};
    for (; s.p[i] != '"' && s.p[i] != '\''; i++) {
        t.bytes |= lower(s.p[i]) == 'b';
        t.raw |= lower(s.p[i]) == 'r';
    }
    char q = s.p[i];
    t.triple = i + 2 < s.n && s.p[i + 1] == q && s.p[i + 2] == q;
    i += t.triple ? 3 : 1;
    size_t end = closing(s, i, q, &t);
    if (end == s.n) {
        wrong(tok, "this text is never closed");
        return s.n;
    }
    t.out = str_on(arena_alloc(a, end - i + 1), end - i + 1);
    decode(&t, s, i, end);
    tok->kind = TOKEN_VALUE;
    tok->value = value_text(t.bytes ? VALUE_BYTES : VALUE_STRING, str_span(&t.out));
    if (t.why)
        wrong(tok, t.why);
    return end + (t.triple ? 3 : 1);
}

/* r"", b'', br"" .. */
static bool begins_text(struct span s, size_t i) {
    size_t k = i;
    while (k < s.n && k - i < 2 && (lower(s.p[k]) == 'r' || lower(s.p[k]) == 'b'))
        k++;
    return k < s.n && (s.p[k] == '"' || s.p[k] == '\'') &&
           !(k - i == 2 && lower(s.p[i]) == lower(s.p[i + 1]));
}

static size_t word(struct span s, size_t i, struct token *t) {
    size_t from = i;
    while (i < s.n && (letter(s.p[i]) || digit(s.p[i])))
        i++;
    t->text = span_cut(s, from, i - from);
    t->kind = TOKEN_NAME;
    if (span_eq(t->text, SPAN("true")) || span_eq(t->text, SPAN("false"))) {
        t->kind = TOKEN_VALUE;
        t->value = value_bool(t->text.n == 4);
    } else if (span_eq(t->text, SPAN("null"))) {
        t->kind = TOKEN_VALUE;
        t->value = VALUE_NOTHING;
    } else if (span_eq(t->text, SPAN("in"))) {
        t->kind = TOKEN_MARK;
        t->mark = MARK_IN;
    }
    return i;
}

static size_t backticks(struct span s, size_t i, struct token *t) {
    size_t from = ++i;
    while (i < s.n && (letter(s.p[i]) || digit(s.p[i]) || (s.p[i] && strchr("./- ", s.p[i]))))
        i++;
    if (i >= s.n || s.p[i] != '`' || i == from) {
        wrong(t, "a name in backticks has letters, digits, `_ . / -` and blanks");
        return i;
    }
    t->kind = TOKEN_QUOTED;
    t->text = span_cut(s, from, i - from);
    return i + 1;
}

void lex_next(struct arena *a, struct span s, size_t *at, struct token *t) {
    size_t i = skip_blank(s, *at), from = i;
    *t = (struct token){.kind = TOKEN_END, .at = (uint32_t)i};
    if (i < s.n) {
        if (begins_text(s, i))
            i = text(a, s, i, t);
        else if (letter(s.p[i]))
            i = word(s, i, t);
        else if (digit(s.p[i]) || (s.p[i] == '.' && i + 1 < s.n && digit(s.p[i + 1])))
            i = number(s, i, t);
        else if (s.p[i] == '`')
            i = backticks(s, i, t);
        else
            i = mark(s, i, t);
    }
    t->len = (uint32_t)(i - from);
    *at = i;
}

size_t expr_template_end(struct span source, size_t at) {
    struct arena a;
    struct token t;
    unsigned open = 1;
    size_t i = at + 2;
    arena_init(&a, NULL);
    do {
        lex_next(&a, source, &i, &t);
        if (t.kind == TOKEN_MARK && t.mark == MARK_LBRACE)
            open++;
        else if (t.kind == TOKEN_MARK && t.mark == MARK_RBRACE)
            open--;
    } while (open && t.kind != TOKEN_END);
    arena_finish(&a);
    return open ? 0 : i;
}
