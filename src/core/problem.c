#include "core/problem.h"
#include "core/accept.h"
#include "core/canned.h"
#include "core/facts.h"
#include "core/forward.h"
#include "core/route.h"

#define METHODS "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

enum { BODY_MAX = 64 * 1024, PAGE_MAX = 2048, GRPC_MESSAGE_MAX = 512 };

/* ---- the fields that go with a status ---------------------------------------------------------
 */

static void allow_add(struct str *s, struct span method) {
    if (s->n)
        str_lit(s, ", ");
    str_add(s, method);
}

void problem_allow(struct exchange *x, const struct route_found *f) {
    size_t max = 128;
    for (uint32_t i = 0; i < f->allow_other_count; i++)
        max += f->allow_other[i].n + 2;
    struct str s = str_on(arena_alloc(&x->arena, max), max);
    for (unsigned i = 1; i < METHOD_COUNT; i++)
        if (f->allow >> i & 1)
            allow_add(&s, method_name((enum method)i));
    for (uint32_t i = 0; i < f->allow_other_count; i++)
        allow_add(&s, f->allow_other[i]);
    head_init(&x->resp, &x->arena);
    hdr_add(&x->resp, HDR_ALLOW, str_span(&s));
}

/* Seconds after which a client may well find things better; NULL: nobody knows. */
static const char *retry_after(enum fault f) {
    switch ((unsigned)f) {
    case FAULT_OVERLOADED:
    case FAULT_TOO_MANY_CONNECTIONS:
    case FAULT_QUEUE_FULL:
    case FAULT_QUEUE_TIMEOUT:
    case FAULT_SHUTTING_DOWN:
    case FAULT_LOCAL_RESOURCE:
    case FAULT_OUT_OF_MEMORY:
    case FAULT_LIMITS_UNAVAILABLE:
        return "1";
    case FAULT_NO_ENDPOINT:
    case FAULT_DNS_FAILED:
        return "5";
    default:
        return NULL;
    }
}

/* A head of its own: what a service had begun to say is gone, but Allow, which the core has put
 * there. */
static void start_head(struct exchange *x, int status) {
    struct span allow = status == 405 ? hdr_get(&x->resp, HDR_ALLOW) : SPAN_NONE;
    head_init(&x->resp, &x->arena);
    x->resp.status = status;
    if (allow.p)
        hdr_add(&x->resp, HDR_ALLOW, allow);
    else if (status == 405) /* the door's refusal of a method: what the gateway speaks at all */
        hdr_add(&x->resp, HDR_ALLOW, SPAN(METHODS));
    if (retry_after(x->fault))
        hdr_add(&x->resp, HDR_RETRY_AFTER, span_z(retry_after(x->fault)));
    if (x->fault == FAULT_UPGRADE_REFUSED)
        hdr_add(&x->resp, HDR_SEC_WEBSOCKET_VERSION, SPAN("13"));
    hdr_add(&x->resp, HDR_CACHE_CONTROL, SPAN("no-store"));
    for (const struct own_field *f = x->own; f; f = f->next)
        (void)!hdr_put(&x->resp, f->name, f->value, ORIGIN_GATEWAY);
}

/* The body may be NULL, {p, 0}: nothing to say. */
static void answer(struct exchange *x, struct span type, struct span body) {
    if (type.n)
        hdr_add(&x->resp, HDR_CONTENT_TYPE, type);
    x->down_half.length = (int64_t)body.n;
    /* Without memory for the slice the answer goes out empty: the status says enough. */
    if (body.n && !body_push_static(&x->down_half.source, body.p, body.n))
        x->down_half.length = 0;
    body_end(&x->down_half.source, NULL);
    exchange_respond(x);
}

/* ---- shipped answers --------------------------------------------------------------------------
 */

/* A 429 is worth little work: no printf here. */
static void json_member(struct str *s, struct span name, struct span value) {
    str_lit(s, ",\"");
    str_add(s, name);
    str_lit(s, "\":\"");
    str_json(s, value);
    str_char(s, '"');
}

static struct span title_of(int status) {
    const char *reason = status_reason(status);
    return *reason ? span_z(reason) : SPAN("Error");
}

static void put_json(struct str *s, const struct exchange *x) {
    const struct fault_info *f = &fault_table[x->fault];
    str_lit(s, "{\"type\":\"urn:sluice:error:");
    str_add(s, span_z(f->code));
    str_char(s, '"');
    json_member(s, SPAN("title"), title_of(x->resp.status));
    str_lit(s, ",\"status\":");
    str_u64(s, (uint64_t)x->resp.status);
    json_member(s, SPAN("detail"), span_z(f->text));
    json_member(s, SPAN("code"), span_z(f->code));
    json_member(s, SPAN("who"), span_z(fault_who_name(f->who)));
    json_member(s, SPAN("request_id"), span_of(x->facts.request_id, x->facts.request_id_len));
    str_lit(s, "}\n");
}

static void put_html(struct str *s, const struct exchange *x) {
    const struct fault_info *f = &fault_table[x->fault];
    str_fmt(s, "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>%d ",
            x->resp.status);
    str_html(s, title_of(x->resp.status));
    str_fmt(s, "</title>\n<h1>%d ", x->resp.status);
    str_html(s, title_of(x->resp.status));
    str_lit(s, "</h1>\n<p>");
    str_html(s, span_z(f->text));
    str_lit(s, "</p>\n<p><small>");
    str_html(s, span_z(f->code));
    str_lit(s, " &middot; request ");
    str_html(s, span_of(x->facts.request_id, x->facts.request_id_len));
    str_lit(s, "</small></p>\n</html>\n");
}

static void put_text(struct str *s, const struct exchange *x) {
    const struct fault_info *f = &fault_table[x->fault];
    str_fmt(s, "%d ", x->resp.status);
    str_add(s, title_of(x->resp.status));
    str_fmt(s, "\n%s\n%s, request ", f->text, f->code);
    str_add(s, span_of(x->facts.request_id, x->facts.request_id_len));
    str_lit(s, "\n");
}

/* JSON, unless a page is clearly liked better: browsers say so, programs say nothing or JSON. */
static void answer_shipped(struct exchange *x) {
    unsigned json = accept_quality(&x->req, SPAN("application"), SPAN("problem+json"));
    unsigned plain_json = accept_quality(&x->req, SPAN("application"), SPAN("json"));
    unsigned html = accept_quality(&x->req, SPAN("text"), SPAN("html"));
    unsigned text = accept_quality(&x->req, SPAN("text"), SPAN("plain"));
    struct str s = str_on(arena_alloc(&x->arena, PAGE_MAX), PAGE_MAX);
    json = json > plain_json ? json : plain_json;
    if (html > json && html >= text) {
        put_html(&s, x);
        answer(x, SPAN("text/html; charset=utf-8"), str_span(&s));
    } else if (text > json) {
        put_text(&s, x);
        answer(x, SPAN("text/plain; charset=utf-8"), str_span(&s));
    } else {
        put_json(&s, x);
        answer(x, SPAN("application/problem+json"), str_span(&s));
    }
}

/* ---- replaced answers -------------------------------------------------------------------------
 */

static bool fits(const struct error_answer *e, const struct fault_info *f) {
    return e->code.n ? span_eq(e->code, span_z(f->code))
                     : f->status >= e->status_from && f->status <= e->status_to;
}

/* Without a route `defaults` speaks, but not for a listener that has no routes, as admin. */
static const struct errors_conf *errors_of(const struct exchange *x) {
    const struct listener_conf *l = x->facts.listener;
    if (x->route)
        return x->route->errors;
    return l && l->plan.back ? NULL : x->snap->snapshot->errors;
}

static const struct error_answer *replacement(const struct exchange *x) {
    const struct errors_conf *c = errors_of(x);
    for (uint32_t i = 0; c && i < c->count; i++)
        if (fits(&c->answer[i], &fault_table[x->fault]))
            return &c->answer[i];
    return NULL;
}

static bool put_headers(struct exchange *x, const struct error_answer *e,
                        const struct template_values *v) {
    for (uint32_t i = 0; i < e->header_count; i++) {
        struct span value;
        enum template_result r =
            template_text(e->header[i].value, &x->arena, v, BODY_MAX, &value, NULL);
        if (r == TEMPLATE_NULL)
            continue; /* not sent */
        if (r != TEMPLATE_FINE ||
            hdr_set(&x->resp, e->header[i].name, span_trim(value), ORIGIN_CONFIG))
            return false;
    }
    return true;
}

static bool answer_replaced(struct exchange *x, const struct error_answer *e) {
    struct template_values v = facts_values(x);
    struct span body = SPAN("");
    start_head(x, e->status ? e->status : x->resp.status);
    if (!put_headers(x, e, &v) ||
        (e->body && !template_eval(e->body, &x->arena, &v, BODY_MAX, &body)))
        return false;
    answer(x, hdr_has(&x->resp, HDR_CONTENT_TYPE) || !e->body ? SPAN_NONE : e->content_type, body);
    return true;
}

/* ---- gRPC ---------------------------------------------------------------------------------------
 */

static bool put_grpc(struct exchange *x, struct head *h) {
    const struct fault_info *f = &fault_table[x->fault];
    enum grpc_code code = grpc_code_of_fault(x->fault);
    struct str s = str_on(arena_alloc(&x->arena, GRPC_MESSAGE_MAX), GRPC_MESSAGE_MAX);
    grpc_message(&s, span_z(f->text));
    str_fmt(&s, " (%s)", f->code);
    x->grpc_said = (unsigned char)(code + 1);
    return !hdr_put(h, SPAN("grpc-status"), span_z(arena_fmt(&x->arena, "%d", code)),
                    ORIGIN_GATEWAY) &&
           !hdr_put(h, SPAN("grpc-message"), str_span(&s), ORIGIN_GATEWAY);
}

/* A browser may not be shown the fields of an answer, so there they are in its body. */
static struct span web_frame(struct exchange *x) {
    struct head h;
    head_init(&h, &x->arena);
    struct span frame = put_grpc(x, &h) ? grpc_web_trailers(&h, &x->arena) : SPAN_NONE;
    if (x->grpc != GRPC_WEB_TEXT || !frame.p)
        return frame;
    struct base64_out b = {.have = 0};
    char *text = arena_try(&x->arena, 4 * ((frame.n + 2) / 3) + 4);
    if (!text)
        return SPAN_NONE;
    size_t n = base64_encode_some(&b, frame, text);
    return span_of(text, n + base64_encode_end(&b, text + n));
}

/* An HTTP status would be read by nobody: a call's answer is 200, and its end tells. */
static void answer_grpc(struct exchange *x) {
    static const struct span type[] = {[GRPC_PLAIN] = SPAN("application/grpc"),
                                       [GRPC_WEB] = SPAN("application/grpc-web+proto"),
                                       [GRPC_WEB_TEXT] = SPAN("application/grpc-web-text+proto")};
    struct span body = SPAN_NONE;
    start_head(x, 200);
    if (x->grpc == GRPC_PLAIN)
        (void)!put_grpc(x, &x->resp);
    else
        body = web_frame(x);
    answer(x, type[x->grpc], body);
}

void problem_answer(struct exchange *x) {
    int status = fault_table[x->fault].status;
    if (status < 400 || status > 599 || status == 499) /* 499 is for the log: nobody listens */
        status = 500;
    const struct error_answer *e = replacement(x);
    if (!x->facts.client.len)
        x->facts.client = x->facts.peer;
    forward_request_id(x);
    if (unlikely(x->grpc)) {
        answer_grpc(x);
        return;
    }
    start_head(x, status);
    if (e && answer_replaced(x, e))
        return;
    start_head(x, status);
    answer_shipped(x);
}

void problem_server_options(struct exchange *x) {
    forward_request_id(x);
    head_init(&x->resp, &x->arena);
    x->resp.status = 204;
    hdr_add(&x->resp, HDR_ALLOW, SPAN(METHODS));
    body_end(&x->down_half.source, NULL);
    exchange_respond(x);
}
