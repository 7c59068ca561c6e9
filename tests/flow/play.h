/*
 * play - a little play around the gateway: clients and services speak their lines, one after the
 * other.
 *
 * A play is a plain function. Its lines come in order: what is said (play_send) leaves as room
 * allows while the play goes on; what is expected (play_expect, play_head ..) lets the gateway run,
 * event by event, until it is there. Order comes from that, never from time; time moves only where
 * the play says so (play_time). An actor reads nothing that the play does not expect, so who is not
 * read is a slow reader.
 *
 * When a line does not come as expected a strict play fails the test, saying what came. A tolerant
 * one (torture: something was broken on purpose) goes on without waiting: what counts then is what
 * is left at the end. Owner: the test. Thread: one.
 */
#pragma once
#include "rig.h"
#include "tls_actor.h"

enum { PLAY_ACTORS = 64, PLAY_ANY = -1 };
enum play_abort { PLAY_ABORT_RESET, PLAY_ABORT_CLOSE };

struct play_actor {
    bool open, client;
    int fd;
    char *out; /* said, not yet gone */
    size_t out_len, out_cap;
    uint64_t filled_in, filled_out; /* bytes of the pattern, expected and said */
    struct tls_actor *tls;          /* NULL: clear text */
    bool line_due;                  /* the end of the chunk's line has not been read yet */
    void *more;                     /* of who speaks another protocol (h2_actor.h) */
    void (*forget)(void *more);     /* frees it when the play is over */
};

struct play {
    struct rig *rig;
    struct play_actor actor[PLAY_ACTORS];
    int actors;
    int service[RIG_ENDPOINTS_MAX]; /* listening; -1: closed */
    bool tolerant, lost;
    uint64_t dispatches; /* turns of loops so far */
    uint64_t abort_at;   /* before this one all clients go; 0: never */
    enum play_abort abort_how;
};
typedef void (*play_fn)(struct play *p);

/* How a play is performed. */
struct performance {
    struct rig_conf rig;
    uint64_t abort_at;
    enum play_abort abort_how;
    uint64_t fail_call, fail_alloc; /* the nth of the traffic's; 0: none */
    bool tolerant;
    /* results */
    uint64_t dispatches;
    bool failed; /* the failure that was asked for happened */
};
/* Sets up, plays, lets time pass until every connection is over, checks that nothing is left. */
void perform(struct performance *how, play_fn fn);

/* The plays again: an abort before every dispatch (both ways), every read and write in single
 * bytes, every system call and every allocation failing in turn. Returns how many performances it
 * took. */
unsigned torture(const struct rig_conf *rig, play_fn fn);

/* A test program of plays: each as it is, under some seeds, then tortured. Returns main's result.
 */
struct scene {
    const char *name;
    play_fn fn;
    struct rig_conf rig;
    bool heavy; /* too long to be tortured call by call */
};
int play_main(const char *group, const struct scene *scenes, size_t count, const char *only);

int play_client(struct play *p);               /* connects to the door */
int play_accept(struct play *p, int service);  /* the connection of the gateway that waits there */
void play_refuse(struct play *p, int service); /* nobody listens there any more */
void play_black_hole(struct play *p, int service);

/* From here on this actor speaks TLS: its handshake is played, and must come about. */
void play_tls(struct play *p, int who, const struct tls_role *role);
void play_tls_refused(struct play *p, int who, const struct tls_role *role); /* must not */

void play_ticket(struct play *p, int who); /* a service: another session ticket, out of the blue */

void play_send(struct play *p, int who, const char *text);
void play_send_bytes(struct play *p, int who, const void *bytes, size_t n);
void play_fill(struct play *p, int who, size_t n); /* n bytes of the pattern */
void play_fill_chunked(struct play *p, int who, size_t n, size_t chunk, const char *trailers);

/* The byte of the pattern at this place. */
char play_pattern(uint64_t at);

/* Up to max bytes; lets the gateway run until there are some. 0: the play is lost. */
size_t play_hear(struct play *p, int who, void *to, size_t max, const char *what);
/* `text` holds every one of `pieces` (as in play_head). */
void play_pieces(struct play *p, int who, const char *text, const char *pieces);
void play_expect(struct play *p, int who, const char *text);
void play_expect_bytes(struct play *p, int who, const void *bytes, size_t n);
/* A head, up to its empty line. `pieces`: texts that it holds, one a line; "!text" it must not
 * hold. */
void play_head(struct play *p, int who, const char *pieces);
/* A PROXY header of this version, whatever it says. Returns it. */
struct span play_proxy_header(struct play *p, int who, unsigned version);
int play_status(void); /* of the head that was heard last; 0: it was a request */
/* The value of a field of the head that was heard last; "": it has none. */
struct span play_field(const char *name);
void play_filled(struct play *p, int who, size_t n); /* n bytes of the pattern */
/* A chunked body of n bytes of the pattern in all, its end and trailers (the lines, or ""). */
void play_chunked(struct play *p, int who, size_t n, const char *trailers);
/* A part of a chunked body, however it is cut into chunks. */
void play_chunks(struct play *p, int who, const char *text);
void play_chunks_bytes(struct play *p, int who, const void *bytes, size_t n);
void play_end(struct play *p, int who);    /* the gateway ended the stream, cleanly */
void play_broken(struct play *p, int who); /* the gateway reset it */
void play_nothing(struct play *p,
                  int who); /* all is quiet, and nothing has come; it is still open */
void play_quiet(struct play *p);
void play_time(struct play *p, uint64_t ms);  /* everything that is due until then happens */
size_t play_backlog(struct play *p, int who); /* said and still not taken by the gateway */

void play_shut(struct play *p,
               int who); /* no more lines; still listens. After what was said has left */
void play_close(struct play *p, int who);
void play_close_now(struct play *p, int who); /* whatever it still had to say */
void play_reset(struct play *p, int who);

/* Strict: fails the test with this text. Tolerant: the play is lost. */
void play_fail(struct play *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define play_check(p, cond)                                                                        \
    do {                                                                                           \
        if (!(p)->lost && !(cond))                                                                 \
            play_fail((p), "%s:%d: not so: %s", __FILE__, __LINE__, #cond);                        \
    } while (0)
