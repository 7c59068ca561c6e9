#include "identity/api_key.h"
#include "core/thread.h"
#include "identity/sha256.h"

enum { KEY_MAX = 1024 };

#define K(member) FIELD(struct api_key_conf, member)
static const struct schema_word in_words[] = {{"header", CREDENTIAL_HEADER, false},
                                              {"query", CREDENTIAL_QUERY, false},
                                              {"cookie", CREDENTIAL_COOKIE, false},
                                              {NULL, 0, false}};
static const struct schema_type place = {
    .kind = SCHEMA_ENUM, .words = in_words, .size = sizeof(int)};
static const struct schema_type in = {.kind = SCHEMA_LIST,
                                      .of = &place,
                                      .size = sizeof(int),
                                      .flags = TYPE_ONE_OR_MANY,
                                      .min = 1,
                                      .max = 3};
static const struct schema_type name = {.kind = SCHEMA_TEXT, .min = 1};
static const struct schema_field fields[] = {
    {.key = "in",
     .type = &in,
     FIELD_LIST(struct api_key_conf, in, in_count),
     .doc = "Where the key stands: header (shipped), query, cookie; a list: in one of them."},
    {.key = "name",
     .type = &name,
     K(name),
     .shipped = "X-API-Key",
     .doc = "The header, query parameter or cookie that holds it."},
};
static const struct schema_object form = {.name = "api_key",
                                          SCHEMA_OBJECT_OF(fields),
                                          .doc = "Keys of consumers (`keys`).",
                                          .short_scalar = "name"};

static bool is_token(struct span s) {
    for (size_t i = 0; i < s.n; i++)
        if (!token_char[(unsigned char)s.p[i]])
            return false;
    return s.n > 0 && s.n <= 256;
}

static bool looks_in(const struct api_key_conf *c, enum credential_in where) {
    for (uint32_t i = 0; i < c->in_count; i++)
        if (c->in[i] == (int)where)
            return true;
    return false;
}

static const char *finish(struct arena *a, void *conf) {
    static const int header_alone[] = {CREDENTIAL_HEADER};
    struct api_key_conf *c = conf;
    if (!c->in_count) {
        c->in = header_alone;
        c->in_count = 1;
    }
    if (!is_token(c->name) && (looks_in(c, CREDENTIAL_HEADER) || looks_in(c, CREDENTIAL_COOKIE)))
        return "`name` is no name of a header or cookie";
    char *z = arena_text(a, c->name);
    for (size_t i = 0; i < c->name.n; i++)
        z[i] = lower(z[i]);
    c->header = span_of(z, c->name.n);
    return NULL;
}

/* ---- looking it up -----------------------------------------------------------------------------
 */

static enum auth_result look_up(struct auth *a, struct span key) {
    struct exchange *x = a->x;
    unsigned char hash[SHA256_SIZE] unzeroed;
    const struct consumer_key *k;
    sha256_of(key, hash);
    const struct consumer *who = consumer_by_key(x->snap->snapshot, hash, &k);
    if (!who)
        return auth_refuse(a, FAULT_INVALID_CREDENTIALS, "no consumer has this key");
    if (k->not_after && thread_wall_ns(x->thread, x->thread->loop.now) / 1000000000 >= k->not_after)
        return auth_refuse(a, FAULT_INVALID_CREDENTIALS, "the key has expired");
    caller_of_consumer(&a->caller, who);
    a->caller.not_after = k->not_after;
    return AUTH_OK;
}

static struct span name_in(const struct api_key_conf *c, int where) {
    return where == CREDENTIAL_HEADER ? c->header : c->name;
}

static struct span find(const struct api_key_conf *c, int where, const struct head *h, bool *more) {
    return credential_find(h, (enum credential_in)where, name_in(c, where), more);
}

static enum auth_result check(struct auth *a) {
    const struct api_key_conf *c = a->by->conf;
    struct span key = SPAN_NONE;
    int where = 0;
    bool more = false;
    for (uint32_t i = 0; i < c->in_count; i++) {
        struct span found = find(c, c->in[i], &a->x->req, &more);
        more |= found.p && key.p;
        where = found.p ? c->in[i] : where;
        key = found.p ? found : key;
    }
    if (!key.p)
        return AUTH_MISSING;
    if (more)
        return auth_refuse(a, FAULT_AMBIGUOUS_CREDENTIALS, "more than one key came");
    bool fine = where != CREDENTIAL_QUERY || credential_decode(&a->x->arena, &key);
    if (!fine || !key.n || key.n > KEY_MAX)
        return auth_refuse(a, FAULT_BAD_CREDENTIALS, "the key is empty, too long or malformed");
    return look_up(a, key);
}

static void challenge(const struct authenticator *by, enum fault fault, struct str *out) {
    static const char *const places[] = {"header", "query", "cookie"};
    const struct api_key_conf *c = by->conf;
    (void)fault; /* never more than that it was not accepted */
    str_fmt(out, "ApiKey in=\"%s\", name=\"", places[c->in[0]]);
    for (size_t i = 0; i < c->name.n; i++)
        if (c->name.p[i] != '"' && c->name.p[i] != '\\' && c->name.p[i] >= ' ')
            str_char(out, c->name.p[i]);
    str_lit(out, "\"");
}

static void conceal(const struct authenticator *by, struct exchange *x) {
    const struct api_key_conf *c = by->conf;
    for (uint32_t i = 0; i < c->in_count; i++)
        credential_drop(x, (enum credential_in)c->in[i], name_in(c, c->in[i]));
}

static struct span parameter(const void *conf) {
    const struct api_key_conf *c = conf;
    return looks_in(c, CREDENTIAL_QUERY) ? c->name : SPAN_NONE;
}

const struct auth_kind api_key_kind = {.name = "api_key",
                                       .form = &form,
                                       .size = sizeof(struct api_key_conf),
                                       .finish = finish,
                                       .check = check,
                                       .challenge = challenge,
                                       .parameter = parameter,
                                       .conceal = conceal};
