/*
 * h2_section - what the files of the HTTP/2 codec share. Owner: the section's. Thread: that of the
 * section.
 */
#pragma once
#include "http/h2.h"

/* The first fault stays. Returns s->fault. */
enum fault h2_section_note(struct h2_section *s, enum fault f);
/* Returns f, once noted the section is malformed. */
enum fault h2_section_malformed(struct h2_section *s, enum fault f);
/* content-length, -1: none. Grammar as over HTTP/1.1; a fault is malformed. */
must_use enum fault h2_section_length(struct h2_section *s, int64_t *length);
