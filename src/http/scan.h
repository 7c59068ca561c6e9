/*
 * scan - looks for bytes that a field may not hold, sixteen at a time. Thread: any.
 */
#pragma once
#include <stdint.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* The first control byte (HTAB is none here) or DEL from `at` on; `end` if there is none. */
static inline uint32_t find_ctl(const unsigned char *b, uint32_t at, uint32_t end) {
#ifdef __SSE2__
    const __m128i last = _mm_set1_epi8(0x1f), tab = _mm_set1_epi8('\t'), del = _mm_set1_epi8(0x7f);
    for (; end - at >= 16; at += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(b + at));
        __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(v, last), v);
        __m128i bad =
            _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(v, tab), low), _mm_cmpeq_epi8(v, del));
        int mask = _mm_movemask_epi8(bad);
        if (mask)
            return at + (uint32_t)__builtin_ctz((unsigned)mask);
    }
#endif
    while (at < end && (b[at] >= 0x20 || b[at] == '\t') && b[at] != 0x7f)
        at++;
    return at;
}
