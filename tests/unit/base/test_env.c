/* base/env: the real system behind the table, and memory that runs out. */
#include "../must.h"
#include "base/env.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

static bool all_zero(const unsigned char *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

static void clocks(void **state) {
    (void)state;
    uint64_t a = env.now_ns(), b = env.now_ns();
    assert_true(a > 0 && b >= a);
    assert_true(env.wall_ns() > 1600000000ll * 1000000000); /* ns, not s or ms */
}

static void random_bytes(void **state) {
    (void)state;
    unsigned char a[64] = {0}, b[64] = {0};
    env.random(a, 33);
    env.random(b, 33);
    assert_memory_not_equal(a, b, 33);
    assert_true(all_zero(a + 33, sizeof a - 33));
}

static void descriptors_are_private(void **state) {
    (void)state;
    int fd[] = {env.epoll_create(), env.event_fd(), env.socket(AF_INET, SOCK_STREAM, 0),
                env.open("/dev/null", O_RDONLY, 0)};
    for (size_t i = 0; i < array_len(fd); i++) {
        assert_true(fd[i] >= 0);
        assert_true(fcntl(fd[i], F_GETFD) & FD_CLOEXEC);
    }
    assert_true(fcntl(fd[1], F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd[2], F_GETFL) & O_NONBLOCK);
    for (size_t i = 0; i < array_len(fd); i++)
        assert_int_equal(env.close(fd[i]), 0);
}

/* However many vectors and bytes: one stream of the same bytes. Small ones go in one piece. */
static void gathering(void **state) {
    (void)state;
    static const size_t piece[] = {0, 1, 10, 2047, 2048, 2049, 4095, 4096, 4097, 9000};
    static char in[2 * 9000], out[2 * 9000];
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (char)(i * 31);
    for (size_t a = 0; a < array_len(piece); a++)
        for (size_t b = 0; b < array_len(piece); b++) {
            int fd[2];
            size_t all = piece[a] + piece[b];
            struct iovec iov[] = {{in, piece[a]}, {in + piece[a], piece[b]}};
            assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
            assert_int_equal(env.writev(fd[0], iov, 2), all);
            size_t got = 0;
            for (ssize_t r; got < all && (r = env.recv(fd[1], out + got, all - got)) > 0;)
                got += (size_t)r;
            assert_int_equal(got, all);
            assert_memory_equal(in, out, all);
            close(fd[0]);
            close(fd[1]);
        }
}

/* A peer that is gone is an error, not the end of the process. */
static void no_sigpipe(void **state) {
    (void)state;
    static char big[8000];
    for (int n = 1; n <= 2; n++) {
        int fd[2];
        struct iovec iov[] = {{big, sizeof big}, {big, sizeof big}};
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
        close(fd[1]);
        assert_int_equal(env.writev(fd[0], iov, n), -1);
        assert_int_equal(errno, EPIPE);
        iov[0].iov_len = iov[1].iov_len = 5;
        assert_int_equal(env.writev(fd[0], iov, n), -1);
        assert_int_equal(errno, EPIPE);
        close(fd[0]);
    }
}

static void memory(void **state) {
    (void)state;
    unsigned char *p = mem_alloc(100);
    assert_true(all_zero(p, 100));
    memset(p, 7, 100);
    p = mem_realloc(p, 100, 300);
    assert_true(p[0] == 7 && p[99] == 7 && all_zero(p + 100, 200));
    p = mem_realloc(p, 300, 50);
    assert_int_equal(p[49], 7);
    mem_free(p);
    p = mem_realloc(NULL, 0, 10);
    assert_true(all_zero(p, 10));
    mem_free(p);
    mem_free(NULL);
    char *t = mem_text("ab\0c", 4);
    assert_memory_equal(t, "ab\0c", 5);
    mem_free(t);
    t = mem_text(NULL, 0);
    assert_string_equal(t, "");
    mem_free(t);
}

static void *none(size_t n) {
    (void)n;
    return NULL;
}
static void impossible(void *arg) {
    (void)arg;
    mem_free(mem_alloc(SIZE_MAX / 2));
}

static void without_memory(void **state) {
    (void)state;
    env.alloc = none;
    assert_null(mem_try(10));
    env = env_os;
    assert_true(ends_process(impossible, NULL)); /* who asks mem_alloc cannot be refused */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clocks),
        cmocka_unit_test(random_bytes),
        cmocka_unit_test(descriptors_are_private),
        cmocka_unit_test(gathering),
        cmocka_unit_test(no_sigpipe),
        cmocka_unit_test(memory),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests_name("base/env", tests, NULL, NULL);
}
