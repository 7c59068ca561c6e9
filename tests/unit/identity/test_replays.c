#include "identity/replays.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static enum replay take(unsigned n, int64_t now, int64_t until) {
    char text[32];
    struct str s = str_on(text, sizeof text);
    str_u64(&s, n);
    return replays_take(SPAN("key"), str_span(&s), now, until);
}

static void test_once(void **state) {
    (void)state;
    assert_int_equal(take(1, 100, 160), REPLAY_NEW);
    assert_int_equal(take(1, 100, 160), REPLAY_SEEN);
    assert_int_equal(take(1, 159, 200), REPLAY_SEEN);
    assert_int_equal(take(2, 159, 200), REPLAY_NEW);
    assert_int_equal(take(1, 160, 220), REPLAY_NEW); /* its signature is too old by now */
    assert_int_equal(take(1, 161, 220), REPLAY_SEEN);
    /* another key's nonce is another nonce, and parts don't shift */
    assert_int_equal(replays_take(SPAN("ke"), SPAN("y1"), 161, 220), REPLAY_NEW);
    replays_finish();
}

/* Full: refused, never forgotten; when the old ones are over there is room again. */
static void test_bounded(void **state) {
    unsigned n = 0, full = 0;
    (void)state;
    for (; n < REPLAYS_MAX + 1000 && full < 100; n++)
        full += take(n, 1000, 2000) == REPLAY_NO_ROOM;
    assert_int_equal(full, 100);
    assert_true(n > REPLAYS_MAX / 2);
    assert_int_equal(take(0, 1001, 2000), REPLAY_SEEN);
    assert_int_equal(take(n + 1, 2000, 3000), REPLAY_NEW);
    replays_finish();
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_once), cmocka_unit_test(test_bounded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
