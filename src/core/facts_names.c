/* Which names there are, when expressions are compiled. */
#include "core/facts_ids.h"

#define STRING(name_, id_)                                                                         \
    { .name = name_, .type = &expr_string, .id = id_ }
#define NO_MORE                                                                                    \
    { .name = NULL }

static const struct expr_type direct = {
    .kind = EXPR_MAP, .of = &expr_string, .key = &expr_string, .direct = true};
static const struct expr_type vars = {
    .kind = EXPR_MAP, .of = &expr_dyn, .key = &expr_string, .direct = true};
static const struct expr_type lists = {
    .kind = EXPR_MAP, .of = &expr_list_string, .key = &expr_string};

static const struct expr_name tls_fields[] = {
    STRING("version", CLIENT_TLS_VERSION),
    STRING("sni", CLIENT_TLS_SNI),
    STRING("subject", CLIENT_TLS_SUBJECT),
    STRING("san", CLIENT_TLS_SAN),
    {.name = "verified", .type = &expr_bool, .id = CLIENT_TLS_VERIFIED},
    NO_MORE};
static const struct expr_type tls = {.kind = EXPR_OBJECT, .field = tls_fields};
static const struct expr_name client_fields[] = {
    {.name = "ip", .type = &expr_ip, .id = CLIENT_IP},
    {.name = "port", .type = &expr_int, .id = CLIENT_PORT},
    {.name = "tls", .type = &tls},
    NO_MORE};
static const struct expr_type client = {.kind = EXPR_OBJECT, .field = client_fields};
static const struct expr_name name_of_route[] = {STRING("name", ROUTE_NAME), NO_MORE};
static const struct expr_type route = {.kind = EXPR_OBJECT, .field = name_of_route};
static const struct expr_name name_of_service[] = {STRING("name", SERVICE_NAME), NO_MORE};
static const struct expr_type service = {.kind = EXPR_OBJECT, .field = name_of_service};
static const struct expr_name error_fields[] = {
    STRING("code", ERROR_CODE),
    {.name = "status", .type = &expr_int, .id = ERROR_STATUS},
    STRING("detail", ERROR_DETAIL),
    STRING("who", ERROR_WHO),
    NO_MORE};
static const struct expr_type error = {.kind = EXPR_OBJECT, .field = error_fields};
static const struct expr_name consumer_fields[] = {
    STRING("name", CONSUMER_NAME),
    STRING("plan", CONSUMER_PLAN),
    {.name = "groups", .type = &expr_list_string, .id = CONSUMER_GROUPS},
    {.name = "tags", .type = &expr_map_dyn, .id = CONSUMER_TAGS},
    NO_MORE};
static const struct expr_type consumer = {.kind = EXPR_OBJECT, .field = consumer_fields};
static const struct expr_name response_fields[] = {
    {.name = "status", .type = &expr_int, .id = RESPONSE_STATUS},
    {.name = "headers", .type = &lists, .id = RESPONSE_HEADERS},
    {.name = "duration", .type = &expr_duration, .id = RESPONSE_DURATION},
    NO_MORE};
static const struct expr_type response = {.kind = EXPR_OBJECT, .field = response_fields};

static const struct expr_name always[] = {{.name = "header", .type = &direct, .id = HEADER},
                                          {.name = "query", .type = &direct, .id = QUERY},
                                          {.name = "cookie", .type = &direct, .id = COOKIE},
                                          {.name = "path", .type = &direct, .id = PATH},
                                          {.name = "client", .type = &client},
                                          {.name = "route", .type = &route}};
static const struct expr_name request_always[] = {
    STRING("method", REQUEST_METHOD),
    STRING("scheme", REQUEST_SCHEME),
    STRING("host", REQUEST_HOST),
    STRING("path", REQUEST_PATH),
    STRING("id", REQUEST_ID),
    STRING("protocol", REQUEST_PROTOCOL),
    {.name = "size", .type = &expr_int, .id = REQUEST_SIZE},
    {.name = "time", .type = &expr_timestamp, .id = REQUEST_TIME},
    {.name = "headers", .type = &lists, .id = REQUEST_HEADERS},
    {.name = "query", .type = &lists, .id = REQUEST_QUERY}};

/* ---- constant keys ----------------------------------------------------------------------------
 */

static const char *no_capture(struct arena *a, const struct fact_captures *c, struct span key) {
    struct str s = str_on(arena_alloc(a, 512), 511);
    str_fmt(&s, "`%.*s` is not a capture of this route's path", SPAN_ARG(key));
    for (uint32_t i = 0; c && i < c->count; i++) {
        str_add(&s, i ? SPAN(", ") : SPAN("; it has "));
        str_add(&s, c->name[i]);
    }
    if (!c || !c->count)
        str_lit(&s, ", which has none");
    s.p[s.n] = 0;
    return s.p;
}

static const char *check_capture(struct arena *a, const struct fact_captures *c,
                                 struct expr_ref *ref) {
    for (uint32_t i = 0; c && i < c->count; i++)
        if (span_eq(c->name[i], ref->key)) {
            ref->slot = (int)i;
            ref->tail = c->tail && c->tail[i];
            return NULL;
        }
    return no_capture(a, c, ref->key);
}

static const char *check_header(struct arena *a, struct expr_ref *ref) {
    char *name = arena_text(a, ref->key);
    for (size_t i = 0; i < ref->key.n; i++) {
        if (!token_char[(unsigned char)name[i]])
            return "this is not a header name";
        name[i] = lower(name[i]);
    }
    ref->key = span_of(name, ref->key.n);
    return NULL;
}

/* The value takes the name's place: nobody asks the environment again. */
static const char *check_env(const struct fact_constants *c, struct arena *a,
                             struct expr_ref *ref) {
    const char *z = c->env(c->ctx, ref->key);
    if (!z)
        return arena_fmt(a, "the environment variable %.*s is not set", SPAN_ARG(ref->key));
    ref->key = arena_span(a, span_z(z));
    return NULL;
}

static const char *check_var(const struct fact_constants *c, struct arena *a,
                             const struct expr_ref *ref) {
    c->used(c->ctx, ref->key);
    if (value_find(&c->vars, ref->key))
        return NULL;
    return arena_fmt(a, "there is no variable \"%.*s\" in the top-level vars", SPAN_ARG(ref->key));
}

static const char *check(void *ctx, struct arena *a, struct expr_ref *ref) {
    const struct facts_names *n = ctx;
    if (ref->id == PATH && ref->key.p)
        return check_capture(a, n->captures, ref);
    if (ref->id == HEADER && ref->key.p)
        return check_header(a, ref);
    if (ref->id == ENV && !ref->key.p)
        return "`env` is asked for a name: env.NAME";
    if (ref->id == ENV)
        return check_env(n->constants, a, ref);
    if (ref->id == VARS && ref->key.p)
        return check_var(n->constants, a, ref);
    return NULL;
}

/* ---- names that are not here ------------------------------------------------------------------
 */

static struct span first_word(struct span name) {
    ptrdiff_t dot = span_find(name, '.');
    return dot < 0 ? name : span_cut(name, 0, (size_t)dot);
}

static const char *missing(void *ctx, struct arena *a, struct span name) {
    static const struct {
        const char *name, *why;
    } known[] = {
        {"claim",
         "is known only behind `authenticate`: give this route (or a group around it) one"},
        {"consumer",
         "is known only behind `authenticate`: give this route (or a group around it) one"},
        {"response",
         "is known only where an answer has come: in `response`, `retry`, `cost_after` and `log`"},
        {"error", "is known only in `errors`"},
        {"service", "is known only behind `to`"},
        {"item", "is known only in a branch of `aggregate` with `each`"},
        {"index", "is known only in a branch of `aggregate` with `each`"},
    };
    struct span word = first_word(name);
    const struct facts_names *n = ctx;
    bool caller = span_eq(word, SPAN("claim")) || span_eq(word, SPAN("consumer"));
    if (caller && n->no_caller)
        return arena_fmt(a, "`%.*s` %s", SPAN_ARG(word), n->no_caller);
    for (size_t i = 0; i < array_len(known); i++)
        if (span_eq(word, span_z(known[i].name)))
            return arena_fmt(a, "`%.*s` %s", SPAN_ARG(word), known[i].why);
    return NULL;
}

static void keep(void *ctx, struct regex *r) {
    struct facts_names *n = ctx;
    if (n->keep)
        n->keep(n->keep_ctx, r);
}

/* ---- scopes -----------------------------------------------------------------------------------
 */

static void add(struct facts_names *n, const char *name, const struct expr_type *type, int id) {
    must(n->scope.count < FACT_NAMES_MAX);
    n->name[n->scope.count++] = (struct expr_name){.name = name, .type = type, .id = id};
}

void facts_names(struct facts_names *n, unsigned scopes, const struct fact_captures *captures) {
    *n = (struct facts_names){.captures = captures, .scopes = scopes};
    memcpy(n->request_field, request_always, sizeof request_always);
    if (scopes & SCOPE_BODY)
        n->request_field[array_len(request_always)] =
            (struct expr_name){.name = "body", .type = &expr_dyn, .id = FACT_BODY_ID};
    n->request = (struct expr_type){.kind = EXPR_OBJECT, .field = n->request_field};
    memcpy(n->name, always, sizeof always);
    n->scope = (struct expr_scope){.name = n->name,
                                   .count = array_len(always),
                                   .check = check,
                                   .missing = missing,
                                   .keep = keep,
                                   .ctx = n};
    add(n, "request", &n->request, 0);
    if (scopes & SCOPE_SERVICE)
        add(n, "service", &service, 0);
    if (scopes & SCOPE_ERROR)
        add(n, "error", &error, 0);
    if (scopes & SCOPE_RESPONSE)
        add(n, "response", &response, 0);
    if (scopes & SCOPE_CALLER) {
        add(n, "claim", &expr_map_dyn, FACT_CLAIM_ID);
        add(n, "consumer", &consumer, 0);
    }
}

void facts_constants(struct facts_names *n, const struct fact_constants *c) {
    n->constants = c;
    add(n, "vars", &vars, VARS);
    add(n, "env", &direct, ENV);
}
