/* GET /limits/quotas: what keys have used in their present periods, the fullest first. */
#include "admin/limits_in.h"
#include "admin/limits_top.h"
#include "base/log.h"
#include "core/thread.h"
#include "limit/quota.h"

enum { ROWS_DEFAULT = 10, ROWS_MAX = 100 };

struct row {
    struct quota_state state; /* id and period: the table's, which this turn keeps; key: below */
    size_t text_len;
    char text[QUOTA_KEY_MAX];
};
struct rows {
    struct span key; /* of this one alone; NULL: of all */
    unsigned count, max;
    struct row row[ROWS_MAX];
};

/* By the share that is used; then by what is. */
static bool fuller(const struct quota_state *a, const struct quota_state *b) {
    double x = (double)a->used / (double)(a->limit ? a->limit : 1);
    double y = (double)b->used / (double)(b->limit ? b->limit : 1);
    return x > y || (x >= y && a->used > b->used);
}

/* The list is short and the walk is long: what does not come among the first costs one look. */
static void consider(void *ctx, const struct quota_state *s) {
    struct rows *r = ctx;
    if ((r->key.p && !span_eq(r->key, s->key)) ||
        (r->count == r->max && !fuller(s, &r->row[r->max - 1].state)))
        return;
    unsigned at = r->count < r->max ? r->count++ : r->max - 1;
    for (; at && fuller(s, &r->row[at - 1].state); at--)
        r->row[at] = r->row[at - 1];
    struct row *row = &r->row[at];
    row->state = *s;
    row->text_len = s->key.n < sizeof row->text ? s->key.n : sizeof row->text;
    memcpy(row->text, s->key.p, row->text_len);
}

static struct span time_of(int64_t seconds, char text[TIME_TEXT]) {
    int64_t most = INT64_MAX / 1000000000; /* in the year 2262 */
    time_text((seconds < most ? seconds : most) * 1000000000, text);
    return span_of(text, TIME_TEXT);
}

static struct span key_of(const struct row *r) {
    return span_of(r->text, r->text_len);
}

static void row_text(struct text *t, const struct row *r, unsigned width) {
    char until[TIME_TEXT];
    const struct quota_state *s = &r->state;
    limits_pad(t, s->used, 12);
    limits_pad(t, s->limit, 12);
    text_lit(t, "  ");
    text_add(t, time_of(s->to, until));
    text_lit(t, "  ");
    limits_shown(t, key_of(r), width);
    text_lit(t, "  ");
    text_json(t, s->id);
    text_lit(t, ", ");
    text_json(t, s->period);
    text_lit(t, "\n");
}

static void row_json(struct text *t, const struct row *r) {
    char time[TIME_TEXT];
    const struct quota_state *s = &r->state;
    json_open(t, NULL, '{');
    json_str(t, "limit", s->id);
    json_str(t, "period", s->period);
    json_str(t, "key", key_of(r));
    json_u64(t, "used", s->used);
    json_u64(t, "quota", s->limit);
    json_str(t, "from", time_of(s->from, time));
    json_str(t, "to", time_of(s->to, time));
    json_close(t, '}');
}

static void table(struct text *t, const struct rows *r) {
    unsigned width = 3;
    for (unsigned i = 0; i < r->count; i++)
        width = limits_widen(width, key_of(&r->row[i]));
    text_lit(t, "        used       quota  until                     ");
    limits_column(t, "key", width);
    text_lit(t, "  quota, period\n");
    for (unsigned i = 0; i < r->count; i++)
        row_text(t, &r->row[i], width);
    if (!r->count && r->key.p)
        text_lit(t, "(no quota has counted that key in its present period; a consumer's is "
                    "consumer:NAME)\n");
    else if (!r->count)
        text_lit(t, "(no key has used any quota in its present period)\n");
}

static void tell(struct answer *a, const struct rows *r) {
    struct text *t = &a->text;
    if (limits_want_text(a->x)) {
        table(t, r);
    } else {
        json_open(t, NULL, '{');
        json_open(t, "quotas", '[');
        for (unsigned i = 0; i < r->count; i++)
            row_json(t, &r->row[i]);
        json_close(t, ']');
        json_close(t, '}');
        text_lit(t, "\n");
    }
    limits_send(a);
}

void limits_quotas(struct answer *a) {
    struct exchange *x = a->x;
    struct span id = limits_parameter(x, SPAN("limit")), n = limits_parameter(x, SPAN("n"));
    uint64_t max = ROWS_DEFAULT;
    if (n.p && (!parse_dec(n, ROWS_MAX, &max) || !max)) {
        answer_problem(a, 400, "bad_query", "n is 1 to 100");
        return;
    }
    if (!limits_known(a, id))
        return;
    struct rows *r = mem_alloc(sizeof *r);
    r->key = limits_parameter(x, SPAN("key"));
    r->count = 0;
    r->max = (unsigned)max;
    quota_walk(id, consider, r);
    tell(a, r);
    mem_free(r);
}
