#include "cli/ask.h"
#include "cli/command.h"
#include "http/uri.h"

enum { PATH_MAX_BYTES = 3072, VALUE_MAX = 700 };

static bool put(struct str *path, const char *name, const char *value) {
    if (!value)
        return true;
    if (strlen(value) > VALUE_MAX)
        return false;
    str_char(path, memchr(path->p, '?', path->n) ? '&' : '?');
    str_add(path, span_z(name));
    str_char(path, '=');
    uri_encode(path, span_z(value), URI_QUERY);
    return !path->full;
}

/* What the gateway says of a mistake: {"detail": ".."}, or all of it. */
static int refused(const struct ask_answer *a, const struct cli *c) {
    if (a->status == 404 && c->limit)
        fprintf(stderr,
                "sluice: no limit of the running gateway is called `%s`; `sluice limits` "
                "lists them\n",
                c->limit);
    else
        fprintf(stderr, "sluice: the gateway answers %d: %.*s\n", a->status, SPAN_ARG(a->body));
    return CLI_FAILED;
}

/* {"key":"..","forgotten":2} */
static int forgotten(const struct cli *c, const struct ask_answer *a) {
    struct span mark = SPAN("\"forgotten\":");
    const char *at = memmem(a->body.p, a->body.n, mark.p, mark.n);
    bool some = at && at + mark.n < a->body.p + a->body.n && at[mark.n] != '0';
    if (c->call.json)
        fwrite(a->body.p, 1, a->body.n, stdout);
    else if (some)
        printf("forgotten: `%s` begins anew\n", c->argument[1]);
    else
        fprintf(stderr,
                "sluice: no limit knows a key `%s`; `sluice limits top` shows how keys are "
                "written\n",
                c->argument[1]);
    return some ? CLI_FINE : CLI_FAILED;
}

static int talk(struct cli *c, const struct snapshot *s, const char *path, bool reset) {
    struct ask_answer a;
    const char *why;
    int code = CLI_FAILED;
    const char *accept = c->call.json || reset ? "application/json" : "text/plain";
    if (!ask(&s->admin, reset, path, accept, &a, &why)) {
        fprintf(stderr, "sluice: no gateway can be asked at %.*s: %s\n", SPAN_ARG(s->admin_text),
                why);
    } else if (a.status != 200) {
        code = refused(&a, c);
    } else if (reset) {
        code = forgotten(c, &a);
    } else {
        fwrite(a.body.p, 1, a.body.n, stdout);
        code = CLI_FINE;
    }
    text_finish(&a.bytes);
    return fflush(stdout) == 0 ? code : CLI_FAILED;
}

/* False: told why. */
static bool what(struct cli *c, struct str *path, bool *reset) {
    const char *word = c->arguments ? c->argument[0] : "";
    bool top = strcmp(word, "top") == 0;
    *reset = strcmp(word, "reset") == 0;
    if (*word && !top && !*reset)
        return cli_misused(c, "`limits` is followed by nothing, top or reset, not `%s`", word),
               false;
    if (*reset != (c->arguments == 2))
        return cli_misused(c, *reset ? "reset wants a KEY, as `limits top` writes it"
                                     : "only reset takes a KEY"),
               false;
    if (!*word && (c->limit || c->by || c->count))
        return cli_misused(c, "--limit, --by and -n belong to `limits top`"), false;
    str_add(path, top ? SPAN("/limits/top") : *reset ? SPAN("/limits/reset") : SPAN("/limits"));
    if (!put(path, "limit", c->limit) || (*reset && !put(path, "key", c->argument[1])) ||
        (top && (!put(path, "by", c->by) || !put(path, "n", c->count))))
        return cli_misused(c, "a key or limit has at most %d bytes", (int)VALUE_MAX), false;
    str_char(path, 0);
    return true;
}

int cli_limits(struct cli *c) {
    char room[PATH_MAX_BYTES];
    struct str path = str_on(room, sizeof room);
    struct diag_list diags;
    bool reset;
    if (!what(c, &path, &reset))
        return CLI_USAGE;
    diag_init(&diags, false);
    struct snapshot *s = cli_load(c, &diags, stderr);
    int code = CLI_CONFIG;
    if (s && !s->admin.len) {
        fprintf(stderr, "sluice: the configuration has no admin listener to ask; "
                        "`admin: {address: 127.0.0.1:9901}` makes one\n");
        code = CLI_FAILED;
    } else if (s) {
        code = talk(c, s, room, reset);
    }
    diag_finish(&diags);
    if (s)
        snapshot_unref_atomic(s);
    return code;
}
