/* TLS over a socket pair: bytes pass unchanged however they are cut, count only once they have
 * left, and endings are what they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include "certs.h"
#include "pair.h"
#include "tls/session.h"
#include <cmocka.h>

static struct loop l;
static struct made ca, web;
static struct tls_server *server;
static struct tls_client *client[2]; /* TLS 1.3; TLS 1.2 alone */
static char text[300000];

static void told(void *ctx, const struct tls_problem *p) {
    (void)ctx;
    if (p->error)
        print_error("%s: %s\n", p->part, p->text);
}

static int begin_all(void **state) {
    (void)state;
    certs_begin();
    ca = certs_make("ca", &(struct wish){.cn = "test CA", .ca = true}, NULL);
    web = certs_make("web", &(struct wish){.cn = "web", .san = "DNS:web.test,IP:127.0.0.1"}, &ca);
    struct tls_cert_conf cert = {.certificate = span_z(web.cert_file),
                                 .private_key = span_z(web.key_file)};
    struct tls_server_conf conf = {.name = SPAN("public"), .cert = &cert, .cert_count = 1};
    struct tls_client_settings settings = {
        .ca = span_z(ca.cert_file), .offer_h2 = true, .offer_h1 = true};
    server = tls_server_create(&conf, told, NULL);
    client[0] = tls_client_create(&settings, told, NULL);
    client[1] = tls_client_create(&settings, told, NULL);
    SSL_CTX_set_max_proto_version(pair_context(client[1]), TLS1_2_VERSION);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7 + (i >> 8));
    me = &l;
    return server && client[0] && client[1] && loop_init(&l) ? 0 : -1;
}

static int finish_all(void **state) {
    (void)state;
    tls_server_unref(server);
    tls_client_unref(client[0]);
    tls_client_unref(client[1]);
    loop_finish(&l);
    tls_thread_finish();
    certs_free(&ca), certs_free(&web);
    certs_finish();
    return 0;
}

static int begin(void **state) {
    (void)state;
    pair_plain();
    return 0;
}

static void connected_by(struct pair *p, int version) {
    enum tls_step a, b;
    pair_open(p, &l);
    assert_true(tls_accept(&p->a, server));
    assert_true(tls_connect(&p->b, client[version == 2], SPAN("web.test")));
    if (!pair_handshake(p, &a, &b))
        fail_msg("server: %s; client: %s", tls_failure(&p->a), tls_failure(&p->b));
}

static void connected(struct pair *p) {
    connected_by(p, 3);
}

static struct session *session(const struct stream *s) {
    return s->layer;
}

/* ---- bytes ---- */

static void bytes_pass(void **state) {
    static const size_t size[] = {1, 5, 16383, 16384, 16385, 65536, 100000, sizeof text};
    struct pair p;
    (void)state;
    for (int version = 2; version <= 3; version++) {
        connected_by(&p, version);
        assert_string_equal(tls_info_of(&p.a)->version, version == 3 ? "TLSv1.3" : "TLSv1.2");
        assert_string_equal(tls_info_of(&p.a)->alpn, "h2");
        for (size_t i = 0; i < array_len(size); i++) {
            assert_true(pair_pass(&p.b, &p.a, text, size[i]));
            assert_true(pair_pass(&p.a, &p.b, text, size[i]));
        }
        pair_close(&p);
    }
}

static void however_they_are_cut(void **state) {
    static const size_t cut[] = {1, 2, 3, 5, 7, 22, 1000, 16406, 20000};
    struct pair p;
    (void)state;
    for (int version = 2; version <= 3; version++)
        for (size_t i = 0; i < array_len(cut) * 2; i++) {
            size_t at = i / 2, n = cut[at] < 100 ? 4000 : sizeof text;
            pair_plain();
            pair_recv_max = cut[at];
            pair_send_max = i % 2 ? cut[at] : 0;
            connected_by(&p, version);
            assert_true(pair_pass(&p.b, &p.a, text, n));
            assert_true(pair_pass(&p.a, &p.b, text, n));
            pair_close(&p);
        }
}

/* One receive of two records, and of one and a half. */
static void several_records_at_once(void **state) {
    struct iovec one = {text, 100}, two = {text + 100, 17000};
    static char got[20000];
    struct pair p;
    size_t k;
    (void)state;
    connected(&p);
    assert_int_equal(p.a.ops->write(&p.a, &one, 1, &k), IO_OK);
    assert_int_equal(p.a.ops->write(&p.a, &two, 1, &k), IO_OK);
    pair_wake(&p.b);
    assert_int_equal(p.b.ops->read(&p.b, got, 150, &k), IO_OK); /* it is full: there may be more */
    assert_int_equal(k, 150);
    assert_int_equal(p.b.ops->read(&p.b, got + 150, sizeof got - 150, &k), IO_OK);
    assert_int_equal(k, 17100 - 150);
    assert_memory_equal(got, text, 17100);
    assert_int_equal(p.b.ops->read(&p.b, got, 1, &k), IO_AGAIN);
    pair_close(&p);
}

/* io/stream.h: a short read means that what comes later brings an event. */
static void a_short_read_is_dry(void **state) {
    struct iovec v = {text, 1000};
    struct span got;
    struct pair p;
    size_t k;
    (void)state;
    connected(&p);
    assert_int_equal(p.a.ops->write(&p.a, &v, 1, &k), IO_OK);
    pair_wake(&p.b);
    assert_int_equal(stream_read(&l, &p.b, 600, &got), IO_OK);
    assert_true(p.b.readable);
    pair_receives = 0;
    assert_int_equal(stream_read(&l, &p.b, 600, &got), IO_OK);
    assert_int_equal(got.n, 400);
    assert_false(p.b.readable);
    assert_int_equal(pair_receives, 1);
    loop_drain(&l);
    assert_null(session(&p.b)->rest); /* no buffer while idle */
    pair_close(&p);
}

/* Head and body are one record and one send. */
static void pieces_share_a_record(void **state) {
    struct iovec v[3] = {{text, 200}, {text + 200, 0}, {text + 200, 1000}};
    char got[2000];
    struct pair p;
    size_t k;
    (void)state;
    connected(&p);
    assert_true(pair_pass(&p.a, &p.b, "x", 1));
    pair_sends = 0;
    assert_int_equal(p.a.ops->write(&p.a, v, 3, &k), IO_OK);
    assert_int_equal(k, 1200);
    assert_int_equal(pair_sends, 1);
    assert_int_equal(recv(p.b.watch.fd, got, sizeof got, MSG_PEEK), 1200 + 22);
    assert_int_equal(p.b.ops->read(&p.b, got, sizeof got, &k), IO_OK);
    assert_memory_equal(got, text, 1200);
    pair_close(&p);
}

/* ---- what counts as taken ---- */

/* The socket takes `budget` bytes of cipher text and no more. */
static size_t write_within(struct stream *s, size_t at, size_t n, size_t budget) {
    struct iovec v = {text + at, n};
    size_t k;
    pair_send_budget = budget;
    enum io_result r = s->ops->write(s, &v, 1, &k);
    assert_int_equal(r, k ? IO_OK : IO_AGAIN);
    return k;
}

static void only_whole_records_count(void **state) {
    static const struct {
        size_t budget, taken;
    } row[] = {{0, 0},
               {1, 0},
               {16405, 0},
               {16406, 16384},
               {16407, 16384},
               {2 * 16406 - 1, 16384},
               {2 * 16406, 32768},
               {2 * 16406 + 100, 32768}};
    (void)state;
    for (size_t i = 0; i < array_len(row); i++) {
        static char got[50000];
        struct pair p;
        size_t came = 0, k, n = 40000, at;
        pair_plain();
        connected(&p);
        assert_true(pair_pass(&p.a, &p.b, "x", 1));
        at = write_within(&p.a, 0, n, row[i].budget);
        assert_int_equal(at, row[i].taken);
        assert_int_equal(write_within(&p.a, at, n - at, 0), 0);
        /* A byte at a time: nothing is lost, nothing comes twice. */
        for (int step = 0; at < n && step < 50000; step++)
            at += write_within(&p.a, at, n - at, step < 30 ? 1 : 999);
        assert_int_equal(at, n);
        assert_null(session(&p.a)->kept);
        while (came < n && p.b.ops->read(&p.b, got + came, sizeof got - came, &k) == IO_OK)
            came += k;
        assert_int_equal(came, n);
        assert_memory_equal(got, text, n);
        pair_close(&p);
    }
}

/* More was offered behind what had to wait: it comes after. */
static void more_may_follow(void **state) {
    static char got[40000];
    struct pair p;
    size_t came = 0, k;
    (void)state;
    connected(&p);
    assert_int_equal(write_within(&p.a, 0, 100, 5), 0);
    assert_int_equal(write_within(&p.a, 0, 30000, SIZE_MAX), 30000);
    while (came < 30000 && p.b.ops->read(&p.b, got + came, sizeof got - came, &k) == IO_OK)
        came += k;
    assert_int_equal(came, 30000);
    assert_memory_equal(got, text, came);
    pair_close(&p);
}

/* What a slow reader makes us keep is bounded. */
static void kept_is_bounded(void **state) {
    struct pair p;
    (void)state;
    connected(&p);
    write_within(&p.a, 0, sizeof text, 10);
    assert_in_range(session(&p.a)->kept->n, 1, BATCH_FIRST * (16384 + 64) + 300);
    pair_close(&p);
}

/* A refused renegotiation is answered while records wait: they leave with the answer and are not
 * encrypted a second time. */
static void a_message_in_between(void **state) {
    static char got[20000];
    struct pair p;
    size_t came = 0, k;
    (void)state;
    connected_by(&p, 2);
    assert_int_equal(write_within(&p.a, 0, 10000, 7), 0);
    pair_send_budget = SIZE_MAX;
    SSL_clear_options(session(&p.b)->ssl, SSL_OP_NO_RENEGOTIATION);
    assert_int_equal(SSL_renegotiate(session(&p.b)->ssl), 1);
    SSL_do_handshake(session(&p.b)->ssl);
    session_send(session(&p.b), wire_mine());
    enum io_result r = p.a.ops->read(&p.a, got, sizeof got, &k);
    if (r != IO_AGAIN)
        fail_msg("%s", tls_failure(&p.a));
    assert_string_equal(tls_failure(&p.a), "");
    assert_int_equal(tls_take_events(&p.a).renegotiations_refused, 1);
    assert_int_equal(write_within(&p.a, 0, 10000, SIZE_MAX), 10000);
    for (int i = 0; i < 10 && came < 10000; i++)
        if (p.b.ops->read(&p.b, got + came, sizeof got - came, &k) == IO_OK)
            came += k;
    assert_int_equal(came, 10000);
    assert_memory_equal(got, text, came);
    pair_close(&p);
}

/* ---- the fewest sends ---- */

static void tickets_ride_with_the_answer(void **state) {
    struct pair p;
    (void)state;
    connected(&p);
    assert_non_null(session(&p.a)->kept);
    pair_sends = 0;
    pair_wake(&p.a); /* that an event tells of room to write does not send it either */
    assert_int_equal(pair_sends, 0);
    assert_true(pair_pass(&p.a, &p.b, "answer", 6));
    assert_int_equal(pair_sends, 1);
    assert_null(session(&p.a)->kept);
    pair_close(&p);
}

static void last_flight_rides_with_the_request(void **state) {
    struct iovec v = {text, 10};
    struct pair p;
    size_t k;
    (void)state;
    pair_open(&p, &l);
    assert_true(tls_accept(&p.a, server));
    assert_true(tls_connect(&p.b, client[0], SPAN("web.test")));
    assert_int_equal(tls_handshake(&l, &p.b, SPAN_NONE), TLS_WANT);
    assert_int_equal(tls_handshake(&l, &p.a, SPAN_NONE), TLS_WANT);
    pair_wake(&p.b);
    assert_int_equal(tls_handshake(&l, &p.b, SPAN_NONE), TLS_DONE);
    pair_sends = 0;
    assert_int_equal(p.b.ops->write(&p.b, &v, 1, &k), IO_OK);
    assert_int_equal(pair_sends, 1);
    pair_wake(&p.a);
    assert_int_equal(tls_handshake(&l, &p.a, SPAN_NONE), TLS_DONE);
    assert_true(p.a.readable); /* the request came with it */
    char got[20];
    assert_int_equal(p.a.ops->read(&p.a, got, sizeof got, &k), IO_OK);
    assert_int_equal(k, 10);
    assert_int_equal(pair_sends, 1);
    loop_turn(&l, 0); /* no answer in this turn: the ticket does not wait for it */
    assert_int_equal(pair_sends, 2);
    assert_null(session(&p.a)->kept);
    pair_close(&p);
}

/* Nobody asks anything: it leaves with the turn. */
static void last_flight_leaves_in_time(void **state) {
    struct pair p;
    (void)state;
    connected(&p);
    assert_null(session(&p.b)->kept);
    pair_close(&p);
}

static void resumes(void **state) {
    struct pair p;
    (void)state;
    for (int version = 2; version <= 3; version++)
        for (int i = 0; i < 4; i++) {
            connected_by(&p, version);
            if (i) /* what came before is another test's */
                assert_true(tls_info_of(&p.a)->resumed);
            assert_int_equal(tls_info_of(&p.b)->resumed, tls_info_of(&p.a)->resumed);
            assert_true(pair_pass(&p.a, &p.b, "hello", 5)); /* brings the ticket */
            pair_close(&p);
        }
}

/* ---- ends ---- */

static void goodbye_is_the_end(void **state) {
    char got[10];
    struct pair p;
    size_t k;
    (void)state;
    for (int how = 0; how < 2; how++) {
        connected(&p);
        assert_true(pair_pass(&p.a, &p.b, "x", 1));
        struct iovec v = {text, 5};
        assert_int_equal(p.a.ops->write(&p.a, &v, 1, &k), IO_OK);
        if (how)
            stream_close(&l, &p.a);
        else
            p.a.ops->shut(&p.a);
        pair_wake(&p.b);
        assert_int_equal(p.b.ops->read(&p.b, got, sizeof got, &k), IO_OK);
        assert_int_equal(k, 5);
        assert_true(p.b.hung_up); /* or nobody would read the end: its event may have come */
        assert_int_equal(p.b.ops->read(&p.b, got, sizeof got, &k), IO_END);
        assert_int_equal(p.b.ops->read(&p.b, got, sizeof got, &k), IO_END);
        /* One direction is over, the other is not. */
        if (!how)
            assert_true(pair_pass(&p.b, &p.a, "more", 4));
        pair_close(&p);
    }
}

/* E13: a FIN without goodbye is a truncation, whoever sends it. */
static void an_end_without_goodbye_is_a_break(void **state) {
    char got[10];
    struct pair p;
    size_t k;
    (void)state;
    for (int how = 0; how < 3; how++) {
        connected(&p);
        assert_true(pair_pass(&p.a, &p.b, "x", 1));
        struct iovec v = {text, 5};
        assert_int_equal(p.a.ops->write(&p.a, &v, 1, &k), IO_OK);
        if (how == 0) {
            shutdown(p.a.watch.fd, SHUT_WR);
        } else if (how == 1) {
            p.a.abrupt = true;
            stream_close(&l, &p.a);
        } else { /* a record was not all sent: what follows could only lie */
            pair_send_budget = 10;
            assert_int_equal(p.a.ops->write(&p.a, &v, 1, &k), IO_AGAIN);
            pair_send_budget = SIZE_MAX;
            stream_close(&l, &p.a);
        }
        assert_int_equal(p.b.ops->read(&p.b, got, sizeof got, &k), IO_OK);
        assert_int_equal(k, 5);
        assert_int_equal(p.b.ops->read(&p.b, got, sizeof got, &k), IO_RESET);
        assert_int_equal(p.b.ops->read(&p.b, got, sizeof got, &k), IO_RESET);
        pair_close(&p);
    }
}

static void goodbye_waits_for_room(void **state) {
    char got[10];
    struct pair p;
    size_t k;
    (void)state;
    connected(&p);
    pair_send_budget = 0;
    p.a.ops->shut(&p.a);
    assert_int_equal(p.b.ops->read(&p.b, got, sizeof got, &k), IO_AGAIN);
    pair_send_budget = SIZE_MAX;
    pair_wake(&p.a);
    assert_int_equal(p.b.ops->read(&p.b, got, sizeof got, &k), IO_END);
    assert_int_equal(recv(p.b.watch.fd, got, 1, 0), 0); /* and the FIN behind it */
    pair_close(&p);
}

/* ---- hostile peers ---- */

static void changed_bytes_end_it(void **state) {
    unsigned char raw[2000];
    char got[2000];
    struct pair p;
    size_t k;
    (void)state;
    for (size_t at = 0; at < 100; at += 9) {
        connected(&p);
        assert_true(pair_pass(&p.a, &p.b, "x", 1));
        struct iovec v = {text, 100};
        assert_int_equal(p.a.ops->write(&p.a, &v, 1, &k), IO_OK);
        ssize_t n = recv(p.b.watch.fd, raw, sizeof raw, 0);
        assert_int_equal(n, 122);
        raw[at] ^= 1;
        if (at == 3 || at == 4) /* a longer record would wait for its end */
            raw[4] = 1;
        assert_int_equal(send(p.a.watch.fd, raw, (size_t)n, 0), n);
        assert_int_equal(p.b.ops->read(&p.b, got, sizeof got, &k), IO_RESET);
        assert_int_equal(p.b.ops->write(&p.b, &v, 1, &k), IO_RESET);
        assert_true(tls_failure(&p.b)[0]);
        pair_close(&p);
    }
}

static void key_update(struct stream *s) {
    SSL *ssl = session(s)->ssl;
    assert_int_equal(SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    assert_int_equal(SSL_do_handshake(ssl), 1);
    assert_int_equal(session_send(session(s), wire_mine()), IO_OK);
}

static void keys_may_be_updated(void **state) {
    char got[10];
    struct pair p;
    size_t k;
    (void)state;
    connected(&p);
    for (int i = 0; i < 20; i++) {
        key_update(i % 2 ? &p.a : &p.b);
        struct stream *other = i % 2 ? &p.b : &p.a;
        assert_int_equal(other->ops->read(other, got, sizeof got, &k), IO_AGAIN);
        assert_true(pair_pass(&p.a, &p.b, text, 20000));
        assert_true(pair_pass(&p.b, &p.a, text, 20000));
    }
    assert_int_equal(tls_take_events(&p.a).key_updates, 20);
    assert_int_equal(tls_take_events(&p.a).key_updates, 0);
    pair_close(&p);
}

static uint64_t now;
static uint64_t fixed_now(void) {
    return now;
}

/* E06 */
static void floods_end_it(void **state) {
    char got[10];
    struct pair p;
    size_t k;
    (void)state;
    now = env_os.now_ns();
    env.now_ns = fixed_now;
    connected(&p);
    for (int second = 0; second < 3; second++, now += 1000000000)
        for (int i = 0; i < MESSAGES_PER_SECOND - 1; i++) {
            key_update(&p.b);
            assert_int_equal(p.a.ops->read(&p.a, got, sizeof got, &k), IO_AGAIN);
        }
    for (int i = 0; i < 10000; i++) { /* all in one receive */
        SSL_key_update(session(&p.b)->ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
        SSL_do_handshake(session(&p.b)->ssl);
        if (wire_mine()->out_n > 50000)
            break;
    }
    session_send(session(&p.b), wire_mine());
    assert_int_equal(p.a.ops->read(&p.a, got, sizeof got, &k), IO_RESET);
    assert_in_range(tls_take_events(&p.a).key_updates, 1, 4 * MESSAGES_PER_SECOND + 1);
    assert_non_null(strstr(tls_failure(&p.a), "handshake messages"));
    pair_close(&p);
}

static void renegotiations_flood_too(void **state) {
    char got[100];
    struct pair p;
    size_t k;
    enum io_result r = IO_AGAIN;
    int i = 0;
    (void)state;
    now = env_os.now_ns();
    env.now_ns = fixed_now;
    connected_by(&p, 2);
    SSL_clear_options(session(&p.b)->ssl, SSL_OP_NO_RENEGOTIATION);
    for (; i < 1000 && r == IO_AGAIN; i++) {
        SSL_renegotiate(session(&p.b)->ssl);
        SSL_do_handshake(session(&p.b)->ssl);
        session_send(session(&p.b), wire_mine());
        r = p.a.ops->read(&p.a, got, sizeof got, &k);
        while (p.b.ops->read(&p.b, got, sizeof got, &k) == IO_OK)
            ;
    }
    /* OpenSSL's client gives up after one; that it was refused is what counts here. */
    assert_true(tls_take_events(&p.a).renegotiations_refused > 0 || r == IO_RESET);
    pair_close(&p);
}

/* Raw bytes at a listener: alert (first two bytes of it), and what the operator reads. */
static void not_a_hello(void **state) {
    static unsigned char long_hello[2 * 5 + 4 + 0x5000];
    static const struct {
        const char *what, *bytes;
        size_t n, fill;
        const char *failure;
        int alert; /* -1: none */
    } row[] = {
        {"a long ClientHello", (const char *)long_hello, sizeof long_hello, 0, "longer than 16384",
         50},
        {"in small records", "\x16\x03\x01\x00\x05\x01\x00\xff\x00\x03", 10, 0, "", -1},
        {"a record of 65535", "\x16\x03\x01\xff\xff\x01\x00\xff\xff", 9, 70000, "", 22},
        {"plain HTTP", "GET / HTTP/1.1\r\n\r\n", 18, 0, "plain HTTP", -1},
        {"SSH", "SSH-2.0-OpenSSH_9.2\r\n", 21, 0, "not TLS", -1},
        {"an alert first", "\x15\x03\x01\x00\x02\x02\x28", 7, 0, "", 10},
        {"application data first", "\x17\x03\x03\x00\x05hello", 10, 0, "", 10},
    };
    (void)state;
    memcpy(long_hello, "\x16\x03\x01\x40\x00\x01\x00\x50\x00\x03\x03", 11);
    memcpy(long_hello + 5 + 16384, "\x16\x03\x01\x10\x04", 5);
    for (size_t i = 0; i < array_len(row); i++) {
        struct pair p;
        unsigned char back[100];
        enum tls_step step = TLS_WANT;
        pair_plain();
        pair_open(&p, &l);
        assert_true(tls_accept(&p.a, server));
        assert_int_equal(send(p.b.watch.fd, row[i].bytes, row[i].n, 0), row[i].n);
        for (size_t sent = 0; sent < row[i].fill; sent += 100)
            if (send(p.b.watch.fd, text, 100, 0) < 0) /* it holds no more */
                break;
        pair_wake(&p.a);
        step = tls_handshake(&l, &p.a, SPAN_NONE);
        if (i == 1) { /* it is whole only much later: until it is too long */
            for (int k = 0; k < 20000 && step == TLS_WANT; k++) {
                send(p.b.watch.fd, "\x16\x03\x01\x00\x01\x00", 6, 0);
                pair_wake(&p.a);
                step = tls_handshake(&l, &p.a, SPAN_NONE);
                if (k > 3500)
                    fail_msg("a ClientHello of %d records is still waited for", k);
            }
        }
        if (step != TLS_FAILED)
            fail_msg("%s: not refused", row[i].what);
        if (!strstr(tls_failure(&p.a), row[i].failure) || !tls_failure(&p.a)[0])
            fail_msg("%s: the failure is \"%s\"", row[i].what, tls_failure(&p.a));
        ssize_t n = recv(p.b.watch.fd, back, sizeof back, 0);
        if (row[i].alert >= 0 && (n != 7 || back[0] != 21 || back[6] != row[i].alert))
            fail_msg("%s: %zd bytes, alert %d", row[i].what, n, n > 6 ? back[6] : -1);
        assert_int_equal(tls_handshake(&l, &p.a, SPAN_NONE), TLS_FAILED);
        assert_null(tls_info_of(&p.a));
        pair_close(&p);
    }
}

/* What was read before TLS began belongs to it, however much of the ClientHello that is. */
static void early_bytes_count(void **state) {
    unsigned char hello[2000];
    (void)state;
    for (ssize_t early = 0; early < 400; early += 13) {
        struct pair p;
        pair_open(&p, &l);
        assert_true(tls_accept(&p.a, server));
        assert_true(tls_connect(&p.b, client[0], SPAN("web.test")));
        assert_int_equal(tls_handshake(&l, &p.b, SPAN_NONE), TLS_WANT);
        ssize_t n = recv(p.a.watch.fd, hello, (size_t)early, 0);
        if (n < 0)
            n = 0;
        enum tls_step a = tls_handshake(&l, &p.a, span_of((char *)hello, (size_t)n));
        memset(hello, 0xEE, sizeof hello); /* they lay in the scratch */
        assert_int_equal(a, TLS_WANT);
        pair_wake(&p.b);
        assert_int_equal(tls_handshake(&l, &p.b, SPAN_NONE), TLS_DONE);
        loop_turn(&l, 0);
        pair_wake(&p.a);
        assert_int_equal(tls_handshake(&l, &p.a, SPAN_NONE), TLS_DONE);
        assert_true(pair_pass(&p.b, &p.a, "hello", 5));
        pair_close(&p);
    }
}

/* E13: the peer goes away at every byte of the handshake and of a record behind it. */
static void gone_at_every_byte(void **state) {
    unsigned ends = 0;
    (void)state;
    for (size_t budget = 0; budget < 1200; budget += 1) {
        struct pair p;
        enum tls_step a = TLS_WANT, b = TLS_WANT;
        char got[100];
        size_t k;
        pair_plain();
        pair_open(&p, &l);
        assert_true(tls_accept(&p.a, server));
        assert_true(tls_connect(&p.b, client[0], SPAN("web.test")));
        size_t left = budget;
        for (int i = 0; i < 6 && b == TLS_WANT; i++) {
            pair_send_budget = left;
            b = tls_handshake(&l, &p.b, SPAN_NONE);
            loop_turn(&l, 0);
            left = pair_send_budget;
            pair_send_budget = SIZE_MAX;
            if (a == TLS_WANT)
                a = tls_handshake(&l, &p.a, SPAN_NONE);
        }
        p.b.abrupt = true;
        stream_close(&l, &p.b);
        pair_wake(&p.a);
        if (a == TLS_WANT)
            a = tls_handshake(&l, &p.a, SPAN_NONE);
        if (a == TLS_DONE)
            assert_int_equal(p.a.ops->read(&p.a, got, sizeof got, &k), IO_RESET);
        else
            assert_int_equal(a, TLS_FAILED);
        ends += a == TLS_DONE;
        pair_close(&p);
    }
    assert_in_range(ends, 1, 1100);
}

static void idle_owns_no_buffer(void **state) {
    struct pair p;
    (void)state;
    connected(&p);
    assert_true(pair_pass(&p.b, &p.a, text, 50000));
    assert_true(pair_pass(&p.a, &p.b, text, 50000));
    assert_null(session(&p.a)->kept);
    assert_null(session(&p.a)->rest);
    assert_in_range(sizeof(struct session), 1, 256);
    pair_close(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(bytes_pass, begin),
        cmocka_unit_test_setup(however_they_are_cut, begin),
        cmocka_unit_test_setup(several_records_at_once, begin),
        cmocka_unit_test_setup(a_short_read_is_dry, begin),
        cmocka_unit_test_setup(pieces_share_a_record, begin),
        cmocka_unit_test_setup(only_whole_records_count, begin),
        cmocka_unit_test_setup(more_may_follow, begin),
        cmocka_unit_test_setup(kept_is_bounded, begin),
        cmocka_unit_test_setup(a_message_in_between, begin),
        cmocka_unit_test_setup(tickets_ride_with_the_answer, begin),
        cmocka_unit_test_setup(last_flight_rides_with_the_request, begin),
        cmocka_unit_test_setup(last_flight_leaves_in_time, begin),
        cmocka_unit_test_setup(resumes, begin),
        cmocka_unit_test_setup(goodbye_is_the_end, begin),
        cmocka_unit_test_setup(an_end_without_goodbye_is_a_break, begin),
        cmocka_unit_test_setup(goodbye_waits_for_room, begin),
        cmocka_unit_test_setup(changed_bytes_end_it, begin),
        cmocka_unit_test_setup(keys_may_be_updated, begin),
        cmocka_unit_test_setup(floods_end_it, begin),
        cmocka_unit_test_setup(renegotiations_flood_too, begin),
        cmocka_unit_test_setup(not_a_hello, begin),
        cmocka_unit_test_setup(early_bytes_count, begin),
        cmocka_unit_test_setup(gone_at_every_byte, begin),
        cmocka_unit_test_setup(idle_owns_no_buffer, begin),
    };
    return cmocka_run_group_tests(tests, begin_all, finish_all);
}
