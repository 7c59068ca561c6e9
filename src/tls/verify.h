/*
 * verify - the judgement on a peer's certificate in words. Inside of this room.
 * Owner: none. Thread: any.
 */
#pragma once
#include <openssl/x509_vfy.h>

/* SSL_set_verify: changes no judgement but one (a NUL in a name is never let pass), and writes down
 * the first thing that is wrong, for the operator. */
int verify_told(int good, X509_STORE_CTX *c);
