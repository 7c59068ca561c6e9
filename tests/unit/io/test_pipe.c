/* Pipes of a thread: as many as may be, used again only when empty, and bytes that pass unchanged.
 */
#include "io/pipe.h"
#include "io/tcp.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

static struct loop l;

static int begin(void **state) {
    (void)state;
    me = &l;
    return loop_init(&l) ? 0 : -1;
}

static int finish(void **state) {
    (void)state;
    loop_finish(&l);
    return l.pipes_made == 0 ? 0 : -1;
}

static void so_many_and_no_more(void **state) {
    struct pipe *p[PIPES_MAX];
    (void)state;
    for (int i = 0; i < PIPES_MAX; i++)
        assert_non_null(p[i] = pipe_take(&l));
    assert_null(pipe_take(&l));
    for (int i = 0; i < PIPES_MAX; i++)
        p[i]->give(p[i], 0);
    assert_int_equal(l.pipes_made, PIPES_KEPT);
    assert_int_equal(l.pipes_free, PIPES_KEPT);
}

/* What is left in a pipe would be the next one's bytes. */
static void used_again_only_when_empty(void **state) {
    (void)state;
    struct pipe *p = pipe_take(&l);
    assert_non_null(p);
    assert_int_equal(write(p->in, "abc", 3), 3);
    struct slice *s = slice_pipe(&l.pond, p, 3);
    assert_non_null(s);
    slice_free(&l.pond, s);
    assert_int_equal(l.pipes_made, 0);
    p = pipe_take(&l);
    assert_non_null(p);
    p->give(p, 0);
    assert_int_equal(l.pipes_free, 1);
    assert_ptr_equal(pipe_take(&l), p);
    p->give(p, 0);
}

static void none_where_there_are_none(void **state) {
    (void)state;
    env.pipe = NULL;
    assert_null(pipe_take(&l));
    env = env_os;
}

static void bytes_pass(void **state) {
    static unsigned char sent[50000], came[sizeof sent];
    int a[2], b[2];
    size_t n, took;
    (void)state;
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (unsigned char)(i * 31 + (i >> 8));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, a), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, b), 0);
    assert_int_equal(write(a[0], sent, sizeof sent), sizeof sent);
    struct stream in = {.ops = &tcp_stream, .watch.fd = a[1]};
    struct stream out = {.ops = &tcp_stream, .watch.fd = b[0]};
    struct pipe *p = pipe_take(&l);
    assert_non_null(p);
    for (size_t at = 0; at < sizeof sent; at += n) {
        assert_int_equal(in.ops->read_pipe(&in, p, sizeof sent - at, &n), IO_OK);
        for (size_t left = n; left; left -= took) {
            assert_int_equal(out.ops->write_pipe(&out, p, left, false, &took), IO_OK);
            for (size_t got = 0; got < took;)
                got += (size_t)read(b[1], came + at + (n - left) + got, took - got);
        }
    }
    assert_memory_equal(came, sent, sizeof sent);
    assert_int_equal(in.ops->read_pipe(&in, p, 1, &n), IO_AGAIN);
    close(a[0]);
    assert_int_equal(in.ops->read_pipe(&in, p, 1, &n), IO_END);
    p->give(p, 0);
    close(a[1]), close(b[0]), close(b[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(so_many_and_no_more, begin, finish),
        cmocka_unit_test_setup_teardown(used_again_only_when_empty, begin, finish),
        cmocka_unit_test_setup_teardown(none_where_there_are_none, begin, finish),
        cmocka_unit_test_setup_teardown(bytes_pass, begin, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
