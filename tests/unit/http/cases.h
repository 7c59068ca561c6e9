/*
 * cases - data tests: a text file of inputs and what must come of them.
 *
 *     # a comment
 *     > input, with C escapes: \r \n \t \\ \xNN, and \{300*x} for 300 times x
 *     = first line of the expected text
 *     = second line
 *
 * The runner turns an input into a text; the texts are compared as they stand.
 */
#pragma once
#include "base/str.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { CASE_MAX = 256 * 1024 };

static inline unsigned case_hex(char c) {
    c = lower(c);
    return (unsigned)(c >= 'a' ? c - 'a' + 10 : c - '0') & 15;
}

/* What stands behind a backslash; returns how many characters it took. */
static inline size_t case_escape(struct str *out, const char *p) {
    char *end;
    switch (*p) {
    case 'r':
        str_char(out, '\r');
        return 1;
    case 'n':
        str_char(out, '\n');
        return 1;
    case 't':
        str_char(out, '\t');
        return 1;
    case 'x':
        str_char(out, (char)(case_hex(p[1]) << 4 | case_hex(p[2])));
        return 3;
    case '{':
        for (unsigned long n = strtoul(p + 1, &end, 10); n; n--)
            str_char(out, end[1]);
        assert_true(*end == '*' && end[2] == '}');
        return (size_t)(end + 3 - p);
    default:
        str_char(out, *p);
        return 1;
    }
}

static inline void case_unescape(struct str *out, struct span s) {
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\')
            i += case_escape(out, s.p + i + 1);
        else
            str_char(out, s.p[i]);
    }
    assert_false(out->full);
}

/* Bytes as a file of cases shows them. */
static inline void case_show(struct str *out, struct span s) {
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c >= 0x7f)
            str_fmt(out, "\\x%02x", c);
        else
            str_char(out, (char)c);
    }
}

typedef void case_run(struct span input, struct str *got);

static inline void case_check(const char *file, unsigned line, case_run *run, struct span input,
                              struct span want) {
    static char room[CASE_MAX];
    struct str got = str_on(room, sizeof room);
    run(input, &got);
    while (got.n && got.p[got.n - 1] == '\n')
        got.n--;
    if (!span_eq(str_span(&got), want))
        fail_msg("%s:%u: got\n%.*s\nwant\n%.*s", file, line, SPAN_ARG(str_span(&got)),
                 SPAN_ARG(want));
}

/* Runs every case of tests/data/NAME; returns how many there were. */
static inline unsigned cases_run(const char *name, case_run *run) {
    static char in[CASE_MAX], out[CASE_MAX], path[4096];
    const char *root = getenv("SLUICE_SOURCE_ROOT");
    struct str input = str_on(in, sizeof in), want = str_on(out, sizeof out);
    unsigned count = 0, line = 0, at = 0;
    char *text = NULL;
    size_t room = 0;
    snprintf(path, sizeof path, "%s/tests/data/%s", root ? root : ".", name);
    FILE *f = fopen(path, "r");
    if (!f)
        fail_msg("%s is missing", path);
    for (ssize_t n; (n = getline(&text, &room, f)) > 0;) {
        struct span s = span_of(text, (size_t)n - (text[n - 1] == '\n'));
        line++;
        if (span_starts(s, SPAN("> "))) {
            if (at)
                case_check(path, at, run, str_span(&input), str_span(&want));
            input.n = want.n = 0;
            at = line;
            count++;
            case_unescape(&input, span_from(s, 2));
        } else if (span_starts(s, SPAN("= "))) {
            if (want.n)
                str_char(&want, '\n');
            str_add(&want, span_from(s, 2));
        } else if (s.n && s.p[0] != '#') {
            fail_msg("%s:%u: neither comment nor case", path, line);
        }
    }
    if (at)
        case_check(path, at, run, str_span(&input), str_span(&want));
    free(text);
    fclose(f);
    return count;
}
