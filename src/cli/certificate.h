/*
 * certificate - a certificate of a listener, told to people: check and explain. Thread: the first.
 */
#pragma once
#include "tls/server.h"
#include <stdio.h>

enum { CERTIFICATE_DAY = 16 };

/* "2027-02-23", UTC */
const char *certificate_day(int64_t seconds, char out[CERTIFICATE_DAY]);
/* "certs/shop.pem (ECDSA P-256) for shop.example, until 2027-02-23": no line end. */
void certificate_print(FILE *f, const struct tls_cert_state *c);
/* Whether a client that asks for `host` (lower-case) will take it. */
bool certificate_names(const struct tls_cert_state *c, struct span host);
