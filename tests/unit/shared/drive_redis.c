/* Drives the Redis client from outside, for tests/scenario/test_redis.py: one thread with a real
 * loop, a store by SLUICE_REDIS_URL, and words on standard input:
 *
 *     count KEY        asks a script that counts; says "fine N", or why not
 *     many N KEY       N of them in one turn; when all have ended: "many fine=.. late=.. .."
 *     leave KEY        one whose asker goes away at once; says "left"
 *     ask WORD KEY ..  a plain command; says the answer
 *     state            what redis_walk and the others tell
 *     load RATE MS     RATE asks a second, a batch each millisecond; says what an ask costs
 *     until here|away  says so as soon as it is
 *     quit
 */
#include "core/publish.h"
#include "shared/redis.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { ASKS_MAX = 1 << 20, WORDS_MAX = 12 };

static struct thread thread;
static struct redis *redis;
static struct list ops;
static const char *const names[] = {
    [REDIS_FINE] = "fine",       [REDIS_AWAY] = "away", [REDIS_LATE] = "late",
    [REDIS_REFUSED] = "refused", [REDIS_FULL] = "full", [REDIS_BROKEN] = "broken"};
static const struct redis_script counting = {
    .name = "counting",
    .source = "local n = redis.call('INCR', KEYS[1]) redis.call('PEXPIRE', KEYS[1], 600000) "
              "return {n, ARGV[1]}"};

static void say(const char *line) {
    puts(line);
    fflush(stdout);
}

static void print_reply(const struct redis_reply *r) {
    switch (r->kind) {
    case REDIS_NULL:
        printf(" null");
        break;
    case REDIS_INTEGER:
        printf(" %" PRId64, r->integer);
        break;
    case REDIS_TEXT:
    case REDIS_ERROR:
        printf(" %.*s", SPAN_ARG(r->text));
        break;
    case REDIS_LIST:
        printf(" [%u]", r->count);
        break;
    }
}

/* ---- one ask --------------------------------------------------------------------------------- */

static void told(struct redis_ask *a, enum redis_failure why, const struct redis_reply *r) {
    printf("%s", names[why]);
    if (r && r->kind == REDIS_LIST && r->count)
        print_reply(&r->item[0]);
    else if (r)
        print_reply(r);
    say("");
    mem_free(a);
}

static struct redis_ask *count_ask(const char *key) {
    struct redis_ask *a = mem_alloc(sizeof *a);
    a->script = &counting;
    a->key[0] = span_z(key);
    a->keys = 1;
    a->arg[0] = SPAN("x");
    a->args = 1;
    a->ops = &ops;
    return a;
}

static void send_off(struct redis_ask *a) {
    enum redis_failure why;
    a->ready = told;
    if (redis_ask(redis, a, &why))
        return;
    say(names[why]);
    mem_free(a);
}

static void never(struct redis_ask *a, enum redis_failure why, const struct redis_reply *r) {
    (void)a, (void)why, (void)r;
    say("told although nobody waits");
    abort();
}

static void leave(const char *key) {
    struct redis_ask *a = count_ask(key);
    enum redis_failure why;
    struct list own;
    list_init(&own);
    a->ops = &own;
    a->ready = never;
    if (redis_ask(redis, a, &why))
        ops_cancel(&own);
    memset(a, 0xEE, sizeof *a);
    mem_free(a);
    say("left");
}

/* ---- many ------------------------------------------------------------------------------------ */

static struct { unsigned left, ended[REDIS_FAILURES]; } many;

static void many_end(void) {
    printf("many");
    for (int i = 0; i < REDIS_FAILURES; i++)
        printf(" %s=%u", names[i], many.ended[i]);
    say("");
    memset(&many, 0, sizeof many);
}

static void one_of_many(struct redis_ask *a, enum redis_failure why, const struct redis_reply *r) {
    (void)r;
    many.ended[why]++;
    mem_free(a);
    if (--many.left == 0)
        many_end();
}

static void ask_many(unsigned n, const char *key) {
    many.left = n;
    for (unsigned i = 0; i < n; i++) {
        struct redis_ask *a = count_ask(key);
        enum redis_failure why;
        a->ready = one_of_many;
        if (!redis_ask(redis, a, &why))
            one_of_many(a, why, NULL);
    }
}

/* ---- load ------------------------------------------------------------------------------------ */

static struct {
    struct timer timer;
    struct redis_ask ask[4096];
    unsigned batch, ticks, busy;
    uint64_t asked, fine, cpu, until;
} load;

static uint64_t cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void load_told(struct redis_ask *a, enum redis_failure why, const struct redis_reply *r) {
    (void)a, (void)r;
    load.fine += why == REDIS_FINE;
}

static void load_tick(struct timer *t) {
    enum redis_failure why;
    if (thread.loop.now >= load.until) {
        printf("load asks=%" PRIu64 " fine=%" PRIu64 " cpu_ns=%" PRIu64 "\n", load.asked, load.fine,
               load.asked ? (cpu_ns() - load.cpu) / load.asked : 0);
        fflush(stdout);
        return;
    }
    timer_start(&thread.loop.timers, t, thread.loop.now / 1000000, 1);
    for (unsigned i = 0; i < load.batch; i++) {
        struct redis_ask *a = &load.ask[load.busy++ % array_len(load.ask)];
        if (a->conn)
            continue;
        a->script = &counting;
        a->key[0] = SPAN("limit:{0123456789abcdef0123456789abcdef}");
        a->keys = 1;
        a->arg[0] = SPAN("1");
        a->arg[1] = SPAN("20000");
        a->arg[2] = SPAN("1000000");
        a->args = 3;
        a->ops = &ops;
        a->ready = load_told;
        load.asked++;
        (void)!redis_ask(redis, a, &why);
    }
}

static void load_start(unsigned rate, unsigned ms) {
    load.batch = rate / 1000;
    load.asked = load.fine = 0;
    load.timer.fire = load_tick;
    load.until = env.now_ns() + (uint64_t)ms * 1000000;
    load.cpu = cpu_ns();
    timer_start(&thread.loop.timers, &load.timer, thread.loop.now / 1000000, 0);
}

/* ---- words ----------------------------------------------------------------------------------- */

static void state_of(void *ctx, const struct redis_state *s) {
    (void)ctx;
    printf("state name=%.*s gateways=%u connections=%u away=%d asks=%" PRIu64 " late=%" PRIu64
           " broken=%" PRIu64 " dropped=%" PRIu64 " connects=%" PRIu64 " away_total=%" PRIu64
           " usable=%d returned=%d\n",
           SPAN_ARG(s->name), s->gateways, s->connections, s->away, s->asks, s->failed[REDIS_LATE],
           s->failed[REDIS_BROKEN], s->dropped, s->connects, s->away_total, redis_usable(redis),
           redis_returned_at(redis) != 0);
    fflush(stdout);
}

static const char *awaited; /* "here", "away"; NULL: nothing is */

static void look(void) {
    if (!awaited || redis_usable(redis) != (awaited[0] == 'h'))
        return;
    say(awaited);
    awaited = NULL;
}

static unsigned number(const char *s) {
    uint64_t v;
    return parse_dec(span_z(s), ASKS_MAX, &v) ? (unsigned)v : 0;
}

static void plain(char **word, unsigned n) {
    struct redis_ask *a = mem_alloc(sizeof *a);
    a->arg[a->args++] = span_z(word[1]);
    if (n > 2)
        a->key[a->keys++] = span_z(word[2]);
    for (unsigned i = 3; i < n; i++)
        a->arg[a->args++] = span_z(word[i]);
    send_off(a);
}

static void obey(char **word, unsigned n) {
    const char *verb = word[0];
    if (n == 2 && strcmp(verb, "count") == 0) {
        send_off(count_ask(word[1]));
    } else if (n == 3 && strcmp(verb, "many") == 0) {
        ask_many(number(word[1]), word[2]);
    } else if (n == 2 && strcmp(verb, "leave") == 0) {
        leave(word[1]);
    } else if (n >= 2 && strcmp(verb, "ask") == 0) {
        plain(word, n);
    } else if (n == 3 && strcmp(verb, "load") == 0) {
        load_start(number(word[1]), number(word[2]));
    } else if (n == 2 && strcmp(verb, "until") == 0) {
        awaited = word[1][0] == 'h' ? "here" : "away";
    } else if (strcmp(verb, "state") == 0) {
        redis_walk(state_of, NULL);
    } else if (strcmp(verb, "quit") == 0) {
        thread.loop.stop = true;
    } else {
        say("what?");
    }
}

static struct {
    struct watch watch;
    char line[4096];
    size_t n;
} input;

static void split(char *line) {
    char *word[WORDS_MAX];
    unsigned n = 0;
    for (char *p = line; *p && n < WORDS_MAX;) {
        word[n++] = p;
        while (*p && *p != ' ')
            p++;
        if (*p)
            *p++ = 0;
    }
    if (n)
        obey(word, n);
}

static void input_ready(struct watch *w, uint32_t events) {
    (void)events;
    for (;;) {
        ssize_t got = read(w->fd, input.line + input.n, sizeof input.line - 1 - input.n);
        if (got <= 0) {
            thread.loop.stop = thread.loop.stop || got == 0 || errno != EAGAIN;
            return;
        }
        input.n += (size_t)got;
        for (char *end; (end = memchr(input.line, '\n', input.n));) {
            *end = 0;
            split(input.line);
            input.n -= (size_t)(end + 1 - input.line);
            memmove(input.line, end + 1, input.n);
        }
    }
}

/* ---- the start ------------------------------------------------------------------------------- */

static struct span setting(const char *name) {
    return span_z(getenv(name));
}

static void problem(void *ctx, const struct tls_problem *t) {
    (void)ctx;
    fprintf(stderr, "%s\n", t->text);
}

static bool settle_conf(struct arena *a, struct state_conf *c) {
    uint64_t ms = 20;
    c->shared =
        (struct state_shared){.url = setting("SLUICE_REDIS_URL"),
                              .password = setting("SLUICE_REDIS_PASSWORD"),
                              .sentinel_password = setting("SLUICE_REDIS_SENTINEL_PASSWORD"),
                              .prefix = SPAN("sluice:")};
    c->shared.tls = (struct tls_client_settings){.ca = setting("SLUICE_REDIS_CA"),
                                                 .name = setting("SLUICE_REDIS_NAME")};
    if (getenv("SLUICE_REDIS_TIMEOUT_MS") &&
        !parse_dec(setting("SLUICE_REDIS_TIMEOUT_MS"), 10000, &ms))
        return false;
    c->shared.timeout_ms = ms;
    const char *wrong = state_finish(a, c);
    if (wrong)
        fprintf(stderr, "%s\n", wrong);
    if (!wrong && c->wants_tls)
        c->tls = tls_client_create(&c->shared.tls, problem, NULL);
    return !wrong && (!c->wants_tls || c->tls);
}

int main(void) {
    struct arena a;
    struct state_conf conf = {0};
    arena_init(&a, NULL);
    list_init(&ops);
    if (!settle_conf(&a, &conf) || !thread_init(&thread, 0))
        return 2;
    thread.control = getenv("SLUICE_REDIS_BEAT") != NULL;
    me = &thread.loop;
    publish_join(&thread);
    redis = redis_attach(&conf);
    input.watch.ready = input_ready;
    fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
    if (!redis || !loop_watch(&thread.loop, &input.watch, 0))
        return 2;
    while (!thread.loop.stop) {
        loop_turn(&thread.loop, awaited ? 5 : -1);
        look();
    }
    ops_cancel(&ops);
    redis_detach(redis);
    publish_leave(&thread);
    redis_thread_finish(&thread);
    thread_finish(&thread);
    tls_client_unref(conf.tls);
    arena_finish(&a);
    return 0;
}
