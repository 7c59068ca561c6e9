/*
 * seal - small texts that travel through a browser and come back: encrypted and authenticated.
 *
 * AES-256-GCM under a key that HMAC-SHA-256 makes of a secret of the configuration and a purpose,
 * so every gateway with that secret opens what another one sealed, and what was sealed for one
 * purpose (a session, a login under way) never opens for another. A random nonce each; the label (a
 * cookie's name) is authenticated along. Result: base64url. THREATS.md F26. Owner: the arena.
 * Thread: any.
 */
#pragma once
#include "base/arena.h"

/* base64url, never padded, into the arena. False: no memory; not canonical. */
must_use bool base64url(struct arena *a, struct span bytes, struct span *out);
must_use bool base64url_read(struct arena *a, struct span text, struct span *out);

struct seal_key {
    unsigned char key[32];
};
void seal_key_make(struct seal_key *out, struct span secret, struct span purpose);

/* Length of the sealed text of n bytes. */
size_t seal_size(size_t n);
/* False: no memory, or the crypto library failed. */
must_use bool seal(struct arena *a, const struct seal_key *k, struct span label, struct span plain,
                   struct span *out);
/* False: it was not sealed with this key for this label, or was changed. */
must_use bool seal_open(struct arena *a, const struct seal_key *k, struct span label,
                        struct span sealed, struct span *plain);
