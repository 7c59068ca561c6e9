#include "identity/password.h"
#include "base/arena.h"
#include "base/env.h"
#include "base/hash.h"
#include "identity/htpasswd.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* What is made verifies, and nothing near it does. */
static void test_round_trip(void **state) {
    (void)state;
    for (int form = PASSWORD_YESCRYPT; form <= PASSWORD_ARGON2ID; form++) {
        char hash[PASSWORD_HASH_MAX], again[PASSWORD_HASH_MAX];
        assert_true(password_make((enum password_form)form, SPAN("correct horse"), hash));
        assert_true(password_make((enum password_form)form, SPAN("correct horse"), again));
        assert_string_not_equal(hash, again); /* salted */
        assert_null(password_judge(span_z(hash)));
        assert_true(password_verify(span_z(hash), SPAN("correct horse")));
        assert_false(password_verify(span_z(hash), SPAN("correct hors")));
        assert_false(password_verify(span_z(hash), SPAN("Correct horse")));
        assert_false(password_verify(span_z(hash), SPAN("")));
        assert_false(password_verify(span_z(hash), SPAN("correct horse\0x")));
    }
}

static const struct {
    const char *hash;
    bool usable;
} judged[] = {
    {"$2y$06$n9ka8nhjRtIDgWux3XrvNOaiRHoVnwgOp5FElcZxVceOdysyMvpUa", true},
    {"$2b$15$n9ka8nhjRtIDgWux3XrvNOaiRHoVnwgOp5FElcZxVceOdysyMvpUa", true},
    {"$2b$16$n9ka8nhjRtIDgWux3XrvNOaiRHoVnwgOp5FElcZxVceOdysyMvpUa", false},
    {"$2b$03$n9ka8nhjRtIDgWux3XrvNOaiRHoVnwgOp5FElcZxVceOdysyMvpUa", false},
    {"$2b$xx$n9ka8nhjRtIDgWux3XrvNOaiRHoVnwgOp5FElcZxVceOdysyMvpUa", false},
    {"$2y$06$n9ka8nhjRtIDgWux3XrvNOaiRHoVnwgOp5FElcZxVceOdysyMvpU", false},
    {"$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21l$aGFzaGhhc2hoYXNoaGFzaA", true},
    {"$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHRzb21l$aGFzaGhhc2hoYXNoaGFzaA", false},
    {"$argon2id$v=19$m=19456,t=99,p=1$c29tZXNhbHRzb21l$aGFzaGhhc2hoYXNoaGFzaA", false},
    {"$argon2id$v=19$m=19456,t=2$c29tZXNhbHRzb21l$aGFzaGhhc2hoYXNoaGFzaA", false},
    {"$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21l", false},
    {"$argon2i$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21l$aGFzaGhhc2hoYXNoaGFzaA", false},
    {"$6$rounds=100000$saltsalt$hashhashhash", true},
    {"$6$rounds=99999999$saltsalt$hashhashhash", false},
    {"$1$saltsalt$hashhashhash", false}, /* MD5 */
    {"$apr1$saltsalt$hashhash", false},
    {"{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", false},
    {"secret", false},
    {"$y$", false},
    {"", false},
};

static void test_judge(void **state) {
    (void)state;
    for (size_t i = 0; i < array_len(judged); i++) {
        const char *wrong = password_judge(span_z(judged[i].hash));
        if (!wrong != judged[i].usable)
            fail_msg("%s: %s", judged[i].hash, wrong ? wrong : "taken");
    }
}

#define HASH "$2y$06$n9ka8nhjRtIDgWux3XrvNOaiRHoVnwgOp5FElcZxVceOdysyMvpUa"

static const char *read_file(struct arena *a, const char *text, struct basic_conf *c) {
    char path[] = "/tmp/sluice-htpasswd-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    *c = (struct basic_conf){.file = arena_span(a, span_z(path))};
    const char *wrong = htpasswd_read(a, c);
    unlink(path);
    return wrong;
}

static void test_htpasswd(void **state) {
    struct basic_conf c;
    struct arena a;
    (void)state;
    arena_init(&a, NULL);
    assert_null(read_file(&a, "# users\n\nann:" HASH "\r\nbob:" HASH, &c));
    assert_non_null(htpasswd_find(&c, SPAN("ann")));
    assert_true(span_eq(htpasswd_find(&c, SPAN("bob"))->hash, SPAN(HASH)));
    assert_null(htpasswd_find(&c, SPAN("Ann")));
    assert_null(htpasswd_find(&c, SPAN("")));
    assert_non_null(htpasswd_any(&c));
    assert_null(read_file(&a, "", &c));
    assert_null(htpasswd_any(&c));
    static const char *const bad[] = {"ann", ":" HASH, "ann:secret", "a:" HASH "\na:" HASH};
    for (size_t i = 0; i < array_len(bad); i++)
        assert_non_null(read_file(&a, bad[i], &c));
    assert_non_null(strstr(read_file(&a, "ok:" HASH "\n\nann:secret\n", &c), ":3: "));
    c.file = SPAN("/nonexistent/htpasswd");
    assert_non_null(htpasswd_read(&a, &c));
    arena_finish(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip),
                                       cmocka_unit_test(test_judge),
                                       cmocka_unit_test(test_htpasswd)};
    hash_seed(1, 2);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
