#include "cli/status.h"
#include "cli/ask.h"
#include <stdio.h>

int cli_status_of(const struct address *admin, struct span name, bool json) {
    struct ask_answer a;
    const char *why;
    int code = CLI_FAILED;
    if (!ask(admin, false, "/status", json ? "application/json" : "text/plain", &a, &why)) {
        fprintf(stderr, "sluice: no gateway can be asked at %.*s: %s\n", SPAN_ARG(name), why);
    } else if (a.status != 200) {
        fprintf(stderr, "sluice: what listens at %.*s answers %d to GET /status\n", SPAN_ARG(name),
                a.status);
    } else {
        fwrite(a.body.p, 1, a.body.n, stdout);
        code = fflush(stdout) == 0 ? CLI_FINE : CLI_FAILED;
    }
    text_finish(&a.bytes);
    return code;
}

static void to_stderr(void *ctx, struct span text) {
    (void)ctx;
    fwrite(text.p, 1, text.n, stderr);
}

int cli_status(const struct cli_call *call) {
    struct diag_list diags;
    diag_init(&diags, false);
    struct snapshot *s = conf_load(&call->conf, &diags);
    int code = CLI_CONFIG;
    if (!s) {
        diag_print(&diags, DIAG_TEXT, false, to_stderr, NULL);
    } else if (!s->admin.len) {
        fprintf(stderr, "sluice: the configuration has no admin listener to ask; "
                        "`admin: {address: 127.0.0.1:9901}` makes one\n");
        code = CLI_FAILED;
    } else {
        code = cli_status_of(&s->admin, s->admin_text, call->json);
    }
    diag_finish(&diags);
    if (s)
        snapshot_unref_atomic(s);
    return code;
}
