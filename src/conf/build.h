/*
 * build - from the one checked tree to a snapshot: the loader's inside. Each file builds one part.
 * Owner: conf_load. Thread: one at a time.
 */
#pragma once
#include "base/map.h"
#include "conf/conf.h"
#include "conf/merge.h"
#include "conf/schema.h"
#include "conf/tables.h"
#include "core/outbound.h"
#include "core/state.h"

struct regexes { /* compiled for this snapshot, freed with it */
    struct regex **at;
    uint32_t count, cap;
};

struct build {
    struct snapshot *s;
    struct arena *arena; /* the snapshot's */
    struct arena *tree;  /* of everything that is read and thrown away */
    struct diag_list *diags;
    const struct conf_options *options;
    struct node *root;
    struct schema_names names;
    const char **file; /* names in the snapshot's arena, by source */
    uint32_t files;
    struct regexes *regexes;
    struct constants constants;
    struct fact_constants known; /* of them, for expressions */
    struct expr_place *place;    /* of expressions, until all are there */
    uint32_t places, places_cap;
    struct leaf *leaf;   /* build_policy.c */
    unsigned scopes;     /* of the route that is being built: what its authenticators tell */
    struct map services; /* name -> struct service_conf */
    bool *service_used, *listener_used, *set_used;
    struct node **authenticator_node;
    struct node *plans; /* long form; NULL: none */
    struct service_conf *service;
    struct node **service_node;
    struct listener_conf *listener;
    struct outbounds outbounds;
};

struct where build_where(struct build *b, const struct node *n);
struct span build_text(struct build *b, const struct node *n); /* of a scalar, in the snapshot */
struct schema_fill build_fill(struct build *b, const struct fact_captures *captures);
/* What the file says of an object, for explain. A pair says where it is from, else it is `own`. */
struct setting *build_settings(struct build *b, const struct schema_type *t, const struct node *n,
                               struct span own, uint32_t *count);
/* A regular expression, behind "~ " when `from` says so. NULL: told why. */
struct regex *build_regex(struct build *b, struct node *n, struct span pattern, size_t at);
/* A regular expression that the loader made of several. */
void build_regex_keep(void *b, struct regex *x); /* the snapshot frees it */
struct regex *build_regex_made(struct build *b, struct node *n, struct span pattern);

/* build_tls.c */
void build_listener_tls(struct build *b, struct listener_conf *l, struct node *n);
void build_listener_proxy(struct build *b, struct listener_conf *l, struct node *n);
void build_service_tls(struct build *b, struct service_conf *s, struct node *n);
void build_url_tls(struct build *b, struct service_conf *s, struct node *url);
void build_state_tls(struct build *b, struct state_conf *c, struct node *n);
void free_tls(struct snapshot *s);

/* build_outbound.c: `outbound`; how many services URLs may need at most; and those services, once
 * everything else stands. */
void build_outbound_conf(struct build *b);
uint32_t outbound_services_max(const struct node *root);
void build_outbounds(struct build *b);

void build_listeners(struct build *b);
void build_services(struct build *b);
const struct service_conf *build_service(struct build *b, const struct node *name);
void build_limits(struct build *b, const struct schema_type *t, struct node *n,
                  struct limits_conf *out);

/* Authenticators, consumers, and which header names are the gateway's to set. */
void build_identity(struct build *b);

/* --- routes --- */

struct text_at {
    struct span text;
    struct span shown; /* what people see of it, where that differs */
    struct node *node; /* where it was written */
};

/* The conditions of a group or route, joined with those of the groups around it. */
struct narrowed {
    struct text_at *path, *host;
    uint32_t paths, hosts;
    bool methods_set;
    uint32_t methods;
    struct span method_other[32];
    uint32_t method_others;
    struct node *method_node, *listener_node, *host_node;
    uint64_t listeners; /* 0: all */
    struct value_match *value[3];
    uint32_t values[3];
    struct node *when[YAML_DEPTH]; /* of each level that has one */
    uint32_t whens;
    unsigned priority;
};

/* `out` begins as a copy of the group's. */
void match_narrow(struct build *b, struct node *match, struct narrowed *out);
/* Patterns to segments; captures get slots. */
struct route_match *match_finish(struct build *b, const struct narrowed *n,
                                 struct fact_captures *captures);
/* "GET,POST host/path" */
struct span match_name(struct build *b, const struct narrowed *n);

enum { POLICIES_MAX = 64 };

struct policy_link { /* an additive policy of some level, the farther behind it */
    struct pair pair;
    uint32_t at; /* place in its level's list */
    struct policy_link *farther;
};

struct policy_level {
    struct pair value[POLICIES_MAX]; /* by place in schema_route: the merged long form, or none */
    struct policy_link *more[POLICIES_MAX]; /* additive ones */
};

/* A level's `use` and own keys over what is there. */
void policies_apply(struct build *b, struct policy_level *p, struct node *n,
                    const struct level *level);
struct node *policies_value(const struct policy_level *p, const char *key);
/* Filters, values and settings of a leaf. */
void policies_finish(struct build *b, const struct policy_level *p, struct route *r, struct node *n,
                     const struct fact_captures *captures);
/* Tells policies that want to know where their route forwards to; the last thing of a plan that
 * does (route.whole). */
void policies_on_route(struct build *b, struct route *r, const struct forward_conf *to);

struct action {
    const struct back_ops *back;
    const void *conf;
    const struct level *level;
};
/* The back of a leaf. */
void action_build(struct build *b, struct node *route, const struct policy_level *p,
                  struct route *r, const struct fact_captures *captures);
const struct back_ops *action_back(struct build *b, const char *name);
/* Headers, body and content type of respond and errors. */
struct answer_header *answer_headers(struct build *b, struct node *map, const struct schema_fill *f,
                                     unsigned scopes, uint32_t *count);
const struct template *answer_body(struct build *b, struct node *body, const struct schema_fill *f,
                                   unsigned scopes, struct span *content_type);
const struct errors_conf *errors_build(struct build *b, struct node *errors,
                                       const struct fact_captures *captures);
struct rewrite_conf *rewrite_build(struct build *b, struct node *n,
                                   const struct fact_captures *captures);

void build_routes(struct build *b);
/* What is legal and probably wrong. */
void lint(struct build *b);
bool lint_everybody(const struct cidr *c); /* 0.0.0.0/0, ::/0 */
