/* The commands' side of the control socket: sluice reload. */
#include "main/control.h"
#include "main/control_name.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

enum { ANSWER_SECONDS = 120 };

static int fail(const struct cli_call *call, const char *why) {
    fprintf(stderr, "sluice: no gateway that runs with %s can be asked: %s\n", call->conf.file[0],
            why);
    return CLI_FAILED;
}

static int connect_to(const struct cli_call *call, int *err) {
    struct address a = control_address(call, getuid());
    struct timeval patience = {.tv_sec = ANSWER_SECONDS};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *err = a.len ? 0 : ENAMETOOLONG;
    if (fd >= 0 && a.len && connect(fd, &a.sa, a.len) == 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        return fd;
    }
    *err = *err ? *err : errno;
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool send_line(int fd, struct span line) {
    return send(fd, line.p, line.n, MSG_NOSIGNAL) == (ssize_t)line.n;
}

/* "CODE message\n" first; false: there was none. */
static bool first_line(FILE *f, int *code, char *message, size_t max) {
    uint64_t v;
    char line[1024];
    if (!fgets(line, sizeof line, f))
        return false;
    struct span rest = span_z(line), number = span_split(&rest, ' ');
    if (!rest.p || !parse_dec(number, 255, &v))
        return false;
    *code = (int)v;
    struct span text = span_trim(span_split(&rest, '\n'));
    snprintf(message, max, "%.*s", SPAN_ARG(text));
    return true;
}

/* Diagnostics stand on standard output as JSON, else on standard error; the message follows them.
 */
static int show(const struct cli_call *call, FILE *f) {
    char message[1024], piece[4096];
    int code;
    if (!first_line(f, &code, message, sizeof message))
        return fail(call, "it ended before it answered");
    FILE *details = call->json ? stdout : stderr;
    for (size_t n; (n = fread(piece, 1, sizeof piece, f)) > 0;)
        fwrite(piece, 1, n, details);
    if (code)
        fprintf(stderr, "sluice: %s\n", message);
    else if (!call->json)
        printf("%s\n", message);
    return code;
}

int control_reload(const struct cli_call *call) {
    int err, fd = connect_to(call, &err);
    if (fd < 0)
        return fail(call, err == ECONNREFUSED || err == ENOENT ? "there is none" : strerror(err));
    if (geteuid() != 0 && !control_trusts(fd, getuid())) {
        close(fd);
        return fail(call, "it belongs to another user");
    }
    FILE *f = fdopen(fd, "r+");
    if (!f || !send_line(fd, call->json ? SPAN("reload json\n") : SPAN("reload text\n"))) {
        int sent = errno;
        close(fd);
        return fail(call, strerror(sent));
    }
    int code = show(call, f);
    fclose(f);
    return code;
}
