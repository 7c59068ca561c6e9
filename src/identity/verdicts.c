#include "identity/verdicts.h"
#include "base/env.h"
#include "identity/basic.h"
#include "identity/password.h"
#include "io/work.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>

enum { WAYS = 4, SETS = 256, DIGEST = 32 };
#define NS 1000000000ull
static const uint64_t right_ns = 300 * NS, wrong_ns = 10 * NS;

struct entry {
    unsigned char digest[DIGEST];
    uint64_t until; /* ns on the loop's clock; 0: free */
    bool right;
};

struct pending {
    bool used;
    uint32_t generation; /* a helper's answer names it: it may be over by then */
    unsigned char digest[DIGEST];
    struct list waiters;
};

struct verdicts {
    unsigned char key[DIGEST];
    struct entry entry[SETS][WAYS];
    struct pending pending[BASIC_PENDING_MAX];
};

static struct verdicts *local(struct thread *t) {
    struct verdicts *v = t->local[LOCAL_VERDICTS];
    if (v)
        return v;
    v = mem_alloc(sizeof *v);
    env.random(v->key, sizeof v->key);
    for (int i = 0; i < BASIC_PENDING_MAX; i++)
        list_init(&v->pending[i].waiters);
    t->local[LOCAL_VERDICTS] = v;
    return v;
}

void verdicts_thread_finish(struct thread *t) {
    struct verdicts *v = t->local[LOCAL_VERDICTS];
    if (v)
        OPENSSL_cleanse(v, sizeof *v);
    mem_free(v);
    t->local[LOCAL_VERDICTS] = NULL;
}

static void feed(EVP_MD_CTX *c, struct span s) {
    uint64_t n = s.n;
    must(EVP_DigestUpdate(c, &n, sizeof n) == 1 && EVP_DigestUpdate(c, s.p, s.n) == 1);
}

/* The key first and lengths before each part: nobody outside can compute it or shift its parts. */
static void digest_of(const struct verdicts *v, const struct verdict_ask *ask,
                      unsigned char out[DIGEST]) {
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    must(c && EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1);
    feed(c, span_of((const char *)v->key, sizeof v->key));
    feed(c, ask->user);
    feed(c, ask->password);
    feed(c, ask->hash);
    feed(c, ask->known ? SPAN("known") : SPAN(""));
    must(EVP_DigestFinal_ex(c, out, NULL) == 1);
    EVP_MD_CTX_free(c);
}

static struct entry *set_of(struct verdicts *v, const unsigned char digest[DIGEST]) {
    return v->entry[digest[0] % SETS];
}

static enum verdict_word find(struct verdicts *v, const unsigned char digest[DIGEST],
                              uint64_t now) {
    struct entry *set = set_of(v, digest);
    for (int i = 0; i < WAYS; i++)
        if (set[i].until > now && CRYPTO_memcmp(set[i].digest, digest, DIGEST) == 0)
            return set[i].right ? VERDICT_RIGHT : VERDICT_WRONG;
    return VERDICT_UNKNOWN;
}

/* A wrong guess does not push out what is right while there is another place. */
static void keep(struct verdicts *v, const unsigned char digest[DIGEST], bool right, uint64_t now) {
    struct entry *set = set_of(v, digest), *at = &set[0];
    for (int i = 0; i < WAYS; i++) {
        struct entry *e = &set[i];
        bool free = e->until <= now, at_free = at->until <= now;
        if (at_free)
            break;
        if (free || (at->right && !e->right) || (at->right == e->right && e->until < at->until))
            at = e;
    }
    memcpy(at->digest, digest, DIGEST);
    at->right = right;
    at->until = now + (right ? right_ns : wrong_ns);
}

enum verdict_word verdicts_now(struct thread *t, const struct verdict_ask *ask) {
    struct verdicts *v = local(t);
    unsigned char digest[DIGEST];
    digest_of(v, ask, digest);
    return find(v, digest, t->loop.now);
}

/* ---- helpers ------------------------------------------------------------------------------------
 */

struct question {
    struct job job; /* first */
    struct thread *thread;
    uint32_t slot, generation;
    bool known, right;
    struct span hash, password; /* behind it, each with a NUL */
    size_t size;
};

static void run(struct job *j) {
    struct question *q = container_of(j, struct question, job);
    bool fits = password_verify(q->hash, q->password);
    q->right = fits && q->known;
}

static void answer_all(struct pending *p, enum verdict_word v) {
    struct list all;
    list_init(&all);
    for (struct list *n; (n = list_shift(&p->waiters));)
        list_append(&all, n);
    p->used = false;
    p->generation++;
    for (struct list *n; (n = list_shift(&all));) {
        struct verdict_wait *w = container_of(n, struct verdict_wait, node);
        op_end(&w->op);
        w->ready(w, v);
    }
}

static void finished(struct job *j) {
    struct question *q = container_of(j, struct question, job);
    struct verdicts *v = q->thread->local[LOCAL_VERDICTS];
    struct pending *p = v ? &v->pending[q->slot] : NULL;
    if (p && p->used && p->generation == q->generation) {
        keep(v, p->digest, q->right, q->thread->loop.now);
        answer_all(p, q->right ? VERDICT_RIGHT : VERDICT_WRONG);
    }
    OPENSSL_cleanse(q + 1, q->size);
    mem_free(q);
}

static struct span put_text(char **at, struct span s) {
    char *p = *at;
    memcpy(p, s.p, s.n);
    p[s.n] = 0;
    *at += s.n + 1;
    return span_of(p, s.n);
}

static bool give(struct thread *t, const struct verdict_ask *ask, uint32_t slot,
                 uint32_t generation) {
    size_t size = ask->hash.n + ask->password.n + 2;
    struct question *q = mem_alloc(sizeof *q + size);
    char *at = (char *)(q + 1);
    q->thread = t;
    q->slot = slot;
    q->generation = generation;
    q->known = ask->known;
    q->size = size;
    q->hash = put_text(&at, ask->hash);
    q->password = put_text(&at, ask->password);
    if (work_give(&q->job, run, finished))
        return true;
    OPENSSL_cleanse(q + 1, size);
    mem_free(q);
    return false;
}

static void cancel(struct op *op) {
    struct verdict_wait *w = container_of(op, struct verdict_wait, op);
    list_remove(&w->node); /* the answer is remembered all the same */
}

static struct pending *same_question(struct verdicts *v, const unsigned char digest[DIGEST]) {
    for (int i = 0; i < BASIC_PENDING_MAX; i++)
        if (v->pending[i].used && CRYPTO_memcmp(v->pending[i].digest, digest, DIGEST) == 0)
            return &v->pending[i];
    return NULL;
}

static struct pending *new_question(struct thread *t, struct verdicts *v,
                                    const struct verdict_ask *ask,
                                    const unsigned char digest[DIGEST]) {
    uint32_t i = 0;
    while (i < BASIC_PENDING_MAX && v->pending[i].used)
        i++;
    if (i == BASIC_PENDING_MAX || !give(t, ask, i, v->pending[i].generation))
        return NULL;
    v->pending[i].used = true;
    memcpy(v->pending[i].digest, digest, DIGEST);
    return &v->pending[i];
}

bool verdicts_ask(struct thread *t, struct list *ops, const struct verdict_ask *ask,
                  struct verdict_wait *w) {
    struct verdicts *v = local(t);
    unsigned char digest[DIGEST];
    digest_of(v, ask, digest);
    struct pending *p = same_question(v, digest);
    if (!p)
        p = new_question(t, v, ask, digest);
    if (!p)
        return false;
    list_append(&p->waiters, &w->node);
    op_start(ops, &w->op, cancel);
    return true;
}
