/*
 * json - what reading and writing JSON costs: `ninja bench/json && bench/json [FILE]`.
 *
 * Without a file: a list of orders of 10 kB, as services answer, and the claims of a token. Prints
 * microseconds; the median of the rounds counts.
 */
#include "base/env.h"
#include "data/json.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 31, DOC_MAX = 16 * 1024 * 1024 };

static struct span orders(char *buf) {
    struct str s = str_on(buf, DOC_MAX);
    str_lit(&s, "{\"page\":1,\"orders\":[");
    for (unsigned i = 0; s.n < 10000; i++)
        str_fmt(&s,
                "%s{\"id\":%u,\"customer\":{\"name\":\"Zo\xc3\xab Miller\",\"email\":"
                "\"zoe.miller.%u@example.com\",\"vip\":%s},\"total\":%u.%02u,\"currency\":\"EUR\","
                "\"items\":[{\"sku\":\"A-%u\",\"quantity\":2,\"price\":12.5},{\"sku\":\"B-%u\","
                "\"quantity\":1,\"price\":99}],\"note\":\"leave it at the door, \\\"thanks\\\"\","
                "\"shipped\":null}",
                i ? "," : "", 100000 + i, i, i % 2 ? "true" : "false", i * 7, i % 100, i, i);
    str_lit(&s, "]}");
    return str_span(&s);
}

static const char claims[] =
    "{\"iss\":\"https://login.example.com/realms/shop\",\"sub\":\"8f14e45f-ceea-467f-a8b6\","
    "\"aud\":[\"shop\",\"account\"],\"exp\":1764070000,\"iat\":1764069700,\"azp\":\"web\","
    "\"realm_access\":{\"roles\":[\"customer\",\"offline_access\"]},\"scope\":\"openid profile "
    "orders:read\",\"email_verified\":true,\"preferred_username\":\"zoe\"}";

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static uint64_t cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double one(struct arena_cache *cache, struct span doc, unsigned times, bool write) {
    static const struct json_limits unique = {.unique = true};
    uint64_t from = cpu_ns();
    for (unsigned i = 0; i < times; i++) {
        struct arena a;
        struct value v;
        struct json_error err;
        struct span out;
        arena_init(&a, cache);
        if (!json_read(&a, doc, &unique, &v, &err)) {
            fprintf(stderr, "byte %zu: %s\n", err.at, err.text);
            exit(1);
        }
        if (write)
            must(json_write(&a, &v, 0, DOC_MAX, &out));
        arena_finish(&a);
    }
    return (double)(cpu_ns() - from) / times / 1000;
}

static void measure(struct arena_cache *cache, const char *name, struct span doc) {
    unsigned times = (unsigned)(2000000 / (doc.n + 100)) + 1;
    double read[ROUNDS], both[ROUNDS];
    for (unsigned i = 0; i < ROUNDS; i++) {
        read[i] = one(cache, doc, times, false);
        both[i] = one(cache, doc, times, true);
    }
    qsort(read, ROUNDS, sizeof *read, by_size);
    qsort(both, ROUNDS, sizeof *both, by_size);
    printf("%s, %zu bytes: read %.2f us, read and written %.2f us\n", name, doc.n, read[ROUNDS / 2],
           both[ROUNDS / 2]);
}

int main(int argc, char **argv) {
    static struct arena_cache cache;
    char *buf = mem_alloc(DOC_MAX);
    arena_cache_init(&cache);
    if (argc == 2) {
        FILE *f = fopen(argv[1], "rb");
        if (!f)
            return 1;
        measure(&cache, argv[1], span_of(buf, fread(buf, 1, DOC_MAX, f)));
        fclose(f);
        return 0;
    }
    measure(&cache, "orders", orders(buf));
    measure(&cache, "claims", span_z(claims));
    return 0;
}
