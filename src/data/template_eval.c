/* What a template is worth: every value encoded for its place. */
#include "data/template.h"

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

static bool put_value(struct str *out, const struct template_part *p, struct span v, bool encoded) {
    switch (p->place) {
    case PLACE_PATH:
        if (encoded)
            str_add(out, v);
        else
            percent(out, v, p->tail);
        return true;
    case PLACE_QUERY:
        percent(out, v, false);
        return true;
    case PLACE_HEADER:
        str_add(out, v);
        return header_safe(v);
    case PLACE_TEXT:
        str_add(out, v);
        return true;
    case PLACE_JSON:
        str_json(out, v);
        return true;
    }
    return false;
}

/* The most that one byte of a value can become. */
static size_t growth(enum template_place place, bool encoded) {
    switch (place) {
    case PLACE_PATH:
        return encoded ? 1 : 3;
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

struct value {
    struct span text;
    bool encoded;
};

static struct value value_of(const struct template_values *v, struct arena *a,
                             const struct template_part *p) {
    if (p->id < 0)
        return (struct value){p->literal, true};
    struct span enc =
        p->place == PLACE_PATH && v->get_encoded ? v->get_encoded(v->ctx, a, p) : SPAN_NONE;
    return enc.p ? (struct value){enc, true} : (struct value){v->get(v->ctx, a, p), false};
}

/* Looks every value up once; what they need at most, cut at `max`. */
static size_t collect(const struct template *t, struct arena *a, const struct template_values *v,
                      size_t max, struct value *value) {
    size_t need = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        value[i] = value_of(v, a, &t->part[i]);
        size_t n = value[i].text.n, by = growth(t->part[i].place, value[i].encoded);
        if (n > (max - need) / by)
            need = max;
        else
            need += n * by;
    }
    return need;
}

bool template_eval(const struct template *t, struct arena *a, const struct template_values *v,
                   size_t max, struct span *out) {
    if (t->count == 0 || (t->constant && t->count == 1)) {
        *out = t->count ? t->part[0].literal : SPAN("");
        return out->n <= max;
    }
    struct value *value = arena_alloc(a, t->count * sizeof *value);
    size_t room = collect(t, a, v, max, value);
    char *p = arena_try(a, room ? room : 1);
    if (!p)
        return false;
    struct str s = str_on(p, room);
    bool fine = true;
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->part[i].id < 0)
            str_add(&s, value[i].text);
        else
            fine &= put_value(&s, &t->part[i], value[i].text, value[i].encoded);
    }
    *out = str_span(&s);
    return fine && !s.full;
}
