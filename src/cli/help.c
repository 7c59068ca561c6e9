#include "cli/command.h"
#include "conf/reference.h"

static void put(void *ctx, struct span text) {
    fwrite(text.p, 1, text.n, ctx);
}

enum { WIDTH = 78 };

/* Broken at blanks, so that no terminal has to do it. */
static void wrapped(const char *text) {
    struct span rest = span_z(text);
    size_t column = 0;
    while (rest.p) {
        struct span word = span_split(&rest, ' ');
        if (column && column + 1 + word.n > WIDTH) {
            printf("\n");
            column = 0;
        }
        printf("%s%.*s", column ? " " : "", SPAN_ARG(word));
        column += word.n + (column > 0);
    }
    printf("\n");
}

static int help_code(const struct diag_info *d) {
    printf("%s: %s\n\n", d->code, d->title);
    wrapped(d->text);
    if (!d->example)
        return CLI_FINE;
    struct span rest = span_z(d->example);
    printf("\nExample:\n\n");
    while (rest.p) {
        struct span line = span_split(&rest, '\n');
        printf("    %.*s\n", SPAN_ARG(line));
    }
    return CLI_FINE;
}

int cli_help(struct cli *c) {
    if (!c->arguments) {
        cli_usage(NULL, stdout);
        return CLI_FINE;
    }
    const char *name = c->argument[0];
    for (unsigned i = 0; i < command_count; i++)
        if (strcmp(commands[i].name, name) == 0) {
            cli_usage(&commands[i], stdout);
            return CLI_FINE;
        }
    const char *word[DIAG_CODES];
    for (unsigned i = 0; i < DIAG_CODES; i++) {
        word[i] = diag_codes[i].code;
        if (span_eq_nocase(span_z(name), span_z(word[i])))
            return help_code(&diag_codes[i]);
    }
    const char *guess = diag_guess(span_z(name), word, DIAG_CODES);
    cli_misused(NULL, "there is no command and no code `%s`%s%s%s", name,
                guess ? "; did you mean " : "", guess ? guess : "", guess ? "?" : "");
    return CLI_FAILED;
}

int cli_schema(struct cli *c) {
    (void)c;
    reference_json_schema(cli_parts.registry, put, stdout);
    return CLI_FINE;
}

/* The generated pages of docs/; tests compare them. */
int cli_docs(struct cli *c) {
    if (strcmp(c->argument[0], "errors") == 0)
        reference_errors(put, stdout);
    else if (strcmp(c->argument[0], "configuration") == 0)
        reference_configuration(cli_parts.registry, put, stdout);
    else
        return cli_misused(c, "there are the pages errors and configuration, not `%s`",
                           c->argument[0]);
    return CLI_FINE;
}
