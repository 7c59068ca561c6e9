/* Replies of a Redis server: whole, and cut at places that the input chooses. Both must come to the
 * same end; what is given out must be readable. */
#include "base/env.h"
#include "shared/resp.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* All that a reply says, added up: reads every byte of it. */
static uint64_t sum(const struct redis_reply *top) {
    const struct redis_reply *stack[RESP_DEPTH + 1];
    uint32_t at[RESP_DEPTH + 1] = {0};
    unsigned depth = 0;
    uint64_t h = 17;
    stack[0] = top;
    for (;;) {
        const struct redis_reply *r = stack[depth];
        if (at[depth] == 0)
            h = h * 31 + (uint64_t)r->kind * 7 + (uint64_t)r->integer + r->count;
        for (size_t i = 0; at[depth] == 0 && i < r->text.n; i++)
            h = h * 31 + (unsigned char)r->text.p[i];
        if (r->kind == REDIS_LIST && at[depth] < r->count) {
            must(depth < RESP_DEPTH);
            stack[depth + 1] = &r->item[at[depth]++];
            at[++depth] = 0;
        } else if (depth-- == 0) {
            return h;
        }
    }
}

/* Feeds pieces, each in memory of its own that is gone afterwards. 0 at the end: no sense in it. */
static uint64_t run(const uint8_t *data, size_t n, size_t piece) {
    struct resp r;
    uint64_t h = 1;
    enum resp_result x = RESP_MORE;
    resp_init(&r);
    for (size_t i = 0; i < n && x != RESP_BAD; i += piece) {
        size_t len = n - i < piece ? n - i : piece;
        char *copy = malloc(len);
        must(copy != NULL);
        memcpy(copy, data + i, len);
        if (!resp_feed(&r, span_of(copy, len)))
            x = RESP_BAD;
        else
            for (const struct redis_reply *reply; (x = resp_next(&r, &reply)) == RESP_REPLY;)
                h = h * 33 + sum(reply);
        free(copy);
    }
    resp_finish(&r);
    return x == RESP_BAD ? 0 : h;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    if (n < 1)
        return 0;
    size_t piece = (size_t)data[0] + 1;
    must(run(data + 1, n - 1, n) == run(data + 1, n - 1, piece));
    must(run(data + 1, n - 1, n) == run(data + 1, n - 1, 1));
    return 0;
}
