#include "http/structured.h"
#include "http/names.h"

static bool lcalpha(char c) {
    return c >= 'a' && c <= 'z';
}
static bool digit(char c) {
    return c >= '0' && c <= '9';
}
static bool alpha(char c) {
    return lcalpha(lower(c));
}

static char first(struct span s) {
    return s.n ? s.p[0] : 0;
}

static void skip(struct span *s, size_t n) {
    *s = span_from(*s, n);
}

static void skip_blanks(struct span *s, bool tabs) {
    while (s->n && (s->p[0] == ' ' || (tabs && s->p[0] == '\t')))
        skip(s, 1);
}

static struct span take(struct span *s, size_t n) {
    struct span t = span_cut(*s, 0, n);
    skip(s, n);
    return t;
}

static bool key_of(struct span *s, struct span *out) {
    size_t n = 0;
    if (!lcalpha(first(*s)) && first(*s) != '*')
        return false;
    while (n < s->n && (lcalpha(s->p[n]) || digit(s->p[n]) || memchr("_-.*", s->p[n], 4)))
        n++;
    *out = take(s, n);
    return true;
}

/* ---- bare items -------------------------------------------------------------------------------
 */

static bool number(struct span *s, struct sf_item *out) {
    size_t sign = first(*s) == '-', n = sign, whole;
    int64_t v = 0;
    while (n < s->n && digit(s->p[n])) {
        if (n - sign >= 15)
            return false;
        v = v * 10 + (s->p[n++] - '0');
    }
    whole = n - sign;
    if (!whole)
        return false;
    out->kind = SF_INTEGER;
    out->number = sign ? -v : v;
    if (n < s->n && s->p[n] == '.') {
        size_t point = n++;
        while (n < s->n && digit(s->p[n]))
            n++;
        if (whole > 12 || n == point + 1 || n > point + 4)
            return false;
        out->kind = SF_DECIMAL;
    }
    out->text = take(s, n);
    return true;
}

static bool string(struct span *s, struct sf_item *out) {
    size_t n = 1;
    for (; n < s->n && s->p[n] != '"'; n++) {
        if (s->p[n] < ' ' || s->p[n] > '~')
            return false;
        if (s->p[n] == '\\' && (++n >= s->n || (s->p[n] != '"' && s->p[n] != '\\')))
            return false;
    }
    if (n >= s->n)
        return false;
    out->kind = SF_STRING;
    out->text = span_cut(*s, 1, n - 1);
    skip(s, n + 1);
    return true;
}

static bool token(struct span *s, struct sf_item *out) {
    size_t n = 0;
    while (n < s->n && (token_char[(unsigned char)s->p[n]] || s->p[n] == ':' || s->p[n] == '/'))
        n++;
    out->kind = SF_TOKEN;
    out->text = take(s, n);
    return true;
}

static bool bytes(struct span *s, struct sf_item *out) {
    size_t n = 1;
    while (n < s->n && (alpha(s->p[n]) || digit(s->p[n]) || memchr("+/=", s->p[n], 3)))
        n++;
    if (n >= s->n || s->p[n] != ':')
        return false;
    out->kind = SF_BYTES;
    out->text = span_cut(*s, 1, n - 1);
    skip(s, n + 1);
    return true;
}

static bool boolean(struct span *s, struct sf_item *out) {
    if (s->n < 2 || (s->p[1] != '0' && s->p[1] != '1'))
        return false;
    out->kind = SF_BOOLEAN;
    out->number = s->p[1] == '1';
    out->text = take(s, 2);
    return true;
}

static bool bare(struct span *s, struct sf_item *out) {
    char c = first(*s);
    *out = (struct sf_item){.kind = SF_TOKEN};
    if (digit(c) || c == '-')
        return number(s, out);
    if (c == '"')
        return string(s, out);
    if (c == ':')
        return bytes(s, out);
    if (c == '?')
        return boolean(s, out);
    return (alpha(c) || c == '*') && token(s, out);
}

static const struct sf_item yes = {.kind = SF_BOOLEAN, .text = {"?1", 2}, .number = 1};

enum sf_step sf_param_next(struct span *rest, struct span *key, struct sf_item *out) {
    if (first(*rest) != ';')
        return SF_END;
    skip(rest, 1);
    skip_blanks(rest, false);
    if (!key_of(rest, key))
        return SF_BAD;
    *out = yes;
    if (first(*rest) != '=')
        return SF_ONE;
    skip(rest, 1);
    return bare(rest, out) ? SF_ONE : SF_BAD;
}

static bool params(struct span *s, struct span *out) {
    struct span begin = *s, key;
    struct sf_item value;
    enum sf_step step;
    while ((step = sf_param_next(s, &key, &value)) == SF_ONE)
        continue;
    *out = span_of(begin.p, (size_t)(s->p - begin.p));
    return step == SF_END;
}

/* ---- lists and dictionaries -------------------------------------------------------------------
 */

enum sf_step sf_item_next(struct span *rest, struct sf_item *out, struct span *its_params) {
    struct span unused;
    skip_blanks(rest, false);
    if (!rest->n)
        return SF_END;
    if (!bare(rest, out) || !params(rest, its_params ? its_params : &unused))
        return SF_BAD;
    return rest->n && first(*rest) != ' ' ? SF_BAD : SF_ONE;
}

/* The closing parenthesis: none inside of strings counts. */
static bool inner_list(struct span *s, struct span *out) {
    size_t n = 1;
    bool quoted = false;
    for (; n < s->n && (quoted || s->p[n] != ')'); n++) {
        if (quoted && s->p[n] == '\\')
            n++;
        else if (s->p[n] == '"')
            quoted = !quoted;
    }
    if (n >= s->n)
        return false;
    *out = span_cut(*s, 1, n - 1);
    skip(s, n + 1);
    struct span items = *out;
    struct sf_item item;
    enum sf_step step;
    while ((step = sf_item_next(&items, &item, NULL)) == SF_ONE)
        continue;
    return step == SF_END;
}

static bool value_of(struct span *s, struct sf_member *m) {
    m->inner = first(*s) == '(';
    return (m->inner ? inner_list(s, &m->list) : bare(s, &m->item)) && params(s, &m->params);
}

/* What follows a member: the end, or a comma and another one. */
static bool member_ends(struct span *s) {
    skip_blanks(s, true);
    if (!s->n)
        return true;
    if (first(*s) != ',')
        return false;
    skip(s, 1);
    skip_blanks(s, true);
    return s->n > 0;
}

enum sf_step sf_member_next(struct span *rest, struct sf_member *out) {
    *out = (struct sf_member){.item = yes};
    skip_blanks(rest, false);
    if (!rest->n)
        return SF_END;
    if (!key_of(rest, &out->key))
        return SF_BAD;
    bool value = first(*rest) == '=';
    if (value)
        skip(rest, 1);
    struct span begin = *rest;
    if (!(value ? value_of(rest, out) : params(rest, &out->params)))
        return SF_BAD;
    out->value = span_of(begin.p, (size_t)(rest->p - begin.p));
    return member_ends(rest) ? SF_ONE : SF_BAD;
}

/* ---- writing ------------------------------------------------------------------------------------
 */

void sf_put_item(struct str *out, const struct sf_item *item) {
    char around = item->kind == SF_STRING ? '"' : item->kind == SF_BYTES ? ':' : 0;
    if (around)
        str_char(out, around);
    str_add(out, item->text);
    if (around)
        str_char(out, around);
}

void sf_put_params(struct str *out, struct span text) {
    struct span key;
    struct sf_item value;
    while (sf_param_next(&text, &key, &value) == SF_ONE) {
        str_char(out, ';');
        str_add(out, key);
        if (value.kind == SF_BOOLEAN && value.number)
            continue;
        str_char(out, '=');
        sf_put_item(out, &value);
    }
}

struct span sf_string(const struct sf_item *item, char *out) {
    size_t n = 0;
    for (size_t i = 0; i < item->text.n; i++) {
        if (item->text.p[i] == '\\' && i + 1 < item->text.n)
            i++;
        out[n++] = item->text.p[i];
    }
    return span_of(out, n);
}
