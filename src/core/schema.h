/*
 * schema - what may stand in a configuration, as const tables.
 *
 * One source for everything that knows a key: filling C structs, error messages, JSON Schema, the
 * reference and explain. A field names its key, its type, its place in a struct, the shipped value
 * as it would be written, and one sentence. A policy of another room brings a record (struct
 * policy) with its table; main hands the records to the loader, so the loader knows no room above
 * core. Thread: any (const).
 */
#pragma once
#include "core/snapshot.h"

struct regex;

/* What a value may be, and what it becomes in the struct (at the field's offset). */
enum schema_kind {
    SCHEMA_BOOL,       /* bool */
    SCHEMA_INT,        /* an unsigned integer of the field's width */
    SCHEMA_DURATION,   /* "250ms": milliseconds, an unsigned integer of the field's width */
    SCHEMA_SIZE,       /* "64KiB": bytes, an unsigned integer of the field's width */
    SCHEMA_BYTERATE,   /* "240B/s": bytes per second, likewise */
    SCHEMA_RATE,       /* "100/s": struct schema_rate */
    SCHEMA_PER_SECOND, /* "33/s", "600/m": times per second, an unsigned integer of the field's
                        * width */
    SCHEMA_PERCENT,    /* "20%": hundredths of a per cent, uint32_t */
    SCHEMA_TEXT,       /* struct span */
    SCHEMA_SECRET,     /* struct span; never printed */
    SCHEMA_TEMPLATE,   /* const struct template *, compiled for type->place and type->scopes */
    SCHEMA_CEL,     /* const struct expr *, with the names of type->scopes; a condition (bool) where
                     * type->condition says so */
    SCHEMA_REGEX,   /* struct regex * */
    SCHEMA_ENUM,    /* int: the word's value */
    SCHEMA_REF,     /* struct span: a name that stands elsewhere (type->refers) */
    SCHEMA_ADDRESS, /* struct address: "1.2.3.4:80", "[::1]:80", "unix:/path" */
    SCHEMA_CIDR,    /* struct cidr */
    SCHEMA_FILE,    /* struct span: a path, relative to the file that names it */
    SCHEMA_LIST,    /* pointer at offset, uint32_t at count_at */
    SCHEMA_MAP,     /* the same; each element begins where type->name_at says with its name */
    SCHEMA_OBJECT,  /* an embedded struct */
    SCHEMA_ANY,    /* free data: with place PLACE_JSON a const struct template *, else not filled */
    SCHEMA_ONE_OF, /* the first choice whose shape fits */
};

struct schema_rate {
    uint64_t count, per_ms;
};
enum schema_calendar { PER_LENGTH, PER_HOUR, PER_DAY, PER_WEEK, PER_MONTH, PER_YEAR };
struct schema_calendar_rate { /* TYPE_CALENDAR */
    struct schema_rate rate;
    enum schema_calendar calendar; /* the word that was written; PER_LENGTH: a length, or shorter */
};

enum schema_refers {
    REFERS_NOTHING,
    REFERS_SERVICE,
    REFERS_LISTENER,
    REFERS_POLICY_SET,
    REFERS_AUTHENTICATOR,
    REFERS_PLAN
};

enum schema_flag {
    FIELD_REQUIRED = 1,
    FIELD_LATER = 2,     /* known, and refused with "not available yet" */
    FIELD_NO_FILL = 4,   /* read by the loader itself */
    FIELD_ADDITIVE = 8,  /* a policy whose levels add up (CONFIG.md, Inheritance 2) */
    FIELD_POLICY = 16,   /* inherited through defaults, groups and policy sets */
    FIELD_VALUE = 32,    /* a plain value that is inherited like a policy */
    FIELD_ACTION = 64,   /* one of these per route */
    FIELD_REFUSES = 128, /* a policy that can refuse: takes `mode: observe` */
    FIELD_SERVICE = 256, /* inherited from service_defaults and service, not in defaults */
    FIELD_KIND = 512,    /* a kind of authenticator: its form comes with its record */
};

enum type_flag {
    TYPE_ONE_OR_MANY = 1,  /* a list: a single element may stand for a list of one */
    TYPE_OR_OFF = 2,       /* an object: `false` turns it off */
    TYPE_OR_ON = 4,        /* an object: `true` is {} */
    TYPE_POLICY = 8,       /* an object: takes when, inherit; with FIELD_REFUSES mode */
    TYPE_NAMED_LIST = 16,  /* a map: a list of objects with `name` may stand for it */
    TYPE_IDENTIFIERS = 32, /* a map: keys are [a-z_][a-z0-9_]* */
    TYPE_MAP_LATER = 64,   /* a list: that a map may stand for it is not available yet */
    TYPE_OUTBOUND = 128,   /* an object: fills a const struct outbound * (core/outbound.h) */
    TYPE_OR_FILE = 256,    /* such: "file:PATH" too */
    TYPE_ISSUER = 512,     /* such: the URL of an issuer, or any other name of it */
    TYPE_AUTH = 1024,      /* an object: a kind of authenticator, takes `headers` besides */
    TYPE_CALENDAR = 2048   /* a rate: struct schema_calendar_rate, a month is one of the calendar */
};

struct schema_word {
    const char *word;
    int value;
    bool later;
};

struct schema_type {
    enum schema_kind kind;
    unsigned flags;               /* enum type_flag */
    const char *what;             /* for messages: "a header name"; NULL: by kind */
    uint64_t min, max;            /* INT, SIZE, DURATION, list length; max 0: no limit */
    const struct schema_type *of; /* LIST, MAP: the element */
    size_t size;                  /* LIST, MAP: bytes of an element in C; 0: not filled */
    size_t name_at;               /* MAP: where an element's name (struct span) lies */
    const struct schema_object *object;
    const struct schema_word *words;         /* ENUM; ends with a NULL word */
    const struct schema_type *const *choice; /* ONE_OF; ends with NULL */
    enum schema_refers refers;               /* REF; MAP: its keys */
    enum template_place place;               /* TEMPLATE, ANY */
    unsigned scopes;                         /* TEMPLATE, ANY, CEL: enum fact_scope */
    bool condition;                          /* CEL: must be a bool */
};

struct schema_field {
    const char *key;
    const struct schema_type *type;
    unsigned flags;      /* enum schema_flag */
    size_t offset;       /* in the struct that is filled */
    size_t count_at;     /* LIST, MAP: of the uint32_t count */
    unsigned width;      /* bytes of an integer: 1, 2, 4, 8 */
    const char *shipped; /* as it would be written; NULL: none */
    const char *doc;     /* one sentence */
    const char *group;   /* "x": excludes every other key of group "x"; "x/a": every key of "x/b" */
};

struct schema_object {
    const char *name; /* "service": for messages and the reference */
    const char *doc;
    const struct schema_field *field;
    unsigned fields;
    const char *short_scalar; /* the key that a plain scalar stands for; NULL: none */
    const char *short_list;   /* the key that a list stands for */
};

#define SCHEMA_OBJECT_OF(fields_) .field = (fields_), .fields = sizeof(fields_) / sizeof *(fields_)
/* FIELD(struct limits_conf, max_body): offset and width of a member. */
#define FIELD(type_, member_)                                                                      \
    .offset = offsetof(type_, member_), .width = sizeof(((type_ *)0)->member_)
#define FIELD_LIST(type_, member_, count_)                                                         \
    .offset = offsetof(type_, member_), .count_at = offsetof(type_, count_)

/* A policy as a room above core brings it: how it is written, what it becomes, who runs it. */
struct policy {
    const char *name;                 /* its key */
    const struct schema_object *form; /* its long form; NULL: the loader knows the form */
    const struct filter_ops *ops;
    size_t size; /* of the struct that `form` fills: filter->conf */
    const char *(*finish)(struct arena *a,
                          void *conf); /* judges and completes the whole; NULL: fine,
                                        * else a sentence. May itself be NULL */
    /* Looks up the names that it holds, once the snapshot has authenticators and services. NULL:
     * fine, else a sentence. May itself be NULL. */
    const char *(*bind)(struct snapshot *s, void *conf);
    /* Not NULL: the policy stands on every route that forwards, with its shipped values where the
     * file says nothing. Told the route's targets, or NULL where it is turned off (`false`). */
    void (*on_route)(void *conf, const struct forward_conf *to);
    /* Told whether `authenticate` stands on the route; a sentence, or NULL. May itself be NULL. */
    const char *(*on_caller)(void *conf, bool known);
    /* By what it says, it stands in another phase with other ops (rate_limit's `early`). NULL: ops.
     * May itself be NULL. */
    const struct filter_ops *(*ops_of)(const void *conf);
    /* Not NULL: plans may hold it. One conf from those of several plans, by the caller's plan. */
    void *(*of_plans)(struct arena *a, const struct span *plan, void *const *conf, uint32_t n);
    /* Tells the regular expressions that finish compiled: the snapshot frees them. May be NULL. */
    void (*regexes)(const void *conf, void (*keep)(void *ctx, struct regex *r), void *ctx);
};
