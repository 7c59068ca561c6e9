#include "conf/diag.h"

/* Where the pieces go; text is built in a line buffer so that `out` is not called for every byte.
 */
struct printer {
    struct diag_list *list;
    bool color;
    diag_out out;
    void *ctx;
};

static void put(struct printer *p, struct span s) {
    if (s.n)
        p->out(p->ctx, s);
}
static void put_z(struct printer *p, const char *z) {
    put(p, span_z(z));
}

static void put_u(struct printer *p, uint64_t v) {
    char buf[24];
    struct str s = str_on(buf, sizeof buf);
    str_u64(&s, v);
    put(p, str_span(&s));
}

static void paint(struct printer *p, const char *ansi) {
    if (p->color)
        put_z(p, ansi);
}

/* The length of the character at `at`; 0: a terminal should not see this byte. */
static size_t clean_len(struct span s, size_t at) {
    const unsigned char *c = (const unsigned char *)s.p + at;
    size_t n = utf8_len(c, s.n - at);
    bool control = n == 1 ? (c[0] < 0x20 && c[0] != '\t') || c[0] == 0x7f
                          : n == 2 && c[0] == 0xc2 && c[1] < 0xa0;
    return control ? 0 : n;
}

/* Whatever the file holds, a terminal sees no control bytes and nothing but UTF-8. */
static void put_clean(struct printer *p, struct span s) {
    size_t from = 0;
    for (size_t i = 0; i < s.n;) {
        size_t n = clean_len(s, i);
        i += n ? n : 1;
        if (n)
            continue;
        put(p, span_cut(s, from, i - 1 - from));
        put_z(p, "?");
        from = i;
    }
    put(p, span_from(s, from));
}

static struct span source_line(const struct diag_list *l, struct mark at) {
    struct span rest = l->source[at.file].text, line = SPAN_NONE;
    for (uint32_t n = 1; rest.p && n <= at.line; n++)
        line = span_split(&rest, '\n');
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

static void put_place(struct printer *p, struct mark at) {
    put_clean(p, span_z(p->list->source[at.file].name));
    if (at.line == 0)
        return;
    put_z(p, ":");
    put_u(p, at.line);
    put_z(p, ":");
    put_u(p, at.column);
}

static bool continues(char c) {
    return ((unsigned char)c & 0xc0) == 0x80;
}

enum { SHOWN_MAX = 160 }; /* characters of a line: longer ones are cut around the place */

static size_t byte_of(struct span line, uint32_t column) {
    size_t i = 0;
    for (uint32_t c = 1; c < column && i < line.n; c++) {
        i++;
        while (i < line.n && continues(line.p[i]))
            i++;
    }
    return i;
}

static void put_gutter(struct printer *p, uint32_t line) {
    char buf[16];
    struct str s = str_on(buf, sizeof buf);
    if (line)
        str_fmt(&s, "%6u | ", line);
    else
        str_lit(&s, "       | ");
    paint(p, "\033[34m");
    put(p, str_span(&s));
    paint(p, "\033[0m");
}

static void put_blanks(struct printer *p, struct span before) {
    for (size_t i = 0; i < before.n; i++)
        if (!continues(before.p[i]))
            put_z(p, before.p[i] == '\t' ? "\t" : " ");
}

static void put_source(struct printer *p, struct mark at, const char *ansi) {
    struct span line = source_line(p->list, at);
    if (at.line == 0 || !line.p)
        return;
    size_t begin = byte_of(line, at.column),
           from = begin > SHOWN_MAX / 2 ? begin - SHOWN_MAX / 2 : 0;
    while (from && from < line.n && continues(line.p[from]))
        from--;
    struct span shown =
        line.n - from > SHOWN_MAX ? span_cut(line, from, SHOWN_MAX) : span_from(line, from);
    while (shown.n && from + shown.n < line.n && continues(line.p[from + shown.n]))
        shown.n--;
    put_gutter(p, at.line);
    put_clean(p, shown);
    put_z(p, "\n");
    put_gutter(p, 0);
    put_blanks(p, span_cut(shown, 0, begin - from));
    paint(p, ansi);
    size_t end = byte_of(line, at.column + (at.length ? at.length : 1));
    put_z(p, "^");
    for (size_t i = begin + 1; i < end && i - from < shown.n; i++)
        if (!continues(line.p[i]))
            put_z(p, "~");
    paint(p, "\033[0m");
    put_z(p, "\n");
}

static void print_one(struct printer *p, const struct diag *d) {
    bool warning = d->severity == DIAG_WARNING;
    const char *ansi = warning ? "\033[1;35m" : "\033[1;31m";
    paint(p, "\033[1m");
    put_place(p, d->at);
    put_z(p, ": ");
    paint(p, ansi);
    put_z(p, warning ? "warning[" : "error[");
    put_z(p, d->info->code);
    put_z(p, "]");
    paint(p, "\033[0m\033[1m");
    put_z(p, ": ");
    put_clean(p, span_z(d->message));
    paint(p, "\033[0m");
    put_z(p, "\n");
    put_source(p, d->at, ansi);
    for (unsigned i = 0; i < d->notes; i++) {
        put_z(p, "  note: ");
        put_clean(p, span_z(d->note[i].text));
        put_z(p, ": ");
        put_place(p, d->note[i].at);
        put_z(p, "\n");
        put_source(p, d->note[i].at, "\033[1;36m");
    }
    if (d->help) {
        put_z(p, "  help: ");
        put_clean(p, span_z(d->help));
        put_z(p, "\n");
    }
}

static unsigned kept(const struct diag_list *l, enum diag_severity severity) {
    unsigned n = 0;
    for (unsigned i = 0; i < l->count; i++)
        n += l->diag[i]->severity == severity;
    return n;
}

static void print_more(struct printer *p, enum diag_severity s, unsigned all, const char *what) {
    unsigned n = kept(p->list, s);
    if (all <= n)
        return;
    put_z(p, "and ");
    put_u(p, all - n);
    put_z(p, " more ");
    put_z(p, what);
    put_z(p, "\n");
}

static void print_text(struct printer *p) {
    for (unsigned i = 0; i < p->list->count; i++)
        print_one(p, p->list->diag[i]);
    print_more(p, DIAG_ERROR, p->list->errors, "errors");
    print_more(p, DIAG_WARNING, p->list->warnings, "warnings");
}

static void put_json(struct printer *p, const char *z) {
    struct span s = span_z(z);
    put_z(p, "\"");
    while (s.n) { /* in pieces: a code point is never cut */
        size_t n = s.n > 256 ? 256 : s.n;
        while (n < s.n && n > 1 && continues(s.p[n]))
            n--;
        char buf[256 * 6];
        struct str b = str_on(buf, sizeof buf);
        str_json(&b, span_cut(s, 0, n));
        put(p, str_span(&b));
        s = span_from(s, n);
    }
    put_z(p, "\"");
}

static void json_key(struct printer *p, const char *key) {
    put_z(p, "\"");
    put_z(p, key);
    put_z(p, "\":");
}

static void json_place(struct printer *p, struct mark at) {
    json_key(p, "file");
    put_json(p, p->list->source[at.file].name);
    put_z(p, ",");
    json_key(p, "line");
    put_u(p, at.line);
    put_z(p, ",");
    json_key(p, "column");
    put_u(p, at.column);
    put_z(p, ",");
    json_key(p, "length");
    put_u(p, at.length);
}

static void json_one(struct printer *p, const struct diag *d) {
    put_z(p, "{");
    json_key(p, "code");
    put_json(p, d->info->code);
    put_z(p, ",");
    json_key(p, "severity");
    put_json(p, d->severity == DIAG_WARNING ? "warning" : "error");
    put_z(p, ",");
    json_place(p, d->at);
    put_z(p, ",");
    json_key(p, "message");
    put_json(p, d->message);
    if (d->help) {
        put_z(p, ",");
        json_key(p, "help");
        put_json(p, d->help);
    }
    put_z(p, ",");
    json_key(p, "notes");
    put_z(p, "[");
    for (unsigned i = 0; i < d->notes; i++) {
        put_z(p, i ? ",{" : "{");
        json_place(p, d->note[i].at);
        put_z(p, ",");
        json_key(p, "message");
        put_json(p, d->note[i].text);
        put_z(p, "}");
    }
    put_z(p, "]}");
}

static void print_json(struct printer *p) {
    put_z(p, "{\"errors\":");
    put_u(p, p->list->errors);
    put_z(p, ",\"warnings\":");
    put_u(p, p->list->warnings);
    put_z(p, ",\"diagnostics\":[");
    for (unsigned i = 0; i < p->list->count; i++) {
        put_z(p, i ? ",\n" : "\n");
        json_one(p, p->list->diag[i]);
    }
    put_z(p, "\n]}\n");
}

static void sarif_location(struct printer *p, struct mark at, const char *message) {
    put_z(p, "{\"physicalLocation\":{\"artifactLocation\":{\"uri\":");
    put_json(p, p->list->source[at.file].name);
    put_z(p, "}");
    if (at.line) {
        put_z(p, ",\"region\":{\"startLine\":");
        put_u(p, at.line);
        put_z(p, ",\"startColumn\":");
        put_u(p, at.column);
        put_z(p, ",\"endColumn\":");
        put_u(p, (uint64_t)at.column + (at.length ? at.length : 1));
        put_z(p, "}");
    }
    put_z(p, "}");
    if (message) {
        put_z(p, ",\"message\":{\"text\":");
        put_json(p, message);
        put_z(p, "}");
    }
    put_z(p, "}");
}

static void sarif_message(struct printer *p, const struct diag *d) {
    put_z(p, "\"message\":{\"text\":");
    if (d->help) {
        struct arena *a = &p->list->arena;
        put_json(p, arena_fmt(a, "%s\nhelp: %s", d->message, d->help));
    } else {
        put_json(p, d->message);
    }
    put_z(p, "}");
}

static void sarif_result(struct printer *p, const struct diag *d) {
    put_z(p, "{\"ruleId\":");
    put_json(p, d->info->code);
    put_z(p, d->severity == DIAG_WARNING ? ",\"level\":\"warning\"," : ",\"level\":\"error\",");
    sarif_message(p, d);
    put_z(p, ",\"locations\":[");
    sarif_location(p, d->at, NULL);
    put_z(p, "]");
    for (unsigned i = 0; i < d->notes; i++) {
        put_z(p, i ? "," : ",\"relatedLocations\":[");
        sarif_location(p, d->note[i].at, d->note[i].text);
    }
    put_z(p, d->notes ? "]}" : "}");
}

static void print_sarif(struct printer *p) {
    put_z(p, "{\"$schema\":\"https://json.schemastore.org/sarif-2.1.0.json\",\"version\":\"2.1.0\","
             "\"runs\":[{\"tool\":{\"driver\":{\"name\":\"sluice\",\"version\":\"" SLUICE_VERSION
             "\",\"rules\":[");
    bool first = true;
    for (unsigned c = 0; c < DIAG_CODES; c++) {
        put_z(p, first ? "\n{\"id\":" : ",\n{\"id\":");
        first = false;
        put_json(p, diag_codes[c].code);
        put_z(p, ",\"shortDescription\":{\"text\":");
        put_json(p, diag_codes[c].title);
        put_z(p, "}}");
    }
    put_z(p, "]}},\"results\":[");
    for (unsigned i = 0; i < p->list->count; i++) {
        put_z(p, i ? ",\n" : "\n");
        sarif_result(p, p->list->diag[i]);
    }
    put_z(p, "\n]}]}\n");
}

void diag_print(struct diag_list *l, enum diag_format f, bool color, diag_out out, void *ctx) {
    struct printer p = {l, color && f == DIAG_TEXT, out, ctx};
    diag_sort(l);
    switch (f) {
    case DIAG_TEXT:
        print_text(&p);
        break;
    case DIAG_JSON:
        print_json(&p);
        break;
    case DIAG_SARIF:
        print_sarif(&p);
        break;
    }
}
