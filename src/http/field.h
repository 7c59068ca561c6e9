/*
 * field - what the codecs of this room may do to a head and nobody else: append a field whose name
 * and value they have just proven themselves, without hdr_put's checks.
 *
 * Owner: the head's. Thread: that of the head.
 */
#pragma once
#include "http/head.h"

/* Room for `more` fields. False: no memory. */
must_use bool field_room(struct head *h, size_t more);

/* Room must have been made. */
static inline void field_push(struct head *h, enum hdr_id id, struct span name, struct span value) {
    h->field[h->count++] = (struct field){.name = name.p,
                                          .value = value.p,
                                          .value_len = (uint32_t)value.n,
                                          .name_len = (uint16_t)name.n,
                                          .id = (uint16_t)id};
    h->bytes += (uint32_t)(name.n + value.n + 4);
    h->present[(unsigned)id >> 6] |= (uint64_t)1 << ((unsigned)id & 63);
}

/* Keeps the fields for which `keep` says so. */
void field_filter(struct head *h, bool (*keep)(const struct field *, const void *),
                  const void *arg);
