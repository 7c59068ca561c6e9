/* What a template is worth: every value encoded for its place. */
#include "data/json.h"
#include "expr/template.h"

struct piece {
    struct span text;
    bool encoded;
};
struct evaluation {
    struct arena *a;
    const struct template_values *v;
    size_t max;
    struct expr_error *err;
};

static bool unreserved(unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

static void percent(struct str *out, struct span v, bool slash) {
    static const char digit[] = "0123456789ABCDEF";
    for (size_t i = 0; i < v.n; i++) {
        unsigned char c = (unsigned char)v.p[i];
        char e[3] = {'%', digit[c >> 4], digit[c & 15]};
        bool plain = unreserved(c) || (slash && c == '/');
        str_put(out, plain ? v.p + i : e, plain ? 1 : 3);
    }
}

/* Blanks at its ends are hdr_put's to judge, for only it knows the whole value. */
static bool header_safe(struct span v) {
    for (size_t i = 0; i < v.n; i++) {
        unsigned char c = (unsigned char)v.p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool put_value(struct str *out, const struct template_part *p, struct piece v) {
    if (v.encoded) {
        str_add(out, v.text);
        return p->place != PLACE_HEADER || header_safe(v.text);
    }
    switch (p->place) {
    case PLACE_PATH:
        percent(out, v.text, p->tail);
        return true;
    case PLACE_QUERY:
        percent(out, v.text, false);
        return true;
    case PLACE_HEADER:
        str_add(out, v.text);
        return header_safe(v.text);
    case PLACE_TEXT:
        str_add(out, v.text);
        return true;
    case PLACE_JSON:
        str_json(out, v.text);
        return true;
    }
    return false;
}

/* The most that one byte of a value can become. */
static size_t growth(const struct template_part *p, bool encoded) {
    if (encoded)
        return 1;
    switch (p->place) {
    case PLACE_PATH:
    case PLACE_QUERY:
        return 3;
    case PLACE_JSON:
        return 6;
    case PLACE_HEADER:
    case PLACE_TEXT:
        break;
    }
    return 1;
}

/* ---- values -----------------------------------------------------------------------------------
 */

static bool evaluate(struct evaluation *e, const struct expr *x, struct value *out) {
    struct expr_run run = {.arena = e->a, .get = e->v->get, .ctx = e->v->ctx};
    if (expr_eval(x, &run, out))
        return true;
    if (e->v->failed)
        e->v->failed(e->v->ctx, x, &run.error);
    if (e->err)
        *e->err = run.error;
    return false;
}

/* Of anything but a string: as JSON has it, without the quotes that only JSON needs. */
static bool printed(struct evaluation *e, const struct value *v, struct span *out) {
    if (!json_write(e->a, v, 0, e->max, out))
        return false;
    if (out->n >= 2 && out->p[0] == '"')
        *out = span_cut(*out, 1, out->n - 2);
    return true;
}

static enum template_result text_of(struct evaluation *e, const struct template_part *p,
                                    const struct value *v, struct piece *out) {
    out->encoded = p->bare;
    if (p->bare)
        return json_write(e->a, v, 0, e->max, &out->text) ? TEMPLATE_FINE : TEMPLATE_LONG;
    if (likely(v->kind == VALUE_STRING))
        out->text = value_span(v);
    else if (v->kind == VALUE_NULL)
        out->text = SPAN("");
    else if (!printed(e, v, &out->text))
        return TEMPLATE_LONG;
    return TEMPLATE_FINE;
}

static enum template_result piece_of(struct evaluation *e, const struct template_part *p,
                                     struct piece *out) {
    struct value v;
    if (!p->expr) {
        *out =
            (struct piece){p->group < 0 ? p->literal : e->v->group(e->v->group_ctx, e->a, p), true};
        return TEMPLATE_FINE;
    }
    const struct expr_ref *single = expr_single(p->expr);
    if (single && p->place == PLACE_PATH && e->v->get_encoded) {
        struct span enc = e->v->get_encoded(e->v->ctx, e->a, single);
        if (enc.p) {
            *out = (struct piece){enc, true};
            return TEMPLATE_FINE;
        }
    }
    if (!evaluate(e, p->expr, &v))
        return TEMPLATE_FAILED;
    enum template_result r = text_of(e, p, &v, out);
    return r == TEMPLATE_FINE && v.kind == VALUE_NULL ? TEMPLATE_NULL : r;
}

/* Looks every value up once; what they need at most, cut at `max`. */
static enum template_result collect(struct evaluation *e, const struct template *t,
                                    struct piece *piece, size_t *need) {
    enum template_result first = TEMPLATE_FINE;
    for (uint32_t i = 0; i < t->count; i++) {
        enum template_result r = piece_of(e, &t->part[i], &piece[i]);
        if (r != TEMPLATE_FINE && r != TEMPLATE_NULL)
            return r;
        first = i ? TEMPLATE_FINE : r;
        size_t n = piece[i].text.n, by = growth(&t->part[i], piece[i].encoded);
        *need = n > (e->max - *need) / by ? e->max : *need + n * by;
    }
    return first;
}

enum template_result template_text(const struct template *t, struct arena *a,
                                   const struct template_values *v, size_t max, struct span *out,
                                   struct expr_error *err) {
    struct evaluation e = {a, v, max, err};
    size_t room = 0;
    if (t->count == 0 || (t->constant && t->count == 1)) {
        *out = t->count ? t->part[0].literal : SPAN("");
        return out->n <= max ? TEMPLATE_FINE : TEMPLATE_LONG;
    }
    struct piece *piece = arena_alloc(a, t->count * sizeof *piece);
    enum template_result r = collect(&e, t, piece, &room);
    if (r != TEMPLATE_FINE && r != TEMPLATE_NULL)
        return r;
    char *p = arena_try(a, room ? room : 1);
    if (!p)
        return TEMPLATE_LONG;
    struct str s = str_on(p, room);
    bool safe = true;
    for (uint32_t i = 0; i < t->count; i++)
        safe &= put_value(&s, &t->part[i], piece[i]);
    *out = str_span(&s);
    return !safe ? TEMPLATE_UNSAFE : s.full ? TEMPLATE_LONG : r;
}

bool template_eval(const struct template *t, struct arena *a, const struct template_values *v,
                   size_t max, struct span *out) {
    enum template_result r = template_text(t, a, v, max, out, NULL);
    return r == TEMPLATE_FINE || r == TEMPLATE_NULL;
}

enum template_result template_value(const struct template *t, struct arena *a,
                                    const struct template_values *v, size_t max, struct value *out,
                                    struct expr_error *err) {
    struct evaluation e = {a, v, max, err};
    struct span text;
    if (t->count == 1 && t->part[0].expr)
        return evaluate(&e, t->part[0].expr, out) ? TEMPLATE_FINE : TEMPLATE_FAILED;
    enum template_result r = template_text(t, a, v, max, &text, err);
    *out = value_string(text);
    return r;
}
