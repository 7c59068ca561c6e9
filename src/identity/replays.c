#include "identity/replays.h"
#include "base/env.h"
#include <openssl/evp.h>
#include <pthread.h>

enum { PROBES = 64, DIGEST = 16 };

struct used {
    unsigned char digest[DIGEST];
    int64_t until;
};

static struct {
    pthread_mutex_t lock;
    unsigned char key[32]; /* nobody outside can aim at a place */
    struct used *used;
} memory = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void feed(EVP_MD_CTX *c, struct span s) {
    uint64_t n = s.n;
    must(EVP_DigestUpdate(c, &n, sizeof n) == 1 && EVP_DigestUpdate(c, s.p, s.n) == 1);
}

static void digest_of(struct span keyid, struct span nonce, unsigned char out[32]) {
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    must(c && EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1);
    feed(c, span_of((const char *)memory.key, sizeof memory.key));
    feed(c, keyid);
    feed(c, nonce);
    must(EVP_DigestFinal_ex(c, out, NULL) == 1);
    EVP_MD_CTX_free(c);
}

/* Looks through the whole stretch: the nonce may lie behind one that is over. */
static enum replay take(const unsigned char digest[32], int64_t now, int64_t until) {
    struct used *free = NULL;
    size_t at;
    memcpy(&at, digest + DIGEST, sizeof at);
    for (size_t i = 0; i < PROBES; i++) {
        struct used *u = &memory.used[(at + i) % REPLAYS_MAX];
        if (u->until > now && memcmp(u->digest, digest, DIGEST) == 0)
            return REPLAY_SEEN;
        if (!free && u->until <= now)
            free = u;
    }
    if (!free)
        return REPLAY_NO_ROOM;
    memcpy(free->digest, digest, DIGEST);
    free->until = until;
    return REPLAY_NEW;
}

enum replay replays_take(struct span keyid, struct span nonce, int64_t now, int64_t until) {
    unsigned char digest[32];
    pthread_mutex_lock(&memory.lock);
    if (!memory.used) {
        memory.used = mem_alloc(REPLAYS_MAX * sizeof *memory.used);
        env.random(memory.key, sizeof memory.key);
    }
    digest_of(keyid, nonce, digest);
    enum replay r = take(digest, now, until);
    pthread_mutex_unlock(&memory.lock);
    return r;
}

void replays_finish(void) {
    mem_free(memory.used);
    memory.used = NULL;
}
