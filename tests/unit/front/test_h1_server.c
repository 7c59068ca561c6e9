/*
 * front: the HTTP/1.1 door over real loopback sockets, with a virtual clock: what it makes of bytes
 * in pieces, of time, of limits; how it counts connections.
 */
#include "clients.h"

#define GET "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"
#define POST_CHUNKED "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

/* ---- bytes in pieces ---- */

/* The second request comes in two pieces; the second of them while the first request is in work.
 * Cut at every byte. */
static void pipelined_in_pieces(void **state) {
    (void)state;
    static const char both[] = GET GET;
    house.origin.head_ms = 5;
    open_door("127.0.0.1:0", house_plan(&house, 0));
    for (size_t cut = 1; cut < sizeof both - 1; cut++) {
        char first[sizeof both];
        int c = connect_from(NULL);
        memcpy(first, both, cut);
        first[cut] = 0;
        say(c, first);
        say(c, both + cut);
        time_passes(10);
        time_passes(10);
        assert_int_equal(hear(c), 0);
        if (count("HTTP/1.1 200") != 2)
            fail_msg("cut at %zu: %s", cut, heard);
        close(c);
        turns();
    }
}

/* Half a head and the end of the stream: nobody waits for more. */
static void half_a_head(void **state) {
    (void)state;
    open_door("127.0.0.1:0", house_plan(&house, 0));
    int c = connect_from(NULL);
    turns();
    assert_int_equal(send(c, "GET / HTTP/1.1\r\nHo", 18, 0), 18);
    shutdown(c, SHUT_WR);
    assert_int_equal(hear(c), 1);
    assert_int_equal(house.origin.starts, 0);
    close(c);
}

/* A client that has said all may shut its side, and gets its answer. */
static void shut_after_request(void **state) {
    (void)state;
    house.origin.head_ms = 5;
    open_door("127.0.0.1:0", house_plan(&house, 0));
    int c = connect_from(NULL);
    say(c, GET);
    shutdown(c, SHUT_WR);
    turns();
    time_passes(10);
    assert_int_equal(hear(c), 1);
    assert_int_equal(count("HTTP/1.1 200"), 1);
    close(c);
}

/* ---- time ---- */

/* A head that is late is answered from what is known of it, and from nothing else. */
static void late_heads(void **state) {
    (void)state;
    static const char *const parts[] = {
        "G",
        "GET",
        "GET /secret",
        "GET /secret HTTP/1.1\r",
        "GET /secret HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nX-Two: 2\r\nX-Th",
        "\r\nGET /secret HTTP/1.1\r\nHost: a\r\n\r",
    };
    open_door("127.0.0.1:0", house_plan(&house, 0));
    for (size_t i = 0; i < array_len(parts); i++) {
        int c = connect_from(NULL);
        turns();
        say(c, parts[i]);
        time_passes(9000);
        assert_int_equal(hear(c), 0);
        assert_string_equal(heard, "");
        time_passes(1100);
        assert_true(hear(c) != 0 && count("HTTP/1.1 408 ") == 1 && count("Connection: close") == 1);
        assert_true(last.fault == FAULT_HEADER_TIMEOUT && last.end == X_END_REJECTED);
        assert_true(!last_target[0] || strcmp(last_target, "/secret") == 0);
        close(c);
        turns();
    }
    assert_int_equal(house.origin.starts, 0);
}

/* Trickling does not stretch it: the clock runs from the first byte. */
static void slow_loris(void **state) {
    (void)state;
    open_door("127.0.0.1:0", house_plan(&house, 0));
    int c = connect_from(NULL), answered = 0;
    say(c, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int s = 0; s < 12 && !answered; s++) {
        if (s < 10)
            say(c, "X: y\r\n");
        time_passes(1000);
        answered = hear(c) || count("408");
        assert_true(!answered || s >= 9);
    }
    assert_true(answered);
    close(c);
}

static void silent_ones(void **state) {
    (void)state;
    open_door("127.0.0.1:0", house_plan(&house, 0));
    int fresh = connect_from(NULL), kept = connect_from(NULL);
    turns();
    say(kept, GET);
    assert_true(hear(kept) == 0 && count("200 OK") == 1);
    time_passes(10100);
    assert_int_equal(hear(fresh), 1); /* nothing was asked, so nothing is answered */
    assert_string_equal(heard, "");
    time_passes(49000);
    assert_int_equal(hear(kept), 0);
    time_passes(1500);
    assert_int_equal(hear(kept), 1);
    close(fresh);
    close(kept);
}

/* A body that comes too slowly: silent, or a trickle below body_min_rate; started or still held. */
static void slow_bodies(void **state) {
    (void)state;
    static const struct {
        const char *head, *piece;
        uint64_t every_ms;
        unsigned least_s, most_s;
    } cases[] = {
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n", "", 1000, 29, 33},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n", "x", 1000, 9, 13},
        {POST_CHUNKED, "1\r\nx\r\n", 500, 9, 13}, /* never a pause of a second: held */
        {POST_CHUNKED, "1\r\nx\r\n", 3000, 9, 16},
    };
    house.origin.reads = true;
    house.origin.head_ms = NEVER;
    open_door("127.0.0.1:0", house_plan(&house, 0));
    for (size_t i = 0; i < array_len(cases); i++) {
        int c = connect_from(NULL);
        uint64_t start = clock_ns;
        say(c, cases[i].head);
        while (hear(c) == 0 && !heard[0] && clock_ns - start < 60000ull * MS) {
            if (*cases[i].piece)
                say(c, cases[i].piece);
            time_passes(cases[i].every_ms);
        }
        uint64_t took = (clock_ns - start) / 1000 / MS;
        if (count("HTTP/1.1 408 ") != 1 || took < cases[i].least_s || took > cases[i].most_s)
            fail_msg("case %zu: after %d s: %s", i, (int)took, heard);
        assert_int_equal(last.fault, FAULT_BODY_TIMEOUT);
        time_passes(2500);
        close(c);
        turns();
    }
}

/* Time in which the service takes nothing is not the client's. */
static void slow_services_forgiven(void **state) {
    (void)state;
    char big[300];
    house.policy[0].request = PAUSE; /* 5 ms on our clock, which stands still for now */
    house.origin.reads = true;
    house.origin.head_ms = 500;
    open_door("127.0.0.1:0", house_plan(&house, 1));
    int c = connect_from(NULL);
    say(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300\r\n\r\nx");
    clock_ns += 25000ull * MS; /* a filter that took so long */
    turns();
    time_passes(100);
    memset(big, 'y', 299);
    big[299] = 0;
    say(c, "y"); /* 2 bytes in 25 s: but most of them were not its */
    say(c, big + 1);
    time_passes(600);
    assert_int_equal(hear(c), 0);
    assert_int_equal(count("HTTP/1.1 200"), 1);
    close(c);
}

/* Who reads nothing of a long answer is let go after the stall timeout. */
static void stalled_readers(void **state) {
    (void)state;
    house.origin = (struct answerer){.size = 64 << 20};
    open_door("127.0.0.1:0", house_plan(&house, 0));
    int c = connect_from(NULL);
    say(c, GET);
    time_passes(28000);
    assert_int_equal(records[X_END_ABORTED], 0);
    /* The system under us has its own clock: it may still take some bytes in this one's seconds. */
    for (int s = 0; s < 70 && !records[X_END_ABORTED]; s++)
        time_passes(1000);
    assert_int_equal(records[X_END_ABORTED], 1);
    assert_int_equal(last.fault, FAULT_SEND_STALLED);
    close(c);
}

/* Who reads little but goes on reading is not, though the socket's buffer has no room to tell of.
 */
static void slow_readers_kept(void **state) {
    (void)state;
    static char piece[8192];
    house.origin = (struct answerer){.size = 64 << 20};
    open_door("127.0.0.1:0", house_plan(&house, 0));
    int c = connect_from(NULL);
    say(c, GET);
    for (int s = 0; s < 65; s++) {
        assert_true(recv(c, piece, sizeof piece, MSG_DONTWAIT) > 0);
        time_passes(1000);
    }
    assert_int_equal(records[X_END_ABORTED], 0);
    close(c);
    turns();
    assert_int_equal(records[X_END_ABORTED], 1);
}

/* ---- how long a connection is kept ---- */

static void kept_or_closed(void **state) {
    (void)state;
    static const struct {
        const char *request;
        bool kept;
    } cases[] = {
        {GET, true},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nHost: a\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", true},
        {"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", true},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", true},
        {POST_CHUNKED "3\r\nabc\r\n0\r\n\r\n", true},
        {POST_CHUNKED "3\r\nabcX", false},
        {"GET / HTTP/1.1\r\n\r\n", false},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\nabc", false}, /* answered early */
    };
    open_door("127.0.0.1:0", house_plan(&house, 0));
    for (size_t i = 0; i < array_len(cases); i++) {
        int c = connect_from(NULL);
        say(c, cases[i].request);
        int end = hear(c);
        if (count("HTTP/1.1 ") != 1 || (end == 0) != cases[i].kept ||
            count("Connection: close") != !cases[i].kept)
            fail_msg("case %zu: %d %s", i, end, heard);
        if (cases[i].kept) {
            say(c, GET);
            assert_true(hear(c) == 0 && count("HTTP/1.1 200") == 1);
        }
        close(c);
        time_passes(2500);
    }
}

static void limits_of_a_connection(void **state) {
    (void)state;
    limits()->keepalive_requests = 3;
    open_door("127.0.0.1:0", house_plan(&house, 0));
    int c = connect_from(NULL);
    for (int i = 1; i <= 3; i++) {
        say(c, GET);
        int end = hear(c);
        assert_int_equal(count("Connection: close"), i == 3);
        assert_int_equal(end, i == 3);
    }
    close(c);
    limits()->keepalive_requests = 0; /* none */
    limits()->max_connection_age_ms = 20000;
    c = connect_from(NULL);
    for (int i = 1; i <= 4; i++) {
        say(c, GET);
        assert_int_equal(hear(c), i == 4);
        assert_int_equal(count("Connection: close"), i == 4);
        time_passes(8000); /* 20 s, a tenth more or less */
    }
    close(c);
}

/* Above nine tenths of the limit a new connection takes the place of the one that was idle longest;
 * one that is at work is never closed for it. */
static void idle_ones_make_room(void **state) {
    (void)state;
    int c[20];
    listener_limits(20, 0);
    open_door("127.0.0.1:0", NULL);
    for (int i = 0; i < 18; i++) {
        c[i] = connect_from(NULL);
        time_passes(10);
    }
    say(c[0], "GET / HT");
    assert_int_equal(thread->counters.client_connections_reaped, 0);
    for (int i = 18; i < 20; i++) {
        c[i] = connect_from(NULL);
        time_passes(10);
    }
    assert_int_equal(thread->counters.client_connections_reaped, 2);
    assert_int_equal(thread->counters.client_connections_refused_total, 0);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(hear(c[i]), i == 1 || i == 2);
        close(c[i]);
    }
}

/* The answer to an upload that nobody reads arrives whole; what still comes is thrown away. */
static void lingering(void **state) {
    (void)state;
    static char big[40000];
    memset(big, 'x', sizeof big - 1);
    open_door("127.0.0.1:0", house_plan(&house, 0));
    for (int how = 0; how < 3; how++) {
        int c = connect_from(NULL);
        say(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
        say(c, big);
        assert_int_equal(hear(c), 1); /* its side is shut, ours is still taken in */
        assert_int_equal(count("HTTP/1.1 200"), 1);
        uint64_t closed = thread->counters.client_connections_closed;
        if (how == 0) { /* 64 KiB are enough */
            say(c, big);
        } else if (how == 1) { /* so are 2 s */
            time_passes(1500);
            assert_int_equal(thread->counters.client_connections_closed, closed);
            time_passes(1000);
        } else { /* so is the end */
            close(c);
            turns();
        }
        assert_int_equal(thread->counters.client_connections_closed, closed + 1);
        if (how < 2)
            close(c);
    }
}

/* ---- counting ---- */

static unsigned open_ones(int *fd, unsigned n) {
    unsigned open = 0;
    for (unsigned i = 0; i < n; i++) {
        char byte;
        turns();
        open += recv(fd[i], &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
    }
    return open;
}

static void per_address(void **state) {
    (void)state;
    int fd[12];
    listener_limits(0, 3);
    open_door("127.0.0.1:0", NULL);
    for (unsigned i = 0; i < 12; i++) {
        fd[i] = connect_from(i % 2 ? "127.0.0.1" : "127.0.0.9");
        turns();
    }
    assert_int_equal(open_ones(fd, 12), 6);
    assert_int_equal(listener_total(), 6);
    assert_int_equal(thread->counters.client_connections_refused_address, 6);
    assert_int_equal(open_ones(fd, 2), 2); /* who came first has stayed */
    close(fd[0]);                          /* one goes: one more may come, of that address */
    turns();
    fd[0] = connect_from("127.0.0.9");
    int other = connect_from("127.0.0.1");
    assert_int_equal(open_ones(fd, 1), 1);
    assert_int_equal(open_ones(&other, 1), 0);
    for (unsigned i = 0; i < 12; i++)
        close(fd[i]);
    close(other);
    turns();
    assert_int_equal(listener_total(), 0);
}

/* The limit changes while connections are open: counts stay right. */
static void the_limit_changes(void **state) {
    (void)state;
    int fd[6];
    open_door("127.0.0.1:0", NULL);
    for (unsigned i = 0; i < 6; i++) {
        listener_limits(0, i < 2 ? 0 : 2);
        fd[i] = connect_from(NULL);
        turns();
    }
    assert_int_equal(open_ones(fd, 6), 4); /* two before there was a limit, two within it */
    listener_limits(0, 0);
    for (unsigned i = 0; i < 6; i++)
        close(fd[i]);
    turns();
    assert_int_equal(listener_total(), 0);
}

static void in_all(void **state) {
    (void)state;
    int fd[8];
    listener_limits(5, 0);
    open_door("127.0.0.1:0", NULL);
    for (unsigned i = 0; i < 8; i++)
        fd[i] = connect_from(NULL);
    turns();
    assert_int_equal(open_ones(fd, 8), 5);
    assert_int_equal(thread->counters.client_connections_refused_total, 3);
    open_door("127.0.0.1:0", house_plan(&house, 0)); /* the operator's door is never full */
    int c = connect_from(NULL);
    say(c, GET);
    assert_true(hear(c) == 0 && count("HTTP/1.1 200") == 1);
    close(c);
    for (unsigned i = 0; i < 8; i++)
        close(fd[i]);
    turns();
}

/* Who comes by a unix socket has no address: he counts in all, but not per address. */
static void by_unix_socket(void **state) {
    (void)state;
    int fd[6];
    char at[64];
    listener_limits(0, 2);
    snprintf(at, sizeof at, "unix:@sluice-test-%d", (int)getpid());
    open_door(at, NULL);
    for (unsigned i = 0; i < 6; i++) {
        fd[i] = connect_from(NULL);
        turns();
    }
    assert_int_equal(open_ones(fd, 6), 6);
    assert_int_equal(listener_total(), 6);
    for (unsigned i = 0; i < 6; i++)
        close(fd[i]);
    turns();
}

/* Draining: who is idle goes, who is answered is told to. */
static void draining(void **state) {
    (void)state;
    house.origin.head_ms = 50;
    open_door("127.0.0.1:0", house_plan(&house, 0));
    int idle = connect_from(NULL), busy = connect_from(NULL);
    say(idle, GET);
    time_passes(60);
    assert_true(hear(idle) == 0 && count("HTTP/1.1 200") == 1);
    say(busy, GET);
    listeners_drain(thread);
    turns();
    assert_int_equal(hear(idle), 1);
    time_passes(60);
    assert_int_equal(hear(busy), 1);
    assert_true(count("HTTP/1.1 200") == 1 && count("Connection: close") == 1);
    int late = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(late, &door.sa, door.len), -1);
    close(late);
    close(idle);
    close(busy);
}

/* An answer that had promised to keep the connection is the last one all the same. */
static void draining_midway(void **state) {
    (void)state;
    house.origin.end_ms = 50;
    open_door("127.0.0.1:0", house_plan(&house, 0));
    int c = connect_from(NULL);
    say(c, GET);
    time_passes(10);
    assert_true(hear(c) == 0 && count("HTTP/1.1 200") == 1 && count("close") == 0);
    listeners_drain(thread);
    time_passes(60);
    assert_int_equal(hear(c), 1);
    assert_int_equal(records[X_END_COMPLETED], 1);
    close(c);
}

/* The table of counts is made part by part and stays: not in the middle of a test. */
static int make_table(void **state) {
    (void)state;
    world_begin();
    listener_limits(0, 9);
    open_door("127.0.0.1:0", NULL);
    int a = connect_from("127.0.0.1"), b = connect_from("127.0.0.9");
    turns();
    close(a);
    close(b);
    turns();
    listeners_stop(thread);
    mem_kept = SIZE_MAX;
    world_end();
    return 0;
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, begin, finish)
    const struct CMUnitTest tests[] = {
        T(pipelined_in_pieces),
        T(half_a_head),
        T(shut_after_request),
        T(late_heads),
        T(slow_loris),
        T(silent_ones),
        T(slow_bodies),
        T(slow_services_forgiven),
        T(idle_ones_make_room),
        T(slow_readers_kept),
        T(stalled_readers),
        T(kept_or_closed),
        T(limits_of_a_connection),
        T(lingering),
        T(per_address),
        T(the_limit_changes),
        T(in_all),
        T(by_unix_socket),
        T(draining),
        T(draining_midway),
    };
    return cmocka_run_group_tests_name("front/h1_server", tests, make_table, NULL);
}
