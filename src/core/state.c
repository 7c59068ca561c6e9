#include "core/state.h"
#include "core/schema.h"

#define S(member) FIELD(struct state_conf, member)
#define R(member) FIELD(struct state_shared, member)
#define T(member) FIELD(struct tls_client_settings, member)

static const struct schema_type file = {.kind = SCHEMA_FILE, .what = "a file"};
static const struct schema_type word = {.kind = SCHEMA_TEXT, .min = 1};
static const struct schema_type secret = {.kind = SCHEMA_SECRET, .min = 1};
static const struct schema_type url = {
    .kind = SCHEMA_TEXT, .min = 1, .what = "memory, or a URL as redis://host:6379"};
static const struct schema_type prefix = {.kind = SCHEMA_TEXT, .max = STATE_PREFIX_MAX};
static const struct schema_type timeout = {.kind = SCHEMA_DURATION, .min = 1, .max = 10000};

static const struct schema_field tls_fields[] = {
    {.key = "ca",
     .type = &file,
     T(ca),
     .doc = "Certificates that the server's own must come from, PEM; else the system's."},
    {.key = "name",
     .type = &word,
     T(name),
     .doc = "The name that its certificate must have; else the host of the URL."},
    {.key = "certificate",
     .type = &file,
     T(certificate),
     .doc = "A certificate that the gateway shows, PEM."},
    {.key = "private_key", .type = &file, T(private_key), .doc = "Its key, PEM."},
};
static const struct schema_object tls_object = {.name = "tls of state.shared",
                                                SCHEMA_OBJECT_OF(tls_fields),
                                                .doc = "TLS towards the shared state."};
static const struct schema_type tls_type = {.kind = SCHEMA_OBJECT, .object = &tls_object};

static const struct schema_field shared_fields[] = {
    {.key = "url",
     .type = &url,
     R(url),
     .flags = FIELD_REQUIRED,
     .doc = "Where it is: memory, redis://host:6379, rediss:// (TLS), unix:///path, "
            "redis+sentinel://host,host/NAME, redis+cluster://host,host."},
    {.key = "user",
     .type = &word,
     R(user),
     .doc = "Who the gateway is there (ACL); also in the URL."},
    {.key = "password",
     .type = &secret,
     R(password),
     .doc = "Its password; also in the URL, where others may see it."},
    {.key = "sentinel_password",
     .type = &secret,
     R(sentinel_password),
     .doc = "The password of the sentinels, where they want one."},
    {.key = "prefix",
     .type = &prefix,
     R(prefix),
     .shipped = "sluice:",
     .doc = "What all keys begin with, so that others may use the same database."},
    {.key = "timeout",
     .type = &timeout,
     R(timeout_ms),
     .shipped = "20ms",
     .doc = "How long one question may take; then on_failure of the limit decides."},
    {.key = "tls",
     .type = &tls_type,
     R(tls),
     .doc = "How the server proves who it is, with rediss://."},
};
static const struct schema_object shared_object = {
    .name = "state.shared",
    SCHEMA_OBJECT_OF(shared_fields),
    .short_scalar = "url",
    .doc = "The store that gateways share: Redis 6 or newer, or what speaks like it."};
static const struct schema_type shared = {.kind = SCHEMA_OBJECT, .object = &shared_object};

static const struct schema_field fields[] = {
    {.key = "shared",
     .type = &shared,
     S(shared),
     .shipped = "memory",
     .doc = "Where the gateways keep what they share: memory (each for itself), or a URL."},
    {.key = "store",
     .type = &file,
     S(store),
     .doc = "The file that keeps what must survive a restart, as /var/lib/sluice/state.db."},
};
static const struct schema_object object = {
    .name = "state",
    SCHEMA_OBJECT_OF(fields),
    .doc = "What gateways share, and what survives a restart."};
const struct schema_type schema_state_type = {.kind = SCHEMA_OBJECT, .object = &object};

/* ---- URLs ------------------------------------------------------------------------------------ */

static const struct scheme {
    const char *name;
    enum state_kind kind;
    bool tls;
    uint16_t port;
} schemes[] = {
    {"redis://", STATE_REDIS, false, 6379},
    {"rediss://", STATE_REDIS, true, 6379},
    {"redis+sentinel://", STATE_SENTINEL, false, 26379},
    {"rediss+sentinel://", STATE_SENTINEL, true, 26379},
    {"redis+cluster://", STATE_CLUSTER, false, 6379},
    {"rediss+cluster://", STATE_CLUSTER, true, 6379},
};

static const struct scheme *scheme_of(struct span u) {
    for (size_t i = 0; i < array_len(schemes); i++)
        if (span_starts(u, span_z(schemes[i].name)))
            return &schemes[i];
    return NULL;
}

static int hex(char c) {
    return c >= '0' && c <= '9'                 ? c - '0'
           : lower(c) >= 'a' && lower(c) <= 'f' ? lower(c) - 'a' + 10
                                                : -1;
}

/* %XX of user and password. */
static bool decode(struct arena *a, struct span s, struct span *out) {
    char *p = arena_alloc(a, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        p[n++] = s.p[i];
        if (s.p[i] != '%')
            continue;
        if (s.n - i < 3 || hex(s.p[i + 1]) < 0 || hex(s.p[i + 2]) < 0)
            return false;
        p[n - 1] = (char)(hex(s.p[i + 1]) * 16 + hex(s.p[i + 2]));
        i += 2;
    }
    *out = span_of(p, n);
    return true;
}

static bool is_name(struct span s) {
    for (size_t i = 0; i < s.n; i++) {
        char c = lower(s.p[i]);
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '.' && c != '_')
            return false;
    }
    return s.n > 0 && s.n <= 253;
}

static const char *no_host = "the URL of `shared` has no host, or one that makes no sense";

/* "host", "host:port", "[::1]:port" */
static const char *node_of(struct arena *a, struct span text, uint16_t port, struct state_node *n) {
    uint64_t number = port;
    struct span host = text;
    ptrdiff_t end = text.n && text.p[0] == '[' ? span_find(text, ']') : -1;
    if (text.n && text.p[0] == '[' && end < 0)
        return no_host;
    ptrdiff_t colon = span_find(span_from(text, (size_t)(end + 1)), ':');
    if (colon >= 0) {
        size_t at = (size_t)(end + 1 + colon);
        host = span_cut(text, 0, at);
        if (!parse_dec(span_from(text, at + 1), 65535, &number) || !number)
            return "the URL of `shared` has a port that is no number from 1 to 65535";
    }
    if (end >= 0 && host.n != (size_t)end + 1)
        return no_host;
    n->port = (uint16_t)number;
    if (address_parse_ip(host, &n->address))
        address_set_port(&n->address, n->port);
    else if (end >= 0 || !is_name(host))
        return no_host;
    n->host = end >= 0 ? span_cut(host, 1, host.n - 2) : host;
    n->text = span_z(arena_fmt(a, "%.*s:%u", SPAN_ARG(host), (unsigned)n->port));
    return NULL;
}

static const char *nodes_of(struct arena *a, struct span hosts, uint16_t port,
                            struct state_conf *c) {
    struct state_node *all = arena_zero(a, STATE_NODES_MAX * sizeof *all);
    const char *wrong = NULL;
    c->node = all;
    c->nodes = 0;
    for (struct span rest = hosts; rest.p && !wrong;) {
        if (c->nodes == STATE_NODES_MAX)
            return "the URL of `shared` names more than 16 hosts";
        wrong = node_of(a, span_split(&rest, ','), port, &all[c->nodes++]);
    }
    if (!wrong && c->kind == STATE_REDIS && c->nodes > 1)
        return "redis:// is one server; several are redis+sentinel:// or redis+cluster://";
    return wrong;
}

static bool database_of(struct span s, struct state_conf *c) {
    uint64_t n;
    if (!parse_dec(s, STATE_DATABASE_MAX, &n))
        return false;
    c->database = (uint32_t)n;
    return true;
}

/* What stands behind the hosts: "", "/2", "/main", "/main/2". */
static const char *path_of(struct span path, struct state_conf *c) {
    if (span_find(path, '?') >= 0 || span_find(path, '#') >= 0)
        return "the URL of `shared` takes no parameters; write them beside `url`";
    struct span rest = span_from(path, 1);
    if (c->kind == STATE_SENTINEL) {
        c->master = span_split(&rest, '/');
        if (!is_name(c->master))
            return "redis+sentinel:// ends with the name of the master, as "
                   "redis+sentinel://host1,host2/main";
        return !rest.p || database_of(rest, c)
                   ? NULL
                   : "behind the name of the master stands the number of a database, or nothing";
    }
    if (!rest.n)
        return NULL;
    if (!database_of(rest, c))
        return "behind the host of the URL of `shared` stands the number of a database, or nothing";
    return c->kind == STATE_CLUSTER && c->database ? "a cluster has only database 0" : NULL;
}

static const char *userinfo(struct arena *a, struct span s, struct state_conf *c) {
    ptrdiff_t colon = span_find(s, ':');
    struct span user = s, password = SPAN_NONE;
    if (colon >= 0) {
        user = span_cut(s, 0, (size_t)colon);
        password = span_from(s, (size_t)colon + 1);
    }
    if (!decode(a, user, &user) || !decode(a, password, &password))
        return "in user and password of the URL of `shared`, % is written %25";
    if ((user.n && c->user.n) || (password.n && c->password.n))
        return "user and password stand in the URL or beside it, not twice";
    c->user = user.n ? user : c->user;
    c->password = password.n ? password : c->password;
    return NULL;
}

static const char *unix_socket(struct arena *a, struct span u, struct state_conf *c) {
    struct state_node *n = arena_zero(a, sizeof *n);
    struct span path = span_from(u, sizeof "unix://" - 1);
    if (path.n < 2 || path.p[0] != '/' || span_find(path, '?') >= 0)
        return "a unix socket is written unix:///path/to/redis.sock";
    n->text = span_z(arena_fmt(a, "unix:%.*s", SPAN_ARG(path)));
    if (!address_parse(n->text, &n->address))
        return "the path of the unix socket is too long";
    c->kind = STATE_REDIS;
    c->node = n;
    c->nodes = 1;
    c->shown = u;
    return NULL;
}

static const char *parse_url(struct arena *a, struct span u, struct state_conf *c) {
    const struct scheme *s = scheme_of(u);
    if (span_starts(u, SPAN("unix://")))
        return unix_socket(a, u, c);
    if (!s)
        return "`shared` is memory, or a URL that begins with redis://, rediss://, unix://, "
               "redis+sentinel:// or redis+cluster://";
    c->kind = s->kind;
    c->wants_tls = s->tls;
    struct span rest = span_from(u, strlen(s->name));
    ptrdiff_t slash = span_find(rest, '/');
    struct span path = slash < 0 ? SPAN_NONE : span_from(rest, (size_t)slash);
    struct span hosts = slash < 0 ? rest : span_cut(rest, 0, (size_t)slash), info = SPAN_NONE;
    for (ptrdiff_t at; (at = span_find(hosts, '@')) >= 0;) { /* the last one counts */
        hosts = span_from(hosts, (size_t)at + 1);
        info = span_of(rest.p, (size_t)(hosts.p - rest.p) - 1);
    }
    const char *wrong = info.p ? userinfo(a, info, c) : NULL;
    wrong = wrong ? wrong : nodes_of(a, hosts, s->port, c);
    wrong = wrong ? wrong : path_of(path, c);
    c->shown = span_z(arena_fmt(a, "%s%.*s%s%.*s%.*s", s->name, SPAN_ARG(c->user),
                                c->user.n ? "@" : "", SPAN_ARG(hosts), SPAN_ARG(path)));
    return wrong;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static bool prefix_good(struct span s) {
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] == '{' || s.p[i] == '}' || s.p[i] == 0x7f)
            return false;
    return true;
}

static const char *together(const struct state_conf *c) {
    const struct tls_client_settings *t = &c->shared.tls;
    bool tls = t->ca.n || t->name.n || t->certificate.n || t->private_key.n;
    if (tls && !c->wants_tls)
        return "`tls` stands beside a URL without TLS: write rediss://";
    if (!t->certificate.n != !t->private_key.n)
        return "a certificate and its private_key belong together";
    if (c->user.n && !c->password.n)
        return "a user needs a password";
    if (c->sentinel_password.n && c->kind != STATE_SENTINEL)
        return "`sentinel_password` is of use with redis+sentinel:// alone";
    if (!prefix_good(c->prefix))
        return "`prefix` holds no spaces, control characters or braces";
    return NULL;
}

const char *state_finish(struct arena *a, struct state_conf *c) {
    const struct state_shared *s = &c->shared;
    c->kind = STATE_MEMORY;
    c->user = s->user;
    c->password = s->password;
    c->sentinel_password = s->sentinel_password;
    c->prefix = s->prefix;
    c->timeout_ms = s->timeout_ms;
    c->shown = SPAN("memory");
    if (!s->url.n || span_eq(s->url, SPAN("memory")))
        return NULL;
    const char *wrong = parse_url(a, s->url, c);
    return wrong ? wrong : together(c);
}
