#include "expr/lib_zone.h"
#include "base/env.h"
#include "base/hash.h"
#include "expr/zone_rule.h"
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>

struct zone_kind {
    int32_t east;
    bool summer;
};
struct zone {
    struct span name;
    uint32_t changes, kinds; /* 0 kinds: `fixed` alone */
    const int64_t *at;       /* moments, rising */
    const unsigned char *to; /* the kind from each on */
    const struct zone_kind *kind;
    struct zone_rule rule; /* behind the last change */
    bool ruled;
    int64_t fixed;
};

static const struct zone utc;

/* What was read, found by name. Slots are filled once and stay. */
static _Atomic(const struct zone *) kept[2 * ZONES_KEPT];
static atomic_uint kept_count;

static const struct zone *kept_get(struct span name, uint64_t hash) {
    for (size_t i = 0; i < array_len(kept); i++) {
        const struct zone *z =
            atomic_load_explicit(&kept[(hash + i) % array_len(kept)], memory_order_acquire);
        if (!z || span_eq(z->name, name))
            return z;
    }
    return NULL;
}

/* Returns the one that is kept: another thread may have been first. */
static const struct zone *kept_put(struct zone *z, uint64_t hash) {
    for (size_t i = 0; i < array_len(kept); i++) {
        const struct zone *there = NULL;
        if (atomic_compare_exchange_strong(&kept[(hash + i) % array_len(kept)], &there, z))
            return z;
        if (span_eq(there->name, z->name)) {
            mem_free(z);
            atomic_fetch_sub(&kept_count, 1);
            return there;
        }
    }
    must(false); /* there are twice as many slots as names */
    return NULL;
}

static uint32_t be32(const char *p) {
    const unsigned char *u = (const unsigned char *)p;
    return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

static int64_t be64(const char *p) {
    return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

enum { HEADER = 44 };
struct counts {
    uint64_t isut, isstd, leap, time, type, chars;
};

static bool read_header(struct span s, struct counts *n) {
    if (s.n < HEADER || !span_starts(s, SPAN("TZif")))
        return false;
    *n = (struct counts){be32(s.p + 20), be32(s.p + 24), be32(s.p + 28),
                         be32(s.p + 32), be32(s.p + 36), be32(s.p + 40)};
    return n->time <= 4096 && n->type >= 1 && n->type <= 256 && n->chars <= 4096 &&
           n->leap <= 256 && n->isut <= 256 && n->isstd <= 256;
}

static size_t body_size(const struct counts *n, size_t moment) {
    return n->time * (moment + 1) + n->type * 6 + n->chars + n->leap * (moment + 4) + n->isstd +
           n->isut;
}

/* The last of the file: a rule between two line breaks; none where it is empty. False: it was cut,
 * or is wrong. */
static bool read_rule(struct span s, struct zone *z) {
    if (s.n < 2 || s.p[0] != '\n' || s.p[s.n - 1] != '\n')
        return false;
    z->ruled = s.n > 2;
    return !z->ruled || zone_rule_parse(span_cut(s, 1, s.n - 2), &z->rule);
}

/* Everything in one block: the zone, moments, kinds, places, name. */
static struct zone *fill(char *block, struct span body, const struct counts *n, struct span name) {
    struct zone *z = (void *)block;
    int64_t *at = (void *)(block + sizeof *z);
    struct zone_kind *kind = (void *)(at + n->time);
    unsigned char *to = (unsigned char *)(kind + n->type);
    char *text = (char *)to + n->time;
    const char *p = body.p + n->time * 9;
    *z = (struct zone){.name = span_of(text, name.n),
                       .changes = (uint32_t)n->time,
                       .kinds = (uint32_t)n->type,
                       .at = at,
                       .to = to,
                       .kind = kind};
    memcpy(text, name.p, name.n);
    memcpy(to, body.p + n->time * 8, n->time);
    for (size_t i = 0; i < n->time; i++)
        at[i] = be64(body.p + 8 * i);
    for (size_t i = 0; i < n->type; i++)
        kind[i] = (struct zone_kind){(int32_t)be32(p + 6 * i), p[6 * i + 4] != 0};
    for (size_t i = 0; i < n->time; i++)
        if (to[i] >= n->type || (i > 0 && at[i] <= at[i - 1]))
            return NULL;
    for (size_t i = 0; i < n->type; i++)
        if (kind[i].east < -93600 || kind[i].east > 93600) /* RFC 8536: -25 to 26 hours */
            return NULL;
    return read_rule(span_from(body, body_size(n, 8)), z) ? z : NULL;
}

/* Of version 2 on, with 64 bits; the block in front of it, for old readers, is skipped. */
static bool find_body(struct span *s, struct counts *n) {
    if (!read_header(*s, n) || s->p[4] < '2' || s->n < HEADER + body_size(n, 4))
        return false;
    *s = span_from(*s, HEADER + body_size(n, 4));
    if (!read_header(*s, n) || s->n < HEADER + body_size(n, 8))
        return false;
    *s = span_from(*s, HEADER);
    return true;
}

static const struct zone *read_zone(struct arena *a, struct span s, struct span name,
                                    uint64_t hash) {
    struct counts n;
    if (!find_body(&s, &n))
        return NULL;
    size_t size = sizeof(struct zone) + n.time * 9 + n.type * sizeof(struct zone_kind) + name.n;
    bool keep = atomic_fetch_add(&kept_count, 1) < ZONES_KEPT;
    if (!keep)
        atomic_fetch_sub(&kept_count, 1);
    char *block = keep ? mem_alloc(size) : arena_try(a, size);
    struct zone *z = block ? fill(block, s, &n, name) : NULL;
    if (z && keep)
        return kept_put(z, hash);
    if (!z && keep) {
        mem_free(block);
        atomic_fetch_sub(&kept_count, 1);
    }
    return z;
}

/* Names stay below the folder: parts of letters, digits, _ + -, none empty, no dots at all. */
static bool name_fine(struct span name) {
    bool after_slash = true;
    if (name.n == 0 || name.n > 64)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char ch = name.p[i], l = lower(ch);
        bool word = (l >= 'a' && l <= 'z') || (ch >= '0' && ch <= '9') || ch == '_' || ch == '+' ||
                    ch == '-';
        if (!word && (ch != '/' || after_slash))
            return false;
        after_slash = ch == '/';
    }
    return !after_slash;
}

static const struct zone *load(struct arena *a, struct span name, uint64_t hash) {
    char path[96];
    snprintf(path, sizeof path, "/usr/share/zoneinfo/%.*s", SPAN_ARG(name));
    int fd = env.open(path, O_RDONLY, 0);
    char *text = fd >= 0 ? arena_try(a, ZONE_FILE_MAX) : NULL;
    size_t n = 0;
    ssize_t got = 1;
    while (text && got > 0 && n < ZONE_FILE_MAX) {
        got = env.read(fd, text + n, ZONE_FILE_MAX - n);
        n += got > 0 ? (size_t)got : 0;
    }
    if (fd >= 0)
        env.close(fd);
    return text && got == 0 ? read_zone(a, span_of(text, n), name, hash) : NULL;
}

/* [+-]hh:mm */
static const struct zone *fixed(struct arena *a, struct span name, const char **why) {
    struct span minutes = name;
    bool west = name.p[0] == '-';
    if (west || name.p[0] == '+')
        minutes = span_from(name, 1);
    struct span hours = span_split(&minutes, ':');
    uint64_t h = 0, m = 0;
    bool two = hours.n == 2 && hours.p[0] == '0';
    if (hours.n > 2 || minutes.n != 2 || !parse_dec(two ? span_from(hours, 1) : hours, 23, &h) ||
        !parse_dec(minutes.p[0] == '0' ? span_from(minutes, 1) : minutes, 59, &m)) {
        *why = "is no offset like +02:00";
        return NULL;
    }
    struct zone *z = arena_zero(a, sizeof *z);
    z->fixed = (int64_t)(h * 60 + m) * 60 * (west ? -1 : 1);
    return z;
}

const struct zone *zone_get(struct arena *a, struct span name, const char **why) {
    if (span_eq(name, SPAN("UTC")))
        return &utc;
    if (span_find(name, ':') >= 0)
        return fixed(a, name, why);
    uint64_t hash = hash_span(name);
    const struct zone *z = NULL;
    if (name_fine(name)) {
        z = kept_get(name, hash);
        z = z ? z : load(a, name, hash);
    }
    *why = "is no time zone that this system knows";
    return z;
}

int64_t zone_offset(const struct zone *z, int64_t seconds) {
    if (z->kinds == 0)
        return z->fixed;
    if (z->changes == 0 || seconds >= z->at[z->changes - 1]) {
        if (z->ruled)
            return zone_rule_offset(&z->rule, seconds);
        return z->kind[z->changes ? z->to[z->changes - 1] : 0].east;
    }
    if (seconds < z->at[0])
        return z->kind[0].east;
    uint32_t low = 0, high = z->changes; /* at[low] <= seconds < at[high] */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (z->at[middle] <= seconds)
            low = middle;
        else
            high = middle;
    }
    return z->kind[z->to[low]].east;
}
