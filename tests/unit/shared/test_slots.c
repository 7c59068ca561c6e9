#include "shared/redis_slots.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* As CLUSTER KEYSLOT of a real server says. */
static const struct {
    const char *key;
    unsigned slot;
} rows[] = {
    {"", 0},
    {"123456789", 12739}, /* the check value of CRC16 XMODEM: 0x31c3 */
    {"a", 15495},
    {"foo", 12182},
    {"{foo}", 12182},
    {"x{foo}y", 12182},
    {"{foo}{bar}", 12182},
    {"sluice:limit:{foo}:1", 12182},
    {"foo{}", 5542},
    {"foo{", 7673},
    {"}foo{", 8453},
};

static void slots_are_those_of_the_server(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(rows); i++)
        assert_int_equal(redis_slot_of(span_z(rows[i].key)), rows[i].slot);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(slots_are_those_of_the_server)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
