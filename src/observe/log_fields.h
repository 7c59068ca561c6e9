/*
 * log_fields - how each field of the access log is written. Part of observe/log.
 * Owner: the caller's buffer. Thread: any.
 */
#pragma once
#include "core/log_conf.h"
#include "core/record.h"

/* The text of the current second, kept from line to line. */
struct log_clock {
    int64_t second;
    char text[24];
};

void log_json_line(const struct log_conf *conf, const struct record *r, struct log_clock *c,
                   struct str *out);
void log_combined_line(const struct record *r, struct str *out);
/* The outside text escaped and cut, without quotes. */
void log_put_text(struct str *out, struct span v);
