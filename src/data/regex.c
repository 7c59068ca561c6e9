#include "data/regex.h"
#include "base/env.h"
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

struct regex {
    pcre2_code *code;
    pcre2_match_context *limits;
    struct span pattern;
    uint32_t groups, names, name_size;
    const unsigned char *name_table;
};

#define ALWAYS (PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C)
/* Bytes, not characters: a header may hold anything, and case folding stays ASCII. */
#define BYTES (ALWAYS | PCRE2_NEVER_UTF)
#define TEXT (ALWAYS | PCRE2_UTF) /* with MATCH_INVALID_UTF the JIT of 10.42 takes \W amiss */

static void *take(size_t n, void *unused) {
    (void)unused;
    return mem_try(n);
}

static void give(void *p, void *unused) {
    (void)unused;
    mem_free(p);
}

static bool limit(struct regex *r) {
    r->limits = pcre2_match_context_create(NULL);
    return r->limits && !pcre2_set_match_limit(r->limits, REGEX_MATCH_LIMIT) &&
           !pcre2_set_depth_limit(r->limits, REGEX_DEPTH_LIMIT);
}

static void look_around(struct regex *r) {
    pcre2_pattern_info(r->code, PCRE2_INFO_CAPTURECOUNT, &r->groups);
    pcre2_pattern_info(r->code, PCRE2_INFO_NAMECOUNT, &r->names);
    pcre2_pattern_info(r->code, PCRE2_INFO_NAMEENTRYSIZE, &r->name_size);
    pcre2_pattern_info(r->code, PCRE2_INFO_NAMETABLE, &r->name_table);
}

static struct regex *refuse(struct regex *r, struct regex_error *err, size_t at, const char *text) {
    err->at = at;
    if (text) {
        struct str s = str_on(err->text, sizeof err->text - 1);
        str_add(&s, span_z(text));
        err->text[s.n] = 0;
    }
    regex_free(r);
    return NULL;
}

static struct regex *compile(struct span pattern, uint32_t options, struct regex_error *err) {
    int code = 0;
    size_t at = 0;
    struct regex *r = mem_alloc(sizeof *r);
    r->pattern = span_of(mem_text(pattern.p, pattern.n), pattern.n);
    if (pattern.n > REGEX_PATTERN_MAX)
        return refuse(r, err, REGEX_PATTERN_MAX, "the pattern is longer than 4096 bytes");
    r->code = pcre2_compile((PCRE2_SPTR)r->pattern.p, pattern.n, options, &code, &at, NULL);
    if (!r->code) {
        pcre2_get_error_message(code, (PCRE2_UCHAR *)err->text, sizeof err->text);
        return refuse(r, err, at, NULL);
    }
    look_around(r);
    if (r->groups >= REGEX_GROUPS_MAX)
        return refuse(r, err, 0, "the pattern has more than 31 groups; (?:..) does not count");
    if (!limit(r))
        return refuse(r, err, 0, "no memory for the pattern");
    /* Where there is no JIT the interpreter does the same work under the same limits. */
    (void)pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE);
    return r;
}

struct regex *regex_compile(struct span pattern, struct regex_error *err) {
    return compile(pattern, BYTES, err);
}

struct regex *regex_compile_text(struct span pattern, struct regex_error *err) {
    return compile(pattern, TEXT, err);
}

void regex_free(struct regex *r) {
    if (!r)
        return;
    pcre2_match_context_free(r->limits);
    pcre2_code_free(r->code);
    mem_free((void *)(uintptr_t)r->pattern.p);
    mem_free(r);
}

/* What one match needs of PCRE2, on the caller's stack. */
struct scratch {
    size_t used;
    _Alignas(16) char room[1280];
};

static void *scratch_take(size_t n, void *ctx) {
    struct scratch *s = ctx;
    size_t whole = (n + 15) & ~(size_t)15;
    if (whole > sizeof s->room - s->used)
        return take(n, NULL);
    s->used += whole;
    return s->room + s->used - whole;
}

static void scratch_give(void *p, void *ctx) {
    struct scratch *s = ctx;
    if ((char *)p < s->room || (char *)p >= s->room + sizeof s->room)
        give(p, NULL);
}

static void fill(pcre2_match_data *md, struct span subject, struct span *group, unsigned max) {
    const size_t *o = pcre2_get_ovector_pointer(md);
    unsigned n = pcre2_get_ovector_count(md);
    for (unsigned i = 0; i < max; i++)
        group[i] = i < n && o[2 * i] != PCRE2_UNSET && o[2 * i] <= o[2 * i + 1]
                       ? span_of(subject.p + o[2 * i], o[2 * i + 1] - o[2 * i])
                       : SPAN_NONE;
}

enum regex_result regex_match(const struct regex *r, struct span subject, struct span *group,
                              unsigned max) {
    struct scratch s;
    s.used = 0;
    unsigned pairs = max == 0 ? 1 : r->groups + 1;
    pcre2_general_context *g = pcre2_general_context_create(scratch_take, scratch_give, &s);
    pcre2_match_data *md = g ? pcre2_match_data_create(pairs, g) : NULL;
    if (!md)
        return REGEX_FAILED;
    PCRE2_SPTR p = subject.p ? (PCRE2_SPTR)subject.p : (PCRE2_SPTR) "";
    int n = pcre2_match(r->code, p, subject.n, 0, 0, md, r->limits);
    if (n >= 0)
        fill(md, subject.p ? subject : SPAN(""), group, max);
    pcre2_match_data_free(md);
    pcre2_general_context_free(g);
    return n >= 0 ? REGEX_YES : n == PCRE2_ERROR_NOMATCH ? REGEX_NO : REGEX_FAILED;
}

struct span regex_pattern(const struct regex *r) {
    return r->pattern;
}

unsigned regex_groups(const struct regex *r) {
    return r->groups;
}

unsigned regex_names(const struct regex *r) {
    return r->names;
}

static const unsigned char *name_at(const struct regex *r, unsigned i) {
    return r->name_table + (size_t)i * r->name_size;
}

struct span regex_name(const struct regex *r, unsigned i) {
    return span_z((const char *)name_at(r, i) + 2);
}

int regex_group(const struct regex *r, struct span name) {
    for (unsigned i = 0; i < r->names; i++)
        if (span_eq(regex_name(r, i), name))
            return name_at(r, i)[0] << 8 | name_at(r, i)[1];
    return -1;
}
