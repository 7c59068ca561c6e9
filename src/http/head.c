#include "http/field.h"

/* What hdr_put refuses by name: the doors write these themselves. */
#define DOORS_ONLY (HF_HOP | HF_FRAMING)

void head_init(struct head *h, struct arena *a) {
    *h = (struct head){.arena = a};
}

bool field_room(struct head *h, size_t more) {
    size_t need = h->count + more, cap = h->cap ? 2 * (size_t)h->cap : 16;
    if (need <= h->cap)
        return true;
    if (cap < need)
        cap = need;
    if (cap > UINT16_MAX)
        return false;
    struct field *room = arena_try(h->arena, cap * sizeof *room);
    if (!room)
        return false;
    if (h->count)
        memcpy(room, h->field, h->count * sizeof *room);
    h->field = room;
    h->cap = (uint16_t)cap;
    return true;
}

void field_filter(struct head *h, bool (*keep)(const struct field *, const void *),
                  const void *arg) {
    uint16_t count = h->count;
    h->count = 0;
    h->bytes = 0;
    h->present[0] = h->present[1] = 0;
    for (uint16_t i = 0; i < count; i++) {
        const struct field *f = &h->field[i];
        if (keep(f, arg))
            field_push(h, (enum hdr_id)f->id, field_name(f), field_value(f));
    }
}

static bool name_ok(struct span s) {
    if (s.n == 0 || s.n > UINT16_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (!token_char[c] || (c >= 'A' && c <= 'Z'))
            return false;
    }
    return true;
}

static bool blank(char c) {
    return c == ' ' || c == '\t';
}

static bool value_ok(struct span s) {
    if (s.n && (blank(s.p[0]) || blank(s.p[s.n - 1])))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* Faults of peers have kinds of their own; what the gateway computed is one. */
static enum fault blame(enum origin o, enum fault peer) {
    return o == ORIGIN_CLIENT || o == ORIGIN_UPSTREAM ? peer : FAULT_HEADER_REFUSED;
}

static enum fault budget(const struct head *h, size_t bytes) {
    uint32_t count_max = h->count_max ? h->count_max : HEAD_COUNT_MAX;
    uint32_t bytes_max = h->bytes_max ? h->bytes_max : HEAD_BYTES_MAX;
    if (h->count >= count_max)
        return FAULT_TOO_MANY_HEADERS;
    return bytes > bytes_max || h->bytes > bytes_max - bytes ? FAULT_HEADERS_TOO_LARGE : FAULT_NONE;
}

static enum fault check_client(const struct head *h, enum hdr_id id, struct span name) {
    if (id == HDR_OTHER)
        return memchr(name.p, '_', name.n) && hdr_imitates(name) ? FAULT_UNDERSCORE_TWIN
                                                                 : FAULT_NONE;
    return hdr_table[id].flags & HF_SINGLE && hdr_has(h, id) ? FAULT_DUPLICATE_HEADER : FAULT_NONE;
}

static enum fault check(const struct head *h, struct span name, struct span value, enum hdr_id *id,
                        enum origin o) {
    if (!name_ok(name))
        return FAULT_BAD_HEADER_NAME;
    *id = hdr_lookup(name);
    if (*id == HDR_HOST || hdr_table[*id].flags & DOORS_ONLY)
        return blame(o, FAULT_BAD_HEADER_NAME);
    if (!value_ok(value))
        return blame(o, FAULT_CTL_IN_HEADER);
    return o == ORIGIN_CLIENT ? check_client(h, *id, name) : FAULT_NONE;
}

enum fault hdr_put(struct head *h, struct span name, struct span value, enum origin o) {
    enum hdr_id id = HDR_OTHER;
    enum fault f = check(h, name, value, &id, o);
    if (f == FAULT_NONE)
        f = budget(h, name.n + value.n + 4);
    if (f != FAULT_NONE)
        return f;
    if (!field_room(h, 1))
        return FAULT_OUT_OF_MEMORY;
    field_push(h, id, name, value);
    return FAULT_NONE;
}

void hdr_add(struct head *h, enum hdr_id id, struct span value) {
    must(id != HDR_OTHER && id < HDR_COUNT && !(hdr_table[id].flags & DOORS_ONLY));
    if (field_room(h, 1))
        field_push(h, id, hdr_table[id].name, value);
    else
        h->arena->failed = true;
}

enum fault hdr_set(struct head *h, struct span name, struct span value, enum origin o) {
    struct head none = {.arena = h->arena}; /* judged as if no copy stood there */
    enum hdr_id id = HDR_OTHER;
    enum fault f = check(&none, name, value, &id, o);
    if (f != FAULT_NONE)
        return f;
    hdr_remove_name(h, name);
    return hdr_put(h, name, value, o);
}

struct span hdr_get(const struct head *h, enum hdr_id id) {
    if (hdr_has(h, id))
        for (uint16_t i = 0; i < h->count; i++)
            if (h->field[i].id == id)
                return field_value(&h->field[i]);
    return SPAN_NONE;
}

const struct field *hdr_next(const struct head *h, struct span lower_name, size_t *at) {
    enum hdr_id id = hdr_lookup(lower_name);
    if (!hdr_has(h, id))
        return NULL;
    while (*at < h->count) {
        const struct field *f = &h->field[(*at)++];
        if (f->id == id && (id != HDR_OTHER || span_eq(field_name(f), lower_name)))
            return f;
    }
    return NULL;
}

struct span hdr_find(const struct head *h, struct span lower_name) {
    size_t at = 0;
    const struct field *f = hdr_next(h, lower_name, &at);
    return f ? field_value(f) : SPAN_NONE;
}

static bool keep_id(const struct field *f, const void *arg) {
    const enum hdr_id *id = arg;
    return f->id != *id;
}

void hdr_remove(struct head *h, enum hdr_id id) {
    if (hdr_has(h, id))
        field_filter(h, keep_id, &id);
}

static bool keep_name(const struct field *f, const void *arg) {
    const struct span *name = arg;
    return f->id != HDR_OTHER || !span_eq(field_name(f), *name);
}

void hdr_remove_name(struct head *h, struct span lower_name) {
    enum hdr_id id = hdr_lookup(lower_name);
    if (id != HDR_OTHER)
        hdr_remove(h, id);
    else if (hdr_has(h, HDR_OTHER))
        field_filter(h, keep_name, &lower_name);
}

static bool keep_flags(const struct field *f, const void *arg) {
    const unsigned *flags = arg;
    return !(hdr_table[f->id].flags & *flags);
}

void hdr_remove_flags(struct head *h, unsigned flags) {
    for (uint16_t i = 0; i < h->count; i++)
        if (hdr_table[h->field[i].id].flags & flags) {
            field_filter(h, keep_flags, &flags);
            return;
        }
}
