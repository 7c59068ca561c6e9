#include "conf/build.h"
#include "conf/identity_form.h"
#include <openssl/evp.h>

/* Who calls: authenticators, consumers, and the header names that are the gateway's to set. */

static bool there(const struct node *n) {
    return n && !node_null(n) && !n->bad;
}

/* --- consumers --- */

static int hex_digit(char c) {
    c = lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool hex_bytes(struct span s, unsigned char *out, size_t n) {
    if (s.n != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int high = hex_digit(s.p[2 * i]), low = hex_digit(s.p[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static bool digits(struct span s, size_t at, size_t n, unsigned max, int *out) {
    struct span d = span_cut(s, at, n);
    *out = 0;
    for (size_t i = 0; i < d.n; i++) {
        if (d.p[i] < '0' || d.p[i] > '9')
            return false;
        *out = *out * 10 + d.p[i] - '0';
    }
    return d.n == n && *out <= (int)max;
}

static bool time_of_day(struct span s, struct tm *t) {
    if (s.n != 9 || s.p[2] != ':' || s.p[5] != ':' || lower(s.p[8]) != 'z')
        return false;
    return digits(s, 0, 2, 23, &t->tm_hour) && digits(s, 3, 2, 59, &t->tm_min) &&
           digits(s, 6, 2, 59, &t->tm_sec);
}

/* 2027-01-31 (to its end, UTC) or 2027-01-31T12:00:00Z. */
static bool instant(struct span s, int64_t *out) {
    struct tm t = {0};
    if (s.n < 10 || s.p[4] != '-' || s.p[7] != '-' || !digits(s, 0, 4, 9999, &t.tm_year) ||
        !digits(s, 5, 2, 12, &t.tm_mon) || !digits(s, 8, 2, 31, &t.tm_mday) || !t.tm_mon ||
        !t.tm_mday)
        return false;
    bool whole_day = s.n == 10;
    if (!whole_day && (lower(s.p[10]) != 't' || !time_of_day(span_from(s, 11), &t)))
        return false;
    int month = --t.tm_mon, day = t.tm_mday;
    t.tm_year -= 1900;
    *out = timegm(&t) + (whole_day ? 86400 : 0);
    return t.tm_mon == month && t.tm_mday == day; /* 2027-02-30 became another day */
}

static struct diag *malformed(struct build *b, const struct node *n, const char *why) {
    return diag_add(b->diags, DIAG_E0331, n->at, "%s", why);
}

/* In the long form the word `key` has made lint say so already. */
static void key_in_clear(struct build *b, struct consumer_key *k, struct span text,
                         const struct node *n, bool tell) {
    unsigned len = sizeof k->hash;
    must(EVP_Digest(text.p, text.n, k->hash, &len, EVP_sha256(), NULL) == 1);
    if (node_secret(n) || !tell)
        return;
    struct diag *d = diag_add(b->diags, DIAG_W0132, n->at, "an API key stands here in clear");
    diag_help(b->diags, d, "write its hash: `printf %%s KEY | sluice hash key`");
}

static void one_key(struct build *b, struct consumer_key *k, const struct key_form *form,
                    struct node *n) {
    struct node *text = n->kind == NODE_MAP ? node_get(n, "key") : n;
    struct node *until = n->kind == NODE_MAP ? node_get(n, "not_after") : NULL;
    k->where = build_where(b, n);
    if (!there(text) || !form->key.n)
        return;
    if (span_starts(form->key, SPAN("sha256:"))) {
        if (!hex_bytes(span_from(form->key, 7), k->hash, sizeof k->hash))
            diag_add(b->diags, DIAG_W0133, text->at,
                     "no key can have this hash: \"sha256:\" is followed by 64 hexadecimal "
                     "digits");
    } else {
        key_in_clear(b, k, form->key, text, n == text);
    }
    if (form->not_after.n && until && !instant(form->not_after, &k->not_after))
        malformed(b, until, "not_after is written 2027-01-31 or 2027-01-31T12:00:00Z");
}

static struct node *item_of(struct node *list, uint32_t i) {
    return list->kind == NODE_LIST ? list->item[i] : list;
}

static void keys_of(struct build *b, struct consumer *c, const struct consumer_form *f,
                    struct node *n) {
    struct node *list = node_get(n, "keys");
    struct consumer_key *all = arena_zero(b->arena, f->key_count * sizeof *all + 1);
    for (uint32_t i = 0; there(list) && i < f->key_count; i++)
        one_key(b, &all[i], &f->key[i], item_of(list, i));
    c->key = all;
    c->key_count = f->key_count;
}

static bool base64_secret(struct arena *a, struct span text, struct span *out) {
    unsigned char *p = arena_alloc(a, text.n + 4);
    int n = text.n && text.n % 4 == 0
                ? EVP_DecodeBlock(p, (const unsigned char *)text.p, (int)text.n)
                : -1;
    if (n < 0)
        return false;
    *out = span_of((char *)p, (size_t)n);
    for (size_t i = text.n; i && text.p[i - 1] == '=' && out->n; i--)
        out->n--;
    return out->n > 0;
}

static void one_signing(struct build *b, struct consumer_signing *k, const struct signing_form *f,
                        const struct node *n) {
    *k = (struct consumer_signing){.id = f->id,
                                   .algorithm = (enum signing_algorithm)f->algorithm,
                                   .key = f->key,
                                   .where = build_where(b, n)};
    struct span encoded = span_from(f->key, 7);
    if (k->algorithm == SIGN_HMAC_SHA256 && span_starts(f->key, SPAN("base64:")) &&
        !base64_secret(b->arena, encoded, &k->key))
        malformed(b, n, "what follows \"base64:\" is no base64");
}

static void signings_of(struct build *b, struct consumer *c, const struct consumer_form *f,
                        struct node *n) {
    struct node *list = node_get(n, "signature_keys");
    struct consumer_signing *all = arena_zero(b->arena, f->signing_count * sizeof *all + 1);
    for (uint32_t i = 0; there(list) && i < f->signing_count; i++)
        one_signing(b, &all[i], &f->signing[i], item_of(list, i));
    c->signing = all;
    c->signing_count = f->signing_count;
}

static struct value tags_of(struct build *b, struct node *n) {
    struct value v = {.kind = VALUE_MAP};
    if (!there(n) || n->kind != NODE_MAP)
        return v;
    struct value_member *m = arena_zero(b->arena, n->count * sizeof *m + 1);
    for (uint32_t i = 0; i < n->count; i++)
        if (there(n->pair[i].value) && n->pair[i].value->kind == NODE_SCALAR)
            m[v.n++] =
                (struct value_member){value_string(arena_span(b->arena, n->pair[i].key->text)),
                                      value_string(build_text(b, n->pair[i].value))};
    v.member = m;
    return v;
}

/* "argon2id:$argon2id$.." says the same twice. */
static void password_of(struct build *b, struct consumer *c, struct span text, struct node *n) {
    static const char *const hashes[] = {"$argon2id$", "$2a$", "$2b$", "$2y$", "$y$", "$6$", "$5$"};
    static const char *const words[] = {"argon2id:", "bcrypt:", "yescrypt:"};
    bool named = false;
    for (size_t i = 0; i < array_len(words); i++)
        if (span_starts(text, span_z(words[i]))) {
            named = true;
            text = span_from(text, strlen(words[i]));
            break;
        }
    for (size_t i = 0; i < array_len(hashes); i++)
        if (span_starts(text, span_z(hashes[i]))) {
            c->password = text;
            return;
        }
    if (named)
        diag_add(b->diags, DIAG_W0133, n->at, "no password can have this hash: it is malformed");
    else
        malformed(b, n, "a password is written as its hash: bcrypt, argon2id or yescrypt");
}

/* What the kinds have to say of a consumer: a password whose hash nobody knows. */
static void judge(struct build *b, const struct consumer *c, const struct node *n) {
    const struct conf_registry *r = b->options->registry;
    for (unsigned i = 0; r && i < r->auths; i++) {
        const char *wrong = r->auth[i]->consumer ? r->auth[i]->consumer(b->arena, c) : NULL;
        if (wrong)
            malformed(b, n, wrong);
    }
}

static void one_consumer(struct build *b, struct consumer *c, struct node *n) {
    struct consumer_form f = {0};
    struct schema_fill fill = build_fill(b, NULL);
    unsigned before = b->diags->errors;
    schema_fill(&fill, &schema_consumer_type, n, &f);
    c->plan = f.plan;
    c->group = f.group;
    c->group_count = f.group_count;
    if (f.password.n)
        password_of(b, c, f.password, node_get(n, "password"));
    c->subject = f.subject;
    c->subject_count = f.subject_count;
    c->tags = tags_of(b, node_get(n, "tags"));
    keys_of(b, c, &f, n);
    signings_of(b, c, &f, n);
    if (b->diags->errors == before)
        judge(b, c, n);
}

static struct mark mark_of(const struct build *b, const struct where *w) {
    uint32_t file = 0;
    while (file < b->files && b->file[file] != w->file)
        file++;
    return (struct mark){file < b->files ? file : 0, w->line, w->column, 1};
}

static void twice(void *ctx, const char *what, struct where first, struct where second) {
    struct build *b = ctx;
    bool name = strcmp(what, "name") == 0;
    struct diag *d = diag_add(b->diags, name ? DIAG_E0116 : DIAG_E0332, mark_of(b, &second),
                              "this %s belongs to a consumer already", what);
    diag_note(b->diags, d, mark_of(b, &first), "here");
}

static struct value claims_of(struct arena *a, struct span name) {
    struct value_member *m = arena_alloc(a, sizeof *m);
    *m = (struct value_member){value_string(SPAN("sub")), value_string(name)};
    return (struct value){.kind = VALUE_MAP, .n = 1, .member = m};
}

static void consumers(struct build *b) {
    struct node *n = node_get(b->root, "consumers");
    if (!there(n))
        return;
    n = schema_long(b->tree, b->diags, &schema_consumers_type, n);
    if (n->kind != NODE_MAP)
        return;
    struct consumer *all = arena_zero(b->arena, n->count * sizeof *all + 1);
    b->s->consumer = all;
    for (uint32_t i = 0; i < n->count; i++) {
        struct consumer *c = &all[b->s->consumer_count++];
        c->name = build_text(b, n->pair[i].key);
        c->where = build_where(b, n->pair[i].key);
        c->tags.kind = VALUE_MAP;
        c->claims = claims_of(b->arena, c->name);
        if (there(n->pair[i].value) && n->pair[i].value->kind == NODE_MAP)
            one_consumer(b, c, n->pair[i].value);
    }
    unsigned before = b->diags->errors;
    if (before == 0)
        consumers_index(b->s, twice, b);
}

/* --- authenticators --- */

/* The kind's key and form in the file; NULL: none, or it was told. */
static struct pair *kind_of(struct build *b, struct node *n) {
    for (uint32_t i = 0; i < n->count; i++) {
        struct pair *p = &n->pair[i];
        const struct schema_field *f = schema_field_of(&schema_authenticator_type, p->key->text);
        if (f && (f->flags & FIELD_KIND) && !node_null(p->value))
            return p;
    }
    struct diag *d = diag_add(b->diags, DIAG_E0330, n->at, "this authenticator is of no kind");
    diag_help(b->diags, d,
              "give it one of jwt, introspection, oidc, api_key, basic, mtls, "
              "signature, forward");
    return NULL;
}

static void groups_of(struct build *b, struct authenticator *by, struct node *n,
                      const struct schema_fill *fill) {
    uint32_t count = n->kind == NODE_LIST ? n->count : 1;
    const struct template **all = arena_alloc(b->arena, count * sizeof *all + 1);
    for (uint32_t i = 0; i < count; i++) {
        const struct template *t = schema_template(fill, item_of(n, i), PLACE_TEXT, SCOPE_IDENTITY);
        if (t)
            all[by->consumer.groups++] = t;
    }
    by->consumer.group = all;
}

static void consumer_of(struct build *b, struct authenticator *by, struct node *n) {
    const struct schema_field *f = schema_field_of(&schema_authenticator_type, SPAN("consumer"));
    if (!there(n))
        return;
    n = schema_long(b->tree, b->diags, f->type, n);
    struct schema_fill fill = build_fill(b, NULL);
    struct node *name = node_get(n, "name"), *plan = node_get(n, "plan"),
                *groups = node_get(n, "groups");
    if (there(name))
        by->consumer.name = schema_template(&fill, name, PLACE_TEXT, SCOPE_IDENTITY);
    if (there(plan))
        by->consumer.plan = schema_template(&fill, plan, PLACE_TEXT, SCOPE_IDENTITY);
    if (there(groups))
        groups_of(b, by, groups, &fill);
}

/* Those beside the kind and those inside it. */
static void headers_of(struct build *b, struct authenticator *by, struct node *n,
                       struct node *kind) {
    struct schema_fill fill = build_fill(b, NULL);
    uint32_t beside = 0, inside = 0;
    struct answer_header *one =
        answer_headers(b, node_get(n, "headers"), &fill, SCOPE_IDENTITY, &beside);
    struct answer_header *two =
        answer_headers(b, node_get(kind, "headers"), &fill, SCOPE_IDENTITY, &inside);
    struct answer_header *all = arena_zero(b->arena, (beside + inside) * sizeof *all + 1);
    if (beside)
        memcpy(all, one, beside * sizeof *all);
    if (inside)
        memcpy(all + beside, two, inside * sizeof *all);
    by->header = all;
    by->header_count = beside + inside;
}

static void *conf_of(struct build *b, const struct auth_kind *kind, const struct schema_field *f,
                     struct node *n) {
    void *conf = arena_zero(b->arena, kind->size + 1);
    struct schema_fill fill = build_fill(b, NULL);
    unsigned before = b->diags->errors;
    n = schema_long(b->tree, b->diags, schema_type_of(f), n);
    schema_shipped(b->arena, kind->form, conf);
    schema_fill(&fill, schema_type_of(f), n, conf);
    const char *wrong =
        kind->finish && b->diags->errors == before ? kind->finish(b->arena, conf) : NULL;
    if (wrong)
        diag_add(b->diags, DIAG_E0330, n->at, "%s: %s", kind->name, wrong);
    return conf;
}

static void one_authenticator(struct build *b, struct authenticator *by, struct node *n) {
    struct pair *p = kind_of(b, n);
    const struct auth_kind *kind = p ? schema_kind(p->key->text) : NULL;
    if (!kind || p->value->bad)
        return; /* told: of no kind, or of one that is not available */
    by->kind = kind;
    by->conf =
        conf_of(b, kind, schema_field_of(&schema_authenticator_type, p->key->text), p->value);
    struct node *beside = node_get(n, "consumer"), *inside = node_get(p->value, "consumer");
    consumer_of(b, by, there(beside) ? beside : inside);
    headers_of(b, by, n, p->value);
    struct node *forward = node_get(n, "forward_credential");
    by->forward = there(forward) ? node_true(forward) : kind->keeps;
    by->settings = build_settings(b, &schema_authenticator_type, n, SPAN("authenticators"),
                                  &by->setting_count);
}

static void authenticators(struct build *b) {
    struct node *n = node_get(b->root, "authenticators");
    if (!there(n))
        return;
    n = schema_long(b->tree, b->diags, &schema_authenticators_type, n);
    if (n->kind != NODE_MAP)
        return;
    struct authenticator *all = arena_zero(b->arena, n->count * sizeof *all + 1);
    b->authenticator_node = arena_zero(b->tree, n->count * sizeof(struct node *) + 1);
    b->s->authenticator = all;
    for (uint32_t i = 0; i < n->count; i++) {
        struct node *value = n->pair[i].value;
        if (!there(value) || value->kind != NODE_MAP)
            continue;
        struct authenticator *by = &all[b->s->authenticator_count];
        b->authenticator_node[b->s->authenticator_count++] = n->pair[i].key;
        by->name = build_text(b, n->pair[i].key);
        by->where = build_where(b, n->pair[i].key);
        one_authenticator(b, by, value);
    }
}

static const struct span *kind_headers(const struct authenticator *by, uint32_t *count) {
    *count = 0;
    return by->kind && by->kind->sets && by->conf ? by->kind->sets(by->conf, count) : NULL;
}

/* What services are told of callers, nobody else may tell them. */
static void identity_headers(struct build *b) {
    uint32_t n = 0, own;
    for (uint32_t i = 0; i < b->s->authenticator_count; i++) {
        kind_headers(&b->s->authenticator[i], &own);
        n += b->s->authenticator[i].header_count + own;
    }
    struct span *all = arena_zero(b->arena, n * sizeof *all + 1);
    for (uint32_t i = 0; i < b->s->authenticator_count; i++) {
        const struct authenticator *by = &b->s->authenticator[i];
        const struct span *name = kind_headers(by, &own);
        for (uint32_t k = 0; k < by->header_count; k++)
            all[b->s->identity_count++] = by->header[k].name;
        for (uint32_t k = 0; k < own; k++)
            all[b->s->identity_count++] = name[k];
    }
    b->s->identity = all;
}

static void hidden_parameters(struct build *b) {
    struct span *all = arena_zero(b->arena, b->s->authenticator_count * sizeof *all + 1);
    for (uint32_t i = 0; i < b->s->authenticator_count; i++) {
        const struct authenticator *by = &b->s->authenticator[i];
        struct span name =
            by->kind && by->kind->parameter ? by->kind->parameter(by->conf) : SPAN_NONE;
        if (name.n)
            all[b->s->hidden_count++] = name;
    }
    b->s->hidden = all;
}

void build_identity(struct build *b) {
    consumers(b);
    authenticators(b);
    identity_headers(b);
    hidden_parameters(b);
}
