#include "identity/api_key.h"
#include "core/thread.h"
#include "identity/sha256.h"

enum { KEY_MAX = 1024 };

#define K(member) FIELD(struct api_key_conf, member)
static const struct schema_word in_words[] = {{"header", API_KEY_HEADER, false},
                                              {"query", API_KEY_QUERY, false},
                                              {"cookie", API_KEY_COOKIE, false},
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

static bool looks_in(const struct api_key_conf *c, enum api_key_in where) {
    for (uint32_t i = 0; i < c->in_count; i++)
        if (c->in[i] == (int)where)
            return true;
    return false;
}

static const char *finish(struct arena *a, void *conf) {
    static const int header_alone[] = {API_KEY_HEADER};
    struct api_key_conf *c = conf;
    if (!c->in_count) {
        c->in = header_alone;
        c->in_count = 1;
    }
    if (!is_token(c->name) && (looks_in(c, API_KEY_HEADER) || looks_in(c, API_KEY_COOKIE)))
        return "`name` is no name of a header or cookie";
    char *z = arena_text(a, c->name);
    for (size_t i = 0; i < c->name.n; i++)
        z[i] = lower(z[i]);
    c->header = span_of(z, c->name.n);
    return NULL;
}

/* ---- finding the key ----------------------------------------------------------------------------
 */

/* The key, {NULL, 0}: none; *more: there are several. */
static struct span in_header(const struct head *h, struct span lower_name, bool *more) {
    size_t at = 0;
    const struct field *f = hdr_next(h, lower_name, &at);
    *more = f && hdr_next(h, lower_name, &at);
    return f ? field_value(f) : SPAN_NONE;
}

static struct span in_query(const struct head *h, struct span key, bool *more) {
    struct span found = SPAN_NONE, rest = h->has_query ? h->query : SPAN_NONE;
    while (rest.p) {
        struct span part = span_split(&rest, '&'), value = part;
        struct span left = span_split(&value, '=');
        if (!span_eq(left, key))
            continue;
        *more |= found.p != NULL;
        found = value.p ? value : SPAN("");
    }
    return found;
}

static int hex_digit(char c) {
    c = lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* As forms encode: %41 and +. False: malformed. */
static bool decoded(struct arena *a, struct span *s) {
    if (span_find(*s, '%') < 0 && span_find(*s, '+') < 0)
        return true;
    char *out = arena_alloc(a, s->n);
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++, n++) {
        out[n] = s->p[i] == '+' ? ' ' : s->p[i];
        if (s->p[i] != '%')
            continue;
        int high = i + 2 < s->n ? hex_digit(s->p[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(s->p[i + 2]) : -1;
        if (low < 0)
            return false;
        out[n] = (char)(high << 4 | low);
        i += 2;
    }
    *s = span_of(out, n);
    return true;
}

static struct span in_place(const struct api_key_conf *c, int where, const struct head *h,
                            bool *more) {
    switch ((enum api_key_in)where) {
    case API_KEY_HEADER:
        return in_header(h, c->header, more);
    case API_KEY_QUERY:
        return in_query(h, c->name, more);
    case API_KEY_COOKIE:
        break;
    }
    return cookie_get(h, c->name);
}

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

static enum auth_result check(struct auth *a) {
    const struct api_key_conf *c = a->by->conf;
    struct span key = SPAN_NONE;
    int where = 0;
    bool more = false;
    for (uint32_t i = 0; i < c->in_count; i++) {
        struct span found = in_place(c, c->in[i], &a->x->req, &more);
        more |= found.p && key.p;
        where = found.p ? c->in[i] : where;
        key = found.p ? found : key;
    }
    if (!key.p)
        return AUTH_MISSING;
    if (more)
        return auth_refuse(a, FAULT_AMBIGUOUS_CREDENTIALS, "more than one key came");
    bool fine = where != API_KEY_QUERY || decoded(&a->x->arena, &key);
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

/* ---- taking it out ------------------------------------------------------------------------------
 */

/* Without the parts whose name this is; `sep` stands between parts. */
static struct span without(struct arena *a, struct span text, struct span name_, char sep) {
    struct str out = str_on(arena_alloc(a, text.n + 1), text.n + 1);
    struct span rest = text;
    while (rest.p) {
        struct span part = span_split(&rest, sep), left = span_trim(part), value = left;
        if (span_eq(span_split(&value, '='), name_))
            continue;
        if (out.n)
            str_char(&out, sep);
        if (out.n && sep == ';')
            str_char(&out, ' ');
        str_add(&out, sep == ';' ? left : part);
    }
    return str_span(&out);
}

static void drop_cookie(struct exchange *x, struct span cookie) {
    size_t at = 0;
    const struct field *f;
    struct span kept = SPAN_NONE;
    while ((f = hdr_next(&x->req, SPAN("cookie"), &at)) != NULL) {
        struct span one = without(&x->arena, field_value(f), cookie, ';');
        if (kept.n && one.n)
            one = span_z(arena_fmt(&x->arena, "%.*s; %.*s", SPAN_ARG(kept), SPAN_ARG(one)));
        kept = one.n ? one : kept;
    }
    hdr_remove(&x->req, HDR_COOKIE);
    if (kept.n)
        (void)!hdr_put(&x->req, SPAN("cookie"), kept, ORIGIN_GATEWAY);
}

static void drop_parameter(struct exchange *x, struct span parameter) {
    bool more = false;
    if (!in_query(&x->req, parameter, &more).p)
        return;
    x->req.query = without(&x->arena, x->req.query, parameter, '&');
    x->req.has_query = x->req.query.n > 0;
}

static void conceal(const struct authenticator *by, struct exchange *x) {
    const struct api_key_conf *c = by->conf;
    if (looks_in(c, API_KEY_HEADER))
        hdr_remove_name(&x->req, c->header);
    if (looks_in(c, API_KEY_COOKIE) && cookie_get(&x->req, c->name).p)
        drop_cookie(x, c->name);
    if (looks_in(c, API_KEY_QUERY))
        drop_parameter(x, c->name);
}

const struct auth_kind api_key_kind = {.name = "api_key",
                                       .form = &form,
                                       .size = sizeof(struct api_key_conf),
                                       .finish = finish,
                                       .check = check,
                                       .challenge = challenge,
                                       .conceal = conceal};
