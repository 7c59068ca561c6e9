#include "identity/htpasswd.h"
#include "base/env.h"
#include "base/hash.h"
#include "identity/password.h"
#include <errno.h>
#include <fcntl.h>

static const char *read_all(struct arena *a, struct span path, struct span *out) {
    int fd = env.open(arena_text(a, path), O_RDONLY, 0);
    if (fd < 0)
        return arena_fmt(a, "%.*s: %s", SPAN_ARG(path), strerror(errno));
    char *p = arena_alloc(a, HTPASSWD_BYTES_MAX);
    size_t n = 0;
    ssize_t got = 0;
    while (n < HTPASSWD_BYTES_MAX && (got = env.read(fd, p + n, HTPASSWD_BYTES_MAX - n)) > 0)
        n += (size_t)got;
    env.close(fd);
    *out = span_of(p, n);
    if (got < 0)
        return arena_fmt(a, "%.*s: %s", SPAN_ARG(path), strerror(errno));
    return n == HTPASSWD_BYTES_MAX ? "the htpasswd file is larger than 16 MiB" : NULL;
}

static struct span line_of(struct span *rest) {
    struct span line = span_split(rest, '\n');
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

static bool blank(struct span line) {
    line = span_trim(line);
    return !line.n || line.p[0] == '#';
}

static struct basic_user *slot(const struct basic_conf *c, struct span name) {
    struct basic_user *all = (struct basic_user *)(uintptr_t)c->user;
    for (size_t i = hash_span(name);; i++)
        if (!all[i & c->mask].name.p || span_eq(all[i & c->mask].name, name))
            return &all[i & c->mask];
}

static const char *take(struct arena *a, struct basic_conf *c, struct span line) {
    struct span hash = line, name = span_split(&hash, ':');
    const char *wrong = !hash.p                         ? "it is not user:hash"
                        : !name.n                       ? "the user is empty"
                        : name.n > PASSWORD_MAX         ? "the user's name is too long"
                        : slot(c, name)->name.p != NULL ? "the user stands twice"
                                                        : password_judge(hash);
    if (wrong)
        return wrong;
    *slot(c, name) = (struct basic_user){arena_span(a, name), arena_span(a, hash)};
    return NULL;
}

const char *htpasswd_read(struct arena *a, struct basic_conf *c) {
    struct arena own;
    struct span text = SPAN_NONE;
    size_t lines = 1, cap = 8;
    arena_init(&own, NULL);
    const char *wrong = read_all(&own, c->file, &text);
    for (size_t i = 0; !wrong && i < text.n; i++)
        lines += text.p[i] == '\n';
    if (!wrong && lines > HTPASSWD_USERS_MAX)
        wrong = "the htpasswd file has more than 100000 lines";
    while (!wrong && cap < lines * 2)
        cap *= 2;
    c->user = arena_zero(a, cap * sizeof *c->user);
    c->mask = cap - 1;
    unsigned number = 0;
    for (struct span rest = text; !wrong && rest.p;) {
        struct span line = line_of(&rest);
        number++;
        const char *bad = blank(line) ? NULL : take(a, c, line);
        if (bad)
            wrong = arena_fmt(a, "%.*s:%u: %s", SPAN_ARG(c->file), number, bad);
    }
    wrong = wrong ? arena_text(a, span_z(wrong)) : NULL;
    arena_finish(&own);
    return wrong;
}

const struct basic_user *htpasswd_find(const struct basic_conf *c, struct span name) {
    if (!c->user || !name.p)
        return NULL;
    const struct basic_user *u = slot(c, name);
    return u->name.p ? u : NULL;
}

const struct basic_user *htpasswd_any(const struct basic_conf *c) {
    for (size_t i = 0; c->user && i <= c->mask; i++)
        if (c->user[i].name.p)
            return &c->user[i];
    return NULL;
}
