/*
 * h2_actor - a client or a service that speaks HTTP/2 in a play: frames made by hand, so it can
 * break every rule; only HPACK is nghttp2's.
 *
 * What comes is sorted by stream: an expectation takes the next frame of its stream, whatever other
 * streams have got meanwhile. By itself the actor acknowledges SETTINGS, answers PING, counts the
 * windows that it is given, and gives back window for the DATA that an expectation has taken (not
 * when `quiet` or `hold` say so). It sends what it is told, but h2_fill waits for windows. As
 * everywhere in plays: who expects nothing reads nothing. Owner: the play, which frees it. Thread:
 * one.
 */
#pragma once
#include "play.h"
#include <nghttp2/nghttp2.h>

enum {
    H2_STREAMS = 4096,
    H2_END = NGHTTP2_FLAG_END_STREAM,
    H2_OPEN = 0x100, /* h2_headers: without END_HEADERS, CONTINUATION follows */
};

struct h2_frame {
    struct h2_frame *next;
    uint8_t type, flags;
    uint32_t stream;
    size_t n;
    char bytes[]; /* of HEADERS: "name: value\n" lines, CONTINUATION included; a NUL follows */
};

struct h2_actor {
    struct play *p;
    int who;
    bool client, greeted;
    bool quiet; /* acknowledges nothing */
    bool hold;  /* gives no window back */
    bool ended; /* the gateway has closed */
    nghttp2_hd_deflater *deflater;
    nghttp2_hd_inflater *inflater;
    struct h2_frame *inbox, **last;
    char *raw; /* heard, not yet a frame */
    size_t raw_len, raw_cap;
    int64_t initial;                /* window of a new stream, as the gateway's SETTINGS say */
    int64_t window;                 /* the connection's: what may still be sent */
    int64_t given[H2_STREAMS];      /* the streams': beside `initial` */
    int64_t credit[H2_STREAMS + 1]; /* bytes of DATA taken and not given back; last: connection */
    uint32_t settings[16];          /* the gateway's, by id; see settings_seen */
    uint32_t settings_seen;
    uint64_t frames; /* heard so far, SETTINGS and the like included */
    uint64_t data_in[H2_STREAMS], data_out[H2_STREAMS]; /* of the pattern */
};

/* Connects to the door, says the preface and SETTINGS (id, value pairs). */
struct h2_actor *h2_client(struct play *p);
struct h2_actor *h2_client_with(struct play *p, const uint32_t *settings, size_t pairs);
/* `who` is connected already (TLS, a PROXY header), and has said so much of the preface. */
struct h2_actor *h2_client_on(struct play *p, int who, size_t said);
/* `who` was accepted: hears the preface, says SETTINGS. */
struct h2_actor *h2_service(struct play *p, int who);
struct h2_actor *h2_service_with(struct play *p, int who, const uint32_t *settings, size_t pairs);

/* Saying */
void h2_frame(struct h2_actor *a, unsigned type, unsigned flags, uint32_t stream, const void *bytes,
              size_t n);
/* Lines "name: value\n", pseudo-headers first; flags: H2_END, H2_OPEN. */
void h2_headers(struct h2_actor *a, uint32_t stream, unsigned flags, const char *lines);
void h2_get(struct h2_actor *a, uint32_t stream, const char *path); /* a whole request */
/* A request whose body follows; `lines`: further fields, or "". */
void h2_post(struct h2_actor *a, uint32_t stream, const char *path, const char *lines);
void h2_data(struct h2_actor *a, uint32_t stream, unsigned flags, const char *text);
/* n bytes of the stream's pattern, as windows allow, in frames of at most 16 KiB. */
void h2_fill(struct h2_actor *a, uint32_t stream, size_t n, unsigned flags);
void h2_rst(struct h2_actor *a, uint32_t stream, uint32_t code);
void h2_goaway(struct h2_actor *a, uint32_t last, uint32_t code);
void h2_ping(struct h2_actor *a, bool ack, uint64_t opaque);
void h2_settings(struct h2_actor *a, const uint32_t *settings, size_t pairs);
void h2_window(struct h2_actor *a, uint32_t stream, uint32_t more);
/* What may be sent on this stream now (0: on the connection), as far as has been heard. */
int64_t h2_room(const struct h2_actor *a, uint32_t stream);

/* Expecting */
/* The next frame of this stream: a header section. `flags`: H2_END or 0, exactly. `pieces`: texts
 * that it holds, one a line; "!text" it must not hold. */
void h2_expect(struct h2_actor *a, uint32_t stream, unsigned flags, const char *pieces);
/* The stream of the next request that comes, which is then expected as above. For services. */
uint32_t h2_expect_request(struct h2_actor *a, unsigned flags, const char *pieces);
/* DATA, however it is cut; with H2_END its end too. */
void h2_expect_data(struct h2_actor *a, uint32_t stream, unsigned flags, const char *text);
void h2_expect_bytes(struct h2_actor *a, uint32_t stream, unsigned flags, const void *bytes,
                     size_t n);
/* All DATA up to the stream's end; it holds these pieces. */
void h2_expect_body(struct h2_actor *a, uint32_t stream, const char *pieces);
void h2_filled(struct h2_actor *a, uint32_t stream, size_t n, unsigned flags);
void h2_expect_rst(struct h2_actor *a, uint32_t stream, uint32_t code);
uint32_t h2_expect_goaway(struct h2_actor *a, uint32_t code); /* its last stream */
/* One with this code is among what has come by now. */
void h2_any_goaway(struct h2_actor *a, uint32_t code);
void h2_expect_ping(struct h2_actor *a, bool ack, uint64_t opaque);
/* A WINDOW_UPDATE of the stream (0: connection) or more, until `room` bytes may be sent. */
void h2_expect_room(struct h2_actor *a, uint32_t stream, int64_t room);
/* All is quiet; nothing has come that was not expected, and the connection stands. */
void h2_nothing(struct h2_actor *a);
/* The connection ends; whatever else comes before that is forgotten. Cleanly, or reset. */
void h2_closed(struct h2_actor *a);
/* Hears all that has come by now, without expecting anything. */
void h2_hear(struct h2_actor *a);
