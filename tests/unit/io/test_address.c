/* io/address and io/tcp: texts of addresses, networks; sockets on loopback. */
#include "io/tcp.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

static void parsing(void **state) {
    (void)state;
    static const struct {
        const char *text, *printed; /* NULL: refused */
        unsigned port;
    } cases[] = {
        {"127.0.0.1:80", "127.0.0.1:80", 80},
        {"0.0.0.0:0", "0.0.0.0:0", 0},
        {"255.255.255.255:65535", "255.255.255.255:65535", 65535},
        {"[::1]:8080", "[::1]:8080", 8080},
        {"[2001:DB8:0:0::1]:1", "[2001:db8::1]:1", 1},
        {"[::ffff:1.2.3.4]:5", "[::ffff:1.2.3.4]:5", 5},
        {"unix:/run/a.sock", "unix:/run/a.sock", 0},
        {"unix:@abstract", "unix:@abstract", 0},
        {"unix:", NULL, 0},
        {"", NULL, 0},
        {":80", NULL, 0},
        {"1.2.3.4", NULL, 0},
        {"1.2.3.4:", NULL, 0},
        {"1.2.3.4:65536", NULL, 0},
        {"1.2.3.4:080", NULL, 0},
        {"1.2.3.4:+80", NULL, 0},
        {"1.2.3.4: 80", NULL, 0},
        {"1.2.3:80", NULL, 0},
        {"1.2.3.256:80", NULL, 0},
        {"01.2.3.4:80", NULL, 0}, /* octal to some */
        {"1.2.3.4.5:80", NULL, 0},
        {"[1.2.3.4]:80", NULL, 0},
        {"::1:80", NULL, 0}, /* where does the port begin? */
        {"[::1:80", NULL, 0},
        {"::1]:80", NULL, 0},
        {"[::1]", NULL, 0},
        {"[::g]:80", NULL, 0},
        {"[fe80::1%eth0]:80", NULL, 0},
        {"localhost:80", NULL, 0},
        {" 1.2.3.4:80", NULL, 0},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct address a;
        char text[ADDRESS_TEXT_MAX];
        bool ok = address_parse(span_z(cases[i].text), &a);
        if (ok != (cases[i].printed != NULL))
            fail_msg("%s: %d", cases[i].text, ok);
        if (!ok)
            continue;
        struct span printed = address_text(&a, text, true);
        if (!span_eq(printed, span_z(cases[i].printed)))
            fail_msg("%s: %.*s", cases[i].text, SPAN_ARG(printed));
        assert_int_equal(address_port(&a), cases[i].port);
    }
    struct address a;
    assert_false(address_parse(span_of("1.2.3.4\0:80", 11), &a));
    assert_false(address_parse(span_of("unix:/a\0b", 9), &a));
}

static void unix_paths(void **state) {
    (void)state;
    char text[200] = "unix:/";
    struct address a;
    char out[ADDRESS_TEXT_MAX];
    size_t max = sizeof a.un.sun_path - 1;
    for (size_t n = max - 1; n <= max + 1; n++) {
        memset(text + 6, 'a', n);
        bool ok = address_parse(span_of(text, 5 + n), &a);
        assert_int_equal(ok, n <= max);
        if (ok)
            assert_true(span_eq(address_text(&a, out, true), span_of(text, 5 + n)));
    }
}

static void without_port(void **state) {
    (void)state;
    struct address a, b;
    char text[ADDRESS_TEXT_MAX];
    assert_true(address_parse_ip(SPAN("[::1]"), &a) && address_parse_ip(SPAN("::1"), &b));
    assert_true(address_eq(&a, &b));
    assert_true(span_eq(address_text(&a, text, false), SPAN("::1")));
    address_set_port(&b, 80);
    assert_false(address_eq(&a, &b));
    assert_true(address_parse_ip(SPAN("10.0.0.1"), &b));
    assert_true(span_eq(address_text(&b, text, false), SPAN("10.0.0.1")));
    assert_false(address_eq(&a, &b));
    assert_false(address_parse_ip(SPAN("10.0.0.1:80"), &b));
    assert_false(address_parse_ip(SPAN("[]"), &b));
    assert_false(address_parse_ip(SPAN(""), &b));
    struct address none = {.len = 0};
    assert_true(address_text(&none, text, false).n == 0 && address_port(&none) == 0);
}

static void networks(void **state) {
    (void)state;
    static const struct {
        const char *net, *ip;
        int in; /* -1: the network is malformed */
    } cases[] = {
        {"10.0.0.0/8", "10.255.0.1", 1},
        {"10.0.0.0/8", "11.0.0.1", 0},
        {"10.0.0.0/8", "::ffff:10.1.2.3", 1}, /* the same address */
        {"10.0.0.0/8", "::10.1.2.3", 0},
        {"10.0.0.0/8", "a00::", 0},
        {"0.0.0.0/0", "255.1.2.3", 1},
        {"0.0.0.0/0", "::1", 0}, /* all of IPv4 is not all */
        {"::/0", "1.2.3.4", 1},
        {"192.168.1.128/25", "192.168.1.127", 0},
        {"192.168.1.128/25", "192.168.1.128", 1},
        {"192.168.1.129/25", "192.168.1.130", 1}, /* host bits do not matter */
        {"1.2.3.4", "1.2.3.4", 1},
        {"1.2.3.4", "1.2.3.5", 0},
        {"1.2.3.4/32", "1.2.3.4", 1},
        {"1.2.3.4/31", "1.2.3.5", 1},
        {"2001:db8::/33", "2001:db8:7fff::1", 1},
        {"2001:db8::/33", "2001:db8:8000::1", 0},
        {"::1", "::1", 1},
        {"::1/128", "::2", 0},
        {"1.2.3.4/33", "1.2.3.4", -1},
        {"::1/129", "::1", -1},
        {"1.2.3.4/", "1.2.3.4", -1},
        {"1.2.3.4/08", "1.2.3.4", -1},
        {"1.2.3.4/8/8", "1.2.3.4", -1},
        {"/8", "1.2.3.4", -1},
        {"1.2.3/8", "1.2.3.4", -1},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct cidr c;
        struct address a;
        assert_true(address_parse_ip(span_z(cases[i].ip), &a));
        int in = cidr_parse(span_z(cases[i].net), &c) ? cidr_has(&c, &a) : -1;
        if (in != cases[i].in)
            fail_msg("%s in %s: %d", cases[i].ip, cases[i].net, in);
    }
    struct cidr all;
    struct address local;
    assert_true(cidr_parse(SPAN("::/0"), &all) && address_parse(SPAN("unix:/a"), &local));
    assert_false(cidr_has(&all, &local));
}

/* Every prefix length, against bits compared one by one. */
static void every_prefix(void **state) {
    (void)state;
    uint64_t seed = 5;
    for (unsigned round = 0; round < 5000; round++) {
        struct address a = {.len = sizeof a.in6};
        struct cidr c = {.bits = round % 129};
        a.in6.sin6_family = AF_INET6;
        unsigned char *ip = a.in6.sin6_addr.s6_addr;
        for (size_t i = 0; i < 16; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            c.ip[i] = (unsigned char)(seed >> 56);
            ip[i] = c.ip[i];
        }
        unsigned flip = (unsigned)(seed >> 33) % 128;
        ip[flip / 8] ^= (unsigned char)(0x80 >> flip % 8);
        assert_int_equal(cidr_has(&c, &a), flip >= c.bits);
    }
}

/* ---- sockets ---- */

static struct loop l;
static void nothing(struct watch *w, uint32_t events) {
    stream_event(container_of(w, struct stream, watch), events);
}

struct side {
    struct stream s;
    int listener;
    struct address at;
};
static int listen_on(struct side *t) {
    socklen_t n = sizeof t->at.in;
    assert_true(address_parse(SPAN("127.0.0.1:0"), &t->at));
    t->listener = tcp_listen(&t->at, 8);
    assert_true(t->listener >= 0);
    return getsockname(t->listener, &t->at.sa, &n);
}

static void connecting(void **state) {
    (void)state;
    struct side t = {.s.watch.ready = nothing};
    struct span got;
    size_t took;
    me = &l;
    assert_true(loop_init(&l));
    assert_int_equal(listen_on(&t), 0);
    assert_int_equal(tcp_connect(&l, &t.s, &t.at), 0);
    int peer = accept(t.listener, NULL, NULL);
    loop_turn(&l, -1);
    assert_int_equal(tcp_error(&t.s), 0);
    assert_int_equal(stream_write(&t.s, &(struct iovec){(char[]){"hello"}, 5}, 1, &took), IO_OK);
    assert_int_equal(took, 5);
    assert_false(t.s.readable);
    assert_int_equal(write(peer, "abcdef", 6), 6);
    loop_turn(&l, -1);
    assert_true(t.s.readable);
    assert_int_equal(stream_read(&l, &t.s, 4, &got), IO_OK);
    assert_true(span_eq(got, SPAN("abcd")) && t.s.readable && l.scratch_used == 4);
    assert_int_equal(stream_read(&l, &t.s, 4, &got), IO_OK);
    assert_true(span_eq(got, SPAN("ef")) && !t.s.readable); /* a short read ran it dry */
    assert_int_equal(write(peer, "z", 1), 1);
    shutdown(peer, SHUT_WR);
    loop_turn(&l, -1);
    if (!t.s.hung_up) /* the two may come as two edges */
        loop_turn(&l, -1);
    assert_int_equal(stream_read(&l, &t.s, 100, &got), IO_OK);
    assert_true(t.s.readable); /* the end was announced: there is more to learn */
    assert_int_equal(stream_read(&l, &t.s, 100, &got), IO_END);
    loop_unwatch(&l, &t.s.watch);
    close(peer);
    close(t.listener);
    loop_finish(&l);
}

static void refused_and_reset(void **state) {
    (void)state;
    struct side t = {.s.watch.ready = nothing};
    struct span got;
    me = &l;
    assert_true(loop_init(&l));
    assert_int_equal(listen_on(&t), 0);
    assert_int_equal(tcp_connect(&l, &t.s, &t.at), 0);
    int peer = accept(t.listener, NULL, NULL);
    tcp_reset_on_close(peer);
    close(peer);
    close(t.listener);
    loop_turn(&l, -1);
    if (!t.s.hung_up)
        loop_turn(&l, -1);
    assert_int_equal(stream_read(&l, &t.s, 100, &got), IO_RESET);
    loop_unwatch(&l, &t.s.watch);
    struct side none = {.s.watch.ready = nothing, .at = t.at};
    int err = tcp_connect(&l, &none.s, &none.at); /* nobody listens there any more */
    if (!err) {
        loop_turn(&l, -1);
        assert_true(none.s.hung_up);
        err = tcp_error(&none.s);
        loop_unwatch(&l, &none.s.watch);
    }
    assert_int_equal(err, ECONNREFUSED);
    struct address gone;
    assert_true(address_parse(SPAN("unix:/nowhere/at/all"), &gone));
    assert_int_equal(tcp_connect(&l, &none.s, &gone), ENOENT);
    assert_int_equal(tcp_listen(&gone, 1), -1);
    assert_int_equal(errno, ENOENT);
    loop_finish(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parsing),           cmocka_unit_test(unix_paths),
        cmocka_unit_test(without_port),      cmocka_unit_test(networks),
        cmocka_unit_test(every_prefix),      cmocka_unit_test(connecting),
        cmocka_unit_test(refused_and_reset),
    };
    return cmocka_run_group_tests_name("io/address", tests, NULL, NULL);
}
