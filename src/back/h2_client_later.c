/* Until HTTP/2 is spoken to services. */
#include "back/h2_client.h"

struct client *h2_client_connect(struct pool *p, const struct service_conf *s, enum fault *why) {
    (void)p, (void)s;
    *why = FAULT_CONNECT_FAILED;
    return NULL;
}

struct client *h2_client_take_over(struct client *from, const struct service_conf *s) {
    (void)from, (void)s;
    return NULL;
}
