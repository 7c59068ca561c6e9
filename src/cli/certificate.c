#include "cli/certificate.h"
#include "base/log.h"

enum { NAMES_SHOWN = 8 };

const char *certificate_day(int64_t seconds, char out[CERTIFICATE_DAY]) {
    static const int64_t last = 253402300799; /* of the year 9999 */
    struct civil c = time_civil(seconds < 0 ? 0 : seconds > last ? last : seconds);
    snprintf(out, CERTIFICATE_DAY, "%04u-%02u-%02u", c.year % 10000, c.month % 100, c.day % 100);
    return out;
}

static void print_names(FILE *f, struct span rest) {
    unsigned n = 0;
    for (; rest.n; n++) {
        struct span name = span_split(&rest, ',');
        if (n < NAMES_SHOWN)
            fprintf(f, "%s%.*s", n ? ", " : " for ", SPAN_ARG(name));
    }
    if (n > NAMES_SHOWN)
        fprintf(f, " and %u more", n - NAMES_SHOWN);
}

void certificate_print(FILE *f, const struct tls_cert_state *c) {
    char day[CERTIFICATE_DAY];
    fprintf(f, "%.*s (%s)", SPAN_ARG(c->file), c->kind);
    print_names(f, c->names);
    fprintf(f, ", until %s", certificate_day(c->not_after, day));
}

/* "*.a.test" is for "x.a.test", not for "y.x.a.test". */
static bool covers(struct span name, struct span host) {
    ptrdiff_t dot = span_find(host, '.');
    bool wild = name.n > 1 && name.p[0] == '*';
    return wild ? dot > 0 && span_eq(span_from(name, 1), span_from(host, (size_t)dot))
                : span_eq(name, host);
}

bool certificate_names(const struct tls_cert_state *c, struct span host) {
    struct span rest = c->names;
    while (rest.n) {
        struct span name = span_split(&rest, ',');
        if (covers(name, host))
            return true;
    }
    return false;
}
