/* docs/observability.md names every log field and every metric as the code does. With --print the
 * program prints the two tables, to be put there. */
#include "admin/pages.h"
#include "core/log_conf.h"
#include "observe/metrics.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include <stdlib.h>

static void field_table(struct text *t) {
    text_lit(t, "| field | what it is | shipped |\n|---|---|---|\n");
    for (unsigned i = 0; i < LOG_FIELD_COUNT; i++) {
        bool shipped = false;
        for (unsigned k = 0; k < LOG_SHIPPED_COUNT; k++)
            shipped |= log_fields_shipped[k] == (int)i;
        text_lit(t, "| `");
        text_add(t, log_field_table[i].name);
        text_lit(t, "` | ");
        text_z(t, log_field_table[i].doc);
        text_z(t, shipped ? " | yes |\n" : " | |\n");
    }
}

/* From "# HELP name text\n# TYPE name type\n" of the page itself. */
static void metric_table(struct text *t) {
    struct snapshot s = {0};
    struct text page = text_new(1 << 20);
    page_metrics(&page, &s);
    text_lit(t, "| metric | type | what it counts |\n|---|---|---|\n");
    struct span rest = span_of(page.p, page.n);
    while (rest.p) {
        struct span line = span_split(&rest, '\n');
        if (!span_starts(line, SPAN("# HELP ")))
            continue;
        struct span help = span_from(line, 7), type = span_split(&rest, '\n');
        struct span name = span_split(&help, ' ');
        type = span_from(type, 7 + name.n + 1);
        text_lit(t, "| `");
        text_add(t, name);
        text_lit(t, "` | ");
        text_add(t, type);
        text_lit(t, " | ");
        text_add(t, help);
        text_lit(t, " |\n");
    }
    text_finish(&page);
}

static void documented(void (*table)(struct text *t)) {
    static char doc[256 * 1024];
    const char *root = getenv("SLUICE_SOURCE_ROOT");
    char path[4096];
    struct text t = text_new(1 << 20);
    snprintf(path, sizeof path, "%s/docs/observability.md", root ? root : ".");
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    doc[fread(doc, 1, sizeof doc - 1, f)] = 0;
    fclose(f);
    table(&t);
    struct span rest = span_of(t.p, t.n);
    while (rest.p) {
        struct span line = span_split(&rest, '\n');
        char text[1024];
        snprintf(text, sizeof text, "%.*s\n", SPAN_ARG(line));
        if (line.n && !strstr(doc, text))
            fail_msg("docs/observability.md lacks this line (test-admin-docs --print): %s", text);
    }
    text_put(&t, "", 1);
    if (!strstr(doc, t.p))
        fail_msg("docs/observability.md has lines more than the code");
    text_finish(&t);
}

static void log_fields(void **state) {
    (void)state;
    documented(field_table);
}
static void metrics(void **state) {
    (void)state;
    documented(metric_table);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(log_fields), cmocka_unit_test(metrics)};
    if (argc == 2 && strcmp(argv[1], "--print") == 0) {
        struct text t = text_new(1 << 20);
        field_table(&t);
        text_lit(&t, "\n");
        metric_table(&t);
        fwrite(t.p, 1, t.n, stdout);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
