/* Signature, Signature-Input, Content-Digest and a further field, a line each, as a client may send
 * them: nothing crashes, and what is handed out lies in what was given. */
#include "base/hash.h"
#include "http/uri.h"
#include "identity/message_signature.h"

static void put(struct head *h, struct span name, struct span value) {
    if (value.p)
        (void)!hdr_put(h, name, span_trim(value), ORIGIN_CLIENT);
}

static void look_through(struct span dictionary) {
    struct sf_member m;
    enum sf_step step;
    size_t before = dictionary.n;
    while ((step = sf_member_next(&dictionary, &m)) == SF_ONE) {
        must(dictionary.n < before && m.key.n > 0); /* it gets on */
        before = dictionary.n;
        struct span items = m.inner ? m.list : SPAN_NONE, params = m.params, key, of_item;
        struct sf_item item;
        while (sf_item_next(&items, &item, &of_item) == SF_ONE)
            continue;
        must(items.n == 0); /* what a member hands out has been checked */
        while (sf_param_next(&params, &key, &item) == SF_ONE)
            continue;
        must(params.n == 0);
    }
}

static void judge(struct head *h, struct arena *a) {
    static const struct consumer_signing key = {.algorithm = SIGN_HMAC_SHA256,
                                                .key = SPAN("a secret of thirty-two bytes ...")};
    struct signature_input in;
    const char *why;
    for (unsigned i = 0; i < LABELS_MAX && signature_read(h, a, i, &in, &why) == SIGNATURE_ONE;
         i++) {
        struct span base;
        (void)signature_covers(&in, SPAN("@method"));
        if (signature_base(&in, h, 7, a, &base, &why)) {
            must(memmem(base.p, base.n, "\"@signature-params\": (", 22) != NULL);
            must(!signature_verify(&key, NULL, base, in.signature)); /* nobody guesses that */
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct uri_limits lim = {.query_params_max = 1000};
    struct arena a;
    struct head h;
    arena_init(&a, NULL);
    struct span rest = arena_span(&a, span_of((const char *)data, size));
    struct span target = span_split(&rest, '\n'), input = span_split(&rest, '\n'),
                signature = span_split(&rest, '\n'), digest = span_split(&rest, '\n');
    head_init(&h, &a);
    h.method = METHOD_POST;
    h.method_text = SPAN("POST");
    h.scheme = SPAN("https");
    look_through(input);
    look_through(rest.p ? rest : SPAN(""));
    if (uri_target(&h, target, &lim) == FAULT_NONE &&
        uri_authority(&h, SPAN("example.com")) == FAULT_NONE) {
        put(&h, SPAN("signature-input"), input);
        put(&h, SPAN("signature"), signature);
        put(&h, SPAN("content-digest"), digest);
        put(&h, SPAN("x-dict"), rest);
        judge(&h, &a);
        struct iovec body = {(void *)(uintptr_t)data, size < 7 ? size : 7};
        (void)content_digest_fits(&h, &a, &body, 1);
    }
    arena_finish(&a);
    return 0;
}
