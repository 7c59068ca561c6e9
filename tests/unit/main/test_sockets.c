/* Bound once, kept, found by address; and what is in the way of binding. */
#include "main/sockets.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct address parsed(const char *text) {
    struct address a;
    assert_true(address_parse(span_z(text), &a));
    return a;
}

static unsigned port_of(int fd) {
    struct address a = {.len = sizeof a.un};
    assert_int_equal(getsockname(fd, &a.sa, &a.len), 0);
    return address_port(&a);
}

static struct address bound_to(const struct held *h) {
    struct address a = parsed("127.0.0.1:0");
    address_set_port(&a, port_of(h->fd[0]));
    return a;
}

static void binds_once(void **state) {
    struct sockets s = {.count = 0};
    struct address at = parsed("127.0.0.1:0");
    const struct held *first, *again;
    (void)state;
    assert_int_equal(sockets_open(&s, &at, 3, &first), 0);
    assert_int_equal(first->count, 3);
    assert_int_equal(port_of(first->fd[0]), port_of(first->fd[2]));
    assert_int_equal(sockets_open(&s, &at, 7, &again), 0);
    assert_ptr_equal(first, again);
    assert_int_equal(again->count, 3);
    sockets_close(&s, &at);
    assert_int_equal(s.count, 0);
}

/* Sharing a port is for the workers of one gateway, not for two gateways. */
static void refuses_a_shared_port(void **state) {
    struct sockets mine = {.count = 0}, other = {.count = 0};
    struct address any = parsed("127.0.0.1:0");
    const struct held *h;
    (void)state;
    assert_int_equal(sockets_open(&mine, &any, 1, &h), 0);
    struct address taken = bound_to(h);
    assert_int_equal(sockets_open(&other, &taken, 2, &h), EADDRINUSE);
    assert_int_equal(other.count, 0);
    sockets_close_all(&mine, true);
    assert_int_equal(sockets_open(&other, &taken, 2, &h), 0);
    sockets_close_all(&other, true);
}

static void replaces_a_stale_file(void **state) {
    struct sockets s = {.count = 0}, other = {.count = 0};
    char text[64];
    struct stat st;
    const struct held *h;
    (void)state;
    snprintf(text, sizeof text, "unix:/tmp/sluice-test-%d", (int)getpid());
    struct address at = parsed(text);
    assert_int_equal(sockets_open(&s, &at, 4, &h), 0);
    assert_int_equal(h->count, 1);
    assert_int_equal(sockets_open(&other, &at, 1, &h), EADDRINUSE);
    sockets_close_all(&s, false); /* a process that died */
    assert_int_equal(stat(at.un.sun_path, &st), 0);
    assert_int_equal(sockets_open(&other, &at, 1, &h), 0);
    sockets_close_all(&other, true);
    assert_int_equal(stat(at.un.sun_path, &st), -1);
}

static void adopts_what_listens(void **state) {
    struct sockets from = {.count = 0}, s = {.count = 0};
    struct address any = parsed("0.0.0.0:0");
    const struct held *h, *found;
    (void)state;
    assert_int_equal(sockets_open(&from, &any, 2, &h), 0);
    struct address six = parsed("[::]:0"), four = any;
    address_set_port(&six, port_of(h->fd[0]));
    address_set_port(&four, port_of(h->fd[0]));
    assert_int_equal(sockets_adopt(&s, dup(h->fd[0])), 0);
    assert_int_equal(sockets_adopt(&s, dup(h->fd[1])), 0);
    sockets_close_all(&from, true);
    assert_int_equal(s.count, 1);
    assert_int_equal(sockets_open(&s, &four, 1, &found), 0);
    assert_int_equal(found->count, 2);
    assert_int_equal(sockets_open(&s, &six, 1, &h), 0); /* a wildcard is a wildcard */
    assert_ptr_equal(h, found);
    sockets_close_all(&s, true);
}

static void adopts_nothing_else(void **state) {
    struct sockets s = {.count = 0};
    int pair[2], fd = socket(AF_INET, SOCK_STREAM, 0), bad = dup(0);
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(sockets_adopt(&s, fd), EINVAL);
    assert_int_equal(sockets_adopt(&s, pair[0]), EINVAL);
    close(bad);
    assert_int_equal(sockets_adopt(&s, bad), EBADF);
    assert_int_equal(s.count, 0);
    close(pair[0]);
    close(pair[1]);
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binds_once),
        cmocka_unit_test(refuses_a_shared_port),
        cmocka_unit_test(replaces_a_stale_file),
        cmocka_unit_test(adopts_what_listens),
        cmocka_unit_test(adopts_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
