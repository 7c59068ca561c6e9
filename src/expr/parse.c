/*
 * An operator-precedence parser with two stacks: what is finished, and what is open (operators that
 * wait for their right side, brackets, calls). Nesting is bounded by the second one.
 */
#include "expr/tree.h"

enum { OPEN_MAX = 768, CHILDREN_MAX = 8192 };

/* Binding, from the weakest. */
enum {
    BIND_BRACKET,
    BIND_TERNARY,
    BIND_OR,
    BIND_AND,
    BIND_RELATION,
    BIND_SUM,
    BIND_PRODUCT,
    BIND_UNARY
};

enum open_kind {
    OPEN_OPERATOR,
    OPEN_PAREN,
    OPEN_CALL,
    OPEN_INDEX,
    OPEN_LIST,
    OPEN_MAP,
    OPEN_MESSAGE,
    OPEN_TERNARY
};

struct open {
    enum open_kind kind;
    enum mark op;
    int bind;
    uint32_t at, len; /* of the operator or bracket */
    size_t done;      /* height of the finished ones when it was opened */
    struct span name;
    bool member, rooted, optional, value; /* value: a map's key has been read */
    bool any_maybe, comma;
    bool maybe; /* the whole is an entry written with "?" */
};

struct parser {
    struct arena *a;
    struct span source;
    size_t at;
    struct token t;
    struct tree **done;
    size_t done_count, done_cap;
    bool *maybe;                /* beside done */
    struct open *open, nowhere; /* nowhere: is opened after a failure */
    size_t open_count, brackets;
    bool next_maybe;
    struct expr_error *err;
    bool failed;
};

static void fail(struct parser *p, uint32_t at, uint32_t len, const char *text) {
    if (p->failed)
        return;
    p->failed = true;
    *p->err = (struct expr_error){.at = at, .len = len ? len : 1, .text = text};
}

static void advance(struct parser *p) {
    lex_next(p->a, p->source, &p->at, &p->t);
    if (p->t.kind == TOKEN_WRONG)
        fail(p, p->t.at, p->t.len, p->t.text.p);
}

static bool is(const struct parser *p, enum mark m) {
    return p->t.kind == TOKEN_MARK && p->t.mark == m;
}

/* ---- the stacks ---- */

static void push(struct parser *p, struct tree *n) {
    if (p->done_count == p->done_cap) {
        size_t cap = p->done_cap ? p->done_cap * 2 : 32;
        struct tree **done = arena_alloc(p->a, cap * sizeof *done);
        bool *maybe = arena_zero(p->a, cap);
        if (p->done_count) {
            memcpy(done, p->done, p->done_count * sizeof *done);
            memcpy(maybe, p->maybe, p->done_count);
        }
        p->done = done;
        p->maybe = maybe;
        p->done_cap = cap;
    }
    p->maybe[p->done_count] = p->next_maybe;
    p->next_maybe = false;
    p->done[p->done_count++] = n;
}

static struct tree *node(struct parser *p, enum node_kind kind, uint32_t at, uint32_t len) {
    struct tree *n = arena_zero(p->a, sizeof *n);
    n->kind = kind;
    n->at = at;
    n->len = len;
    return n;
}

static struct open *open_up(struct parser *p, enum open_kind kind, int bind) {
    if (p->open_count == OPEN_MAX || (kind != OPEN_OPERATOR && p->brackets >= TREE_DEPTH_MAX)) {
        fail(p, p->t.at, p->t.len, "the expression is nested too deeply");
        return &p->nowhere;
    }
    struct open *o = &p->open[p->open_count++];
    *o = (struct open){
        .kind = kind, .bind = bind, .at = p->t.at, .len = p->t.len, .done = p->done_count};
    o->op = p->t.mark;
    if (kind != OPEN_OPERATOR) {
        o->maybe = p->next_maybe;
        p->next_maybe = false;
    }
    p->brackets += kind != OPEN_OPERATOR;
    return o;
}

static struct open *top(struct parser *p) {
    return p->open_count ? &p->open[p->open_count - 1] : NULL;
}

static void take(struct parser *p, struct tree *n, size_t from) {
    n->count = (uint32_t)(p->done_count - from);
    n->child = arena_alloc(p->a, (n->count + 1) * sizeof(struct tree *));
    for (uint32_t i = 0; i < n->count; i++)
        n->child[i] = p->done[from + i];
    p->done_count = from;
}

/* Finishes the operators that bind at least as tightly as `bind`. */
static void reduce(struct parser *p, int bind) {
    for (struct open *o;
         !p->failed && (o = top(p)) && o->kind == OPEN_OPERATOR && o->bind >= bind;) {
        unsigned sides = o->bind == BIND_UNARY ? 1 : o->op == MARK_QUESTION ? 3 : 2;
        struct tree *n = node(p, NODE_OPERATOR, o->at, o->len);
        n->op = o->op;
        p->open_count--;
        if (p->done_count < sides) {
            fail(p, o->at, o->len, "an operand is missing here");
            return;
        }
        bool maybe = p->maybe[p->done_count - sides];
        take(p, n, p->done_count - sides);
        p->next_maybe = maybe;
        push(p, n);
    }
}

/* ---- where an operand stands ---- */

static void close_bracket(struct parser *p, bool *operand);

/* "(" behind a name has been seen: f( or x.f( */
static void open_call(struct parser *p, struct token name, bool member, bool rooted) {
    struct open *o = open_up(p, OPEN_CALL, BIND_BRACKET);
    o->name = name.text;
    o->at = name.at;
    o->len = name.len;
    o->member = member;
    o->rooted = rooted;
    if (member)
        o->done--;
    advance(p);
}

/* A list, map, call or index without entries: close it at once. */
static bool closes_empty(struct parser *p, enum mark m, bool *operand) {
    if (!is(p, m))
        return false;
    close_bracket(p, operand);
    return true;
}

static void operand_name(struct parser *p, bool rooted, bool *operand) {
    struct token name = p->t;
    if (name.kind != TOKEN_NAME) {
        fail(p, name.at, name.len, "a name is expected behind the dot");
        return;
    }
    advance(p);
    if (is(p, MARK_LPAREN) && !p->failed) {
        open_call(p, name, false, rooted);
        closes_empty(p, MARK_RPAREN, operand);
        return;
    }
    if (lex_reserved(name.text)) {
        fail(p, name.at, name.len, "this word is reserved and names nothing");
        return;
    }
    struct tree *n = node(p, NODE_NAME, name.at, name.len);
    n->name = name.text;
    n->rooted = rooted;
    push(p, n);
    *operand = false;
}

static void literal(struct parser *p, struct value v, uint32_t at, uint32_t len, bool *operand) {
    struct tree *n = node(p, NODE_LITERAL, at, len);
    n->value = v;
    push(p, n);
    advance(p);
    *operand = false;
}

/* "-" and a number are one literal. */
static void minus(struct parser *p, bool *operand) {
    uint32_t at = p->t.at;
    struct open *o = open_up(p, OPEN_OPERATOR, BIND_UNARY);
    advance(p);
    uint32_t len = p->t.at + p->t.len - at;
    if (p->t.kind == TOKEN_NEGATABLE) {
        p->open_count--;
        literal(p, value_int(INT64_MIN), at, len, operand);
    } else if (p->t.kind == TOKEN_VALUE && p->t.value.kind == VALUE_INT) {
        p->open_count--;
        literal(p, value_int(-p->t.value.i), at, len, operand);
    } else if (p->t.kind == TOKEN_VALUE && p->t.value.kind == VALUE_DOUBLE) {
        p->open_count--;
        literal(p, value_double(-p->t.value.d), at, len, operand);
    } else {
        o->op = MARK_MINUS;
    }
}

static void maybe_entry(struct parser *p) {
    struct open *o = top(p);
    if (is(p, MARK_QUESTION) && o &&
        (o->kind == OPEN_LIST || (o->kind == OPEN_MAP && !o->value) ||
         (o->kind == OPEN_MESSAGE && !o->value))) {
        p->next_maybe = o->any_maybe = true;
        advance(p);
    }
}

static void open_entries(struct parser *p, enum open_kind kind, enum mark close, bool *operand) {
    open_up(p, kind, BIND_BRACKET);
    advance(p);
    if (!closes_empty(p, close, operand))
        maybe_entry(p);
}

static void operand_mark(struct parser *p, bool *operand) {
    switch ((unsigned)p->t.mark) {
    case MARK_LPAREN:
        open_up(p, OPEN_PAREN, BIND_BRACKET);
        advance(p);
        return;
    case MARK_LBRACKET:
        open_entries(p, OPEN_LIST, MARK_RBRACKET, operand);
        return;
    case MARK_LBRACE:
        open_entries(p, OPEN_MAP, MARK_RBRACE, operand);
        return;
    case MARK_NOT:
        open_up(p, OPEN_OPERATOR, BIND_UNARY);
        advance(p);
        return;
    case MARK_MINUS:
        minus(p, operand);
        return;
    case MARK_DOT:
        advance(p);
        operand_name(p, true, operand);
        return;
    default:
        fail(p, p->t.at, p->t.len, "a value is expected here");
    }
}

static void operand_here(struct parser *p, bool *operand) {
    switch (p->t.kind) {
    case TOKEN_VALUE:
        literal(p, p->t.value, p->t.at, p->t.len, operand);
        break;
    case TOKEN_NEGATABLE:
        fail(p, p->t.at, p->t.len, "this number does not fit into 64 bits");
        break;
    case TOKEN_NAME:
        operand_name(p, false, operand);
        break;
    case TOKEN_MARK:
        operand_mark(p, operand);
        break;
    case TOKEN_QUOTED:
        fail(p, p->t.at, p->t.len, "a name in backticks stands behind a dot only");
        break;
    case TOKEN_END:
        fail(p, p->t.at, 1,
             p->source.n ? "the expression ends where a value is expected"
                         : "the expression is empty");
        break;
    case TOKEN_WRONG:
        break;
    }
}

/* ---- behind an operand ---- */

static void select_member(struct parser *p, bool *operand) {
    uint32_t dot = p->t.at;
    advance(p);
    bool optional = is(p, MARK_QUESTION);
    if (optional)
        advance(p);
    struct token name = p->t;
    if (name.kind != TOKEN_NAME && name.kind != TOKEN_QUOTED) {
        fail(p, name.at, name.len, "the name of a member is expected behind the dot");
        return;
    }
    advance(p);
    if (!optional && name.kind == TOKEN_NAME && is(p, MARK_LPAREN)) {
        open_call(p, name, true, false);
        if (!closes_empty(p, MARK_RPAREN, operand))
            *operand = true;
        return;
    }
    struct tree *n = node(p, NODE_SELECT, dot, name.at + name.len - dot);
    n->name = name.text;
    n->optional = optional;
    bool maybe = p->maybe[p->done_count - 1];
    take(p, n, p->done_count - 1);
    p->next_maybe = maybe;
    push(p, n);
}

static void open_index(struct parser *p, bool *operand) {
    struct open *o = open_up(p, OPEN_INDEX, BIND_BRACKET);
    o->done--;
    advance(p);
    o->optional = is(p, MARK_QUESTION);
    if (o->optional)
        advance(p);
    *operand = true;
}

static void open_message(struct parser *p, bool *operand) {
    struct span name = tree_dotted(p->a, p->done[p->done_count - 1]);
    if (!name.p) {
        fail(p, p->t.at, p->t.len, "a map cannot stand behind a value");
        return;
    }
    p->done_count--;
    struct open *o = open_up(p, OPEN_MESSAGE, BIND_BRACKET);
    o->name = name;
    advance(p);
    *operand = true;
    if (!closes_empty(p, MARK_RBRACE, operand))
        maybe_entry(p);
}

static void open_ternary(struct parser *p, bool *operand) {
    reduce(p, BIND_OR);
    open_up(p, OPEN_TERNARY, BIND_BRACKET);
    advance(p);
    *operand = true;
}

static void binary(struct parser *p, int bind, bool *operand) {
    reduce(p, bind);
    struct open *o = open_up(p, OPEN_OPERATOR, bind);
    o->op = p->t.mark;
    advance(p);
    *operand = true;
}

static const char *const missing[] = {
    [OPEN_OPERATOR] = "",
    [OPEN_PAREN] = "`)` is missing",
    [OPEN_CALL] = "`,` or `)` is expected here",
    [OPEN_INDEX] = "`]` is missing",
    [OPEN_LIST] = "`,` or `]` is expected here",
    [OPEN_MAP] = "`,` or `}` is expected here",
    [OPEN_MESSAGE] = "`,` or `}` is expected here",
    [OPEN_TERNARY] = "`:` of the `? :` is missing",
};

static bool fits(const struct open *o, enum mark m) {
    switch (o->kind) {
    case OPEN_PAREN:
    case OPEN_CALL:
        return m == MARK_RPAREN;
    case OPEN_INDEX:
    case OPEN_LIST:
        return m == MARK_RBRACKET;
    case OPEN_MAP:
    case OPEN_MESSAGE:
        return m == MARK_RBRACE;
    case OPEN_OPERATOR:
    case OPEN_TERNARY:
        break;
    }
    return false;
}

static void entries(struct parser *p, struct tree *n, const struct open *o) {
    size_t count = p->done_count - o->done;
    if (o->any_maybe) {
        n->maybe = arena_zero(p->a, count + 1);
        for (size_t i = 0; i < count; i++)
            n->maybe[i] = p->maybe[o->done + i];
    }
    take(p, n, o->done);
}

static struct tree *closed(struct parser *p, const struct open *o) {
    static const enum node_kind kinds[] = {
        [OPEN_OPERATOR] = NODE_OPERATOR, [OPEN_PAREN] = NODE_LIST,      [OPEN_CALL] = NODE_CALL,
        [OPEN_INDEX] = NODE_OPERATOR,    [OPEN_LIST] = NODE_LIST,       [OPEN_MAP] = NODE_MAP,
        [OPEN_MESSAGE] = NODE_MESSAGE,   [OPEN_TERNARY] = NODE_OPERATOR};
    struct tree *n = node(p, kinds[o->kind], o->at, o->len);
    n->op = MARK_LBRACKET;
    n->name = o->name;
    n->member = o->member;
    n->rooted = o->rooted;
    n->optional = o->optional;
    entries(p, n, o);
    return n;
}

/* Something has been read since the bracket, or since its last comma. */
static bool whole_entry(struct parser *p, const struct open *o, bool operand) {
    if (operand && !o->comma && p->done_count != o->done + (o->member || o->kind == OPEN_INDEX))
        return false;
    if (operand && o->kind != OPEN_LIST && o->kind != OPEN_MAP && o->kind != OPEN_MESSAGE &&
        !(o->kind == OPEN_CALL && !o->comma))
        return false;
    return !((o->kind == OPEN_MAP || o->kind == OPEN_MESSAGE) && !operand && !o->value);
}

static void close_bracket(struct parser *p, bool *operand) {
    if (!*operand)
        reduce(p, BIND_TERNARY);
    struct open *o = top(p);
    if (p->failed)
        return;
    if (!o || !fits(o, p->t.mark)) {
        fail(p, p->t.at, p->t.len, o ? missing[o->kind] : "this bracket was never opened");
        return;
    }
    if (!whole_entry(p, o, *operand)) {
        fail(p, p->t.at, p->t.len,
             *operand ? "a value is expected here" : "`:` and a value are missing");
        return;
    }
    struct open copy = *o;
    p->open_count--;
    p->brackets--;
    *operand = false;
    bool maybe = copy.kind == OPEN_INDEX || copy.member ? p->maybe[copy.done] : copy.maybe;
    if (copy.kind == OPEN_PAREN) {
        p->maybe[p->done_count - 1] = maybe;
    } else {
        struct tree *n = closed(p, &copy);
        p->next_maybe = maybe;
        push(p, n);
    }
    advance(p);
}

static void comma(struct parser *p, bool *operand) {
    reduce(p, BIND_TERNARY);
    struct open *o = top(p);
    bool list = o && (o->kind == OPEN_CALL || o->kind == OPEN_LIST || o->kind == OPEN_MAP ||
                      o->kind == OPEN_MESSAGE);
    if (p->failed)
        return;
    if (!list || p->done_count - o->done > CHILDREN_MAX) {
        fail(p, p->t.at, p->t.len, o && !list ? missing[o->kind] : "a comma has no meaning here");
        return;
    }
    if ((o->kind == OPEN_MAP || o->kind == OPEN_MESSAGE) && !o->value) {
        fail(p, p->t.at, p->t.len, "`:` and a value are missing");
        return;
    }
    o->value = false;
    o->comma = true;
    advance(p);
    *operand = true;
    maybe_entry(p);
}

static void colon(struct parser *p, bool *operand) {
    reduce(p, BIND_TERNARY);
    struct open *o = top(p);
    if (p->failed)
        return;
    if (o && o->kind == OPEN_TERNARY) {
        p->brackets--;
        o->kind = OPEN_OPERATOR; /* waits for its third part */
        o->bind = BIND_TERNARY;
        o->op = MARK_QUESTION;
    } else if (o && (o->kind == OPEN_MAP || o->kind == OPEN_MESSAGE) && !o->value) {
        struct tree *key = p->done[p->done_count - 1];
        if (o->kind == OPEN_MESSAGE && key->kind == NODE_NAME) {
            key->kind = NODE_LITERAL;
            key->value = value_string(key->name);
        }
        o->value = true;
        o->comma = false;
    } else {
        fail(p, p->t.at, p->t.len, "a colon has no meaning here");
        return;
    }
    advance(p);
    *operand = true;
}

static void behind_mark(struct parser *p, bool *operand) {
    static const int binds[] = {
        [MARK_OR] = BIND_OR,         [MARK_AND] = BIND_AND,        [MARK_EQ] = BIND_RELATION,
        [MARK_NE] = BIND_RELATION,   [MARK_LT] = BIND_RELATION,    [MARK_LE] = BIND_RELATION,
        [MARK_GT] = BIND_RELATION,   [MARK_GE] = BIND_RELATION,    [MARK_IN] = BIND_RELATION,
        [MARK_PLUS] = BIND_SUM,      [MARK_MINUS] = BIND_SUM,      [MARK_STAR] = BIND_PRODUCT,
        [MARK_SLASH] = BIND_PRODUCT, [MARK_PERCENT] = BIND_PRODUCT};
    enum mark m = p->t.mark;
    if (m < array_len(binds) && binds[m]) {
        binary(p, binds[m], operand);
        return;
    }
    switch ((unsigned)m) {
    case MARK_DOT:
        select_member(p, operand);
        break;
    case MARK_LBRACKET:
        open_index(p, operand);
        break;
    case MARK_LBRACE:
        open_message(p, operand);
        break;
    case MARK_QUESTION:
        open_ternary(p, operand);
        break;
    case MARK_RPAREN:
    case MARK_RBRACKET:
    case MARK_RBRACE:
        close_bracket(p, operand);
        break;
    case MARK_COMMA:
        comma(p, operand);
        break;
    case MARK_COLON:
        colon(p, operand);
        break;
    default:
        fail(p, p->t.at, p->t.len, "an operator is expected here");
    }
}

/* A trailing comma closes: the mark stands where an operand would. */
static bool closes_after_comma(struct parser *p) {
    const struct open *o = top(p);
    return o && o->comma && p->t.kind == TOKEN_MARK && fits(o, p->t.mark) && o->kind != OPEN_CALL;
}

/* Strings are UTF-8, so the source is. */
static bool readable(struct parser *p) {
    size_t i = 0, n;
    if (p->source.n > EXPR_SOURCE_MAX) {
        fail(p, EXPR_SOURCE_MAX, 1, "an expression has at most 64 KiB");
        return false;
    }
    while (i < p->source.n) {
        n = utf8_len((const unsigned char *)p->source.p + i, p->source.n - i);
        if (!n) {
            fail(p, (uint32_t)i, 1, "this byte is not valid UTF-8");
            return false;
        }
        i += n;
    }
    return true;
}

struct tree *tree_parse(struct arena *a, struct span source, struct expr_error *err) {
    struct parser p = {.a = a, .source = source, .err = err};
    bool operand = true;
    p.open = arena_alloc(a, OPEN_MAX * sizeof *p.open);
    if (!readable(&p))
        return NULL;
    advance(&p);
    while (!p.failed) {
        if (operand && closes_after_comma(&p))
            close_bracket(&p, &operand);
        else if (operand)
            operand_here(&p, &operand);
        else if (p.t.kind == TOKEN_END)
            break;
        else if (p.t.kind == TOKEN_MARK)
            behind_mark(&p, &operand);
        else
            fail(&p, p.t.at, p.t.len, "an operator is expected here");
    }
    if (!p.failed)
        reduce(&p, BIND_TERNARY);
    if (!p.failed && top(&p))
        fail(&p, p.t.at, 1, missing[top(&p)->kind]);
    return p.failed ? NULL : p.done[0];
}
