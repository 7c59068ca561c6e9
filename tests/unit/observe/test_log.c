/* observe/log: lines, and the writer behind the rings with a file system that misbehaves. */
#include "core/told.h"
#include "observe/log.h"
#include "base/log.h"
#include "observe/errlog.h"
#include "observe/log_fields.h"
#include "sample.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include <stdlib.h>

static struct sample s;
static struct thread thread;

/* The file system of these tests: what is written where, and what goes wrong. */
enum { PAPER = 4 * 1024 * 1024 };
static char paper[PAPER];
static size_t paper_n;
static int opens, closes, fail_open, fail_write, write_max;
static uint64_t clock_ns;
static char told[8192];
static size_t told_n;

static int test_open(const char *path, int flags, mode_t mode) {
    assert_string_equal(path, "logs/access.log");
    assert_int_equal(flags & (O_APPEND | O_CREAT | O_WRONLY), O_APPEND | O_CREAT | O_WRONLY);
    assert_int_equal(mode & 07, 0);
    if (fail_open) {
        errno = fail_open;
        return -1;
    }
    opens++;
    return 1000;
}
static int test_close(int fd) {
    assert_int_equal(fd, 1000);
    closes++;
    return 0;
}
static ssize_t test_write(int fd, const void *p, size_t n) {
    if (fd != 1 && fd != 1000)
        return (ssize_t)n;
    if (fail_write && !write_max) {
        errno = fail_write;
        return -1;
    }
    if (write_max && n > (size_t)write_max)
        n = (size_t)write_max;
    if (fail_write)
        write_max = 0;
    assert_true(paper_n + n <= PAPER);
    memcpy(paper + paper_n, p, n);
    paper_n += n;
    return (ssize_t)n;
}
static uint64_t test_now(void) {
    return clock_ns;
}
static void test_told(const char *line, size_t n) {
    if (told_n + n < sizeof told) {
        memcpy(told + told_n, line, n);
        told_n += n;
        told[told_n] = 0;
    }
}

static int begin(void **state) {
    (void)state;
    env = env_os;
    env.open = test_open;
    env.close = test_close;
    env.write = test_write;
    env.now_ns = test_now;
    clock_ns = 1000000000;
    paper_n = told_n = 0;
    told[0] = 0;
    opens = closes = fail_open = fail_write = write_max = 0;
    log_event_output(test_told);
    memset(&thread, 0, sizeof thread);
    sample_init(&s);
    s.log.file = SPAN("logs/access.log");
    return log_thread_init(&thread) && log_attach(&s.snapshot) ? 0 : -1;
}

static int finish(void **state) {
    (void)state;
    fail_open = fail_write = write_max = 0;
    log_detach(&s.snapshot);
    log_pass(true); /* the writer closes its file */
    log_thread_finish(&thread);
    sample_finish(&s);
    log_event_output(NULL);
    env = env_os;
    return 0;
}

static uint64_t dropped(void) {
    return atomic_load(&thread.counters.log_dropped);
}

static unsigned paper_lines(void) {
    unsigned n = 0;
    for (size_t i = 0; i < paper_n; i++)
        n += paper[i] == '\n';
    return n;
}

static const char *line_of(const struct log_conf *conf) {
    static char buf[LOG_LINE_MAX + 1];
    struct str out = str_on(buf, LOG_LINE_MAX);
    log_format(conf, &s.r, &out);
    assert_false(out.full);
    buf[out.n] = 0;
    return buf;
}

/* One field alone: what stands behind its key. */
static const char *value_of(enum log_field id) {
    static char value[LOG_LINE_MAX];
    int field = (int)id;
    struct log_conf conf = {.field = &field, .field_count = 1};
    const char *line = line_of(&conf);
    struct span name = log_field_table[id].name;
    char key[64];
    int n = snprintf(key, sizeof key, "{\"%.*s\":", SPAN_ARG(name));
    assert_memory_equal(line, key, (size_t)n);
    size_t len = strlen(line);
    assert_int_equal(line[len - 1], '}');
    memcpy(value, line + n, len - 1 - (size_t)n);
    value[len - 1 - (size_t)n] = 0;
    return value;
}

static void shipped_line(void **state) {
    (void)state;
    sample_field(&s, SPAN("user-agent"), SPAN("curl/8.5.0"));
    struct log_conf conf = {0};
    assert_string_equal(
        line_of(&conf),
        "{\"time\":\"2023-11-14T22:13:20.123Z\",\"request_id\":\"0123456789abcdef-1\","
        "\"client\":\"192.0.2.7\",\"listener\":\"public\",\"protocol\":\"HTTP/1.1\","
        "\"method\":\"GET\",\"host\":\"shop.example\",\"path\":\"/api/./products/42\","
        "\"status\":200,\"bytes\":1024,\"duration\":0.001234,\"upstream_duration\":0.001000,"
        "\"route\":\"products\",\"service\":\"product\",\"endpoint\":\"127.0.0.1:7001\","
        "\"code\":null,\"who\":null,\"limit.name\":null,\"user_agent\":\"curl/8.5.0\"}");
}

/* Values of parameters that hold credentials never come into a log, however the name is spelt. */
static void hidden_parameters(void **state) {
    static const struct span hidden[] = {SPAN("token"), SPAN("k")};
    static const struct {
        const char *target, *query, *shown;
    } row[] = {
        {"/a?token=s3cret", "\"token=***\"", "\"/a?token=***\""},
        {"/a?x=1&t%6fken=s3cret&y", "\"x=1&t%6fken=***&y\"", "\"/a?x=1&t%6fken=***&y\""},
        {"/a?k=1&k=2", "\"k=***&k=***\"", "\"/a?k=***&k=***\""},
        {"/a?k&tokens=1", "\"k&tokens=1\"", "\"/a?k&tokens=1\""},
        {"/a?k=", "\"k=***\"", "\"/a?k=***\""},
        {"/k=1", "null", "\"/k=1\""},
    };
    (void)state;
    struct snapshot snapshot = {.hidden = hidden, .hidden_count = 2, .generation = 7};
    const struct snapshot *before = s.r.snapshot;
    struct span target = s.x.req.target;
    s.r.snapshot = &snapshot;
    for (size_t i = 0; i < array_len(row); i++) {
        s.x.req.target = span_z(row[i].target);
        assert_string_equal(value_of(LOG_FIELD_query), row[i].query);
        assert_string_equal(value_of(LOG_FIELD_target), row[i].shown);
    }
    s.r.snapshot = before;
    s.x.req.target = target;
}

static void every_field(void **state) {
    static const struct {
        enum log_field id;
        const char *value;
    } row[] = {
        {LOG_FIELD_client_port, "4711"},
        {LOG_FIELD_peer, "\"10.0.0.1\""},
        {LOG_FIELD_scheme, "\"http\""},
        {LOG_FIELD_upgrade, "null"},
        {LOG_FIELD_tls_version, "null"},
        {LOG_FIELD_tls_cipher, "null"},
        {LOG_FIELD_tls_resumed, "null"},
        {LOG_FIELD_sni, "null"},
        {LOG_FIELD_alpn, "null"},
        {LOG_FIELD_client_subject, "null"},
        {LOG_FIELD_client_san, "null"},
        {LOG_FIELD_canonical_path, "\"/api/products/42\""},
        {LOG_FIELD_query, "\"token=s3cret\""},
        {LOG_FIELD_target, "\"/api/./products/42?token=s3cret\""},
        {LOG_FIELD_end, "\"completed\""},
        {LOG_FIELD_request_bytes, "0"},
        {LOG_FIELD_bytes_received, "300"},
        {LOG_FIELD_bytes_sent, "1300"},
        {LOG_FIELD_queue_duration, "null"},
        {LOG_FIELD_connect_duration, "null"},
        {LOG_FIELD_upstream_status, "200"},
        {LOG_FIELD_grpc_status, "null"},
        {LOG_FIELD_attempts, "1"},
        {LOG_FIELD_detail, "null"},
        {LOG_FIELD_consumer, "null"},
        {LOG_FIELD_authenticator, "null"},
        {LOG_FIELD_auth_error, "null"},
        {LOG_FIELD_observed, "null"},
        {LOG_FIELD_referer, "null"},
        {LOG_FIELD_generation, "7"},
        {LOG_FIELD_limit_remaining, "null"},
        {LOG_FIELD_limit_verdict, "null"},
    };
    (void)state;
    assert_int_equal(array_len(row) + LOG_SHIPPED_COUNT, LOG_FIELD_COUNT); /* none is forgotten */
    for (size_t i = 0; i < array_len(row); i++)
        assert_string_equal(value_of(row[i].id), row[i].value);
    s.x.queued_ns = 1500000;
    assert_string_equal(value_of(LOG_FIELD_queue_duration), "0.001500");
    /* Of three limits the one that refused; of two that let pass the one with the least share left.
     */
    static const struct limit_window hundred = {.quota = 100}, ten = {.quota = 10};
    struct limit_told refused = {
        .id = SPAN("day"), .window = &hundred, .remaining = 50, .verdict = TOLD_REFUSED};
    struct limit_told small = {.id = SPAN("small"), .window = &ten, .remaining = 9};
    struct limit_told big = {
        .next = &small, .id = SPAN("big"), .window = &hundred, .remaining = 10};
    s.x.told = &big;
    assert_string_equal(value_of(LOG_FIELD_limit_name), "\"big\"");
    assert_string_equal(value_of(LOG_FIELD_limit_remaining), "10");
    assert_string_equal(value_of(LOG_FIELD_limit_verdict), "\"allowed\"");
    small.next = &refused;
    assert_string_equal(value_of(LOG_FIELD_limit_name), "\"day\"");
    assert_string_equal(value_of(LOG_FIELD_limit_verdict), "\"refused\"");
    s.x.told = NULL;
    struct tls_client_cert cert = {.subject = SPAN("CN=ann"), .san = SPAN("URI:spiffe://a/ann")};
    struct tls_info tls = {.version = "TLSv1.3",
                           .cipher = "TLS_AES_128_GCM_SHA256",
                           .alpn = "h2",
                           .sni = SPAN("shop.example"),
                           .resumed = true,
                           .client = &cert};
    s.x.facts.tls = &tls;
    assert_string_equal(value_of(LOG_FIELD_tls_version), "\"TLSv1.3\"");
    assert_string_equal(value_of(LOG_FIELD_tls_cipher), "\"TLS_AES_128_GCM_SHA256\"");
    assert_string_equal(value_of(LOG_FIELD_tls_resumed), "true");
    assert_string_equal(value_of(LOG_FIELD_sni), "\"shop.example\"");
    assert_string_equal(value_of(LOG_FIELD_alpn), "\"h2\"");
    assert_string_equal(value_of(LOG_FIELD_client_subject), "\"CN=ann\"");
    assert_string_equal(value_of(LOG_FIELD_client_san), "\"URI:spiffe://a/ann\"");
    s.x.facts.tls = NULL;
    s.r.fault = FAULT_CONNECT_FAILED;
    s.r.code = "connect_failed";
    s.r.who = "upstream";
    s.x.fault_detail = "connection refused";
    s.r.end = X_END_REJECTED;
    s.r.status = 0;
    s.r.upstream_ns = -1;
    s.r.connect_ns = 61000000000;
    assert_string_equal(value_of(LOG_FIELD_code), "\"connect_failed\"");
    assert_string_equal(value_of(LOG_FIELD_who), "\"upstream\"");
    assert_string_equal(value_of(LOG_FIELD_detail), "\"connection refused\"");
    assert_string_equal(value_of(LOG_FIELD_end), "\"rejected\"");
    s.r.grpc_status = 14;
    assert_string_equal(value_of(LOG_FIELD_grpc_status), "\"UNAVAILABLE\"");
    assert_string_equal(value_of(LOG_FIELD_status), "null");
    assert_string_equal(value_of(LOG_FIELD_upstream_duration), "null");
    assert_string_equal(value_of(LOG_FIELD_connect_duration), "61.000000");
}

static void addresses(void **state) {
    static const struct {
        const char *text, *value;
    } row[] = {
        {"0.0.0.0:1", "\"0.0.0.0\""},
        {"255.10.0.199:65535", "\"255.10.0.199\""},
        {"[2001:db8::1]:443", "\"2001:db8::1\""},
        {"unix:/run/a", "\"unix:/run/a\""},
    };
    (void)state;
    for (size_t i = 0; i < array_len(row); i++) {
        assert_true(address_parse(span_z(row[i].text), &s.x.facts.client));
        assert_string_equal(value_of(LOG_FIELD_client), row[i].value);
    }
    s.x.facts.client.len = 0;
    assert_string_equal(value_of(LOG_FIELD_client), "null");
    assert_string_equal(value_of(LOG_FIELD_client_port), "null");
}

static void names_are_found(void **state) {
    (void)state;
    for (unsigned i = 0; i < LOG_FIELD_COUNT; i++)
        assert_int_equal(log_field_lookup(log_field_table[i].name), i);
    assert_int_equal(log_field_lookup(SPAN("tim")), LOG_FIELD_COUNT);
    assert_int_equal(log_field_lookup(SPAN("")), LOG_FIELD_COUNT);
}

/* THREATS.md K15: whatever a client sends stays inside its string. */
static void nothing_leaves_its_string(void **state) {
    static const struct {
        const char *in, *out;
    } row[] = {
        {"plain", "plain"},
        {"a\r\n{\"status\":200}", "a\\r\\n{\\\"status\\\":200}"},
        {"\x1b[2J", "\\u001b[2J"},
        {"back\\slash", "back\\\\slash"},
        {"del\x7f", "del\\u007f"},
        {"c1\xc2\x85", "c1\\u0085"},
        {"bad\xff\xfe", "bad\\u00ff\\u00fe"},
        {"overlong\xc0\xaf", "overlong\\u00c0\\u00af"},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"12345678\"", "12345678\\\""},
        {"1234567\x01", "1234567\\u0001"},
        {"12345678 \xe2\x80\xae", "12345678 \xe2\x80\xae"},
    };
    (void)state;
    for (size_t i = 0; i < array_len(row); i++) {
        char wanted[128];
        s.x.req.target = span_z(row[i].in);
        snprintf(wanted, sizeof wanted, "\"%s\"", row[i].out);
        assert_string_equal(value_of(LOG_FIELD_path), wanted);
    }
    s.x.req.target = SPAN("nul\0byte");
    assert_string_equal(value_of(LOG_FIELD_path), "\"nul\\u0000byte\"");
    /* every byte at every place of a word of eight */
    for (unsigned c = 0; c < 256; c++)
        for (unsigned at = 0; at < 9; at++) {
            char text[9];
            memset(text, 'x', sizeof text);
            text[at] = (char)c;
            s.x.req.host = span_of(text, sizeof text);
            bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
            assert_int_equal(strlen(value_of(LOG_FIELD_host)) == 11, plain);
        }
}

static void long_values_are_cut_with_a_mark(void **state) {
    static char big[65536];
    (void)state;
    memset(big, 'u', sizeof big);
    s.x.req.target = span_of(big, LOG_TEXT_MAX);
    assert_int_equal(strlen(value_of(LOG_FIELD_path)), LOG_TEXT_MAX + 2);
    s.x.req.target = span_of(big, sizeof big);
    const char *v = value_of(LOG_FIELD_path);
    assert_int_equal(strlen(v), LOG_TEXT_MAX + 3 + 2);
    assert_string_equal(v + 1 + LOG_TEXT_MAX, "\xe2\x80\xa6\"");
    for (size_t i = 0; i + 3 <= sizeof big; i += 3)
        memcpy(big + i, "\xe2\x82\xac", 3);
    v = value_of(LOG_FIELD_path); /* cut between characters: 1023 bytes of them */
    assert_int_equal(strlen(v), 1023 + 3 + 2);
    assert_null(strstr(v, "\\u"));
}

/* All fields, all texts from outside at their worst. */
static void the_longest_line_fits(void **state) {
    static char big[65536];
    int all[LOG_FIELD_COUNT];
    (void)state;
    memset(big, 1, sizeof big);
    struct span worst = span_of(big, sizeof big);
    struct head *h = &s.x.req;
    h->method_text = h->scheme = h->host = h->path = h->query = h->target = worst;
    s.r.route = s.r.service = s.r.endpoint = s.listener.name = worst;
    s.x.facts.protocol = s.r.code = s.r.who = s.x.fault_detail = "\x01";
    memset(s.x.facts.request_id, 1, 64);
    s.x.facts.request_id_len = 64;
    for (int i = 0; i < LOG_FIELD_COUNT; i++)
        all[i] = i;
    struct field fields[2] = {{"user-agent", big, 65535, 10, HDR_USER_AGENT},
                              {"referer", big, 65535, 7, HDR_REFERER}};
    h->field = fields;
    h->count = 2;
    h->present[HDR_USER_AGENT / 64] |= 1ull << HDR_USER_AGENT % 64;
    h->present[HDR_REFERER / 64] |= 1ull << HDR_REFERER % 64;
    struct log_conf conf = {.field = all, .field_count = LOG_FIELD_COUNT};
    size_t n = strlen(line_of(&conf));
    assert_in_range(n, 12 * 6 * LOG_TEXT_MAX, LOG_LINE_MAX);
    s.log.field = all;
    s.log.field_count = LOG_FIELD_COUNT;
    log_line(&thread, &s.r);
    log_pass(true);
    assert_int_equal(paper_n, n + 1);
    assert_int_equal(dropped(), 0);
}

static void combined(void **state) {
    struct log_conf conf = {.format = LOG_FORMAT_COMBINED};
    (void)state;
    assert_string_equal(line_of(&conf),
                        "192.0.2.7 - - [14/Nov/2023:22:13:20 +0000] \"GET "
                        "/api/./products/42?token=s3cret HTTP/1.1\" 200 1024 \"-\" \"-\"");
    sample_field(&s, SPAN("user-agent"), SPAN("a\"b"));
    sample_field(&s, SPAN("referer"), SPAN("http://x/"));
    s.x.req.target = SPAN("/\n\" 200");
    s.x.req.method_text = SPAN_NONE;
    assert_string_equal(line_of(&conf),
                        "192.0.2.7 - - [14/Nov/2023:22:13:20 +0000] \"- /\\n\\\" 200 HTTP/1.1\" "
                        "200 1024 \"http://x/\" \"a\\\"b\"");
}

static void a_line_gets_to_its_file(void **state) {
    (void)state;
    log_line(&thread, &s.r);
    assert_int_equal(paper_n, 0);
    assert_true(log_pass(true));
    assert_int_equal(paper_lines(), 1);
    assert_memory_equal(paper, "{\"time\":\"2023-11-14T22:13:20.123Z\"", 34);
    assert_int_equal(opens, 1);
    assert_false(log_pass(true));
    s.r.wall_ns += 877000000; /* the next second: the kept text is made anew */
    log_line(&thread, &s.r);
    paper_n = 0;
    log_pass(true);
    assert_memory_equal(paper, "{\"time\":\"2023-11-14T22:13:21.000Z\"", 34);
    assert_int_equal(opens, 1);
}

/* Small amounts wait for the flush, big ones go out at once. */
static void big_pieces(void **state) {
    (void)state;
    log_line(&thread, &s.r);
    log_pass(false);
    assert_int_equal(paper_n, 0);
    for (int i = 0; i < 300; i++)
        log_line(&thread, &s.r);
    log_pass(false);
    assert_in_range(paper_n, LOG_PIECE, 2 * LOG_PIECE);
    log_pass(true);
    assert_int_equal(paper_lines(), 301);
}

static void a_full_ring_drops_and_counts(void **state) {
    unsigned n = 0;
    (void)state;
    while (dropped() < 10 && n < 100000) {
        log_line(&thread, &s.r);
        n++;
    }
    assert_true(n > 2000 && n < 10000); /* a ring's worth */
    while (log_pass(true))
        ;
    assert_int_equal(paper_lines() + dropped(), n);
    paper_n = 0;
    log_line(&thread, &s.r); /* and there is room again */
    log_pass(true);
    assert_int_equal(paper_lines(), 1);
    assert_int_equal(dropped(), 10);
    char *first = strstr(told, "access_log_dropped"); /* once */
    assert_true(first && !strstr(first + 1, "access_log_dropped"));
}

/* A pipe whose reader sleeps: no failure, but what does not fit is lost, and told once. */
static void a_slow_reader(void **state) {
    struct log_counts before = log_counts();
    (void)state;
    fail_write = EAGAIN;
    unsigned n = 0;
    for (; n < 5000; n++) {
        log_line(&thread, &s.r);
        if (n % 500 == 0)
            log_pass(true);
    }
    log_pass(true);
    assert_int_equal(log_counts().failures, before.failures);
    char *first = strstr(told, "access_log_behind");
    assert_true(first && !strstr(first + 1, "access_log_behind"));
    fail_write = 0;
    log_pass(true); /* at once: there is no pause */
    uint64_t lost = log_counts().lost - before.lost;
    assert_true(lost > 0);
    assert_int_equal(paper_lines() + lost + dropped(), n);
    assert_non_null(strstr(told, "access_log_works"));
}

static void own_log_of_a_route(void **state) {
    static struct log_conf own = {.off = true}; /* finish looks at it */
    (void)state;
    log_detach(&s.snapshot);
    s.route.log = &own;
    assert_true(log_attach(&s.snapshot));
    log_line(&thread, &s.r);
    log_pass(true);
    assert_int_equal(paper_n, 0);
    s.x.route = NULL; /* no route: the log at the top */
    log_line(&thread, &s.r);
    log_pass(true);
    assert_int_equal(paper_lines(), 1);
    log_detach(&s.snapshot);
    own = (struct log_conf){.format = LOG_FORMAT_COMBINED}; /* to standard output */
    assert_true(log_attach(&s.snapshot));
    s.x.route = &s.route;
    paper_n = 0;
    log_line(&thread, &s.r);
    log_pass(true);
    assert_memory_equal(paper, "192.0.2.7 - - [", 15);
}

static void no_log_no_line(void **state) {
    const struct log_conf *log = s.snapshot.log;
    (void)state;
    s.snapshot.log = NULL;
    log_line(&thread, &s.r);
    s.snapshot.log = log;
    log_pass(true);
    assert_int_equal(paper_n, 0);
    assert_int_equal(dropped(), 0);
}

/* THREATS.md K16 */
static void a_full_disk(void **state) {
    struct log_counts before = log_counts();
    (void)state;
    fail_write = ENOSPC;
    for (int i = 0; i < 100; i++) {
        log_line(&thread, &s.r);
        log_pass(true);
        clock_ns += 50000000;
    }
    assert_int_equal(paper_n, 0);
    assert_int_equal(dropped(), 0);
    uint64_t failures = log_counts().failures - before.failures;
    assert_in_range(failures, 2, 10); /* growing pauses, not every time */
    char *first = strstr(told, "access_log_failed");
    assert_non_null(first);
    assert_non_null(strstr(told, "No space left on device"));
    assert_null(strstr(first + 1, "access_log_failed")); /* once */
    fail_write = 0;
    clock_ns += 20000000000;
    log_pass(true);
    assert_int_equal(paper_lines(), 100);
    assert_non_null(strstr(told, "access_log_works: the access log works again lost=0"));
    assert_int_equal(log_counts().lost, before.lost);
}

static void what_does_not_fit_is_lost_and_counted(void **state) {
    struct log_counts before = log_counts();
    (void)state;
    fail_open = ENOENT; /* the directory is gone */
    unsigned n = 0;
    for (; n < 10000; n++) {
        log_line(&thread, &s.r);
        if (n % 100 == 0)
            log_pass(true);
    }
    log_pass(true);
    assert_int_equal(dropped(), 0);
    assert_non_null(strstr(told, "No such file or directory"));
    fail_open = 0;
    clock_ns += 20000000000;
    log_pass(true);
    uint64_t lost = log_counts().lost - before.lost;
    assert_true(lost > 5000);
    assert_int_equal(paper_lines() + lost, n);
    assert_true(paper_n <= LOG_HELD_MAX);
    char text[64];
    snprintf(text, sizeof text, "lost=%llu", (unsigned long long)lost);
    assert_non_null(strstr(told, text));
}

static void a_partial_write_goes_on(void **state) {
    (void)state;
    log_line(&thread, &s.r);
    log_line(&thread, &s.r);
    write_max = 100;
    log_pass(true); /* in pieces of 100 */
    assert_int_equal(paper_lines(), 2);
    log_line(&thread, &s.r);
    paper_n = 0;
    fail_write = EIO; /* after one more piece */
    log_pass(true);
    assert_int_equal(paper_n, 100);
    fail_write = 0;
    clock_ns += 1000000000;
    log_pass(true);
    assert_int_equal(paper_lines(), 1);
    assert_int_equal(paper[paper_n - 2], '}');
}

static void rotation(void **state) {
    (void)state;
    log_line(&thread, &s.r);
    log_pass(true);
    log_reopen();
    log_line(&thread, &s.r);
    log_pass(false); /* what came before goes to the old file */
    assert_int_equal(paper_lines(), 2);
    assert_int_equal(opens, 2);
    assert_int_equal(closes, 1);
}

/* The rest of a line that is partly in the old file does not begin the new one. */
static void rotation_within_a_line(void **state) {
    uint64_t lost = log_counts().lost;
    (void)state;
    log_line(&thread, &s.r);
    log_line(&thread, &s.r);
    fail_write = ENOSPC;
    write_max = 100;
    log_pass(true);
    assert_int_equal(paper_n, 100);
    log_reopen();
    paper_n = 0;
    log_pass(true);
    fail_write = 0;
    clock_ns += 1000000000;
    log_pass(true);
    assert_int_equal(paper_lines(), 1);
    assert_int_equal(paper[0], '{');
    assert_int_equal(log_counts().lost - lost, 1);
}

/* A snapshot may go while its lines are still in the ring. */
static void lines_outlive_their_snapshot(void **state) {
    (void)state;
    log_line(&thread, &s.r);
    log_detach(&s.snapshot);
    log_pass(false);
    assert_int_equal(paper_lines(), 1);
    assert_int_equal(closes, 1);
    assert_true(log_attach(&s.snapshot));
}

/* 10,000 reloads with the same file: one destination, opened once, nothing grows. */
static void reloads_keep_the_destination(void **state) {
    (void)state;
    log_line(&thread, &s.r);
    log_pass(true);
    for (int i = 0; i < 10000; i++) {
        struct log_conf next = {.file = SPAN("logs/access.log")};
        struct snapshot snapshot = {.log = &next};
        assert_true(log_attach(&snapshot));
        log_detach(&snapshot);
    }
    log_line(&thread, &s.r);
    log_pass(true);
    assert_int_equal(paper_lines(), 2);
    assert_int_equal(opens, 1);
    assert_int_equal(closes, 0);
}

static void too_many_files(void **state) {
    static struct log_conf conf[LOG_FILES_MAX];
    static struct route route[LOG_FILES_MAX];
    static char name[LOG_FILES_MAX][16];
    struct snapshot many = {.route = route, .route_count = LOG_FILES_MAX};
    (void)state;
    for (int i = 0; i < LOG_FILES_MAX; i++) {
        conf[i].file = span_of(name[i], (size_t)snprintf(name[i], 16, "log-%d", i));
        route[i].log = &conf[i];
    }
    assert_false(log_attach(&many)); /* one is the sample's */
    s.route.log = &conf[LOG_FILES_MAX - 1];
    log_line(&thread, &s.r);
    assert_int_equal(dropped(), 1); /* counted as well */
    log_detach(&many);
    log_pass(true);
    many.route_count = LOG_FILES_MAX - 1;
    assert_true(log_attach(&many)); /* the places are free again */
    log_detach(&many);
    s.route.log = NULL;
    log_pass(true);
}

static char *slurp(const char *path, size_t *n) {
    static char buf[1 << 20];
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    *n = fread(buf, 1, sizeof buf - 1, f);
    fclose(f);
    buf[*n] = 0;
    return buf;
}

/* The thread itself, on a real file. */
static void the_writer_thread(void **state) {
    char path[] = "/tmp/sluice-log-XXXXXX";
    size_t n;
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    env = env_os;
    env.close(fd);
    log_detach(&s.snapshot);
    log_pass(true);
    s.log.file = span_z(path);
    assert_true(log_attach(&s.snapshot));
    assert_true(log_start());
    for (int i = 0; i < 2000; i++)
        log_line(&thread, &s.r);
    log_stop(10000);
    const char *text = slurp(path, &n);
    unsigned lines = 0;
    for (size_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    assert_int_equal(lines + dropped(), 2000);
    assert_true(lines > 0);
    remove(path);
}

static void policy_form(void **state) {
    static const int twice[] = {LOG_FIELD_time, LOG_FIELD_status, LOG_FIELD_time};
    struct log_conf fine = {.field = twice, .field_count = 2};
    struct log_conf bad = {.field = twice, .field_count = 3};
    struct log_conf mixed = {.format = LOG_FORMAT_COMBINED, .field = twice, .field_count = 1};
    struct arena a;
    (void)state;
    env = env_os;
    arena_init(&a, NULL);
    assert_null(log_policy.finish(&a, &fine));
    assert_string_equal(log_policy.finish(&a, &bad), "the field time stands twice");
    assert_non_null(log_policy.finish(&a, &mixed));
    arena_finish(&a);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, begin, finish)
    const struct CMUnitTest tests[] = {
        T(shipped_line),
        T(every_field),
        T(hidden_parameters),
        T(addresses),
        T(names_are_found),
        T(nothing_leaves_its_string),
        T(long_values_are_cut_with_a_mark),
        T(the_longest_line_fits),
        T(combined),
        T(a_line_gets_to_its_file),
        T(big_pieces),
        T(a_full_ring_drops_and_counts),
        T(a_slow_reader),
        T(own_log_of_a_route),
        T(no_log_no_line),
        T(a_full_disk),
        T(what_does_not_fit_is_lost_and_counted),
        T(a_partial_write_goes_on),
        T(rotation),
        T(rotation_within_a_line),
        T(lines_outlive_their_snapshot),
        T(reloads_keep_the_destination),
        T(too_many_files),
        T(the_writer_thread),
        T(policy_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
