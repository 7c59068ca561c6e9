/*
 * lib_net - IP addresses and blocks of them as values: read, printed, compared by bits.
 *
 * An IPv6 address that only maps an IPv4 one (::ffff:c0a8:1) becomes that; written with dots it is
 * refused, as are zones (%en0). Owner: the arena. Thread: any.
 */
#pragma once
#include "data/value.h"

/* NULL: out is it, its bytes are in `bytes`. Else what is wrong with it: "is no IP address". */
const char *net_parse_ip(struct span s, unsigned char bytes[16], struct value *out);
const char *net_parse_cidr(struct span s, unsigned char bytes[16], struct value *out);
enum { NET_TEXT_MAX = 48 };
/* RFC 5952; with /bits where v is a CIDR. Returns the length. */
size_t net_print(char out[NET_TEXT_MAX], const struct value *v);
/* Whether the first bits of both are the same. */
bool net_contains(const struct value *cidr, const struct value *address);
