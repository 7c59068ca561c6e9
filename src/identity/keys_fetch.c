/* The control thread's part: when a source is asked, and what its answers are worth. */
#include "base/log.h"
#include "core/publish.h"
#include "identity/keys_in.h"

enum { DISCOVERY_MAX = 64 * 1024, ETAG_MAX = 256, DISCOVERY_S = 3600 };

static const uint64_t SECOND = 1000000000;

static struct list followed = {&followed, &followed}; /* the stores that are kept fresh */

static void fetch(struct key_store *k);

/* ---- times ------------------------------------------------------------------------------------
 */

/* Up to a tenth earlier, so that gateways that began together do not stay together. */
static void fetch_in(struct key_store *k, uint64_t ms) {
    struct loop *l = &k->control->loop;
    uint64_t r;
    env.random(&r, sizeof r);
    timer_start(&l->timers, &k->timer, l->now / 1000000, ms - r % (ms / 10 + 1));
}

/* 1, 2, 4 .. s while there is no set at all; with one that still serves there is time. */
static uint64_t pause_ms(const struct key_store *k, bool had) {
    uint64_t first = had ? KEYS_APART_S : 1, most = KEYS_RETRY_MAX_S;
    unsigned doublings = k->failed > 7 ? 6 : k->failed - 1;
    uint64_t s = first << doublings;
    return (s < most ? s : most) * 1000;
}

static uint64_t clamp_s(uint64_t s) {
    return s < KEYS_REFRESH_MIN_S   ? KEYS_REFRESH_MIN_S
           : s > KEYS_REFRESH_MAX_S ? KEYS_REFRESH_MAX_S
                                    : s;
}

/* Before the answer's max-age is over (RFC 9111 5.2.2.1). */
static uint64_t refresh_ms(const struct head *h) {
    uint64_t s = KEYS_REFRESH_S;
    size_t at = 0;
    const struct field *f;
    while ((f = hdr_next(h, SPAN("cache-control"), &at))) {
        struct span rest = field_value(f);
        while (rest.p) {
            struct span d = span_trim(span_split(&rest, ','));
            uint64_t age;
            if (d.n > 8 && span_eq_nocase(span_cut(d, 0, 8), SPAN("max-age=")) &&
                parse_dec(span_from(d, 8), UINT32_MAX, &age))
                s = age;
        }
    }
    return clamp_s(s) * 1000;
}

/* ---- the end of a fetch -----------------------------------------------------------------------
 */

static void keep_text(struct span *at, struct span text) {
    mem_free((char *)(uintptr_t)at->p);
    *at = text.n ? span_of(mem_text(text.p, text.n), text.n) : SPAN_NONE;
}

static void failed(struct key_store *k, const char *why) {
    uint64_t now = k->control->loop.now;
    k->failed++;
    k->discovered_at = 0;
    pthread_mutex_lock(&k->lock);
    bool had = k->set && now < k->good_until;
    uint64_t pause = pause_ms(k, had);
    k->failing = true;
    k->failures++;
    k->not_before = now + pause * 1000000;
    pthread_mutex_unlock(&k->lock);
    char source[LOG_QUOTED_MAX];
    log_event(LEVEL_WARNING, "keys_failed", "keys of %s cannot be had: %s; %s failures=%u",
              log_quoted(k->source, source), why,
              had ? "the last good ones stay in use" : "tokens that need them get 503", k->failed);
    fetch_in(k, pause);
    key_store_publish(k, NULL, false);
}

static bool same_keys(const struct key_set *a, const struct key_set *b) {
    bool same = a && a->count == b->count;
    for (uint32_t i = 0; same && i < a->count; i++)
        same = span_eq(a->key[i].kid, b->key[i].kid);
    return same;
}

static void tell_good(struct key_store *k, const struct key_set *now, bool same) {
    char source[LOG_QUOTED_MAX];
    if (same && !k->failed)
        return;
    log_event(now->count ? LEVEL_INFO : LEVEL_WARNING, "keys_fetched",
              "keys of %s%s keys=%u refused=%u", log_quoted(k->source, source),
              now->count ? "" : ": none of them can verify a token", now->count, now->refused);
}

/* A set was had, or (NULL) the old one is still the newest. */
static void good(struct key_store *k, const struct head *h, struct key_set *set) {
    uint64_t now = k->control->loop.now;
    pthread_mutex_lock(&k->lock);
    struct key_set *old = set ? k->set : NULL;
    bool same = !set || same_keys(old, set);
    if (set)
        k->set = set;
    k->failing = false;
    k->fetched_at = now;
    k->good_until = now + KEYS_STALE_S * SECOND;
    k->not_before = now + KEYS_APART_S * SECOND;
    const struct key_set *set_now = k->set;
    pthread_mutex_unlock(&k->lock);
    tell_good(k, set_now, same);
    if (old)
        key_set_unref(old);
    k->failed = 0;
    fetch_in(k, refresh_ms(h));
    key_store_publish(k, NULL, set != NULL);
}

static const char *why_not(const struct call_answer *a, int expected, char text[160]) {
    struct str s = str_on(text, 159);
    if (a->fault)
        str_fmt(&s, "%s%s%s", fault_table[a->fault].text, a->detail ? ": " : "",
                a->detail ? a->detail : "");
    else if (a->head->status != expected)
        str_fmt(&s, "the answer's status is %d", a->head->status);
    else
        return NULL;
    text[s.n] = 0;
    return text;
}

/* ---- keys -------------------------------------------------------------------------------------
 */

static void keep_etag(struct key_store *k, const struct head *h, const struct outbound *to) {
    struct span tag = hdr_find(h, SPAN("etag"));
    bool fine = tag.n && tag.n <= ETAG_MAX;
    keep_text(&k->etag, fine ? tag : SPAN_NONE);
    keep_text(&k->etag_of, fine ? to->path : SPAN_NONE);
}

static const struct outbound *keys_at(struct key_store *k, const struct snapshot **s);

/* What else the document names is for those who log people in. */
static void keep_document(const struct key_store *k, struct key_set *set) {
    struct json_limits limits = {.depth = 16, .nodes = 4096, .unique = true};
    struct json_error e;
    struct span text = k->document.n ? arena_span(&set->arena, k->document) : SPAN_NONE;
    if (!k->issuer || !text.n || !json_read(&set->arena, text, &limits, &set->discovery, &e))
        set->discovery = VALUE_NOTHING;
}

static void keys_came(void *ctx, const struct call_answer *a) {
    struct key_store *k = ctx;
    char text[160];
    const char *why;
    k->call = NULL;
    if (!a->fault && a->head->status == 304 && k->etag.n) {
        good(k, a->head, NULL);
        return;
    }
    why = why_not(a, 200, text);
    struct key_set *set = why ? NULL : key_set_read(a->body, k->accepted, &why);
    if (!set) {
        failed(k, why);
        return;
    }
    keep_document(k, set);
    const struct snapshot *s;
    const struct outbound *to = k->own ? k->own : keys_at(k, &s);
    if (to)
        keep_etag(k, a->head, to);
    good(k, a->head, set);
}

/* The newest snapshot's that this thread holds. */
static const struct outbound *keys_at(struct key_store *k, const struct snapshot **s) {
    const struct outbound *to = NULL;
    *s = NULL;
    pthread_mutex_lock(&k->lock);
    for (struct list *n = k->uses.next; n != &k->uses && !to; n = n->next) {
        const struct key_use *u = container_of(n, struct key_use, node);
        for (const struct snapshot_ref *r = k->control->snap; r && !to; r = r->next)
            if (r->snapshot == u->snapshot) {
                to = u->to;
                *s = u->snapshot;
            }
    }
    pthread_mutex_unlock(&k->lock);
    return to;
}

static void ask(struct key_store *k, const struct call_ask *ask, call_done done) {
    pthread_mutex_lock(&k->lock);
    k->fetches++;
    pthread_mutex_unlock(&k->lock);
    k->call = call_start(k->control, &k->ops, ask, done, k);
    if (!k->call)
        failed(k, "no memory for the request");
}

static void ask_keys(struct key_store *k, const struct outbound *to, const struct snapshot *s) {
    struct own_field accept = {.name = SPAN("accept"),
                               .value = SPAN("application/jwk-set+json, application/json")};
    struct own_field tag = {.name = SPAN("if-none-match"), .value = k->etag, .next = &accept};
    bool known = k->etag.n && k->set && span_eq(k->etag_of, to->path);
    ask(k,
        &(struct call_ask){.to = to,
                           .field = known ? &tag : &accept,
                           .timeout_ms = KEYS_FETCH_S * 1000,
                           .max_body = JWKS_BYTES_MAX,
                           .snapshot = s},
        keys_came);
}

/* ---- discovery --------------------------------------------------------------------------------
 */

/* OpenID Connect Discovery 4.3: who is asked for must be who answers. */
static const char *read_discovery(struct key_store *k, struct arena *a, struct span body,
                                  const struct outbound *at, const struct snapshot *s) {
    static const struct json_limits limits = {.depth = 16, .nodes = 4096, .unique = true};
    struct json_error e;
    struct value v;
    const char *why = NULL;
    if (!json_read(a, body, &limits, &v, &e))
        return "the discovery document is no JSON";
    const struct value *issuer = value_find(&v, SPAN("issuer"));
    const struct value *uri = value_find(&v, SPAN("jwks_uri"));
    if (!issuer || issuer->kind != VALUE_STRING || !span_eq(value_span(issuer), at->url))
        return "the discovery document is of another issuer";
    if (!uri || uri->kind != VALUE_STRING)
        return "the discovery document names no jwks_uri";
    if (k->own && !k->changed && span_eq(k->own->url, value_span(uri)))
        return NULL;
    struct outbound *own = outbound_make(s, at, value_span(uri), &why);
    if (!own)
        return why;
    outbound_destroy(k->own);
    k->own = own;
    k->changed = false;
    keep_text(&k->etag, SPAN_NONE);
    return NULL;
}

static void discovery_came(void *ctx, const struct call_answer *a) {
    struct key_store *k = ctx;
    const struct snapshot *s;
    const struct outbound *at = keys_at(k, &s);
    char text[160];
    const char *why = why_not(a, 200, text);
    k->call = NULL;
    if (!why && at) {
        struct arena scratch;
        arena_init(&scratch, NULL);
        why = read_discovery(k, &scratch, a->body, at, s);
        arena_finish(&scratch);
    }
    if (why || !at) {
        failed(k, why ? why : "the configuration has just changed");
        return;
    }
    keep_text(&k->document, a->body);
    k->discovered_at = k->control->loop.now;
    ask_keys(k, k->own, NULL);
}

static bool discovery_fresh(const struct key_store *k) {
    return k->own && k->discovered_at &&
           k->control->loop.now - k->discovered_at < DISCOVERY_S * SECOND;
}

static void fetch(struct key_store *k) {
    const struct snapshot *s;
    const struct outbound *to = keys_at(k, &s);
    if (k->call)
        return;
    timer_stop(&k->timer);
    if (!to) { /* the snapshot that wants it is on its way to this thread */
        timer_start(&k->control->loop.timers, &k->timer, k->control->loop.now / 1000000, 10);
        return;
    }
    if (!k->issuer) {
        ask_keys(k, to, s);
    } else if (discovery_fresh(k)) {
        ask_keys(k, k->own, NULL);
    } else {
        struct own_field accept = {.name = SPAN("accept"), .value = SPAN("application/json")};
        ask(k,
            &(struct call_ask){.to = to,
                               .field = &accept,
                               .timeout_ms = KEYS_FETCH_S * 1000,
                               .max_body = DISCOVERY_MAX,
                               .snapshot = s},
            discovery_came);
    }
}

/* ---- what threads ask for ---------------------------------------------------------------------
 */

static void due(struct timer *t) {
    fetch(container_of(t, struct key_store, timer));
}

static void follow(struct key_store *k, struct thread *control) {
    k->control = control;
    k->timer.fire = due;
    key_store_ref(k);
    list_append(&followed, &k->node);
    fetch(k);
}

static void leave(struct key_store *k) {
    if (k->call)
        call_cancel(k->call);
    k->call = NULL;
    timer_stop(&k->timer);
    list_remove(&k->node);
    key_store_unref(k);
}

/* A new configuration. While nothing could be had this is a good moment to try again. */
static void configured(struct key_store *k) {
    k->changed = true;
    k->discovered_at = 0;
    if (k->failed)
        fetch(k);
}

struct look {
    struct message message;
    struct key_store *store; /* a reference */
    unsigned thread;
    bool asked;
};

static void look(struct key_store *k, const struct look *m) {
    struct thread *control = thread_me();
    pthread_mutex_lock(&k->lock);
    bool closed = k->closed, early = control->loop.now < k->not_before;
    pthread_mutex_unlock(&k->lock);
    struct thread *asks = m->asked ? publish_thread(m->thread) : NULL;
    if (closed && list_linked(&k->node))
        leave(k);
    else if (!closed && !k->node.next)
        follow(k, control);
    else if (!closed && !m->asked)
        configured(k);
    else if (!closed && !early)
        fetch(k);
    if (asks && !k->call)
        key_store_publish(k, asks, false);
}

static void receive(struct message *msg) {
    struct look *m = container_of(msg, struct look, message);
    look(m->store, m);
    key_store_unref(m->store);
    mem_free(m);
}

void key_store_look(struct key_store *k, bool asked, unsigned thread) {
    struct thread *control = publish_control();
    if (!control)
        return;
    struct look *m = mem_alloc(sizeof *m);
    *m = (struct look){{NULL, receive}, k, thread, asked};
    key_store_ref(k);
    loop_send(&control->loop, &m->message);
}

void keys_control_finish(struct thread *t) {
    for (struct list *n = followed.next, *next; n != &followed; n = next) {
        struct key_store *k = container_of(n, struct key_store, node);
        next = n->next;
        if (k->control == t)
            leave(k);
    }
}
