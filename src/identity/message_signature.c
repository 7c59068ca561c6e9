#include "identity/message_signature.h"
#include "data/base64.h"
#include "http/uri.h"

/* ---- the two fields ---------------------------------------------------------------------------
 */

/* All fields of a name, as one (2.1). {NULL, 0}: none, or no memory. */
static struct span joined(const struct head *h, struct span name, struct arena *a) {
    size_t at = 0, max = 0;
    const struct field *f;
    unsigned n = 0;
    while ((f = hdr_next(h, name, &at)) != NULL) {
        max += f->value_len + 2u;
        n++;
    }
    if (n < 2)
        return n ? span_trim(hdr_find(h, name)) : SPAN_NONE;
    char *p = arena_try(a, max);
    if (!p)
        return SPAN_NONE;
    struct str s = str_on(p, max);
    for (at = 0; (f = hdr_next(h, name, &at)) != NULL;) {
        if (s.n)
            str_lit(&s, ", ");
        str_add(&s, span_trim(field_value(f)));
    }
    return str_span(&s);
}

/* A member by its key. SF_BAD also where the key stands twice. */
static enum sf_step member(struct span dictionary, struct span key, struct sf_member *out) {
    struct sf_member m;
    enum sf_step step, found = SF_END;
    while ((step = sf_member_next(&dictionary, &m)) == SF_ONE) {
        if (!span_eq(m.key, key))
            continue;
        if (found == SF_ONE)
            return SF_BAD;
        found = SF_ONE;
        *out = m;
    }
    return step == SF_BAD ? SF_BAD : found;
}

static bool decode(struct arena *a, struct span text, struct span *out) {
    size_t n;
    unsigned char *p = arena_try(a, base64_decode_max(text.n));
    if (!p || !base64_decode(BASE64_LENIENT, text, p, &n))
        return false;
    *out = span_of((char *)p, n);
    return true;
}

static bool text_of(const struct sf_item *item, struct arena *a, struct span *out) {
    if (item->kind != SF_STRING)
        return false;
    char *p = arena_try(a, item->text.n + 1);
    if (!p)
        return false;
    *out = sf_string(item, p);
    return true;
}

static bool time_of(const struct sf_item *item, int64_t *out) {
    *out = item->number;
    return item->kind == SF_INTEGER && item->number >= 0;
}

static bool parameters(struct signature_input *in, struct arena *a) {
    struct span rest = in->params, key;
    struct sf_item v;
    while (sf_param_next(&rest, &key, &v) == SF_ONE) {
        bool fine = true;
        if (span_eq(key, SPAN("created")))
            fine = in->created < 0 && time_of(&v, &in->created);
        else if (span_eq(key, SPAN("expires")))
            fine = in->expires < 0 && time_of(&v, &in->expires);
        else if (span_eq(key, SPAN("keyid")))
            fine = !in->keyid.p && text_of(&v, a, &in->keyid);
        else if (span_eq(key, SPAN("alg")))
            fine = !in->alg.p && text_of(&v, a, &in->alg);
        else if (span_eq(key, SPAN("nonce")))
            fine = !in->nonce.p && text_of(&v, a, &in->nonce);
        else if (span_eq(key, SPAN("tag")))
            fine = !in->tag.p && text_of(&v, a, &in->tag);
        if (!fine)
            return false;
    }
    return true;
}

static bool nth(struct span dictionary, unsigned at, struct sf_member *out, bool *bad) {
    enum sf_step step = SF_END;
    for (unsigned i = 0; i <= at; i++)
        if ((step = sf_member_next(&dictionary, out)) != SF_ONE)
            break;
    *bad = step == SF_BAD;
    return step == SF_ONE;
}

enum signature_step signature_read(const struct head *h, struct arena *a, unsigned at,
                                   struct signature_input *out, const char **why) {
    struct span inputs = joined(h, SPAN("signature-input"), a);
    struct span signatures = joined(h, SPAN("signature"), a);
    struct sf_member in, sig;
    bool bad;
    *why = "Signature-Input is malformed";
    if (!inputs.p || !nth(inputs, at, &in, &bad))
        return inputs.p && bad ? SIGNATURE_MALFORMED : SIGNATURE_NONE;
    *out = (struct signature_input){.label = in.key, .created = -1, .expires = -1};
    if (!in.inner || member(inputs, in.key, &in) != SF_ONE)
        return SIGNATURE_MALFORMED;
    out->list = in.list;
    out->params = in.params;
    if (!parameters(out, a))
        return SIGNATURE_MALFORMED;
    *why = "Signature is malformed, or has no such label";
    if (!signatures.p || member(signatures, in.key, &sig) != SF_ONE || sig.inner ||
        sig.item.kind != SF_BYTES || !decode(a, sig.item.text, &out->signature))
        return SIGNATURE_MALFORMED;
    return SIGNATURE_ONE;
}

bool signature_covers(const struct signature_input *in, struct span name) {
    struct span rest = in->list, params;
    struct sf_item item;
    while (sf_item_next(&rest, &item, &params) == SF_ONE)
        if (item.kind == SF_STRING && !params.n && span_eq(item.text, name))
            return true;
    return false;
}

/* ---- components ---------------------------------------------------------------------------------
 */

struct building {
    const struct head *head;
    int64_t length;
    struct arena *arena;
    struct str out;
    const char *why;
};

/* What the client sent, without scheme and authority. */
static struct span sent_target(const struct head *h) {
    struct span t = h->target;
    if (t.n && t.p[0] == '/')
        return t;
    for (size_t i = 0; i + 2 < t.n; i++)
        if (t.p[i] == ':' && t.p[i + 1] == '/' && t.p[i + 2] == '/') {
            t = span_from(t, i + 3);
            size_t n = 0;
            while (n < t.n && t.p[n] != '/' && t.p[n] != '?')
                n++;
            return span_from(t, n);
        }
    return t;
}

static struct span sent_path(const struct head *h) {
    struct span t = sent_target(h), path = span_split(&t, '?');
    return path.n ? path : SPAN("/");
}

static struct span sent_query(const struct head *h) { /* {NULL, 0}: none */
    struct span t = sent_target(h);
    span_split(&t, '?');
    return t;
}

static void put_query(struct building *b) {
    str_char(&b->out, '?');
    str_add(&b->out, sent_query(b->head));
}

static void put_target_uri(struct building *b) {
    str_add(&b->out, b->head->scheme);
    str_lit(&b->out, "://");
    str_add(&b->out, b->head->authority);
    str_add(&b->out, sent_path(b->head));
    if (sent_query(b->head).p)
        put_query(b);
}

/* As the URL standard encodes forms, but a blank is %20 (2.2.8). */
static void encode_form(struct str *out, struct span raw) {
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < raw.n; i++) {
        unsigned char c = (unsigned char)raw.p[i], l = (unsigned char)lower(raw.p[i]);
        if ((c >= '0' && c <= '9') || (l >= 'a' && l <= 'z') || (c && strchr("*-._", c))) {
            str_char(out, (char)c);
        } else {
            str_char(out, '%');
            str_char(out, hex[c >> 4]);
            str_char(out, hex[c & 15]);
        }
    }
}

static struct span form_text(struct building *b, struct span encoded) {
    char *raw = arena_try(b->arena, encoded.n + 1), *text = arena_try(b->arena, 3 * encoded.n + 1);
    if (!raw || !text)
        return SPAN_NONE;
    struct str r = str_on(raw, encoded.n), t = str_on(text, 3 * encoded.n);
    uri_decode(&r, encoded, URI_QUERY);
    encode_form(&t, str_span(&r));
    return str_span(&t);
}

/* The one parameter of that name: one that comes twice must not be covered. */
static bool put_query_param(struct building *b, struct span name) {
    struct span rest = sent_query(b->head), found = SPAN_NONE;
    while (rest.p) {
        struct span value = span_split(&rest, '&'), key = span_split(&value, '=');
        if (!span_eq(form_text(b, key), name))
            continue;
        if (found.p)
            return false;
        found = form_text(b, value.p ? value : SPAN(""));
        if (!found.p)
            return false;
    }
    str_add(&b->out, found);
    return found.p != NULL;
}

static bool put_derived(struct building *b, struct span name) {
    const struct head *h = b->head;
    if (span_eq(name, SPAN("@method")))
        str_add(&b->out, head_method_text(h));
    else if (span_eq(name, SPAN("@target-uri")))
        put_target_uri(b);
    else if (span_eq(name, SPAN("@authority")))
        str_add(&b->out, h->authority);
    else if (span_eq(name, SPAN("@scheme")))
        str_add(&b->out, h->scheme);
    else if (span_eq(name, SPAN("@request-target")))
        str_add(&b->out, h->target);
    else if (span_eq(name, SPAN("@path")))
        str_add(&b->out, sent_path(h));
    else if (span_eq(name, SPAN("@query")))
        put_query(b);
    else
        return false;
    return true;
}

/* Fields that the one form of messages keeps elsewhere. */
static bool put_special(struct building *b, struct span name) {
    if (span_eq(name, SPAN("host")))
        str_add(&b->out, b->head->authority);
    else if (span_eq(name, SPAN("content-length")) && b->length >= 0)
        str_u64(&b->out, (uint64_t)b->length);
    else
        return false;
    return true;
}

static bool put_field(struct building *b, struct span name) {
    struct span value = joined(b->head, name, b->arena);
    if (!value.p)
        return put_special(b, name);
    str_add(&b->out, value);
    return true;
}

/* "name";key="x": one member of a field that is a dictionary (2.1.2). */
static bool put_member(struct building *b, struct span name, struct span key) {
    struct span value = joined(b->head, name, b->arena);
    struct sf_member m;
    if (!value.p || member(value, key, &m) != SF_ONE)
        return false;
    if (m.inner) {
        struct span items = m.list, params;
        struct sf_item item;
        str_char(&b->out, '(');
        for (bool first = true; sf_item_next(&items, &item, &params) == SF_ONE; first = false) {
            if (!first)
                str_char(&b->out, ' ');
            sf_put_item(&b->out, &item);
            sf_put_params(&b->out, params);
        }
        str_char(&b->out, ')');
    } else {
        sf_put_item(&b->out, &m.item);
    }
    sf_put_params(&b->out, m.params);
    return true;
}

static bool known_name(struct span name) {
    for (size_t i = 0; i < name.n; i++)
        if (!token_char[(unsigned char)name.p[i]] || lower(name.p[i]) != name.p[i])
            return false;
    return name.n > 0;
}

/* One parameter at most, of those that are known here. */
static bool put_value(struct building *b, const struct sf_item *item, struct span params) {
    struct span rest = params, key = SPAN_NONE, name = item->text, text;
    struct sf_item value;
    bool parameter = sf_param_next(&rest, &key, &value) == SF_ONE;
    b->why = "a covered component has parameters that are not known here";
    if (rest.n || (parameter && !text_of(&value, b->arena, &text)))
        return false;
    b->why = "a covered component is not in the request, or not to be signed";
    if (span_eq(name, SPAN("@query-param")))
        return parameter && span_eq(key, SPAN("name")) && put_query_param(b, text);
    if (name.n && name.p[0] == '@')
        return !parameter && put_derived(b, name);
    if (!known_name(name) || span_eq(name, SPAN("signature")) ||
        span_eq(name, SPAN("signature-input")))
        return false;
    if (!parameter)
        return put_field(b, name);
    return span_eq(key, SPAN("key")) && put_member(b, name, text);
}

/* Its identifier, serialised; it stands once. */
static bool put_identifier(struct building *b, const struct sf_item *item, struct span params,
                           struct span *seen, unsigned *count) {
    size_t at = b->out.n;
    b->why = "a covered component is no string, or stands twice, or there are too many";
    if (item->kind != SF_STRING || *count == COMPONENTS_MAX)
        return false;
    sf_put_item(&b->out, item);
    sf_put_params(&b->out, params);
    struct span own = span_of(b->out.p + at, b->out.n - at);
    for (unsigned i = 0; i < *count; i++)
        if (span_eq(seen[i], own))
            return false;
    seen[(*count)++] = own;
    return true;
}

bool signature_base(const struct signature_input *in, const struct head *h, int64_t length,
                    struct arena *a, struct span *out, const char **why) {
    struct building b = {.head = h, .length = length, .arena = a};
    struct span rest = in->list, params, seen[COMPONENTS_MAX];
    struct sf_item item;
    unsigned n = 0;
    size_t max = 2 * (size_t)h->bytes + 8 * h->target.n + 4 * (in->list.n + in->params.n) + 4096;
    char *room = arena_try(a, max);
    *why = "no memory";
    if (!room)
        return false;
    b.out = str_on(room, max);
    while (sf_item_next(&rest, &item, &params) == SF_ONE) {
        bool fine = put_identifier(&b, &item, params, seen, &n);
        str_lit(&b.out, ": ");
        if (!fine || !put_value(&b, &item, params)) {
            *why = b.why;
            return false;
        }
        str_char(&b.out, '\n');
    }
    str_lit(&b.out, "\"@signature-params\": (");
    for (unsigned i = 0; i < n; i++) {
        str_add(&b.out, i ? SPAN(" ") : SPAN(""));
        str_add(&b.out, seen[i]);
    }
    str_char(&b.out, ')');
    sf_put_params(&b.out, in->params);
    *out = str_span(&b.out);
    *why = "what is covered is too large";
    return !b.out.full;
}

/* ---- Content-Digest -----------------------------------------------------------------------------
 */

static bool digest_is(const EVP_MD *md, struct span want, const struct iovec *body, int n) {
    unsigned char got[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool fine = c && EVP_DigestInit_ex(c, md, NULL) == 1;
    for (int i = 0; fine && i < n; i++)
        fine = EVP_DigestUpdate(c, body[i].iov_base, body[i].iov_len) == 1;
    fine = fine && EVP_DigestFinal_ex(c, got, &len) == 1 && len == want.n &&
           memcmp(got, want.p, len) == 0;
    EVP_MD_CTX_free(c);
    return fine;
}

bool content_digest_fits(const struct head *h, struct arena *a, const struct iovec *body, int n) {
    struct span rest = joined(h, SPAN("content-digest"), a), want;
    struct sf_member m;
    enum sf_step step = SF_END;
    bool known = false;
    while (rest.p && (step = sf_member_next(&rest, &m)) == SF_ONE) {
        const EVP_MD *md = span_eq(m.key, SPAN("sha-256"))   ? EVP_sha256()
                           : span_eq(m.key, SPAN("sha-512")) ? EVP_sha512()
                                                             : NULL;
        if (!md)
            continue;
        if (m.inner || m.item.kind != SF_BYTES || !decode(a, m.item.text, &want) ||
            !digest_is(md, want, body, n))
            return false;
        known = true;
    }
    return known && step == SF_END;
}
