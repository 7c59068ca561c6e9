/*
 * tls/stream - TLS over another stream of bytes: OpenSSL over memory, no buffer while idle.
 *
 * A plain stream becomes a TLS one (its ops change, `layer` is the session); everything above reads
 * and writes as before. Bytes are encrypted into the thread's buffer and sent at once; what the
 * socket did not take is kept, and the plain bytes it stands for count as not taken until it has
 * left (io/stream.h). Handshake flights are written as they arise. OpenSSL's own reading buffers
 * are released whenever they are empty. A record layer of our own can take the session's place
 * after the handshake without anybody above noticing: only this file knows SSL *.
 *
 * What counts as truncation: the transport's end without close_notify is IO_RESET in the middle of
 * a message that only the end of the stream could end; to be sure, read gives IO_RESET for it
 * always, and IO_END only for close_notify.
 *
 * Owner: the connection that embeds the stream. Thread: that of the connection.
 */
#pragma once
#include "io/stream.h"
#include "tls/client.h"
#include "tls/info.h"
#include "tls/server.h"

extern const struct stream_ops tls_stream;

enum tls_step { TLS_WANT, TLS_DONE, TLS_FAILED };

/* The stream (of a connected socket) speaks TLS from now on. False: no memory. */
must_use bool tls_accept(struct stream *s, struct tls_server *server);
/* `name`: SNI and the name to verify, unless the settings say another; an IP address is verified as
 * one and sends no SNI. */
must_use bool tls_connect(struct stream *s, struct tls_client *client, struct span name);
/* Before the handshake, on this connection: of the protocols only HTTP/1.1 is offered (ALPN). */
void tls_offer_http1(struct stream *s);
/* Reads what has come and answers. TLS_WANT: more must come (or leave). After TLS_DONE read, write
 * and tls_info_of work; bytes of the peer that came with the last flight are still to be read
 * (s->readable stays true). `early`: bytes of the peer that were read before the handshake began,
 * or SPAN_NONE. */
enum tls_step tls_handshake(struct loop *l, struct stream *s, struct span early);
/* Why it failed: one line for the operator; good until the stream is closed. */
const char *tls_failure(const struct stream *s);
/* The failure was the peer's certificate (name, chain, expiry, missing). */
bool tls_failure_is_verify(const struct stream *s);
static inline bool tls_is(const struct stream *s) {
    return s->ops == &tls_stream;
}
/* After the handshake; NULL: not TLS. */
const struct tls_info *tls_info_of(const struct stream *s);

/* What happened since the last call on this stream, to be counted. A peer that does more than 100
 * of these in a second loses its connection. */
struct tls_events {
    uint32_t key_updates, renegotiations_refused;
};
struct tls_events tls_take_events(struct stream *s);

/* Once per process, before threads (whoever creates a server or client calls it as well); and in
 * each thread at its end (its buffers, its kept sessions). */
void tls_init(void);
void tls_thread_finish(void);
