/* The YAML reader and everything behind it: a configuration of any bytes ends in a snapshot or in
 * diagnostics that can be printed. */
#include "../unit/conf/memory_files.h"
#include "back/canned.h"
#include "back/proxy.h"
#include "conf/conf.h"
#include "filter/grpc.h"
#include "filter/rewrite.h"
#include "filter/websocket.h"
#include "observe/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct policy *const policies[] = {&rewrite_policy, &websocket_policy, &grpc_policy};
static const struct back_ops *const backs[] = {&proxy_back, &canned_respond, &canned_redirect};
static const struct conf_registry registry = {
    .policy = policies, .policies = 3, .back = backs, .backs = 3, .log = &log_policy};

static const char *environment(void *ctx, const char *name) {
    (void)ctx;
    return name[0] == 'S' ? "text" : NULL;
}

static void count(void *ctx, struct span text) {
    *(size_t *)ctx += text.n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const names[] = {"a.yaml", "b.yaml"};
    const char *text = (const char *)data;
    /* The second half behind a 0xff byte is a patch of the first. */
    const char *cut = size ? memchr(text, 0xff, size) : NULL;
    size_t first = cut ? (size_t)(cut - text) : size, printed = 0;
    memory_put(names[0], text, first);
    if (cut)
        memory_put(names[1], cut + 1, size - first - 1);
    struct conf_options o = {.file = names,
                             .files = cut ? 2 : 1,
                             .getenv = environment,
                             .warnings = true,
                             .registry = &registry};
    struct diag_list diags;
    diag_init(&diags, true);
    struct snapshot *s = conf_load(&o, &diags);
    must(s || diags.errors);
    must(!s || !diags.errors);
    diag_print(&diags, DIAG_TEXT, true, count, &printed);
    diag_print(&diags, DIAG_JSON, false, count, &printed);
    diag_print(&diags, DIAG_SARIF, false, count, &printed);
    snapshot_unref_atomic(s);
    diag_finish(&diags);
    memory_clear();
    return 0;
}
