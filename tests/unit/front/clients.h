/*
 * clients - a door of the front over real loopback sockets, with a virtual clock, and clients who
 * speak to it.
 */
#pragma once
#include "../core/actors.h"
#include "front/listener.h"
#include "io/tcp.h"
#include <errno.h>
#include <sys/socket.h>

static struct house house;
static struct address door;

static struct limits_conf *limits(void) {
    return &thread->snap->snapshot->limits;
}

static int begin(void **state) {
    (void)state;
    world_begin();
    step_in = NULL;
    *limits() = (struct limits_conf){.h1_request = h1_request_limits,
                                     .h1_response = h1_response_limits,
                                     .h1_trailers = h1_trailer_limits,
                                     .query_params_max = 1000,
                                     .max_body = 10 << 20,
                                     .first_byte_timeout_ms = 10000,
                                     .header_timeout_ms = 10000,
                                     .keepalive_timeout_ms = 60000,
                                     .body_idle_timeout_ms = 30000,
                                     .send_stall_timeout_ms = 30000,
                                     .body_min_rate = 240,
                                     .keepalive_requests = 10000,
                                     .max_connection_age_ms = 3600000,
                                     .max_forwards_depth = 5};
    house = (struct house){.origin = {.text = "hello"}};
    listener_limits(0, 0);
    return 0;
}
static int finish(void **state) {
    (void)state;
    listeners_stop(thread);
    assert_int_equal(listener_total(), 0);
    assert_int_equal(thread->counters.client_connections_accepted,
                     thread->counters.client_connections_closed);
    house_balanced(&house);
    world_end();
    return 0;
}

/* `plan`: what every request runs through; NULL: a counted, public door. */
static void open_door(const char *at, const struct plan *plan) {
    socklen_t n = sizeof door.un;
    assert_true(address_parse(span_z(at), &door));
    int fd = tcp_listen(&door, 64);
    assert_true(fd >= 0);
    assert_int_equal(getsockname(fd, &door.sa, &n), 0);
    door.len = n;
    assert_true(listener_open(thread, SPAN("door"), fd, plan));
}

static int connect_from(const char *ip) {
    struct address from;
    int fd = socket(door.sa.sa_family, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    if (ip) {
        assert_true(address_parse_ip(span_z(ip), &from));
        assert_int_equal(bind(fd, &from.sa, from.len), 0);
    }
    assert_int_equal(connect(fd, &door.sa, door.len), 0);
    return fd;
}

static void turns(void) {
    for (int i = 0; i < 20; i++)
        loop_turn(&thread->loop, 0);
}
static void time_passes(uint64_t ms) {
    for (uint64_t step; ms; ms -= step) {
        step = ms < 250 ? ms : 250;
        clock_ns += step * MS;
        turns();
    }
}

static void say(int fd, const char *text) {
    size_t n = strlen(text);
    assert_int_equal(send(fd, text, n, MSG_NOSIGNAL), n);
    turns();
}

/* All that has come. `ended`: and then the end (or a reset: -1). */
static char heard[1 << 20];
static int hear(int fd) {
    size_t n = 0;
    ssize_t r;
    turns();
    while ((r = recv(fd, heard + n, sizeof heard - 1 - n, MSG_DONTWAIT)) > 0) {
        n += (size_t)r;
        turns();
    }
    heard[n] = 0;
    return r == 0 ? 1 : errno == EAGAIN ? 0 : -1;
}
static unsigned count(const char *what) {
    unsigned n = 0;
    for (const char *p = heard; (p = strstr(p, what)); p += strlen(what))
        n++;
    return n;
}
