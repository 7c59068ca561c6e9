#include "conf/constant_names.h"
#include "expr/lex.h"

static bool of_requests(struct span name) {
    static const char *const roots[] = {"request", "header",   "query",   "cookie", "path",
                                        "client",  "route",    "service", "claim",  "consumer",
                                        "error",   "response", "item",    "index"};
    for (size_t i = 0; i < array_len(roots); i++)
        if (span_eq(name, span_z(roots[i])))
            return true;
    return false;
}

bool constant_expression(struct arena *a, struct span source) {
    bool constant = false, member = false;
    struct token t;
    for (size_t at = 0;;) {
        lex_next(a, source, &at, &t);
        if (t.kind == TOKEN_END)
            return constant;
        if (t.kind == TOKEN_WRONG)
            return false;
        if (t.kind == TOKEN_NAME && !member) {
            if (of_requests(t.text))
                return false;
            constant |= span_eq(t.text, SPAN("env")) || span_eq(t.text, SPAN("vars"));
        }
        bool optional = t.kind == TOKEN_MARK && t.mark == MARK_QUESTION && member;
        member = optional || (t.kind == TOKEN_MARK && t.mark == MARK_DOT);
    }
}
