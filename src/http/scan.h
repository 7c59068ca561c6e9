/*
 * scan - looks for bytes that a field may not hold, sixteen at a time. Thread: any.
 */
#pragma once
#include "base/str.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#ifdef __SSE2__
/* A bit for each control byte (HTAB is none here) or DEL. */
static inline unsigned ctl_bits(__m128i v) {
    const __m128i last = _mm_set1_epi8(0x1f), tab = _mm_set1_epi8('\t'), del = _mm_set1_epi8(0x7f);
    __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(v, last), v);
    __m128i bad =
        _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(v, tab), low), _mm_cmpeq_epi8(v, del));
    return (unsigned)_mm_movemask_epi8(bad);
}

/* Eight to fifteen bytes: the first and the last eight. */
static inline __m128i load_short(const char *p, size_t n) {
    return _mm_unpacklo_epi64(_mm_loadl_epi64((const __m128i *)(const void *)p),
                              _mm_loadl_epi64((const __m128i *)(const void *)(p + n - 8)));
}
#endif

/* The first control byte from `at` on; `end` if there is none. */
static inline uint32_t find_ctl(const unsigned char *b, uint32_t at, uint32_t end) {
#ifdef __SSE2__
    for (; end - at >= 16; at += 16) {
        unsigned mask = ctl_bits(_mm_loadu_si128((const __m128i *)(const void *)(b + at)));
        if (mask)
            return at + (uint32_t)__builtin_ctz(mask);
    }
#endif
    while (at < end && (b[at] >= 0x20 || b[at] == '\t') && b[at] != 0x7f)
        at++;
    return at;
}

/* Is there one? The last bytes are looked at twice rather than one by one. */
static inline bool has_ctl(struct span s) {
#ifdef __SSE2__
    if (s.n >= 16) {
        unsigned bad = 0;
        for (size_t at = 0; s.n - at > 16; at += 16)
            bad |= ctl_bits(_mm_loadu_si128((const __m128i *)(const void *)(s.p + at)));
        return bad | ctl_bits(_mm_loadu_si128((const __m128i *)(const void *)(s.p + s.n - 16)));
    }
    if (s.n >= 8)
        return ctl_bits(load_short(s.p, s.n));
#endif
    return find_ctl((const unsigned char *)s.p, 0, (uint32_t)s.n) != s.n;
}
