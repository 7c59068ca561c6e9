#include "cli/certificate.h"
#include "cli/command.h"

static const char *plural(unsigned n) {
    return n == 1 ? "" : "s";
}

static void print_certificate(void *ctx, const struct tls_cert_state *c) {
    const struct listener_conf *l = ctx;
    printf("  %.*s: ", SPAN_ARG(l->name));
    certificate_print(stdout, c);
    printf("\n");
}

static void summary(const struct cli *c, const struct diag_list *d, const struct snapshot *s) {
    const char *file = c->call.conf.file[0];
    if (d->errors)
        printf("%s: %u error%s, %u warning%s\n", file, d->errors, plural(d->errors), d->warnings,
               plural(d->warnings));
    else if (s)
        printf("%s is fine: %u listener%s, %u service%s, %u route%s%s", file, s->listener_count,
               plural(s->listener_count), s->service_count, plural(s->service_count),
               s->route_count, plural(s->route_count), d->warnings ? "" : "\n");
    if (!d->errors && s && d->warnings)
        printf("; %u warning%s\n", d->warnings, plural(d->warnings));
    for (uint32_t i = 0; s && i < s->listener_count; i++)
        if (s->listener[i].tls)
            tls_server_walk(s->listener[i].tls, print_certificate,
                            (void *)(uintptr_t)&s->listener[i]);
}

int cli_check(struct cli *c) {
    struct diag_list d;
    diag_init(&d, true);
    struct snapshot *s = conf_load(&c->call.conf, &d);
    cli_diagnostics(c, &d, stdout);
    if (c->format == DIAG_TEXT)
        summary(c, &d, s);
    int code = s ? CLI_FINE : CLI_CONFIG;
    snapshot_unref_atomic(s);
    diag_finish(&d);
    return code;
}
