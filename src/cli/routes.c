#include "cli/command.h"
#include "cli/jout.h"
#include "core/canned.h"
#include "core/route.h"

enum { COLUMNS = 6 };

struct row {
    struct span cell[COLUMNS];
};

static struct span joined(struct arena *a, const struct span *s, uint32_t n, const char *none) {
    char *text = arena_fmt(a, "%s", n ? "" : none);
    for (uint32_t i = 0; i < n; i++)
        text = arena_fmt(a, "%s%s%.*s", text, i ? "," : "", SPAN_ARG(s[i]));
    return span_z(text);
}

static struct span methods_of(struct arena *a, const struct route_match *m) {
    struct span name[METHOD_COUNT + 32];
    uint32_t n = 0;
    for (int i = 1; i < METHOD_COUNT; i++)
        if (m->methods & 1u << i)
            name[n++] = method_name((enum method)i);
    for (uint32_t i = 0; i < m->method_other_count && n < array_len(name); i++)
        name[n++] = m->method_other[i];
    return joined(a, name, n, "*");
}

static struct span paths_of(struct arena *a, const struct route_match *m) {
    char *text = arena_fmt(a, "%s", m->path_count ? "" : "*");
    for (uint32_t i = 0; i < m->path_count; i++)
        text = arena_fmt(a, "%s%s%.*s", text, i ? "," : "", SPAN_ARG(m->path[i].text));
    return span_z(text);
}

static struct span conditions_of(struct arena *a, const struct route_match *m) {
    static const char *const of[] = {"header", "query", "cookie"};
    char *text = arena_fmt(a, "%s", "");
    for (int k = 0; k < 3; k++)
        for (uint32_t i = 0; i < m->value_count[k]; i++) {
            const struct value_match *v = &m->value[k][i];
            const char *how = v->kind == VALUE_PRESENT  ? " present"
                              : v->kind == VALUE_ABSENT ? " absent"
                                                        : "=";
            text = arena_fmt(a, "%s%s%s %.*s%s%.*s", text, *text ? ", " : "", of[k],
                             SPAN_ARG(v->name), how, SPAN_ARG(value_shown(v)));
        }
    return span_z(text);
}

static bool is_back(const struct route *r, const char *name) {
    return r->plan.back && strcmp(r->plan.back->name, name) == 0;
}

static struct span action_of(struct arena *a, const struct route *r) {
    if (is_back(r, "proxy")) {
        const struct forward_conf *f = r->plan.back_conf;
        char *text = arena_fmt(a, "%s", "to ");
        for (uint32_t i = 0; i < f->target_count; i++) {
            const struct target *t = &f->target[i];
            text = arena_fmt(a, "%s%s%.*s", text, i ? ", " : "", SPAN_ARG(t->service->name));
            if (f->target_count > 1)
                text = arena_fmt(a, "%s:%u", text, t->weight);
        }
        return span_z(text);
    }
    if (is_back(r, "respond"))
        return span_z(
            arena_fmt(a, "respond %d", ((const struct respond_conf *)r->plan.back_conf)->status));
    if (is_back(r, "redirect"))
        return span_z(
            arena_fmt(a, "redirect %d", ((const struct redirect_conf *)r->plan.back_conf)->status));
    return SPAN("-");
}

static void row_of(struct arena *a, const struct route *r, struct row *out) {
    out->cell[0] = r->name;
    out->cell[1] = methods_of(a, r->match);
    out->cell[2] = joined(a, r->match->host, r->match->host_count, "*");
    out->cell[3] = paths_of(a, r->match);
    struct span more = conditions_of(a, r->match);
    if (more.n)
        out->cell[3] = span_z(arena_fmt(a, "%.*s (%.*s)", SPAN_ARG(out->cell[3]), SPAN_ARG(more)));
    out->cell[4] = action_of(a, r);
    out->cell[5] = span_z(arena_fmt(a, "%s:%u", r->where.file, r->where.line));
}

static int width_of(const struct row *rows, uint32_t count, int column, size_t least) {
    size_t width = least;
    for (uint32_t i = 0; i < count; i++)
        if (rows[i].cell[column].n > width)
            width = rows[i].cell[column].n;
    return (int)(width > 60 ? 60 : width);
}

static void table(struct arena *a, const struct snapshot *s) {
    static const char *const head[COLUMNS] = {"NAME", "METHOD", "HOST", "PATH", "ACTION", "WHERE"};
    struct row *rows = arena_alloc(a, (s->route_count + 1) * sizeof *rows);
    for (uint32_t i = 0; i < s->route_count; i++)
        row_of(a, &s->route[i], &rows[i]);
    int width[COLUMNS];
    for (int k = 0; k < COLUMNS; k++) {
        width[k] = k + 1 < COLUMNS ? width_of(rows, s->route_count, k, strlen(head[k])) : 0;
        printf("%-*s%s", width[k], head[k], k + 1 < COLUMNS ? "  " : "\n");
    }
    for (uint32_t i = 0; i < s->route_count; i++)
        for (int k = 0; k < COLUMNS; k++)
            printf("%-*.*s%s", width[k], SPAN_ARG(rows[i].cell[k]), k + 1 < COLUMNS ? "  " : "\n");
}

static void json_values(struct jout *j, const struct route_match *m) {
    static const char *const of[] = {"headers", "query", "cookies"};
    static const char *const kinds[] = {[VALUE_IS] = "is",
                                        [VALUE_PRESENT] = "present",
                                        [VALUE_ABSENT] = "absent",
                                        [VALUE_REGEX] = "regex"};
    for (int k = 0; k < 3; k++) {
        if (!m->value_count[k])
            continue;
        jout_open(j, of[k], '[');
        for (uint32_t i = 0; i < m->value_count[k]; i++) {
            jout_open(j, NULL, '{');
            jout_text(j, "name", m->value[k][i].name);
            jout_text(j, "kind", span_z(kinds[m->value[k][i].kind]));
            jout_text(j, "value", value_shown(&m->value[k][i]));
            jout_close(j, '}');
        }
        jout_close(j, ']');
    }
}

static void json_route(struct jout *j, struct arena *a, const struct snapshot *s,
                       const struct route *r) {
    const struct route_match *m = r->match;
    jout_open(j, NULL, '{');
    jout_text(j, "name", r->name);
    jout_open(j, "methods", '[');
    for (int i = 1; i < METHOD_COUNT; i++)
        if (m->methods & 1u << i)
            jout_text(j, NULL, method_name((enum method)i));
    for (uint32_t i = 0; i < m->method_other_count; i++)
        jout_text(j, NULL, m->method_other[i]);
    jout_close(j, ']');
    jout_open(j, "hosts", '[');
    for (uint32_t i = 0; i < m->host_count; i++)
        jout_text(j, NULL, m->host[i]);
    jout_close(j, ']');
    jout_open(j, "paths", '[');
    for (uint32_t i = 0; i < m->path_count; i++)
        jout_text(j, NULL, m->path[i].text);
    jout_close(j, ']');
    jout_open(j, "listeners", '[');
    for (uint32_t i = 0; i < s->listener_count; i++)
        if (!m->listeners || (m->listeners & s->listener[i].routes_bit))
            jout_text(j, NULL, s->listener[i].name);
    jout_close(j, ']');
    json_values(j, m);
    jout_number(j, "priority", m->priority);
    jout_text(j, "action", action_of(a, r));
    jout_text(j, "file", span_z(r->where.file));
    jout_number(j, "line", r->where.line);
    jout_close(j, '}');
}

int cli_routes(struct cli *c) {
    struct diag_list d;
    diag_init(&d, false);
    struct snapshot *s = cli_load(c, &d, stderr);
    diag_finish(&d);
    if (!s)
        return CLI_CONFIG;
    struct arena a;
    arena_init(&a, NULL);
    if (c->format == DIAG_JSON) {
        struct jout j = {.f = stdout};
        jout_open(&j, NULL, '[');
        for (uint32_t i = 0; i < s->route_count; i++)
            json_route(&j, &a, s, &s->route[i]);
        jout_close(&j, ']');
        printf("\n");
    } else {
        table(&a, s);
    }
    arena_finish(&a);
    snapshot_unref_atomic(s);
    return CLI_FINE;
}
