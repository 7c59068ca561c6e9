#include "cli/explain.h"
#include "cli/eval.h"
#include "conf/files.h"
#include "core/facts.h"
#include "data/json.h"

/* Who calls, and what expressions come to. */

enum { CLAIMS_MAX = 1 << 20 };

static bool read_claims(struct cli *c, struct arena *a, struct value *out, int *code) {
    struct span text = SPAN_NONE;
    struct json_error err;
    const char *why = files_read(a, c->claims, CLAIMS_MAX, &text);
    *code = CLI_FAILED;
    if (why)
        return fprintf(stderr, "sluice: %s: %s\n", c->claims, why), false;
    if (!json_read(a, text, NULL, out, &err)) {
        struct mark m = eval_mark(0, text, err.at, 1);
        fprintf(stderr, "sluice: %s:%u:%u: %s\n", c->claims, m.line, m.column, err.text);
        return false;
    }
    if (out->kind == VALUE_MAP)
        return true;
    fprintf(stderr, "sluice: %s: claims are a JSON object, as {\"sub\": \"u1\"}\n", c->claims);
    return false;
}

bool explain_caller(struct cli *c, struct explained *e, int *code) {
    if (c->claims && !read_claims(c, &e->x->arena, &e->caller.claims, code))
        return false;
    if (c->consumer) {
        const struct consumer *who = consumer_by_name(e->s, span_z(c->consumer));
        if (!who) {
            *code = cli_misused(c, "there is no consumer `%s`", c->consumer);
            return false;
        }
        caller_of_consumer(&e->caller, who);
    }
    e->called = c->claims || c->consumer;
    return true;
}

static bool asks_who(const struct expr *x) {
    bool asks = expr_loads(x, FACT_CLAIM_ID);
    for (int id = FACT_CONSUMER_FIRST_ID; id <= FACT_CONSUMER_LAST_ID; id++)
        asks |= expr_loads(x, id);
    return asks;
}

static struct explained_test test_failed(const struct explained *e, const struct expr *x,
                                         const struct expr_error *err) {
    if (!e->called && asks_who(x))
        return (struct explained_test){.is = TEST_CALLER, .expr = x};
    return (struct explained_test){TEST_FAILED, x, err->text ? err->text : "no reason is known"};
}

struct explained_test explain_test(const struct explained *e, const struct expr *x) {
    struct template_values v = facts_values(e->x);
    struct expr_run run = {.arena = &e->x->arena, .get = v.get, .ctx = v.ctx};
    if (!e->called && asks_who(x))
        return (struct explained_test){.is = TEST_CALLER, .expr = x};
    enum expr_truth t = expr_test(x, &run);
    if (t == EXPR_FAILED)
        return test_failed(e, x, &run.error);
    return (struct explained_test){.is = t == EXPR_TRUE ? TEST_TRUE : TEST_FALSE, .expr = x};
}

const char *explain_test_text(struct arena *a, const struct explained_test *t) {
    switch (t->is) {
    case TEST_TRUE:
        return "true";
    case TEST_FALSE:
        return "false";
    case TEST_FAILED:
        return arena_fmt(a, "fails: %s", t->why);
    case TEST_CALLER:
        return "depends on who calls: say so with --claims or --consumer";
    case TEST_NONE:
        break;
    }
    return "";
}

bool explain_runs(const struct filter *f, const struct explained_test *t) {
    return t->is == TEST_FAILED ? f->when_fails : t->is != TEST_FALSE;
}

static void template_failed(void *ctx, const struct expr *x, const struct expr_error *err) {
    struct exchange *of = ctx;
    struct explained *e = of->front_data;
    e->failed = test_failed(e, x, err);
}

/* Those of the exchange; what fails is kept. */
struct template_values explain_values(struct explained *e) {
    struct template_values v = facts_values(e->x);
    v.failed = template_failed;
    return v;
}
