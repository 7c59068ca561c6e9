/*
 * ip - who may come, by address: lists of networks, IPv4 and IPv6.
 *
 * The client's address is judged as the facts say it (behind trusted proxies: what they told), not
 * the connection's other end. A network in `deny` wins over `allow`; where `allow` is written,
 * whoever is in none of its networks is refused. Without an address (a unix socket) `allow` refuses
 * and `deny` alone lets pass. Every level's policy holds: a child cannot loosen its group's. The
 * networks become sorted ranges, so a thousand of them cost ten comparisons. Conf: struct ip_conf.
 * Thread: that of the exchange.
 */
#pragma once
#include "core/schema.h"

struct ip_range { /* 16 bytes each, IPv4 mapped; both ends are within */
    unsigned char from[16], to[16];
};
struct ip_list {
    const struct cidr *network; /* as written */
    uint32_t networks;
    struct ip_range *range; /* sorted, apart from each other */
    uint32_t ranges;
};
struct ip_conf {
    struct ip_list allow, deny;
};

enum ip_verdict { IP_PASSES, IP_DENIED, IP_NOT_ALLOWED };
enum ip_verdict ip_judge(const struct ip_conf *c, const struct address *client);

extern const struct policy ip_policy;
