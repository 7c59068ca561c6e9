#include "admin/answer.h"

static void answer_free(struct op *op) {
    text_finish(&container_of(op, struct answer, op)->text);
}

struct answer *answer_create(struct exchange *x) {
    struct answer *a = arena_zero(&x->arena, sizeof *a);
    a->x = x;
    a->text = text_new(ADMIN_PAGE_MAX);
    op_start(&x->back_ops_list, &a->op, answer_free);
    x->back_data = a;
    return a;
}

void answer_room(struct exchange *x) {
    struct answer *a = x->back_data;
    struct body *b = &x->down_half.source;
    while (a->sent < a->text.n && !b->stopped) {
        size_t n = a->text.n - a->sent, room = body_room(b);
        if (n > room)
            n = room;
        if (!n)
            return;
        if (!body_push_copy(b, a->text.p + a->sent, n)) {
            exchange_fail(x, FAULT_OUT_OF_MEMORY, NULL);
            return;
        }
        a->sent += n;
    }
    text_finish(&a->text);
    body_end(b, NULL);
}

void answer_send(struct answer *a, int status, const char *content_type) {
    struct exchange *x = a->x;
    if (a->text.full) {
        exchange_fail(x, FAULT_INTERNAL, "the page is larger than is sent");
        return;
    }
    x->resp.status = status;
    hdr_add(&x->resp, HDR_CONTENT_TYPE, span_z(content_type));
    hdr_add(&x->resp, HDR_CACHE_CONTROL, SPAN("no-store"));
    must(hdr_put(&x->resp, SPAN("x-content-type-options"), SPAN("nosniff"), ORIGIN_GATEWAY) ==
         FAULT_NONE);
    x->down_half.length = (int64_t)a->text.n;
    if (!a->text.n)
        body_end(&x->down_half.source, NULL);
    exchange_respond(x);
}

void answer_problem(struct answer *a, int status, const char *code, const char *detail) {
    struct text *t = &a->text;
    json_open(t, NULL, '{');
    json_str(t, "title", span_z(status_reason(status)));
    json_u64(t, "status", (uint64_t)(unsigned)status);
    json_str(t, "code", span_z(code));
    json_str(t, "detail", span_z(detail));
    json_close(t, '}');
    text_lit(t, "\n");
    answer_send(a, status, "application/problem+json");
}
