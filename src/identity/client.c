#include "identity/client.h"
#include "data/base64.h"
#include "http/uri.h"

struct span basic_value(struct arena *a, struct span pair) {
    char *out = arena_alloc(a, base64_encode_max(pair.n) + 6);
    memcpy(out, "Basic ", 6);
    return span_of(out, 6 + base64_encode(BASE64, pair, out + 6));
}

struct span client_basic(struct arena *a, struct span id, struct span secret) {
    size_t max = uri_encode_max(id.n) + uri_encode_max(secret.n) + 1;
    struct str s = str_on(arena_alloc(a, max), max);
    uri_encode(&s, id, URI_QUERY);
    str_char(&s, ':');
    uri_encode(&s, secret, URI_QUERY);
    return basic_value(a, str_span(&s));
}
