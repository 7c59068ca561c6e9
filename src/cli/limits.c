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

/* {"key":"..","shared_limits":1,"forgotten":2} */
static uint64_t number_of(struct span body, struct span mark) {
    const char *at = memmem(body.p, body.n, mark.p, mark.n);
    uint64_t n = 0;
    if (!at)
        return 0;
    struct span rest = span_from(body, (size_t)(at - body.p) + mark.n);
    size_t n_digits = 0;
    while (n_digits < rest.n && rest.p[n_digits] >= '0' && rest.p[n_digits] <= '9')
        n_digits++;
    return parse_dec(span_of(rest.p, n_digits), UINT64_MAX, &n) ? n : 0;
}

static int forgotten(const struct cli *c, const struct ask_answer *a) {
    uint64_t here = number_of(a->body, SPAN("\"forgotten\":"));
    uint64_t shared = number_of(a->body, SPAN("\"shared_limits\":"));
    const char *key = c->argument[1];
    if (c->call.json)
        fwrite(a->body.p, 1, a->body.n, stdout);
    else if (here)
        printf("forgotten in %llu window%s: `%s` begins anew\n", (unsigned long long)here,
               here == 1 ? "" : "s", key);
    if (!c->call.json && shared)
        printf("the shared state was told to forget `%s`, in %llu limit%s\n", key,
               (unsigned long long)shared, shared == 1 ? "" : "s");
    if (!c->call.json && !here && !shared)
        fprintf(stderr,
                "sluice: %s has counted a key `%s`; `sluice limits top` shows how keys are written "
                "(a consumer's: consumer:NAME)%s\n",
                c->limit ? "that limit never" : "no rate limit", key,
                c->limit ? "" : ". A quota begins anew only with --limit");
    return here || shared ? CLI_FINE : CLI_FAILED;
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

enum what { LIST, TOP, QUOTAS, RESET, WHATS };
static const struct {
    const char *name, *path;
    unsigned arguments; /* at most, with the name */
} whats[] = {{"", "/limits", 0},
             {"top", "/limits/top", 1},
             {"quotas", "/limits/quotas", 2},
             {"reset", "/limits/reset", 2}};

/* WHATS: told why. */
static enum what find(struct cli *c) {
    const char *word = c->arguments ? c->argument[0] : "";
    enum what w = LIST;
    while (w < WHATS && strcmp(word, whats[w].name) != 0)
        w++;
    if (w == WHATS || (c->arguments && !*word))
        cli_misused(c, "`limits` is followed by nothing, top, quotas or reset, not `%s`", word);
    else if (w == RESET && c->arguments != 2)
        cli_misused(c, "reset wants a KEY, as `limits top` writes it");
    else if (c->arguments > whats[w].arguments)
        cli_misused(c, "only quotas and reset take a KEY");
    else if (w == LIST && (c->limit || c->by || c->count))
        cli_misused(c, "--limit, --by and -n belong to `limits top`");
    else if ((w == RESET && c->count) || (w != TOP && c->by))
        cli_misused(c, "%s belongs to `limits top`", c->by ? "--by" : "-n");
    else
        return w;
    return WHATS;
}

/* False: told why. */
static bool path_of(struct cli *c, enum what w, struct str *path) {
    const char *key = w != TOP && c->arguments == 2 ? c->argument[1] : NULL;
    str_add(path, span_z(whats[w].path));
    bool fine = put(path, "limit", c->limit) && put(path, "key", key) && put(path, "by", c->by) &&
                put(path, "n", c->count);
    str_char(path, 0);
    if (!fine)
        cli_misused(c, "a key or limit has at most %d bytes", (int)VALUE_MAX);
    return fine;
}

int cli_limits(struct cli *c) {
    char room[PATH_MAX_BYTES];
    struct str path = str_on(room, sizeof room);
    struct diag_list diags;
    enum what w = find(c);
    if (w == WHATS || !path_of(c, w, &path))
        return CLI_USAGE;
    diag_init(&diags, false);
    struct snapshot *s = cli_load(c, &diags, stderr);
    int code = CLI_CONFIG;
    if (s && !s->admin.len) {
        fprintf(stderr, "sluice: the configuration has no admin listener to ask; "
                        "`admin: {address: 127.0.0.1:9901}` makes one\n");
        code = CLI_FAILED;
    } else if (s) {
        code = talk(c, s, room, w == RESET);
    }
    diag_finish(&diags);
    if (s)
        snapshot_unref_atomic(s);
    return code;
}
