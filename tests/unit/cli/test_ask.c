/* cli/ask: one question to an admin listener, and everything that can come back. */
#include "cli/ask.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

/* A server that answers one connection with given bytes, piece by piece, and closes. */
struct server {
    int fd;
    const char *const *piece; /* ends with NULL */
    bool reset;
    char request[1024];
    pthread_t thread;
    struct address at;
};

static void *serve(void *ctx) {
    struct server *s = ctx;
    size_t n = 0;
    int c = accept(s->fd, NULL, NULL);
    while (n < sizeof s->request - 1) {
        ssize_t r = recv(c, s->request + n, sizeof s->request - 1 - n, 0);
        if (r <= 0)
            break;
        n += (size_t)r;
        s->request[n] = 0;
        if (strstr(s->request, "\r\n\r\n"))
            break;
    }
    for (const char *const *p = s->piece; *p; p++)
        if (send(c, *p, strlen(*p), MSG_NOSIGNAL) < 0)
            break;
    struct linger now = {1, 0};
    if (s->reset)
        setsockopt(c, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(c);
    return NULL;
}

static void server_start(struct server *s, const char *const *piece) {
    s->piece = piece;
    s->at.in =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    s->at.len = sizeof s->at.in;
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(s->fd, &s->at.sa, s->at.len), 0);
    assert_int_equal(listen(s->fd, 1), 0);
    assert_int_equal(getsockname(s->fd, &s->at.sa, &s->at.len), 0);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_end(struct server *s) {
    pthread_join(s->thread, NULL);
    close(s->fd);
}

#define PIECES(...)                                                                                \
    (const char *const[]) {                                                                        \
        __VA_ARGS__, NULL                                                                          \
    }
#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"

static void answers(void **state) {
    const struct {
        const char *const *piece;
        int status;
        const char *body, *why;
    } row[] = {
        {PIECES(OK_HEAD "hello"), 200, "hello", NULL},
        {PIECES("HTTP/1.1 200 OK\r\nCont", "ent-Length: 5\r\n", "\r\nhe", "llo"), 200, "hello",
         NULL},
        {PIECES("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"), 403, "", NULL},
        {PIECES(OK_HEAD "hell"), 200, NULL, "its answer broke off"},
        {PIECES(OK_HEAD "hello more"), 200, NULL, "its answer broke off"},
        {PIECES("HTTP/1.1 200 OK\r\n"), 0, NULL, "its answer is no HTTP"},
        {PIECES("SSH-2.0-OpenSSH_9.2\r\n"), 0, NULL, "its answer is no HTTP"},
        {PIECES(""), 0, NULL, "it closed the connection without an answer"},
    };
    (void)state;
    for (size_t i = 0; i < array_len(row); i++) {
        struct server s = {0};
        struct ask_answer a;
        const char *why;
        server_start(&s, row[i].piece);
        assert_int_equal(ask(&s.at, false, "/status", "text/plain", &a, &why), row[i].why == NULL);
        if (row[i].why) {
            assert_string_equal(why, row[i].why);
        } else {
            assert_int_equal(a.status, row[i].status);
            assert_true(span_eq(a.body, span_z(row[i].body)));
        }
        text_finish(&a.bytes);
        server_end(&s);
        assert_string_equal(s.request, "GET /status HTTP/1.1\r\nHost: localhost\r\n"
                                       "Accept: text/plain\r\nConnection: close\r\n\r\n");
    }
}

static void a_long_answer(void **state) {
    enum { N = 1000 * 1000 };
    static char body[N + 1], head[100];
    struct server s = {0};
    struct ask_answer a;
    const char *why;
    (void)state;
    memset(body, 'x', N);
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", N);
    server_start(&s, PIECES(head, body));
    assert_true(ask(&s.at, false, "/metrics", "*/*", &a, &why));
    assert_int_equal(a.body.n, N);
    text_finish(&a.bytes);
    server_end(&s);
}

static void nobody_there(void **state) {
    struct server s = {0};
    struct ask_answer a;
    const char *why;
    (void)state;
    server_start(&s, PIECES(""));
    assert_false(ask(&s.at, false, "/", "*/*", &a, &why));
    text_finish(&a.bytes);
    server_end(&s); /* the port is closed now */
    assert_false(ask(&s.at, false, "/", "*/*", &a, &why));
    assert_string_equal(why, "Connection refused");
    text_finish(&a.bytes);
    struct address gone;
    assert_true(address_parse(SPAN("unix:/nonexistent/sluice.sock"), &gone));
    assert_false(ask(&gone, false, "/", "*/*", &a, &why));
    assert_string_equal(why, "No such file or directory");
    text_finish(&a.bytes);
}

static void reset_by_the_peer(void **state) {
    struct server s = {.reset = true};
    struct ask_answer a;
    const char *why;
    (void)state;
    server_start(&s, PIECES(""));
    assert_false(ask(&s.at, false, "/", "*/*", &a, &why));
    assert_true(strcmp(why, "it broke the connection") == 0 ||
                strcmp(why, "Connection reset by peer") == 0);
    text_finish(&a.bytes);
    server_end(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers),
        cmocka_unit_test(a_long_answer),
        cmocka_unit_test(nobody_there),
        cmocka_unit_test(reset_by_the_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
