#include "tls/tickets.h"
#include "base/env.h"
#include "base/list.h"
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <pthread.h>

enum { KEYS = 2, IV_LEN = 16 };

struct key {
    unsigned char name[16], cipher[32], mac[32];
    bool made;
};

struct tickets {
    struct list node;
    struct span name;
    unsigned refs;
    pthread_mutex_t lock;
    struct key key[KEYS]; /* the newest first */
    uint64_t rotated_at;
};

static struct {
    pthread_mutex_t lock;
    struct list all;
} registry = {PTHREAD_MUTEX_INITIALIZER, {&registry.all, &registry.all}};

static EVP_CIPHER *aes; /* asked for by name it is searched each time */

void tickets_init(void) {
    aes = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    must(aes);
}

static void shift(struct tickets *k, uint64_t now_ns) {
    struct key fresh = {.made = true};
    env.random(fresh.name, sizeof fresh.name);
    env.random(fresh.cipher, sizeof fresh.cipher);
    env.random(fresh.mac, sizeof fresh.mac);
    k->key[1] = k->key[0];
    k->key[0] = fresh;
    k->rotated_at = now_ns;
    OPENSSL_cleanse(&fresh, sizeof fresh);
}

static struct tickets *make(struct span name) {
    struct tickets *k = mem_alloc(sizeof *k);
    k->name = span_of(mem_text(name.p, name.n), name.n);
    pthread_mutex_init(&k->lock, NULL);
    shift(k, env.now_ns());
    list_append(&registry.all, &k->node);
    return k;
}

struct tickets *tickets_get(struct span name) {
    struct tickets *found = NULL;
    pthread_mutex_lock(&registry.lock);
    for (struct list *n = registry.all.next; n != &registry.all && !found; n = n->next) {
        struct tickets *k = container_of(n, struct tickets, node);
        if (span_eq(k->name, name))
            found = k;
    }
    if (!found)
        found = make(name);
    found->refs++;
    pthread_mutex_unlock(&registry.lock);
    return found;
}

void tickets_unref(struct tickets *k) {
    if (!k)
        return;
    pthread_mutex_lock(&registry.lock);
    bool last = --k->refs == 0;
    if (last)
        list_remove(&k->node);
    pthread_mutex_unlock(&registry.lock);
    if (!last)
        return;
    pthread_mutex_destroy(&k->lock);
    OPENSSL_cleanse(k->key, sizeof k->key);
    mem_free((void *)(uintptr_t)k->name.p);
    mem_free(k);
}

void tickets_rotate(struct tickets *k, uint64_t now_ns, uint64_t every_ms) {
    pthread_mutex_lock(&k->lock);
    uint64_t age = now_ns > k->rotated_at ? (now_ns - k->rotated_at) / 1000000 : 0;
    if (age >= every_ms)
        shift(k, now_ns);
    if (age >= 2 * every_ms) /* nobody looked for so long: the old one is too old as well */
        shift(k, now_ns);
    pthread_mutex_unlock(&k->lock);
}

/* 0: the newest, 1: the one before, -1: none. */
static int find(const struct tickets *k, const unsigned char name[16]) {
    for (int i = 0; i < KEYS; i++)
        if (k->key[i].made && CRYPTO_memcmp(k->key[i].name, name, 16) == 0)
            return i;
    return -1;
}

static bool arm(const struct key *k, const unsigned char *iv, EVP_CIPHER_CTX *cipher,
                EVP_MAC_CTX *mac, bool seal) {
    char sha[] = "SHA256";
    unsigned char secret[sizeof k->mac];
    memcpy(secret, k->mac, sizeof secret);
    OSSL_PARAM p[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, secret, sizeof secret),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha, 0),
        OSSL_PARAM_construct_end(),
    };
    bool good = EVP_CipherInit_ex(cipher, aes, NULL, k->cipher, iv, seal) > 0 &&
                EVP_MAC_CTX_set_params(mac, p) > 0;
    OPENSSL_cleanse(secret, sizeof secret);
    return good;
}

int tickets_use(struct tickets *k, unsigned char name[16], unsigned char *iv,
                EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool seal) {
    struct key key;
    if (seal)
        env.random(iv, IV_LEN);
    pthread_mutex_lock(&k->lock);
    int i = seal ? 0 : find(k, name);
    if (i >= 0)
        key = k->key[i];
    pthread_mutex_unlock(&k->lock);
    if (i < 0)
        return 0;
    if (seal)
        memcpy(name, key.name, sizeof key.name);
    bool good = arm(&key, iv, cipher, mac, seal);
    OPENSSL_cleanse(&key, sizeof key);
    return good ? i + 1 : -1;
}
