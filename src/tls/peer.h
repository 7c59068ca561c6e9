/*
 * peer - who a client is, out of the certificate that it showed. Inside of this room.
 * Owner: the caller. Thread: any.
 */
#pragma once
#include "tls/info.h"
#include <openssl/x509.h>

/* One block, mem_free; NULL: no memory, or longer than anybody would pass on. */
must_use struct tls_client_cert *peer_describe(X509 *x, bool verified, bool pem);
/* A NUL in a name: somebody cut "good.test\0.evil.test" for readers that stop there. */
bool peer_deceives(X509 *x);
