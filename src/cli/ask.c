#include "cli/ask.h"
#include "http/h1.h"
#include <stdio.h>

struct question {
    struct loop loop;
    struct stream stream;
    struct timer timer;
    struct span request; /* what is not yet sent */
    struct text *answer;
    const char *why; /* NULL: fine so far */
};

static void end(struct question *q, const char *why) {
    q->why = why;
    q->loop.stop = true;
}

static void send_more(struct question *q) {
    size_t took;
    while (q->request.n) {
        struct iovec iov = {(void *)(uintptr_t)q->request.p, q->request.n};
        enum io_result r = stream_write(&q->stream, &iov, 1, &took);
        if (r == IO_AGAIN)
            return;
        if (r != IO_OK) {
            end(q, "it broke the connection");
            return;
        }
        q->request = span_from(q->request, took);
    }
}

/* Until the gateway closes, as it was asked to. */
static void read_more(struct question *q) {
    struct span got;
    enum io_result r;
    while ((r = stream_read(&q->loop, &q->stream, SCRATCH_MIN, &got)) == IO_OK) {
        text_add(q->answer, got);
        q->loop.scratch_used = 0; /* copied */
    }
    if (q->answer->full)
        end(q, "its answer is too large");
    else if (r == IO_END || (r == IO_RESET && q->answer->n))
        end(q, NULL);
    else if (r == IO_RESET)
        end(q, "it broke the connection");
}

static void ready(struct watch *w, uint32_t events) {
    struct question *q = container_of(w, struct question, stream.watch);
    int error = tcp_error(&q->stream);
    stream_event(&q->stream, events);
    if (error && !q->answer->n) {
        end(q, strerrordesc_np(error));
        return;
    }
    send_more(q);
    if (q->stream.readable && !q->loop.stop)
        read_more(q);
}

static void too_late(struct timer *t) {
    end(container_of(t, struct question, timer), "it does not answer");
}

static void talk(struct question *q, const struct address *admin) {
    q->stream.watch.ready = ready;
    q->timer.fire = too_late;
    int error = tcp_connect(&q->loop, &q->stream, admin);
    if (error) {
        q->why = strerrordesc_np(error);
        return;
    }
    timer_start(&q->loop.timers, &q->timer, q->loop.now / 1000000, ASK_SECONDS * 1000);
    loop_run(&q->loop);
    loop_unwatch(&q->loop, &q->stream.watch);
}

/* Finds the body and makes sure that it is whole. */
static const char *judge(struct ask_answer *a) {
    struct h1_parser *p = mem_alloc(sizeof *p);
    struct h1_message m;
    struct head asked, head;
    struct arena arena;
    arena_init(&arena, NULL);
    head_init(&asked, &arena);
    head_init(&head, &arena);
    asked.method = METHOD_GET;
    h1_parser_init(p, H1_RESPONSE, &h1_response_limits);
    bool fine = h1_parse(p, a->bytes.p, a->bytes.n) == H1_DONE &&
                h1_response(p, a->bytes.p, &asked, false, &head, &m) == FAULT_NONE;
    if (fine) {
        a->status = head.status;
        a->body = span_from(span_of(a->bytes.p, a->bytes.n), p->length);
    }
    bool whole = fine && m.framing == FRAMING_LENGTH && a->body.n == m.length;
    arena_finish(&arena);
    mem_free(p);
    return !fine ? "its answer is no HTTP" : whole ? NULL : "its answer broke off";
}

bool ask(const struct address *admin, bool post, const char *path, const char *accept,
         struct ask_answer *a, const char **why) {
    struct question *q = mem_alloc(sizeof *q);
    char request[4096];
    int n = snprintf(request, sizeof request,
                     "%s %s HTTP/1.1\r\nHost: localhost\r\nAccept: %s\r\n%s"
                     "Connection: close\r\n\r\n",
                     post ? "POST" : "GET", path, accept,
                     post ? "Content-Type: application/json\r\nContent-Length: 0\r\n" : "");
    must(n > 0 && (size_t)n < sizeof request);
    *a = (struct ask_answer){.bytes = text_new(ASK_ANSWER_MAX)};
    q->request = span_of(request, (size_t)n);
    q->answer = &a->bytes;
    if (loop_init(&q->loop)) {
        me = &q->loop;
        talk(q, admin);
        me = NULL;
    } else {
        q->why = "there are no descriptors left";
    }
    *why = q->why;
    loop_finish(&q->loop);
    mem_free(q);
    if (!*why)
        *why = a->bytes.n ? judge(a) : "it closed the connection without an answer";
    return !*why;
}
