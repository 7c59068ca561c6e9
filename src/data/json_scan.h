/*
 * json_scan - passes over what is plain in a JSON string, sixteen bytes at a time. Thread: any.
 */
#pragma once
#include "base/str.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* The first byte that ends or breaks a run of plain ASCII in a string: quote, backslash, control
 * byte, the beginning of a longer character; `end` if there is none. */
static inline const unsigned char *json_plain_end(const unsigned char *p,
                                                  const unsigned char *end) {
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'),
                  last = _mm_set1_epi8(0x1f);
    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash));
        hit = _mm_or_si128(hit, _mm_cmpeq_epi8(_mm_min_epu8(v, last), v));
        unsigned mask = (unsigned)_mm_movemask_epi8(_mm_or_si128(hit, v)); /* v: its high bits */
        if (mask)
            return p + __builtin_ctz(mask);
    }
#endif
    while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\')
        p++;
    return p;
}
