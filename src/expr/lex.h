/*
 * lex - CEL's tokens (langdef.md, Syntax): literals are read here, escapes and all. Thread: any.
 */
#pragma once
#include "expr/expr.h"

enum token_kind {
    TOKEN_END,
    TOKEN_NAME,      /* an identifier; `text` */
    TOKEN_QUOTED,    /* `a-b`: a member's name in backticks */
    TOKEN_VALUE,     /* a literal; `value` */
    TOKEN_NEGATABLE, /* the literal 9223372036854775808: fine behind a "-" alone */
    TOKEN_MARK,      /* an operator or bracket; `mark` */
    TOKEN_WRONG      /* `text`: what is wrong, a sentence; z-terminated */
};
enum mark {
    MARK_LPAREN,
    MARK_RPAREN,
    MARK_LBRACKET,
    MARK_RBRACKET,
    MARK_LBRACE,
    MARK_RBRACE,
    MARK_COMMA,
    MARK_COLON,
    MARK_DOT,
    MARK_QUESTION,
    MARK_NOT,
    MARK_MINUS,
    MARK_PLUS,
    MARK_STAR,
    MARK_SLASH,
    MARK_PERCENT,
    MARK_EQ,
    MARK_NE,
    MARK_LT,
    MARK_LE,
    MARK_GT,
    MARK_GE,
    MARK_AND,
    MARK_OR,
    MARK_IN
};
struct token {
    enum token_kind kind;
    enum mark mark;
    uint32_t at, len;
    struct span text;
    struct value value;
};
/* The token at or behind *at, which moves behind it. Decoded texts lie in the arena. */
void lex_next(struct arena *a, struct span source, size_t *at, struct token *out);
bool lex_reserved(struct span name); /* may not name a variable */
