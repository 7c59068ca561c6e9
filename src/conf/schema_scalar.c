#include "conf/files.h"
#include "conf/schema.h"
#include "conf/types.h"
#include "conf/units.h"

struct reading {
    struct arena *arena;
    struct diag_list *diags;
    const struct schema_type *type;
    unsigned width;
    struct node *node;
    struct span text;
    void *out;
};

static struct span shown(const struct reading *r) {
    return node_secret(r->node) ? SPAN("***") : span_cut(r->text, 0, 80);
}

static struct diag *wrong(const struct reading *r, enum diag_code code, const char *what) {
    struct span s = shown(r);
    r->node->bad = true;
    return diag_add(r->diags, code, r->node->at, "\"%.*s\" is not %s", SPAN_ARG(s),
                    r->type->what ? r->type->what : what);
}

static bool store(const struct reading *r, uint64_t v) {
    if (!r->out)
        return true;
    switch (r->width) {
    case 1:
        *(uint8_t *)r->out = (uint8_t)v;
        break;
    case 2:
        *(uint16_t *)r->out = (uint16_t)v;
        break;
    case 4:
        *(uint32_t *)r->out = (uint32_t)v;
        break;
    default:
        *(uint64_t *)r->out = v;
    }
    return true;
}

static uint64_t width_max(unsigned width) {
    return width == 0 || width >= 8 ? INT64_MAX : (1ull << (8 * width)) - 1;
}

/* What a number may be at most: by the table and by the member's width. */
static uint64_t most(const struct reading *r) {
    uint64_t w = width_max(r->width);
    return r->type->max && r->type->max < w ? r->type->max : w;
}

typedef void (*put_fn)(struct str *, uint64_t);

static bool in_range(const struct reading *r, uint64_t v, enum diag_code code, put_fn put) {
    if (v >= r->type->min && v <= most(r))
        return store(r, v);
    char buf[128];
    struct str s = str_on(buf, sizeof buf);
    put(&s, r->type->min);
    str_lit(&s, " to ");
    put(&s, most(r));
    struct span text = shown(r);
    r->node->bad = true;
    if (r->type == &type_http_status)
        code = DIAG_E0213;
    diag_add(r->diags, code, r->node->at, "\"%.*s\" is out of range: %.*s", SPAN_ARG(text),
             SPAN_ARG(str_span(&s)));
    return false;
}

static bool missing_unit(const struct reading *r, const char *what, const char *one,
                         const char *other) {
    struct span s = shown(r);
    r->node->bad = true;
    struct diag *d = diag_add(r->diags, DIAG_E0201, r->node->at, "%s needs a unit", what);
    diag_help(r->diags, d, "write %.*s%s or %.*s%s", SPAN_ARG(s), one, SPAN_ARG(s), other);
    return false;
}

/* Tells a result that is not fine. */
static bool unit_wrong(const struct reading *r, enum unit_result u, enum diag_code code,
                       const char *what, const char *help) {
    struct diag *d = wrong(r, code, what);
    if (u == UNIT_RANGE)
        diag_help(r->diags, d, "the number is out of range");
    else
        diag_help(r->diags, d, "%s", help);
    return false;
}

static bool duration(const struct reading *r) {
    uint64_t ms;
    enum unit_result u = units_duration(r->text, &ms);
    if (u == UNIT_MISSING)
        return missing_unit(r, "a duration", "ms", "s");
    if (u != UNIT_FINE)
        return unit_wrong(r, u, DIAG_E0202, "a duration",
                          "a whole number and ms, s, m, h or d: 250ms, 2s, 5m, 1h, 1d");
    return in_range(r, ms, DIAG_E0202, units_put_duration);
}

static bool size(const struct reading *r) {
    uint64_t v;
    enum unit_result u = units_size(r->text, &v);
    if (u == UNIT_MISSING)
        return missing_unit(r, "a size", "KiB", "B");
    if (u != UNIT_FINE)
        return unit_wrong(r, u, DIAG_E0203, "a size",
                          "a whole number and B, KiB, MiB, GiB, KB, MB or GB: 64KiB, 10MB");
    return in_range(r, v, DIAG_E0203, units_put_size);
}

static bool byterate(const struct reading *r) {
    uint64_t v;
    enum unit_result u = units_byterate(r->text, &v);
    if (u == UNIT_MISSING && units_size(r->text, &v) == UNIT_FINE)
        return unit_wrong(r, u, DIAG_E0204, "a data rate", "a size and /s: 240B/s, 1MiB/s");
    if (u == UNIT_MISSING)
        return missing_unit(r, "a data rate", "B/s", "KiB/s");
    if (u != UNIT_FINE)
        return unit_wrong(r, u, DIAG_E0204, "a data rate", "a size and /s: 240B/s, 1MiB/s");
    return in_range(r, v, DIAG_E0204, units_put_size);
}

static bool rate(const struct reading *r) {
    struct schema_rate v;
    enum unit_result u = units_rate(r->text, &v);
    bool calendar = r->type->flags & TYPE_CALENDAR;
    if (u == UNIT_MISSING)
        return calendar ? missing_unit(r, "a quota", "/day", "/month")
                        : missing_unit(r, "a rate", "/s", "/m");
    if (u != UNIT_FINE)
        return unit_wrong(r, u, DIAG_E0204, calendar ? "a quota" : "a rate",
                          calendar ? "a number, / and a period: 5000/day, 1000000/month, 10/30d"
                                   : "a number, / and a time: 100/s, 300/m, 5000/day, 10/5s");
    if (r->out && calendar)
        *(struct schema_calendar_rate *)r->out =
            (struct schema_calendar_rate){v, units_calendar(r->text)};
    else if (r->out)
        *(struct schema_rate *)r->out = v;
    return true;
}

static bool per_second(const struct reading *r) {
    uint64_t v;
    enum unit_result u = units_per_second(r->text, &v);
    if (u == UNIT_MISSING)
        return missing_unit(r, "a rate", "/s", "0/10s");
    if (u == UNIT_RANGE) {
        struct diag *d = wrong(r, DIAG_E0204, "a whole number of times a second");
        diag_help(r->diags, d, "write it as 33/s");
        return false;
    }
    if (u != UNIT_FINE)
        return unit_wrong(r, u, DIAG_E0204, "a rate", "a number, / and a time: 33/s, 600/m");
    return in_range(r, v, DIAG_E0204, units_put_per_second);
}

static bool percent(const struct reading *r) {
    uint64_t v;
    enum unit_result u = units_percent(r->text, &v);
    if (u == UNIT_MISSING)
        return missing_unit(r, "a percentage", "%", ".0%");
    if (u != UNIT_FINE)
        return unit_wrong(r, u, DIAG_E0205, "a percentage",
                          "0% to 100%, two decimals at most: 20%, 0.5%");
    return store(r, v);
}

static bool integer(const struct reading *r) {
    uint64_t v;
    if (parse_dec(r->text, UINT64_MAX, &v))
        return in_range(r, v, DIAG_E0206, str_u64);
    if (memmem(r->text.p, r->text.n, "${", 2)) {
        r->node->bad = true;
        diag_add(r->diags, DIAG_E0901, r->node->at, "a computed number is not available here yet");
        return false;
    }
    struct diag *d =
        wrong(r, r->type == &type_http_status ? DIAG_E0213 : DIAG_E0206, "a whole number");
    if (r->text.n && r->text.p[0] == '-')
        diag_help(r->diags, d, "it cannot be negative");
    return false;
}

static bool boolean(const struct reading *r) {
    bool yes = span_eq(r->text, SPAN("true"));
    if (!yes && !span_eq(r->text, SPAN("false"))) {
        struct diag *d = wrong(r, DIAG_E0207, "true or false");
        diag_help(r->diags, d, "yes, no, on and off are texts in YAML 1.2: write true or false");
        return false;
    }
    if (r->out)
        *(bool *)r->out = yes;
    return true;
}

static char *words_text(struct arena *a, const struct schema_word *w) {
    char *text = arena_fmt(a, "%s", "");
    for (; w->word; w++)
        text = arena_fmt(a, "%s%s%s", text, *text ? ", " : "", w->word);
    return text;
}

static bool word(const struct reading *r) {
    const char *names[64];
    size_t n = 0;
    for (const struct schema_word *w = r->type->words; w->word; w++) {
        names[n < 64 ? n++ : 63] = w->word;
        if (!span_eq(r->text, span_z(w->word)))
            continue;
        if (w->later && !r->out) {
            diag_add(r->diags, DIAG_E0901, r->node->at, "`%s` is not available yet", w->word);
            r->node->bad = true;
        } else if (r->out) {
            *(int *)r->out = w->value;
        }
        return !w->later;
    }
    struct diag *d = wrong(r, DIAG_E0208, "known here");
    const char *guess = diag_guess(r->text, names, n);
    if (guess)
        diag_help(r->diags, d, "did you mean %s? Known are: %s", guess,
                  words_text(r->arena, r->type->words));
    else
        diag_help(r->diags, d, "known are: %s", words_text(r->arena, r->type->words));
    return false;
}

static bool address(const struct reading *r) {
    struct address at;
    if (!address_parse(r->text, &at)) {
        struct diag *d = wrong(r, DIAG_E0209, "an address to listen on");
        diag_help(r->diags, d, "write 0.0.0.0:8080, [::]:8080 or unix:/path");
        return false;
    }
    if (r->out)
        *(struct address *)r->out = at;
    return true;
}

static bool prefix_only(const struct cidr *c) {
    for (unsigned bit = c->bits; bit < 128; bit++)
        if (c->ip[bit / 8] & (0x80u >> bit % 8))
            return false;
    return true;
}

static bool network(const struct reading *r) {
    struct cidr c;
    if (!cidr_parse(r->text, &c) || !prefix_only(&c)) {
        struct diag *d = wrong(r, DIAG_E0210, "a network or an IP address");
        diag_help(r->diags, d,
                  "write 10.0.0.0/8, 2001:db8::/32 or 192.0.2.1; no bits may be set behind "
                  "the prefix");
        return false;
    }
    if (r->out)
        *(struct cidr *)r->out = c;
    return true;
}

static bool text(const struct reading *r) {
    if (r->type->min && r->text.n < r->type->min) {
        diag_add(r->diags, DIAG_E0113, r->node->at, "an empty text cannot stand here");
        r->node->bad = true;
        return false;
    }
    if (!r->out)
        return true;
    struct span *out = r->out;
    if (r->type->kind == SCHEMA_FILE)
        *out = span_z(files_beside(r->arena, r->diags, r->node->at.file, r->text));
    else
        *out = arena_span(r->arena, r->text);
    return true;
}

bool schema_scalar(struct arena *a, struct diag_list *d, const struct schema_type *t,
                   unsigned width, struct node *n, void *out) {
    struct reading r = {a, d, t, width, n, node_plain(n), out};
    if (n->bad)
        return false;
    switch (t->kind) {
    case SCHEMA_BOOL:
        return boolean(&r);
    case SCHEMA_INT:
        return integer(&r);
    case SCHEMA_DURATION:
        return duration(&r);
    case SCHEMA_SIZE:
        return size(&r);
    case SCHEMA_BYTERATE:
        return byterate(&r);
    case SCHEMA_RATE:
        return rate(&r);
    case SCHEMA_PER_SECOND:
        return per_second(&r);
    case SCHEMA_PERCENT:
        return percent(&r);
    case SCHEMA_ENUM:
        return word(&r);
    case SCHEMA_ADDRESS:
        return address(&r);
    case SCHEMA_CIDR:
        return network(&r);
    case SCHEMA_TEXT:
    case SCHEMA_SECRET:
    case SCHEMA_CEL:
    case SCHEMA_REF:
    case SCHEMA_FILE:
        return text(&r);
    case SCHEMA_TEMPLATE:
    case SCHEMA_REGEX:
    case SCHEMA_LIST:
    case SCHEMA_MAP:
    case SCHEMA_OBJECT:
    case SCHEMA_ANY:
    case SCHEMA_ONE_OF:
        break;
    }
    return true;
}
