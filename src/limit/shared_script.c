#include "limit/shared_script.h"
#include "base/arena.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/*
 * KEYS: one a window. ARGV: cost, the longest wait, how many to take ahead, what passed while the
 * store was away and how long ago, "ask" or "force"; then four words a window (struct
 * shared_window). Returns the verdict, the window that decides, what is left of it, the wait, the
 * time until all is there again, how many were taken ahead.
 *
 * A clock that went back (another server was promoted) lets no debt drain, and a window that has
 * not begun yet is the current one: errs to refusing.
 */
static const struct redis_script script = {
    .name = "limit",
    .source = "local t = redis.call('TIME')\n"
              "local now = t[1] * 1000000 + t[2]\n"
              "local cost, most, extra = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])\n"
              "local owed, age = tonumber(ARGV[4]), tonumber(ARGV[5])\n"
              "local force = ARGV[6] == 'force'\n"
              "local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min\n"
              "local w = {}\n"
              "for i = 1, #KEYS do\n"
              "  local a = 3 + 4 * i\n"
              "  local kind, x, y, z = ARGV[a], tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2]), "
              "tonumber(ARGV[a + 3])\n"
              "  local v = redis.call('GET', KEYS[i])\n"
              "  local f, g, h = 0, 0, 0\n"
              "  if v then\n"
              "    f, g, h = string.match(v, '^(%d+) (%d+) ?(%d*)$')\n"
              "    if not f then return redis.error_reply('WRONGTYPE not a limit') end\n"
              "    f, g, h = tonumber(f), tonumber(g), tonumber(h) or 0\n"
              "  end\n"
              "  if kind == 'g' then\n"
              "    local debt = h > 0 and h ~= y and ceil(f * y / h) or f\n"
              "    if now > g then debt = max(0, debt - (now - g) * y) end\n"
              "    debt = debt + max(0, min(owed, z) * x - age * y)\n"
              "    local over = debt + cost * x - z * x\n"
              "    w[i] = {kind = kind, used = debt, token = x, us = y, left = max(0, floor((z * x "
              "- debt) / x)),\n"
              "            wait = over > 0 and ceil(over / y) or 0}\n"
              "  else\n"
              "    local b, cur, prev = floor(now / y), g, h\n"
              "    if v and f < b then\n"
              "      prev = kind == 's' and f == b - 1 and cur or 0\n"
              "      cur = 0\n"
              "    elseif v and f > b then\n"
              "      b = f\n"
              "    end\n"
              "    local told = floor((now - age) / y)\n"
              "    if told == b then cur = cur + min(owed, x)\n"
              "    elseif kind == 's' and told == b - 1 then prev = prev + min(owed, x) end\n"
              "    local rest = min(y, (b + 1) * y - now)\n"
              "    local weighed = kind == 's' and ceil(prev * rest / y) or 0\n"
              "    local wait = 0\n"
              "    if cur + weighed + cost > x then\n"
              "      local room = x - cur - cost\n"
              "      if kind == 's' and room >= 0 then\n"
              "        wait = max(1, ceil(rest - y * room / prev))\n"
              "      elseif kind == 's' and cur > 0 then\n"
              "        wait = rest + max(0, ceil(y - y * max(0, x - cost) / cur))\n"
              "      else\n"
              "        wait = rest\n"
              "      end\n"
              "    end\n"
              "    w[i] = {kind = kind, used = cur, prev = prev, at = b, per = y, rest = rest,\n"
              "            left = max(0, x - cur - weighed), wait = wait}\n"
              "  end\n"
              "end\n"
              "local verdict, place, wait, least = 0, 1, 0, nil\n"
              "for i = 1, #w do\n"
              "  if w[i].wait > 0 then verdict = max(verdict, w[i].kind == 'g' and 1 or 2) end\n"
              "  if w[i].wait > wait then place, wait = i, w[i].wait end\n"
              "end\n"
              "if wait > most then verdict = 2 end\n"
              "if force then verdict, wait = 0, 0 end\n"
              "for i = 1, #w do\n"
              "  if verdict < 2 and (not least or w[i].left < least) then\n"
              "    least = w[i].left\n"
              "    if wait == 0 then place = i end\n"
              "  end\n"
              "end\n"
              "local take = 0\n"
              "if extra > 0 and verdict == 0 then take = max(0, min(extra, least - cost)) end\n"
              "local count = verdict < 2 and cost + take or 0\n"
              "for i = 1, #w do\n"
              "  local s = w[i]\n"
              "  if s.kind == 'g' then\n"
              "    s.used = max(0, min(s.used + count * s.token, 4503599627370496))\n"
              "    s.reset = ceil(s.used / s.us)\n"
              "    s.text = string.format('%.0f %.0f %.0f', s.used, now, s.us)\n"
              "  else\n"
              "    s.used = max(0, s.used + count)\n"
              "    s.reset = s.used == 0 and s.prev == 0 and 0 or s.rest\n"
              "    if s.kind == 's' and s.used > 0 then s.reset = s.reset + s.per end\n"
              "    s.text = string.format('%.0f %.0f %.0f', s.at, s.used, s.prev)\n"
              "  end\n"
              "  if count ~= 0 or owed > 0 then\n"
              "    if s.reset > 0 then\n"
              "      redis.call('SET', KEYS[i], s.text, 'PX', string.format('%.0f', ceil(s.reset / "
              "1000) + 1000))\n"
              "    else\n"
              "      redis.call('DEL', KEYS[i])\n"
              "    end\n"
              "  end\n"
              "end\n"
              "local s = w[place]\n"
              "return {verdict, place - 1, max(0, s.left - count), wait, s.reset, take}\n",
};

/* ---- windows ----------------------------------------------------------------------------------
 */

enum { US_PER_MS = 1000, DEBT_BITS = 52 };

static uint64_t common(uint64_t a, uint64_t b) {
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/*
 * A token is per/count microseconds: in ticks of 1/count us both are whole. Where the burst would
 * come to more than a double holds, the ticks get longer and a token is rounded up: slower by less
 * than one in four million, never faster.
 */
static void gcra_units(struct shared_window *w, uint64_t count, uint64_t per_us) {
    uint64_t by = common(per_us, count);
    w->x = per_us / by;
    w->y = count / by;
    unsigned __int128 most = (unsigned __int128)1 << DEBT_BITS, full = w->x;
    if (full * w->z <= most)
        return;
    w->y = (uint64_t)(most * count / ((unsigned __int128)per_us * w->z));
    if (!w->y)
        w->y = 1;
    w->x = (uint64_t)(((unsigned __int128)per_us * w->y + count - 1) / count);
}

static void window_make(struct shared_window *w, const struct rate_limit_conf *c, unsigned at) {
    const struct schema_rate *r = &c->rate[at];
    uint64_t per_us = r->per_ms * US_PER_MS;
    w->kind = c->algorithm == LIMIT_GCRA ? 'g' : c->algorithm == LIMIT_SLIDING_WINDOW ? 's' : 'f';
    w->x = r->count;
    w->y = per_us;
    w->z = 0;
    if (w->kind == 'g') {
        w->z = rate_limit_burst(c, at);
        gcra_units(w, r->count, per_us);
    }
}

/* Windows keep their counts when others are added or the order changes: the key says what length it
 * has, and which it is of those with the same length. */
static unsigned same_before(const struct rate_limit_conf *c, unsigned at) {
    unsigned n = 0;
    for (unsigned i = 0; i < at; i++)
        n += c->rate[i].per_ms == c->rate[at].per_ms;
    return n;
}

static struct span text(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static struct span text(struct arena *a, const char *fmt, ...) {
    char buf[SHARED_NUMBER_MAX * 2];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(buf, sizeof buf, fmt, ap);
    va_end(ap);
    must(n > 0 && (size_t)n < sizeof buf);
    return arena_span(a, span_of(buf, (size_t)n));
}

void shared_windows_make(struct arena *a, struct shared_windows *w,
                         const struct rate_limit_conf *c) {
    w->count = c->rates;
    for (unsigned i = 0; i < c->rates; i++) {
        struct shared_window *s = &w->window[i];
        window_make(s, c, i);
        s->word[0] = arena_span(a, span_of(&s->kind, 1));
        s->word[1] = text(a, "%" PRIu64, s->x);
        s->word[2] = text(a, "%" PRIu64, s->y);
        s->word[3] = text(a, "%" PRIu64, s->z);
        unsigned same = same_before(c, i);
        s->tail = same ? text(a, "%c%" PRIu64 ".%u", s->kind, c->rate[i].per_ms, same)
                       : text(a, "%c%" PRIu64, s->kind, c->rate[i].per_ms);
    }
}

/* ---- questions and answers --------------------------------------------------------------------
 */

static struct span number(char *buf, int64_t v) {
    return span_of(buf, (size_t)snprintf(buf, SHARED_NUMBER_MAX, "%" PRId64, v));
}

static int64_t bounded(uint64_t v) {
    uint64_t most = (uint64_t)1 << DEBT_BITS;
    return (int64_t)(v < most ? v : most);
}

static void fill_windows(struct redis_ask *a, struct shared_words *w,
                         const struct shared_windows *windows, struct span key) {
    for (unsigned i = 0; i < windows->count; i++) {
        const struct shared_window *s = &windows->window[i];
        struct str out = str_on(w->key[i], sizeof w->key[i]);
        str_add(&out, key);
        str_add(&out, s->tail);
        must(!out.full);
        a->key[a->keys++] = str_span(&out);
        for (unsigned k = 0; k < 4; k++)
            a->arg[a->args++] = s->word[k];
    }
}

void shared_question_fill(struct redis_ask *a, struct shared_words *w,
                          const struct shared_windows *windows, struct span key,
                          const struct shared_question *q) {
    a->script = &script;
    a->keys = 0;
    a->arg[0] = number(w->number[0], q->cost);
    a->arg[1] = number(w->number[1], bounded(q->max_wait_us));
    a->arg[2] = number(w->number[2], bounded(q->extra));
    a->arg[3] = number(w->number[3], bounded(q->owed));
    a->arg[4] = number(w->number[4], bounded(q->owed_age_us));
    a->arg[5] = q->force ? SPAN("force") : SPAN("ask");
    a->args = 6;
    fill_windows(a, w, windows, key);
}

bool shared_verdict_read(const struct redis_reply *r, unsigned windows, struct shared_verdict *v) {
    if (r->kind != REDIS_LIST || r->count != 6)
        return false;
    for (unsigned i = 0; i < 6; i++)
        if (r->item[i].kind != REDIS_INTEGER || r->item[i].integer < 0)
            return false;
    if (r->item[0].integer > LIMIT_REFUSED || r->item[1].integer >= windows)
        return false;
    v->verdict = (enum limit_verdict)r->item[0].integer;
    v->window = (unsigned)r->item[1].integer;
    v->left = (uint64_t)r->item[2].integer;
    v->wait_us = (uint64_t)r->item[3].integer;
    v->reset_us = (uint64_t)r->item[4].integer;
    v->taken = (uint64_t)r->item[5].integer;
    return true;
}
