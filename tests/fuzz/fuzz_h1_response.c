/*
 * What a service answers is as hostile as what a client sends. The first byte says what was asked;
 * the rest is the answer's head, which must read the same at any cut, and print to bytes that read
 * the same again.
 */
#include "http/h1.h"
#include <stdlib.h>

static enum h1_status parse(struct h1_parser *p, const char *bytes, size_t n, size_t step) {
    enum h1_status s = H1_MORE;
    h1_parser_init(p, H1_RESPONSE, &h1_response_limits);
    for (size_t came = 0; came < n && s == H1_MORE;) {
        came = came + step < n ? came + step : n;
        char *block = malloc(came);
        must(block);
        memcpy(block, bytes, came);
        s = h1_parse(p, block, came);
        free(block);
    }
    return s;
}

static void check_printed(struct head *h, const struct h1_message *m, const struct head *asked) {
    static struct h1_parser p;
    struct head back;
    struct h1_message again;
    /* The door's own lines and the full reason come on top: near the limits they may be too much.
     */
    if (m->framing == FRAMING_TUNNEL || h->count + 3u > H1_FIELDS_MAX || h->bytes > 60 * 1024)
        return;
    struct h1_print how = {.framing = m->framing, .length = m->length, .no_length = true};
    struct span s = h1_print_response(h, h->arena, &how);
    h1_parser_init(&p, H1_RESPONSE, &h1_response_limits);
    must(h1_parse(&p, s.p, s.n) == H1_DONE && p.length == s.n);
    head_init(&back, h->arena);
    must(h1_response(&p, s.p, asked, false, &back, &again) == FAULT_NONE);
    must(again.framing == m->framing);
    /* What HEAD or 304 declares is not printed here. */
    must(m->framing != FRAMING_LENGTH || again.length == m->length);
    must(back.status == h->status && back.count == h->count && back.bytes == h->bytes);
}

static void judge(const struct h1_parser *p, const char *bytes, unsigned char asked_for) {
    struct head h, asked = {.method = (enum method)(asked_for >> 1 & 7)};
    bool tunnel = asked_for & 1;
    struct h1_message m;
    struct arena arena;
    arena_init(&arena, NULL);
    head_init(&h, &arena);
    if (h1_response(p, bytes, &asked, tunnel, &h, &m) == FAULT_NONE) {
        must((m.framing == FRAMING_TUNNEL) == m.upgrade && (!m.upgrade || tunnel));
        must(!m.keep_alive || m.framing != FRAMING_CLOSE);
        if (!tunnel)
            check_printed(&h, &m, &asked);
    }
    arena_finish(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct h1_parser whole, cut;
    if (n < 2 || n > 70000)
        return 0;
    const char *bytes = (const char *)data + 1;
    enum h1_status a = parse(&whole, bytes, n - 1, n);
    enum h1_status b = parse(&cut, bytes, n - 1, n < 1024 ? 1 : 97);
    must(a == b && whole.fault == cut.fault && whole.length == cut.length);
    must(whole.count == cut.count && whole.status == cut.status);
    if (a == H1_DONE)
        judge(&whole, bytes, data[0]);
    return 0;
}
