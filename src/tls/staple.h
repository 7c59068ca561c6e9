/*
 * staple - an OCSP response out of a file, for clients that ask whether the certificate was
 * revoked. Only one that a client would accept: of this certificate, signed by its issuer, "good",
 * and not stale. Owner: its certificate. Thread: any; blocks on files.
 */
#pragma once
#include "tls/pem.h"

/* What is wrong is told as a warning; then nothing is stapled. */
void staple_load(struct certificate *c, struct span path, struct stamps *seen, struct teller *t);
