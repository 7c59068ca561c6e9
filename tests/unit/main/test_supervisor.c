/* When a crashed process is started again, and what the two processes understand of each other. */
#include "main/channel.h"
#include "main/supervisor.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

static void restarts_at_once_then_pauses(void **state) {
    static const struct {
        uint64_t at_ms;
        unsigned pause;
    } step[] = {
        {1000, 0},   {2000, 0},   {3000, 0},   {4000, 0},     {5000, 100}, /* the fifth */
        {6000, 200}, {7000, 400}, {8000, 800}, {9000, 1000},  {10000, 1000},
        {200000, 0}, /* long quiet */
        {200001, 0}, {200002, 0}, {200003, 0}, {200004, 100},
    };
    struct crashes c = {.count = 0};
    (void)state;
    for (size_t i = 0; i < array_len(step); i++)
        assert_int_equal(restart_delay_ms(&c, step[i].at_ms), step[i].pause);
}

static void slow_crashes_never_pause(void **state) {
    struct crashes c = {.count = 0};
    (void)state;
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(restart_delay_ms(&c, 1 + i * 16000), 0);
}

static void a_whole_question_or_none(void **state) {
    struct channel_record good = {.kind = CHANNEL_READY}, r;
    struct channel_record unknown = {.kind = 99}, none = {.kind = 0};
    struct channel_record too_long = {.kind = CHANNEL_LISTEN, .address_len = 4096};
    struct channel_record nowhere = {.kind = CHANNEL_LISTEN, .address_len = 0};
    const struct {
        const void *p;
        size_t n;
        bool good;
    } row[] = {{&good, sizeof good, true},          {&good, sizeof good - 1, false},
               {&unknown, sizeof unknown, false},   {&none, sizeof none, false},
               {&too_long, sizeof too_long, false}, {&nowhere, sizeof nowhere, false}};
    struct address at;
    int pair[2];
    (void)state;
    assert_true(channel_pair(pair));
    for (size_t i = 0; i < array_len(row); i++) {
        assert_int_equal(send(pair[0], row[i].p, row[i].n, 0), row[i].n);
        assert_int_equal(channel_receive(pair[1], &r, &at), row[i].good);
    }
    close(pair[0]);
    assert_false(channel_receive(pair[1], &r, &at)); /* gone */
    close(pair[1]);
}

/* The answer is put into the pair first, so that one thread can play both sides. */
static void an_answer_brings_its_sockets(void **state) {
    struct sockets held = {.count = 0};
    struct address at;
    const struct held *h;
    struct channel c = {.fd = -1};
    int pair[2], fd[SOCKETS_PER_ADDRESS];
    unsigned n = 0;
    (void)state;
    assert_true(address_parse(SPAN("127.0.0.1:0"), &at));
    assert_int_equal(sockets_open(&held, &at, 5, &h), 0);
    assert_true(channel_pair(pair));
    c.fd = pair[0];
    assert_true(channel_answer(pair[1], 0, h));
    assert_int_equal(channel_listen(&c, &at, 5, fd, &n), 0);
    assert_int_equal(n, 5);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(close(fd[i]), 0);
    assert_true(channel_answer(pair[1], EADDRINUSE, NULL));
    assert_int_equal(channel_listen(&c, &at, 5, fd, &n), EADDRINUSE);
    close(pair[1]);
    assert_int_not_equal(channel_listen(&c, &at, 5, fd, &n), 0); /* nobody there */
    close(pair[0]);
    sockets_close_all(&held, true);
}

static void alone_it_has_its_own_table(void **state) {
    struct channel c = {.fd = -1};
    struct address at;
    int fd[SOCKETS_PER_ADDRESS];
    unsigned n;
    (void)state;
    assert_true(address_parse(SPAN("127.0.0.1:0"), &at));
    assert_int_equal(channel_listen(&c, &at, 2, fd, &n), 0);
    assert_int_equal(n, 2);
    assert_int_equal(c.own.count, 1);
    assert_int_not_equal(fd[0], c.own.held[0]->fd[0]);
    channel_close_address(&c, &at);
    assert_int_equal(c.own.count, 0);
    close(fd[0]);
    close(fd[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(restarts_at_once_then_pauses),
        cmocka_unit_test(slow_crashes_never_pause),
        cmocka_unit_test(a_whole_question_or_none),
        cmocka_unit_test(an_answer_brings_its_sockets),
        cmocka_unit_test(alone_it_has_its_own_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
