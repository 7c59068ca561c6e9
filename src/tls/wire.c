#include "tls/wire.h"
#include "base/env.h"
#include <openssl/bio.h>

static _Thread_local struct wire *mine;
static BIO_METHOD *method;

static int wire_read(BIO *b, char *p, int n) {
    struct wire *w = mine;
    BIO_clear_retry_flags(b);
    if (n <= 0)
        return 0;
    if (!w || !w->feed.n) {
        BIO_set_retry_read(b);
        return -1;
    }
    struct span got = span_cut(w->feed, 0, (size_t)n);
    memcpy(p, got.p, got.n);
    w->feed = span_from(w->feed, got.n);
    return (int)got.n;
}

static int wire_write(BIO *b, const char *p, int n) {
    struct wire *w = mine;
    BIO_clear_retry_flags(b);
    if (n <= 0)
        return 0;
    if (!w || (size_t)n > WIRE_OUT - w->out_n)
        return -1; /* a certificate chain of absurd length: the handshake fails */
    memcpy(w->out + w->out_n, p, (size_t)n);
    w->out_n += (size_t)n;
    return n;
}

static long wire_ctrl(BIO *b, int what, long n, void *p) {
    (void)b, (void)n, (void)p;
    return what == BIO_CTRL_FLUSH || what == BIO_CTRL_DUP;
}

static int wire_create(BIO *b) {
    BIO_set_init(b, 1);
    return 1;
}

void wire_init(void) {
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sluice");
    must(method && BIO_meth_set_read(method, wire_read) && BIO_meth_set_write(method, wire_write) &&
         BIO_meth_set_ctrl(method, wire_ctrl) && BIO_meth_set_create(method, wire_create));
}

static void release(struct wire *w) {
    BIO_free(w->bio); /* sessions that end later have references of their own */
    mem_free(w->in);
    mem_free(w->out);
    mem_free(w->plain);
    mem_free(w);
}

struct wire *wire_mine(void) {
    if (likely(mine != NULL))
        return mine;
    struct wire *w = mem_alloc(sizeof *w);
    w->bio = BIO_new(method);
    w->in = mem_try(WIRE_IN);
    w->out = mem_try(WIRE_OUT);
    w->plain = mem_try(RECORD_MAX);
    if (w->bio && w->in && w->out && w->plain)
        return mine = w;
    release(w);
    return NULL;
}

void wire_finish(void) {
    if (!mine)
        return;
    release(mine);
    mine = NULL;
}
