/*
 * h1 - the HTTP/1.1 codec (RFC 9112): bytes in, heads and body pieces out, and back. It touches no
 * socket, keeps no bytes, and gives the same verdict however its input is cut.
 *
 * A head is parsed by offsets: feed the message from its first byte, as much as has come; on
 * H1_MORE feed it again with more bytes behind (it may have moved). Every line is looked at once.
 * On H1_DONE `length` tells the bytes of the head. Then h1_request or h1_response copies it into
 * the arena and judges it. Owner: the connection, or the thread for heads that come in one piece.
 * Thread: any.
 */
#pragma once
#include "http/framing.h"
#include "http/head.h"
#include "http/uri.h"

enum h1_kind { H1_REQUEST, H1_RESPONSE, H1_TRAILERS };
enum h1_status { H1_MORE, H1_DONE, H1_FAULT };

struct h1_limits {
    uint32_t line_max;  /* request line: 414 for the target, 400 without one */
    uint32_t total_max; /* the whole head */
    uint32_t field_max; /* one field line */
    uint16_t name_max, count_max, method_max;
};
extern const struct h1_limits h1_request_limits, h1_response_limits, h1_trailer_limits;

enum { H1_FIELDS_MAX = 200 };

struct h1_field {
    uint32_t name, value, value_len; /* offsets from the first byte of the message */
    uint16_t name_len, id;
};

struct h1_parser {
    const struct h1_limits *limits;
    enum h1_kind kind;
    enum fault fault;  /* on H1_FAULT */
    uint8_t state;     /* what the byte at `at` is to be */
    uint32_t line, at; /* start of the current line; how far it has been looked at */
    uint32_t length;   /* of the head, on H1_DONE */
    /* start line, offsets */
    uint32_t method_len, method, target, target_len;
    uint16_t status;
    uint8_t minor; /* of HTTP/1.minor */
    uint16_t count;
    struct h1_field field[H1_FIELDS_MAX];
};

void h1_parser_init(struct h1_parser *p, enum h1_kind kind, const struct h1_limits *limits);
enum h1_status h1_parse(struct h1_parser *p, const char *bytes, size_t n);

/* What the door must know and the head does not say. */
struct h1_message {
    enum framing framing;
    uint64_t length; /* FRAMING_LENGTH */
    bool declared;   /* a response without body (HEAD, 304) that told the length it would have */
    bool keep_alive; /* RFC 9112 9.3, from version and Connection */
    bool expect_continue;
    bool http10;
    bool upgrade;          /* request: the head became CONNECT with protocol, framing TUNNEL (what
                            * follows is the tunnel's once it stands, else the next request);
                            * response: 101, in the head's form 200, framing TUNNEL */
    struct span ws_key;    /* Sec-WebSocket-Key, Sec-WebSocket-Accept */
    uint32_t keep_alive_s; /* Keep-Alive: timeout=N of a service; 0: not said */
    bool auth_challenge;   /* WWW-Authenticate: NTLM or Negotiate: the connection is not shared */
    uint16_t stripped_identity; /* fields of HF_IDENTITY that a client sent */
};

struct h1_rules {
    struct uri_limits uri;
    struct span scheme; /* of the listener */
    bool upgrades;      /* forward WebSocket upgrades (else the token is dropped) */
};

/* Copies the parsed head into the arena and judges it: target, host, framing, hop-by-hop fields and
 * those named by Connection dropped, names lower-case. h: head_init stands. After H1_FAULT it
 * returns p->fault. Identity and override fields of clients are dropped here; HF_FORWARDED fields
 * stay, the core decides by the peer's trust. NO_MEMORY: FAULT_OUT_OF_MEMORY. Even on a fault
 * h->method and h->target hold what is known, for the log. */
must_use enum fault h1_request(const struct h1_parser *p, const char *bytes,
                               const struct h1_rules *rules, struct head *h, struct h1_message *m);
/* `asked`: the request's head. `tunnel`: we sent Upgrade; any answer but 101 is an ordinary one
 * then, and a 2xx must not pass for an accepted CONNECT. Interim answers: m->framing NONE. */
must_use enum fault h1_response(const struct h1_parser *p, const char *bytes,
                                const struct head *asked, bool tunnel, struct head *h,
                                struct h1_message *m);
/* Trailers into a head of their own (`request`: forbidden names are refused; else dropped). */
must_use enum fault h1_trailers(const struct h1_parser *p, const char *bytes, bool request,
                                struct head *h);

/* The chunked coding, read. Feed bytes; each call takes `used` of them and may lend one piece of
 * data. */
struct h1_chunked {
    uint64_t left;           /* of the current chunk */
    uint64_t data, overhead; /* so far: overhead may be 16 x data + 16 KiB */
    uint32_t ext;            /* bytes of the current extension */
    uint8_t state, digits;
    enum fault fault;
};
enum h1_chunk {
    CHUNK_MORE,
    CHUNK_DATA,
    CHUNK_TRAILERS /* the last chunk's line is read: parse
trailers with H1_TRAILERS from here; an empty line ends */
    ,
    CHUNK_FAULT
};
void h1_chunked_init(struct h1_chunked *c);
enum h1_chunk h1_chunked_read(struct h1_chunked *c, const char *p, size_t n, size_t *used,
                              struct span *data);

/* Printers. All print into the arena (one piece, sized by what stands in the head) and return it;
 * {NULL,0}: no memory. They print checked heads only and add the framing that they are told. */
struct h1_print {
    enum framing framing; /* of what we send: NONE, LENGTH, CHUNKED, CLOSE, TUNNEL */
    uint64_t length;
    bool no_length;     /* NONE without "Content-Length: 0" (GET and the like) */
    bool close;         /* Connection: close */
    bool http10;        /* answer to a 1.0 client that may keep alive: Connection: keep-alive */
    struct span ws_key; /* TUNNEL: Sec-WebSocket-Key (request) or -Accept (response) */
    const struct field *extra; /* of this attempt, after the head's own */
    size_t extra_count;
    struct span authority; /* of this attempt; {NULL,0}: the head's */
};
struct span h1_print_request(const struct head *h, struct arena *a, const struct h1_print *how);
struct span h1_print_response(const struct head *h, struct arena *a, const struct h1_print *how);
/* "1a2b\r\n" with `first` false: "\r\n1a2b\r\n". Returns its length, at most 20. */
size_t h1_chunk_line(char out[20], uint64_t n, bool first);
/* The end: "\r\n0\r\n...\r\n" with the trailers; `first`: no chunk was sent before. */
struct span h1_print_last_chunk(const struct head *trailers, struct arena *a, bool first);
/* Sec-WebSocket-Accept for a key (RFC 6455 4.2.2): 28 bytes. */
void ws_accept(struct span key, char out[28]);
enum { WS_KEY_LEN = 24 };
/* Sec-WebSocket-Key of 16 random bytes. */
void ws_key(const unsigned char random[16], char out[WS_KEY_LEN]);

/* IMF-fixdate (RFC 9110 5.6.7) of seconds since the epoch: 29 bytes. */
void http_date(int64_t seconds, char out[29]);
