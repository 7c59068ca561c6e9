#include "cli/eval.h"
#include "cli/command.h"
#include "cli/jout.h"
#include "conf/files.h"
#include "data/json.h"
#include "data/regex.h"

enum { FILE_MAX = 64 * 1024 * 1024, NODES_MAX = 8 * 1024 * 1024, WIDTH = 78 };

struct eval_pattern {
    struct eval_pattern *next;
    struct regex *regex;
};

static void keep(void *ctx, struct regex *r) {
    struct eval *e = ctx;
    struct eval_pattern *p = arena_alloc(e->a, sizeof *p);
    *p = (struct eval_pattern){e->patterns, r};
    e->patterns = p;
}

static bool get(void *ctx, struct arena *a, const struct expr_ref *ref, struct value *out) {
    const struct eval *e = ctx;
    (void)a;
    *out = e->with.member[ref->id].value;
    return true;
}

void eval_init(struct eval *e) {
    struct expr_name *name = arena_alloc(e->a, (e->with.n + 1) * sizeof *name);
    for (uint32_t i = 0; i < e->with.n; i++)
        name[i] = (struct expr_name){arena_text(e->a, value_span(&e->with.member[i].key)),
                                     &expr_dyn, (int)i};
    e->scope = (struct expr_scope){.name = name, .count = e->with.n, .keep = keep, .ctx = e};
}

void eval_finish(struct eval *e) {
    for (struct eval_pattern *p = e->patterns; p; p = p->next)
        regex_free(p->regex);
    e->patterns = NULL;
}

bool eval_run(struct eval *e, struct span source, struct value *out) {
    struct expr_run run = {.arena = e->a, .get = get, .ctx = e};
    const struct expr *x = expr_compile(e->a, source, &e->scope, &e->error);
    e->compiled = x != NULL;
    if (!x)
        return false;
    bool fine = expr_eval(x, &run, out);
    e->error = run.error;
    return fine;
}

static uint32_t characters(struct span s) {
    uint32_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

struct mark eval_mark(uint32_t file, struct span text, size_t at, size_t len) {
    struct mark m = {.file = file, .line = 1};
    size_t line = 0;
    if (at > text.n)
        at = text.n;
    for (size_t i = 0; i < at; i++)
        if (text.p[i] == '\n') {
            m.line++;
            line = i + 1;
        }
    m.column = characters(span_cut(text, line, at - line)) + 1;
    m.length = characters(span_cut(text, at, len));
    return m;
}

/* The file of --with. False: it has been told what is wrong. */
static bool read_with(struct arena *a, struct diag_list *d, const char *path, struct value *out) {
    static const struct json_limits limits = {.nodes = NODES_MAX};
    struct span text = SPAN_NONE;
    struct json_error err;
    const char *why = files_read(a, path, FILE_MAX, &text);
    uint32_t file = diag_source(d, path, text);
    if (why) {
        diag_add(d, DIAG_E0101, (struct mark){.file = file}, "%s", why);
        return false;
    }
    if (!json_read(a, text, &limits, out, &err)) {
        diag_add(d, DIAG_E0119, eval_mark(file, text, err.at, 1), "%s", err.text);
        return false;
    }
    if (out->kind == VALUE_MAP)
        return true;
    struct diag *g = diag_add(d, DIAG_E0119, eval_mark(file, text, 0, 1),
                              "an object is expected, whose members are the names");
    diag_help(d, g, "{\"claim\": {\"sub\": \"u1\"}} makes claim.sub known");
    return false;
}

static void tell(struct eval *e, struct diag_list *d, struct span source) {
    uint32_t file = diag_source(d, "expression", source);
    struct mark at = eval_mark(file, source, e->error.at, e->error.len);
    struct diag *g = diag_add(d, e->compiled ? DIAG_E0507 : DIAG_E0506, at, "%s", e->error.text);
    if (e->error.help)
        diag_help(d, g, "%s", e->error.help);
}

/* On one line where it fits, else indented. */
static bool print_text(struct arena *a, const struct value *v) {
    struct span text;
    if (!json_notation(a, v, 0, FILE_MAX, &text))
        return false;
    if (text.n > WIDTH && (v->kind == VALUE_LIST || v->kind == VALUE_MAP) &&
        !json_notation(a, v, 2, FILE_MAX, &text))
        return false;
    fwrite(text.p, 1, text.n, stdout);
    fputc('\n', stdout);
    return true;
}

static bool print_json(struct arena *a, const struct value *v) {
    struct value shown = value_settle(*v);
    struct span json, text;
    struct jout j = {.f = stdout};
    if (!json_write(a, v, 0, FILE_MAX, &json) || !json_notation(a, v, 0, FILE_MAX, &text))
        return false;
    jout_open(&j, NULL, '{');
    jout_text(&j, "type", value_type_name(&shown));
    jout_text(&j, "text", text);
    jout_raw(&j, "value", json);
    jout_close(&j, '}');
    printf("\n");
    return true;
}

static int evaluate(struct cli *c, struct arena *a, struct diag_list *d) {
    struct eval e = {.a = a, .with = {.kind = VALUE_MAP}};
    struct span source = span_z(c->argument[0]);
    struct value v;
    if (c->with && !read_with(a, d, c->with, &e.with))
        return CLI_FAILED;
    eval_init(&e);
    bool fine = eval_run(&e, source, &v);
    if (!fine)
        tell(&e, d, source);
    else if (!(c->format == DIAG_JSON ? print_json(a, &v) : print_text(a, &v)))
        diag_add(d, DIAG_E0507, (struct mark){.file = diag_source(d, "expression", source)},
                 "the value is too deep or too large to be printed");
    eval_finish(&e);
    return d->errors ? CLI_FAILED : CLI_FINE;
}

int cli_eval(struct cli *c) {
    struct diag_list d;
    struct arena a;
    if (c->cases && (c->arguments || c->with))
        return cli_misused(c, "--cases brings its expressions and names along");
    if (c->cases)
        return eval_cases(c->cases, c->format == DIAG_JSON);
    if (!c->arguments)
        return cli_misused(c, "`eval` wants an expression, or --cases FILE");
    arena_init(&a, NULL);
    diag_init(&d, false);
    int code = evaluate(c, &a, &d);
    if (d.errors)
        cli_diagnostics(c, &d, c->format == DIAG_JSON ? stdout : stderr);
    diag_finish(&d);
    arena_finish(&a);
    return code;
}
