/*
 * The shared HTTP/1.1 cases at codec level: one verdict for every way to cut the bytes. What needs
 * more than the codec is listed in `beyond`, with the reason.
 */
#include "h1_feed.h"
#include <stdio.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

enum { BYTES_MAX = 64 * 1024 };

static const char *const beyond[] = {
    "C38", /* a clean big length: the route's max_body refuses it, not the codec */
    "K24", /* "0\r\nX": X may begin a trailer; that no more comes is for a timeout or the end to
              tell */
};

struct vector {
    char id[16], raw[BYTES_MAX];
    size_t n;
    char verdict[16], statuses[64], strip[128];
    unsigned forwarded;
};

static int base64_digit(char c) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

static size_t base64(const char *from, size_t n, char *to) {
    size_t out = 0;
    unsigned bits = 0, have = 0;
    for (size_t i = 0; i < n && base64_digit(from[i]) >= 0; i++) {
        bits = (bits << 6 | (unsigned)base64_digit(from[i])) & 0xffffff;
        have += 6;
        if (have >= 8) {
            have -= 8;
            to[out++] = (char)(bits >> have);
        }
    }
    return out;
}

/* The text behind "key": up to `end`; the lines are machine-made and hold no escapes there. */
static struct span json_text(const char *line, const char *key, char end) {
    const char *at = strstr(line, key);
    assert_non_null(at);
    at += strlen(key);
    const char *stop = strchr(at, end);
    assert_non_null(stop);
    return span_of(at, (size_t)(stop - at));
}

static void copy_text(char *to, size_t max, struct span s) {
    assert_true(s.n < max);
    memcpy(to, s.p, s.n);
    to[s.n] = 0;
}

static void read_vector(struct vector *v, const char *line) {
    copy_text(v->id, sizeof v->id, json_text(line, "\"id\": \"", '"'));
    copy_text(v->verdict, sizeof v->verdict, json_text(line, "\"verdict\": \"", '"'));
    copy_text(v->statuses, sizeof v->statuses, json_text(line, "\"status\": [", ']'));
    copy_text(v->strip, sizeof v->strip, json_text(line, "\"strip\": [", ']'));
    struct span forwarded = json_text(line, "\"forwarded\": ", ',');
    v->forwarded = (unsigned)(forwarded.p[0] - '0');
    struct span b64 = json_text(line, "\"b64\": \"", '"');
    assert_true(b64.n < BYTES_MAX);
    v->n = base64(b64.p, b64.n, v->raw);
}

static bool is_beyond(const struct vector *v) {
    for (size_t i = 0; i < array_len(beyond); i++)
        if (strcmp(beyond[i], v->id) == 0)
            return true;
    return false;
}

static void check_refused(const struct vector *v, const struct feed_result *r) {
    char status[8];
    if (r->fault == FAULT_NONE)
        fail_msg("%s: accepted %u requests%s", v->id, r->requests,
                 r->incomplete ? " and waits" : "");
    snprintf(status, sizeof status, "%d", fault_table[r->fault].status);
    if (!strstr(v->statuses, status) || !fault_table[r->fault].close || r->requests)
        fail_msg("%s: %s, status %s, want one of %s, after %u requests", v->id,
                 fault_table[r->fault].code, status, v->statuses, r->requests);
}

/* Every name of the list, as "\nname:" in what would be sent. */
static void check_stripped(const struct vector *v, const struct feed_result *r) {
    struct span list = span_z(v->strip);
    while (list.n) {
        char line[64];
        struct span name = span_trim(span_split(&list, ','));
        int n = snprintf(line, sizeof line, "\n%.*s:", (int)name.n - 2, name.p + 1);
        for (size_t i = 0; i + (size_t)n <= r->text_len; i++)
            if (span_eq_nocase(span_of(r->text + i, (size_t)n), span_of(line, (size_t)n)))
                fail_msg("%s: %s is still there", v->id, line + 1);
    }
}

static void check(const struct vector *v, const struct feed_result *r) {
    if (strcmp(v->verdict, "reject") == 0) {
        check_refused(v, r);
        return;
    }
    if (r->fault != FAULT_NONE || r->incomplete || r->requests != v->forwarded)
        fail_msg("%s: %s, %u requests of %u%s", v->id, fault_table[r->fault].code, r->requests,
                 v->forwarded, r->incomplete ? ", incomplete" : "");
    check_stripped(v, r);
}

static void check_same(const struct vector *v, const struct feed_result *a,
                       const struct feed_result *b, const char *how, size_t at) {
    if (a->fault != b->fault || a->requests != b->requests || a->incomplete != b->incomplete ||
        a->closed != b->closed || a->body != b->body || a->text_len != b->text_len ||
        memcmp(a->text, b->text, a->text_len) != 0)
        fail_msg("%s: %s %zu: %s after %u requests, whole: %s after %u", v->id, how, at,
                 fault_table[b->fault].code, b->requests, fault_table[a->fault].code, a->requests);
}

static void run_vector(const struct vector *v, bool upgrades) {
    struct feed_result whole = feed_all(v->raw, v->n, v->n, false, upgrades);
    if (is_beyond(v))
        assert_true(whole.incomplete && whole.fault == FAULT_NONE && whole.requests == 0);
    else
        check(v, &whole);
    struct feed_result bytes = feed_all(v->raw, v->n, 1, false, upgrades);
    check_same(v, &whole, &bytes, "by bytes", 1);
    for (size_t at = 1; at < v->n; at++) {
        struct feed_result split = feed_all(v->raw, v->n, at, true, upgrades);
        check_same(v, &whole, &split, "cut at", at);
    }
}

static void test_vectors(void **state) {
    (void)state;
    static struct vector v;
    char path[4096], *line = NULL;
    size_t room = 0, count = 0;
    const char *root = getenv("SLUICE_SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/../shared/cases/http1/vectors.jsonl", root ? root : ".");
    FILE *file = fopen(path, "r");
    if (!file) {
        print_message("# skipped: the shared cases are not there\n");
        skip();
    }
    while (getline(&line, &room, file) > 0) {
        read_vector(&v, line);
        run_vector(&v, false);
        run_vector(&v, true);
        count++;
    }
    free(line);
    fclose(file);
    assert_true(count >= 100);
    print_message("# %zu cases\n", count);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_vectors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
