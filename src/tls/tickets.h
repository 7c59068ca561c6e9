/*
 * tickets - the keys that session tickets of a listener are sealed with.
 *
 * By the listener's name, so they last over reloads: as long as one server holds them. The newest
 * seals; the one before still opens. Owner: counted. Thread: any (a lock, per ticket).
 */
#pragma once
#include "tls/server.h"
#include <openssl/ssl.h>

struct tickets;
struct tickets *tickets_get(struct span name);
void tickets_unref(struct tickets *k);
void tickets_rotate(struct tickets *k, uint64_t now_ns, uint64_t every_ms);
/* SSL_CTX_set_tlsext_ticket_key_evp_cb, for k. 1: sealed, opened. 2: opened with the older key.
 * 0: not ours. */
int tickets_use(struct tickets *k, unsigned char name[16], unsigned char *iv,
                EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool seal);
/* Once, before tickets_use. */
void tickets_init(void);
