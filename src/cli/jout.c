#include "cli/jout.h"

static void escaped(struct jout *j, struct span s) {
    fputc('"', j->f);
    while (s.n) {
        size_t n = s.n > 512 ? 512 : s.n;
        while (n < s.n && n > 1 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
            n--; /* a code point is never cut */
        char buf[512 * 6];
        struct str b = str_on(buf, sizeof buf);
        str_json(&b, span_cut(s, 0, n));
        fwrite(b.p, 1, b.n, j->f);
        s = span_from(s, n);
    }
    fputc('"', j->f);
}

static void begin(struct jout *j, const char *key) {
    if (j->more)
        fputc(',', j->f);
    if (j->depth)
        fprintf(j->f, "\n%*s", (int)j->depth * 2, "");
    if (key) {
        escaped(j, span_z(key));
        fputs(": ", j->f);
    }
    j->more = true;
}

void jout_open(struct jout *j, const char *key, char bracket) {
    begin(j, key);
    fputc(bracket, j->f);
    j->depth++;
    j->more = false;
}

void jout_close(struct jout *j, char bracket) {
    j->depth--;
    if (j->more)
        fprintf(j->f, "\n%*s", (int)j->depth * 2, "");
    fputc(bracket, j->f);
    j->more = true;
}

void jout_text(struct jout *j, const char *key, struct span s) {
    begin(j, key);
    escaped(j, s);
}

void jout_raw(struct jout *j, const char *key, struct span json) {
    begin(j, key);
    fwrite(json.p, 1, json.n, j->f);
}

void jout_number(struct jout *j, const char *key, int64_t v) {
    begin(j, key);
    fprintf(j->f, "%lld", (long long)v);
}

void jout_bool(struct jout *j, const char *key, bool v) {
    begin(j, key);
    fputs(v ? "true" : "false", j->f);
}
