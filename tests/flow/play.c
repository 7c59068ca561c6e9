#include "play.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

void play_fail(struct play *p, const char *fmt, ...) {
    char text[4000];
    va_list ap;
    if (p->lost)
        return;
    p->lost = true;
    if (p->tolerant)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    sim_end();
    fail_msg("%s", text);
}

/* Turning the world */

static bool say(struct play_actor *a) {
    size_t took = a->open && a->out_len ? actor_send(a->fd, a->out, a->out_len) : 0;
    if (took)
        memmove(a->out, a->out + took, a->out_len -= took);
    return took > 0;
}

static void leave(struct play_actor *a, enum play_abort how) {
    if (!a->open)
        return;
    a->open = false;
    if (how == PLAY_ABORT_RESET)
        actor_reset(a->fd);
    else
        actor_close(a->fd);
}

static void abort_clients(struct play *p) {
    for (int i = 0; i < p->actors; i++)
        if (p->actor[i].client)
            leave(&p->actor[i], p->abort_how);
    p->tolerant = p->lost = true;
}

/* Something happens. False: all is quiet. */
static bool turn(struct play *p) {
    bool said = false;
    if (p->abort_at && p->dispatches + 1 == p->abort_at)
        abort_clients(p);
    for (int i = 0; i < p->actors; i++)
        said |= say(&p->actor[i]);
    if (!sim_step())
        return said;
    p->dispatches++;
    return true;
}

void play_quiet(struct play *p) {
    for (unsigned i = 0; turn(p); i++)
        if (i > 10000000)
            play_fail(p, "it does not become quiet");
}

/* Time limits of seconds need a look now and then, not hundreds a second. */
void play_time(struct play *p, uint64_t ms) {
    uint64_t until = sim_now_ms() + ms, looks = 0;
    do
        play_quiet(p);
    while (sim_advance(until) && ++looks);
    play_quiet(p);
    if (looks > 100 + ms / 50)
        play_fail(p, "timers fired %llu times in %llu ms", (unsigned long long)looks,
                  (unsigned long long)ms);
}

/* Actors */

static int enter(struct play *p, int fd, bool client) {
    must(p->actors < PLAY_ACTORS);
    p->actor[p->actors] = (struct play_actor){.fd = fd, .open = fd >= 0, .client = client};
    return p->actors++;
}

static struct play_actor *actor(struct play *p, int who) {
    must(who >= 0 && who < p->actors);
    return &p->actor[who];
}

int play_client(struct play *p) {
    int fd = actor_connect(&p->rig->door, NULL);
    if (fd < 0)
        play_fail(p, "the door is closed");
    return enter(p, fd, true);
}

static int waiting_at(struct play *p, int service) {
    int fd = -1;
    for (int i = 0; fd < 0 && i < RIG_ENDPOINTS_MAX; i++)
        if ((service == i || service == PLAY_ANY) && p->service[i] >= 0)
            fd = actor_accept(p->service[i]);
    return fd;
}

int play_accept(struct play *p, int service) {
    int fd;
    while ((fd = waiting_at(p, service)) < 0 && !p->lost)
        if (!turn(p))
            play_fail(p, "no connection came to service %d", service);
    return enter(p, fd, false);
}

void play_refuse(struct play *p, int service) {
    if (p->service[service] >= 0)
        actor_close(p->service[service]);
    p->service[service] = -1;
}

void play_black_hole(struct play *p, int service) {
    play_refuse(p, service);
    actor_black_hole(&p->rig->endpoint[service]);
}

/* Saying */

static void put(struct play_actor *a, const void *bytes, size_t n) {
    if (a->out_len + n > a->out_cap) {
        a->out_cap = (a->out_len + n) * 2;
        a->out = realloc(a->out, a->out_cap);
        must(a->out);
    }
    if (n)
        memcpy(a->out + a->out_len, bytes, n);
    a->out_len += n;
    say(a);
}

/* What TLS has to say goes out. */
static void put_wire(struct play_actor *a) {
    char raw[4096];
    for (size_t n; (n = tls_actor_wire(a->tls, raw, sizeof raw)) > 0;)
        put(a, raw, n);
}

void play_send_bytes(struct play *p, int who, const void *bytes, size_t n) {
    struct play_actor *a = actor(p, who);
    if (!a->tls) {
        put(a, bytes, n);
        return;
    }
    tls_actor_encrypt(a->tls, span_of(bytes, n));
    put_wire(a);
}

void play_send(struct play *p, int who, const char *text) {
    play_send_bytes(p, who, text, strlen(text));
}

/* No period that a power of two hides: a piece lost or twice is seen. */
char play_pattern(uint64_t at) {
    return (char)('a' + at % 23 + at / 23 % 3);
}

void play_fill(struct play *p, int who, size_t n) {
    struct play_actor *a = actor(p, who);
    char *bytes = malloc(n + 1);
    must(bytes);
    for (size_t i = 0; i < n; i++)
        bytes[i] = play_pattern(a->filled_out++);
    play_send_bytes(p, who, bytes, n);
    free(bytes);
}

void play_fill_chunked(struct play *p, int who, size_t n, size_t chunk, const char *trailers) {
    while (n) {
        char line[32];
        size_t part = n < chunk ? n : chunk;
        snprintf(line, sizeof line, "%zx\r\n", part);
        play_send(p, who, line);
        play_fill(p, who, part);
        play_send(p, who, "\r\n");
        n -= part;
    }
    play_send(p, who, "0\r\n");
    play_send(p, who, trailers);
    play_send(p, who, "\r\n");
}

size_t play_backlog(struct play *p, int who) {
    return actor(p, who)->out_len;
}

/* Expecting */

/* A stream of TLS that ends without goodbye is broken. */
static enum io_result get(struct play_actor *a, void *to, size_t max, size_t *got) {
    char raw[4096];
    size_t n;
    if (!a->tls)
        return actor_read(a->fd, to, max, got);
    enum io_result r = tls_actor_decrypt(a->tls, SPAN_NONE, to, max, got);
    while (r == IO_AGAIN) {
        enum io_result in = actor_read(a->fd, raw, sizeof raw, &n);
        if (in != IO_OK)
            return in == IO_END ? IO_RESET : in;
        r = tls_actor_decrypt(a->tls, span_of(raw, n), to, max, got);
    }
    put_wire(a);
    return r;
}

size_t play_hear(struct play *p, int who, void *to, size_t max, const char *what) {
    struct play_actor *a = actor(p, who);
    size_t got = 0;
    while (!p->lost) {
        if (!a->open) {
            play_fail(p, "actor %d is gone while it waits for %s", who, what);
            return 0;
        }
        enum io_result r = get(a, to, max, &got);
        if (r == IO_OK)
            return got;
        if (r != IO_AGAIN)
            play_fail(p, "actor %d: the stream %s while it waits for %s", who,
                      r == IO_END ? "ends" : "is reset", what);
        else if (!turn(p))
            play_fail(p, "actor %d: all is quiet while it waits for %s", who, what);
    }
    return 0;
}

static void expect(struct play *p, int who, const void *bytes, size_t n, const char *what) {
    char got[4096];
    size_t have = 0;
    must(n < sizeof got);
    while (have < n && !p->lost) {
        have += play_hear(p, who, got + have, n - have, what);
        if (memcmp(got, bytes, have) != 0)
            play_fail(p, "actor %d expected \"%s\" and heard \"%.*s\"", who, what, (int)have, got);
    }
}

void play_expect(struct play *p, int who, const char *text) {
    expect(p, who, text, strlen(text), text);
}
void play_expect_bytes(struct play *p, int who, const void *bytes, size_t n) {
    expect(p, who, bytes, n, "these bytes");
}

static char head[65536]; /* the last one heard */

void play_pieces(struct play *p, int who, const char *text, const char *pieces) {
    struct span rest = span_z(pieces);
    while (rest.p && rest.n) {
        char piece[512];
        struct span s = span_split(&rest, '\n');
        bool absent = s.n && s.p[0] == '!';
        s = span_from(s, absent);
        must(s.n < sizeof piece);
        memcpy(piece, s.p, s.n);
        piece[s.n] = 0;
        if ((strstr(text, piece) != NULL) == absent)
            play_fail(p, "actor %d: the head %s \"%s\":\n%s", who,
                      absent ? "must not hold" : "does not hold", piece, text);
    }
}

int play_status(void) {
    uint64_t status = 0;
    struct span line = span_z(head), version = span_split(&line, ' ');
    if (!span_starts(version, SPAN("HTTP/")) || !parse_dec(span_split(&line, ' '), 999, &status))
        return 0;
    return (int)status;
}

struct span play_proxy_header(struct play *p, int who, unsigned version) {
    static char header[108];
    size_t n = 0, most = version == 1 ? sizeof header : 28; /* of IPv4 */
    while (!p->lost && n < most && (version == 2 || !n || header[n - 1] != '\n'))
        n += play_hear(p, who, header + n, 1, "a PROXY header");
    return span_of(header, n);
}

struct span play_field(const char *name) {
    struct span rest = span_z(head);
    while (rest.p) {
        struct span line = span_split(&rest, '\n'), key = span_split(&line, ':');
        if (line.p && span_eq_nocase(key, span_z(name)))
            return span_trim(span_cut(line, 0, line.n - 1));
    }
    return SPAN("");
}

void play_head(struct play *p, int who, const char *pieces) {
    size_t n = 0;
    while (!p->lost && (n < 4 || memcmp(head + n - 4, "\r\n\r\n", 4) != 0)) {
        n += play_hear(p, who, head + n, 1, "a head");
        if (n == sizeof head - 1)
            play_fail(p, "actor %d: a head without end", who);
    }
    head[n] = 0;
    if (!p->lost)
        play_pieces(p, who, head, pieces);
}

void play_filled(struct play *p, int who, size_t n) {
    struct play_actor *a = actor(p, who);
    char got[4096];
    while (n && !p->lost) {
        size_t have = play_hear(p, who, got, n < sizeof got ? n : sizeof got, "a body");
        for (size_t i = 0; i < have; i++)
            if (got[i] != play_pattern(a->filled_in++)) {
                play_fail(p, "actor %d: byte %llu of the body is another", who,
                          (unsigned long long)a->filled_in - 1);
                return;
            }
        n -= have;
    }
}

static uint64_t chunk_size(struct play *p, int who) {
    char line[32];
    size_t n = 0;
    uint64_t size = 0;
    if (actor(p, who)->line_due)
        play_expect(p, who, "\r\n");
    actor(p, who)->line_due = false;
    while (!p->lost && (n < 2 || memcmp(line + n - 2, "\r\n", 2) != 0)) {
        n += play_hear(p, who, line + n, 1, "a chunk");
        if (n == sizeof line)
            play_fail(p, "actor %d: no size of a chunk", who);
    }
    if (!p->lost && !parse_hex(span_of(line, n - 2), &size))
        play_fail(p, "actor %d: no size of a chunk: %.*s", who, (int)n, line);
    return size;
}

void play_chunked(struct play *p, int who, size_t n, const char *trailers) {
    while (!p->lost) {
        uint64_t size = chunk_size(p, who);
        if (p->lost)
            return;
        if (size > n)
            play_fail(p, "actor %d: more chunks than expected", who);
        if (size == 0)
            break;
        play_filled(p, who, (size_t)size);
        actor(p, who)->line_due = true;
        n -= (size_t)size;
    }
    if (n)
        play_fail(p, "actor %d: the chunked body ends %zu bytes early", who, n);
    play_expect(p, who, trailers);
    play_expect(p, who, "\r\n");
}

void play_chunks_bytes(struct play *p, int who, const void *bytes, size_t n) {
    for (size_t at = 0; at < n && !p->lost;) {
        uint64_t size = chunk_size(p, who);
        if (p->lost)
            return;
        if (size == 0 || size > n - at) {
            play_fail(p, "actor %d: a chunk of %llu bytes, %zu are expected", who,
                      (unsigned long long)size, n - at);
            return;
        }
        play_expect_bytes(p, who, (const char *)bytes + at, (size_t)size);
        actor(p, who)->line_due = true;
        at += (size_t)size;
    }
}

void play_chunks(struct play *p, int who, const char *text) {
    play_chunks_bytes(p, who, text, strlen(text));
}

static void over(struct play *p, int who, enum io_result want) {
    struct play_actor *a = actor(p, who);
    char c;
    size_t got;
    while (!p->lost) {
        enum io_result r = get(a, &c, 1, &got);
        if (r == want)
            return;
        if (r == IO_OK)
            play_fail(p, "actor %d expected its end and heard \"%c\"", who, c);
        else if (r != IO_AGAIN)
            play_fail(p, "actor %d: the stream %s", who, r == IO_END ? "ends" : "is reset");
        else if (!turn(p))
            play_fail(p, "actor %d: all is quiet and the stream stays open", who);
    }
}

void play_end(struct play *p, int who) {
    over(p, who, IO_END);
}
void play_broken(struct play *p, int who) {
    over(p, who, IO_RESET);
}

void play_nothing(struct play *p, int who) {
    char c;
    size_t got;
    play_quiet(p);
    if (p->lost)
        return;
    enum io_result r = get(actor(p, who), &c, 1, &got);
    if (r != IO_AGAIN)
        play_fail(p, "actor %d: nothing was to come, but it %s%.1s", who,
                  r == IO_OK    ? "heard "
                  : r == IO_END ? "ended"
                                : "was reset",
                  r == IO_OK ? &c : "");
}

/* TLS */

static int shake(struct play *p, int who, const struct tls_role *role) {
    struct play_actor *a = actor(p, who);
    a->tls = tls_actor_create(role);
    int done = tls_actor_handshake(a->tls, SPAN_NONE);
    put_wire(a);
    while (!done && !p->lost) {
        char raw[4096];
        size_t n;
        enum io_result r = a->open ? actor_read(a->fd, raw, sizeof raw, &n) : IO_RESET;
        if (r == IO_AGAIN && !turn(p))
            play_fail(p, "actor %d: all is quiet in the middle of a handshake", who);
        else if (r == IO_END || r == IO_RESET)
            return -1;
        else if (r == IO_OK)
            done = tls_actor_handshake(a->tls, span_of(raw, n));
        put_wire(a);
    }
    return done;
}

void play_tls(struct play *p, int who, const struct tls_role *role) {
    if (shake(p, who, role) < 0)
        play_fail(p, "actor %d: the handshake failed", who);
}

void play_tls_refused(struct play *p, int who, const struct tls_role *role) {
    if (shake(p, who, role) > 0)
        play_fail(p, "actor %d: the handshake came about", who);
}

void play_ticket(struct play *p, int who) {
    if (p->lost || !actor(p, who)->tls)
        return;
    tls_actor_ticket(actor(p, who)->tls);
    put_wire(actor(p, who));
}

/* Leaving */

static void say_all(struct play *p, int who) {
    while (actor(p, who)->open && actor(p, who)->out_len && turn(p))
        ;
}

static void goodbye(struct play_actor *a) {
    if (a->tls)
        tls_actor_goodbye(a->tls);
    if (a->tls)
        put_wire(a);
}

void play_shut(struct play *p, int who) {
    goodbye(actor(p, who));
    say_all(p, who);
    if (actor(p, who)->open)
        actor_shut(actor(p, who)->fd);
}

void play_close(struct play *p, int who) {
    goodbye(actor(p, who));
    say_all(p, who);
    leave(actor(p, who), PLAY_ABORT_CLOSE);
}

void play_reset(struct play *p, int who) {
    leave(actor(p, who), PLAY_ABORT_RESET);
}

void play_close_now(struct play *p, int who) {
    leave(actor(p, who), PLAY_ABORT_CLOSE);
}
