/*
 * sha256 - one short text's SHA-256, at the price of the hash itself. Thread: any.
 */
#pragma once
#include "base/str.h"

enum { SHA256_SIZE = 32 };

void sha256_of(struct span text, unsigned char out[SHA256_SIZE]);
