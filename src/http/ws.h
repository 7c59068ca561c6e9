/*
 * ws - WebSocket frames (RFC 6455 section 5), looked at as they pass: nothing is buffered, nothing
 * is changed.
 *
 * Every byte is shown once, in order. Those of a frame's head are held back until the head is whole
 * and judged, those of a close frame until its end, so no byte of a frame passes that is refused
 * by its head; at most 131 bytes are held. Where they wait is the caller's business: he leaves them
 * in the queue that they came in. Verdict and what passes do not depend on how the bytes were cut.
 * Owner: the tunnel's stage. Thread: any.
 */
#pragma once
#include "base/str.h"

struct ws_limits {
    uint64_t frame_max, message_max; /* bytes of payload; 0: no limit */
    uint32_t fragments_max;          /* frames of one message; 0: no limit */
    bool utf8;                       /* texts and close reasons must be UTF-8: costs unmasking */
};
enum ws_role { WS_FROM_CLIENT /* frames are masked */, WS_FROM_SERVICE };
enum ws_code { WS_GOING_AWAY = 1001, WS_MALFORMED = 1002, WS_NOT_UTF8 = 1007, WS_TOO_BIG = 1009 };

struct ws_utf8 {
    unsigned char left, low, high; /* bytes still to come; what the next one may be */
};

struct ws_scan {
    struct ws_limits limits;
    enum ws_role role;
    bool extensions; /* one was negotiated: RSV1 is legal, texts are not looked into */
    /* For the caller: */
    uint16_t close;  /* enum ws_code: why it is no longer legal; 0: fine */
    bool closed;     /* a close frame has passed whole: no more frames may follow */
    uint32_t held;   /* bytes shown and not passed yet */
    uint32_t pings;  /* in all: a rate can be made of them */
    uint64_t frames; /* begun, in all */
    uint64_t left;   /* of the current frame's payload */
    /* Its own: */
    uint64_t message; /* payload of the current message so far */
    uint32_t fragments;
    unsigned char head[14], head_len, head_need;
    bool payload, open, text; /* within a frame; within a message; of a text to be checked */
    bool inside;              /* what has passed ends within a frame */
    unsigned char opcode, fin, mask_at, code_len;
    uint16_t code;
    struct ws_utf8 utf8, reason;
};

void ws_scan_start(struct ws_scan *s, enum ws_role role, const struct ws_limits *limits,
                   bool extensions);
/* Shows the next bytes. Returns how many may pass now, counted from the first that was held back:
 * once s->close is set, those before the frame that is not legal, and nothing behind them ever.
 * Only what is found in a payload (WS_NOT_UTF8 in a text) leaves the beginning of its frame passed:
 * then !ws_scan_between, and no frame of one's own may follow. */
size_t ws_scan(struct ws_scan *s, struct span bytes);
/* What has passed ends between two frames: one of our own may be put there. */
bool ws_scan_between(const struct ws_scan *s);
/* A close frame (unmasked, or with this mask): its length, at most 32. The reason is cut at 20. */
size_t ws_close_frame(unsigned char out[32], uint16_t code, const char *reason,
                      const unsigned char *mask);
