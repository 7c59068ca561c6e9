/*
 * schema - reading values by the tables of core/schema.h: long forms, checks with positions,
 * filling structs. Thread: one at a time.
 */
#pragma once
#include "base/map.h"
#include "conf/constant.h"
#include "core/facts.h"
#include "core/route.h"
#include "core/schema.h"

/* Policies that other rooms brought take the place of the table's: their form, and that they are
 * there. Set once per process; the same registry again changes nothing. */
struct conf_registry;
void schema_use(const struct conf_registry *r);
const struct policy *schema_policy(struct span key); /* NULL: none was brought */
const struct auth_kind *schema_kind(struct span key);
const struct schema_type *schema_type_of(const struct schema_field *f);
/* Of a policy whose levels add up: the form of one, where schema_type_of is a list of such. */
const struct schema_type *schema_form_of(const struct schema_field *f);
bool schema_later(const struct schema_field *f);

/* The type that a value of this shape has: resolves SCHEMA_ONE_OF. NULL: no choice has this shape.
 */
const struct schema_type *schema_choose(const struct schema_type *t, const struct node *n);
/* Also finds what every policy takes: when, inherit, mode. NULL: unknown. */
const struct schema_field *schema_field_of(const struct schema_type *t, struct span key);
/* Of these two keys only one may stand in a map. */
bool schema_excludes(const struct schema_field *f, const struct schema_field *g);
/* The long form: short scalars and lists become maps, `true` becomes {}, lists of named things maps
 * by name. What has no long form comes back as it is. Parsed nodes are not changed. */
struct node *schema_long(struct arena *a, struct diag_list *d, const struct schema_type *t,
                         struct node *n);

enum { REFERS_COUNT = REFERS_PLAN + 1 };

struct schema_names { /* what references may refer to */
    struct map map[REFERS_COUNT];
    struct span *name[REFERS_COUNT]; /* in the order of the file, for guesses */
    uint32_t count[REFERS_COUNT];
};

/* Checks a tree against its type: keys, shapes, values, references. Marks what is wrong as `bad`.
 */
void schema_check(struct arena *a, struct diag_list *d, const struct schema_names *names,
                  const struct schema_type *t, struct node *root);

/* Judges a scalar; with `out` stores it (field NULL: as 8 bytes). Tells what is wrong, once. */
bool schema_scalar(struct arena *a, struct diag_list *d, const struct schema_type *t,
                   unsigned width, struct node *n, void *out);

struct schema_fill {
    struct arena *arena; /* of the result */
    struct arena *tree;  /* for long forms */
    struct diag_list *diags;
    const struct fact_captures *captures;     /* for templates */
    unsigned scopes;                          /* enum fact_scope: names beside those of a type */
    void (*keep)(void *ctx, struct regex *r); /* who frees constant regular expressions; or NULL */
    void *keep_ctx;
    /* Told of every expression, with its place; or NULL. */
    void (*placed)(void *ctx, const struct expr *e, struct mark at);
    void *placed_ctx;
    const struct fact_constants *constants; /* NULL: `vars` and `env` are not known */
    const char
        *no_caller; /* why `claim` and `consumer` are not among them; NULL: no authenticate */
    struct outbounds *outbounds; /* who makes services of URLs; NULL: nobody */
};

struct outbounds { /* every URL that was read (build_outbound.c) */
    struct outbound_link {
        struct outbound *outbound;
        struct node *node;
        struct outbound_link *next;
    } * last;
};
/* From the long form of a TYPE_OUTBOUND. NULL: told why. */
const struct outbound *schema_url_fill(const struct schema_fill *f, const struct schema_type *t,
                                       struct node *n);
/* From a long form into the struct; what does not stand there keeps what the struct holds. */
void schema_fill(const struct schema_fill *f, const struct schema_type *t, struct node *n,
                 void *out);
/* The shipped values of an object's fields. */
void schema_shipped(struct arena *a, const struct schema_object *o, void *out);

/* Compiles a template with carets inside the YAML text. NULL: said why. */
const struct template *schema_template(const struct schema_fill *f, struct node *n,
                                       enum template_place place, unsigned scopes);
/* A bare expression; one ${..} around it is accepted. NULL: said why. */
const struct expr *schema_cel(const struct schema_fill *f, struct node *n, unsigned scopes,
                              bool condition);
/* Free data as a template that evaluates to JSON text. */
const struct template *schema_json(const struct schema_fill *f, struct node *n, unsigned scopes);
