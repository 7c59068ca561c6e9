#include "shared/redis_slots.h"

/* Four bits at a time: polynomial 0x1021, nothing reflected, begins with 0. */
static const uint16_t step[16] = {0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
                                  0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef};

static unsigned crc16(struct span s) {
    unsigned crc = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned c = (unsigned char)s.p[i];
        crc = (crc << 4 & 0xffff) ^ step[(crc >> 12) ^ (c >> 4)];
        crc = (crc << 4 & 0xffff) ^ step[(crc >> 12) ^ (c & 15)];
    }
    return crc;
}

unsigned redis_slot_of(struct span key) {
    ptrdiff_t open = span_find(key, '{');
    struct span tag = open < 0 ? SPAN_NONE : span_from(key, (size_t)open + 1);
    ptrdiff_t close = span_find(tag, '}');
    return crc16(close > 0 ? span_cut(tag, 0, (size_t)close) : key) % REDIS_SLOTS;
}
