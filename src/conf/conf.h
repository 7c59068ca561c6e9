/*
 * conf - from configuration files to a snapshot.
 *
 * Files -> trees with positions -> one tree (include, patches) -> checked against the schema tables
 * -> inheritance worked out -> an immutable snapshot. All mistakes are told in one run, through the
 * list of diagnostics; with an error there is no snapshot. Nothing outside is changed. May block on
 * files, so in the running gateway a helper thread calls it. Owner: the caller gets one reference
 * (snapshot_unref_atomic). Thread: any one at a time.
 */
#pragma once
#include "conf/diag.h"
#include "core/authenticator.h"
#include "core/schema.h"

/* What the rooms above core bring (main/registry.c): the only list of policies and backs. The
 * loader asks by name: backs "proxy", "respond", "redirect"; filters by the policy's key,
 * "rewrite". */
struct conf_registry {
    const struct policy *const *policy;
    unsigned policies;
    const struct back_ops *const *back;
    unsigned backs;
    /* The access log's policy (a struct log_conf is what its form fills); NULL: `log` is not
     * available. */
    const struct policy *log;
    const struct credentials_ops *credentials; /* of services */
    const struct gate_ops *gate;               /* likewise */
    const struct auth_kind *const *auth;       /* kinds of authenticators */
    unsigned auths;
};

struct conf_options {
    const char *const *file; /* in the order of -c: each later one is a patch */
    unsigned files;
    const char *(*getenv)(void *ctx, const char *name); /* NULL: the process's environment */
    void *ctx;
    bool warnings;
    const struct conf_registry *registry;
};

/* NULL: the list has errors. */
must_use struct snapshot *conf_load(const struct conf_options *o, struct diag_list *diags);
