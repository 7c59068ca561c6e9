#include "main/run.h"
#include "main/gateway.h"
#include "main/supervisor.h"
#include <stdlib.h>

int run(const struct cli_call *call) {
    /* The variable names an inherited channel: this is the serving process of a supervisor. */
    if (call->no_supervisor || getenv("SLUICE_SUPERVISOR"))
        return gateway_run(call);
    return supervisor_run(call);
}
