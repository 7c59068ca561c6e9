#include "observe/log.h"

/* How `log` is written in a configuration. */

static const struct schema_word formats[] = {
    {"json", LOG_FORMAT_JSON, false}, {"combined", LOG_FORMAT_COMBINED, false}, {NULL, 0, false}};
static const struct schema_word streams[] = {
    {"stdout", LOG_STREAM_STDOUT, false}, {"stderr", LOG_STREAM_STDERR, false}, {NULL, 0, false}};
static const struct schema_word names[] = {
#define F(name, doc) {#name, LOG_FIELD_##name, false},
    LOG_FIELD_LIST(F)
#undef F
#define F(id, name, doc) {name, LOG_FIELD_##id, false},
        LOG_DOTTED_LIST(F)
#undef F
            {NULL, 0, false}};

static const struct schema_type file = {.kind = SCHEMA_FILE, .what = "a path of a log file"};
static const struct schema_type format = {.kind = SCHEMA_ENUM, .words = formats};
static const struct schema_type stream = {.kind = SCHEMA_ENUM, .words = streams};
static const struct schema_type field = {
    .kind = SCHEMA_ENUM, .what = "a field of the access log", .words = names};
static const struct schema_type field_list = {.kind = SCHEMA_LIST,
                                              .min = 1,
                                              .max = LOG_FIELD_COUNT,
                                              .flags = TYPE_MAP_LATER,
                                              .of = &field,
                                              .size = sizeof(int)};

static const struct schema_field fields[] = {
    {.key = "file",
     .type = &file,
     FIELD(struct log_conf, file),
     .doc = "Where the lines go; opened anew on SIGUSR1.",
     .group = "destination"},
    {.key = "stream",
     .type = &stream,
     FIELD(struct log_conf, stream),
     .shipped = "stdout",
     .doc = "Where the lines go without a file.",
     .group = "destination"},
    {.key = "format",
     .type = &format,
     FIELD(struct log_conf, format),
     .shipped = "json",
     .doc = "One JSON object a line, or the combined format of older servers."},
    {.key = "fields",
     .type = &field_list,
     FIELD_LIST(struct log_conf, field, field_count),
     .doc = "The fields of a JSON line, in their order."},
};

static const struct schema_object form = {.name = "log",
                                          .doc = "The access log: a line for every request.",
                                          SCHEMA_OBJECT_OF(fields),
                                          .short_scalar = "file",
                                          .short_list = "fields"};

static const char *judge(struct arena *a, void *conf) {
    const struct log_conf *l = conf;
    bool seen[LOG_FIELD_COUNT] = {false};
    if (l->format == LOG_FORMAT_COMBINED && l->field_count)
        return "the combined format has fixed fields; `fields` is for json";
    for (uint32_t i = 0; i < l->field_count; i++) {
        if (seen[l->field[i]])
            return arena_fmt(a, "the field %s stands twice", log_field_table[l->field[i]].name.p);
        seen[l->field[i]] = true;
    }
    return NULL;
}

const struct policy log_policy = {
    .name = "log", .form = &form, .size = sizeof(struct log_conf), .finish = judge};
