/*
 * ws - WebSocket frames (RFC 6455 section 5), looked at as they pass: nothing is buffered, nothing
 * is changed. Thread: any.
 */
#pragma once
#include "base/str.h"

struct ws_limits {
    uint64_t frame_max, message_max; /* bytes of payload; 0: no limit */
    uint32_t fragments_max;          /* of one message; 0: no limit */
    bool utf8;                       /* text must be UTF-8 (needs unmasking: costs) */
};
enum ws_role { WS_FROM_CLIENT /* frames are masked */, WS_FROM_SERVICE };

struct ws_scan {
    struct ws_limits limits;
    enum ws_role role;
    bool extensions;          /* one was negotiated: RSV1 is legal, utf8 is not checked */
    uint64_t left;            /* of the current frame's payload */
    uint64_t message, frames; /* of the current message: payload so far; of all: frames begun */
    uint32_t fragments;
    uint32_t pings; /* in all: the caller makes a rate of them */
    uint16_t close; /* WHY it is no longer legal: 1002, 1007, 1009; 0: fine */
    bool closed;    /* a close frame has passed whole */
    unsigned char head[14], head_len, head_need, opcode, state;
    unsigned char mask[4], mask_at;
    uint32_t utf8_state, utf8_code;
};

void ws_scan_start(struct ws_scan *s, enum ws_role role, const struct ws_limits *limits,
                   bool extensions);
/* Looks at bytes in order. Returns how many of them may pass: all, or those before the frame that
 * is not legal (then s->close says why; nothing behind it may pass). */
size_t ws_scan(struct ws_scan *s, struct span bytes);
/* Between two frames: a frame of our own may be put here. */
bool ws_scan_between(const struct ws_scan *s);
/* A close frame (unmasked, or with this mask): its length, at most 32. The reason is cut at 20. */
size_t ws_close_frame(unsigned char out[32], uint16_t code, const char *reason,
                      const unsigned char *mask);
