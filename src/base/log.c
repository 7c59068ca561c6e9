#include "base/log.h"
#include "base/env.h"
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

/* What was said lately under one code. */
struct code {
    _Atomic(const char *) name;
    _Atomic uint64_t window; /* second << 20 | lines in it */
    _Atomic uint64_t suppressed;
};

static struct code codes[LOG_EVENT_CODES];
static _Atomic uint64_t suppressed_total;
static _Atomic(log_event_sink) sink;
static _Atomic int least = LEVEL_INFO;

static const char mark[] = "\xe2\x80\xa6"; /* … */

void log_event_output(log_event_sink to) {
    atomic_store(&sink, to);
}
void log_event_level(enum level l) {
    atomic_store(&least, (int)l);
}
bool log_event_wanted(enum level l) {
    return (int)l >= atomic_load(&least);
}
uint64_t log_events_suppressed(void) {
    return atomic_load(&suppressed_total);
}

struct civil time_civil(int64_t seconds) {
    /* Days to a date of the proleptic Gregorian calendar, in eras of 400 years from 1 March 0000.
     */
    uint64_t s = seconds < 0 ? 0 : (uint64_t)seconds, day = s / 86400 + 719468;
    uint64_t era = day / 146097, doe = day % 146097;
    uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    uint64_t month = mp < 10 ? mp + 3 : mp - 9;
    return (struct civil){.year = (unsigned)(yoe + era * 400 + (month <= 2)),
                          .month = (unsigned)month,
                          .day = (unsigned)(doy - (153 * mp + 2) / 5 + 1),
                          .hour = (unsigned)(s / 3600 % 24),
                          .minute = (unsigned)(s / 60 % 60),
                          .second = (unsigned)(s % 60)};
}

static char *digits(char *p, unsigned v, unsigned n) {
    for (unsigned i = n; i--; v /= 10)
        p[i] = (char)('0' + v % 10);
    return p + n;
}

void time_text(int64_t wall_ns, char out[TIME_TEXT]) {
    struct civil c = time_civil(wall_ns / 1000000000);
    unsigned part[] = {c.year, c.month, c.day, c.hour, c.minute, c.second};
    static const char behind[] = "--T::.";
    char *p = out;
    for (unsigned i = 0; i < 6; i++) {
        p = digits(p, part[i], i ? 2 : 4);
        *p++ = behind[i];
    }
    p = digits(p, wall_ns < 0 ? 0 : (unsigned)(wall_ns / 1000000 % 1000), 3);
    *p = 'Z';
}

/* One character of outside text, escaped where a terminal or a line reader would obey it. */
static size_t put_char(struct str *s, struct span v) {
    unsigned char c = (unsigned char)v.p[0];
    if (c == '"' || c == '\\') {
        str_char(s, (char)c);
        return 1;
    }
    size_t n = c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (n > v.n)
        n = 1;
    str_json(s, span_cut(v, 0, n));
    return n;
}

static void put_text(struct str *s, struct span v) {
    for (size_t at = 0; at < v.n && !s->full;)
        at += put_char(s, span_from(v, at));
}

const char *log_quoted(struct span v, char out[LOG_QUOTED_MAX]) {
    struct str s = str_on(out, LOG_QUOTED_MAX);
    bool cut = v.n > 128;
    if (cut) /* not within a character */
        for (v.n = 128; v.n > 124 && ((unsigned char)v.p[v.n] & 0xc0) == 0x80;)
            v.n--;
    str_char(&s, '"');
    str_json(&s, v);
    if (cut)
        str_lit(&s, mark);
    str_put(&s, "\"", 2); /* and the NUL */
    return out;
}

static struct code *code_of(const char *name) {
    uint32_t hash = 2166136261u;
    for (const char *p = name; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 16777619u;
    for (unsigned i = 0; i < LOG_EVENT_CODES; i++) {
        struct code *c = &codes[(hash + i) % LOG_EVENT_CODES];
        const char *there = NULL;
        if (atomic_compare_exchange_strong(&c->name, &there, name) || strcmp(there, name) == 0)
            return c;
    }
    return &codes[hash % LOG_EVENT_CODES]; /* more codes than places: some share one */
}

static bool allowed(struct code *c, uint64_t second) {
    uint64_t was = atomic_load(&c->window), now;
    do {
        uint64_t lines = was >> 20 == second ? was & 0xfffff : 0;
        if (lines >= LOG_EVENT_RATE) {
            atomic_fetch_add(&c->suppressed, 1);
            atomic_fetch_add(&suppressed_total, 1);
            return false;
        }
        now = second << 20 | (lines + 1);
    } while (!atomic_compare_exchange_weak(&c->window, &was, now));
    return true;
}

static void to_stderr(const char *line, size_t n) {
    while (n) {
        ssize_t w = env.write(2, line, n);
        if (w <= 0)
            return; /* there is nobody left to tell */
        line += w, n -= (size_t)w;
    }
}

/* Begins a line; its end (mark, suppressed, newline) is kept free. */
static struct str line_begin(char *buf, enum level level, const char *code) {
    static const char *const name[] = {"debug", "info", "warning", "error"};
    struct str s = str_on(buf, LOG_EVENT_MAX - 48);
    time_text(env.wall_ns(), buf);
    s.n = TIME_TEXT;
    str_char(&s, ' ');
    str_add(&s, span_z(name[level]));
    str_char(&s, ' ');
    str_add(&s, span_z(code));
    str_lit(&s, ": ");
    return s;
}

static void line_end(struct str *s, uint64_t suppressed) {
    bool cut = s->full;
    s->full = false;
    s->max = LOG_EVENT_MAX;
    if (cut)
        str_lit(s, mark);
    if (suppressed) {
        str_lit(s, " suppressed=");
        str_u64(s, suppressed);
    }
    str_char(s, '\n');
    log_event_sink to = atomic_load(&sink);
    (to ? to : to_stderr)(s->p, s->n);
}

void log_event(enum level level, const char *code, const char *fmt, ...) {
    char text[LOG_EVENT_MAX], line[LOG_EVENT_MAX];
    va_list ap;
    va_start(ap, fmt);
    int n = log_event_wanted(level) ? vsnprintf(text, sizeof text, fmt, ap) : -1;
    va_end(ap);
    if (n < 0)
        return;
    struct code *c = code_of(code);
    if (!allowed(c, (uint64_t)env.wall_ns() / 1000000000))
        return;
    struct str s = line_begin(line, level, code);
    put_text(&s, span_of(text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1));
    s.full |= n >= (int)sizeof text;
    line_end(&s, atomic_exchange(&c->suppressed, 0));
}

void log_event_tick(void) {
    uint64_t second = (uint64_t)env.wall_ns() / 1000000000;
    for (unsigned i = 0; i < LOG_EVENT_CODES; i++) {
        struct code *c = &codes[i];
        char line[LOG_EVENT_MAX];
        if (!atomic_load(&c->suppressed) || atomic_load(&c->window) >> 20 == second)
            continue;
        struct str s = line_begin(line, LEVEL_WARNING, atomic_load(&c->name));
        str_lit(&s, "more of these were held back");
        line_end(&s, atomic_exchange(&c->suppressed, 0));
    }
}
