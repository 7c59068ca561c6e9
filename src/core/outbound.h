/*
 * outbound - where a call of the gateway's own goes: from a URL or a service of the configuration.
 *
 * "https://id.example/keys" makes an implicit service, one for each origin: TLS verified against
 * the system's roots (or outbound.ca) and the host's name, and shown in status and metrics by its
 * origin. http:// is for loopback; elsewhere the loader warns. {service: NAME, path: /keys} names a
 * service of the file. What a URL must not lead to is judged by the address that is connected to
 * (outbound_refuses): a host name of an implicit service may not lead to loopback, private,
 * link-local and other special addresses unless outbound.allow_private holds them; an address, or
 * "localhost", that stands in the URL is what was meant (THREATS.md F28). Owner: the snapshot, or
 * whoever made it. Thread: any (const).
 */
#pragma once
#include "core/snapshot.h"

struct schema_object; /* core/schema.h, as the tables that use these */
struct schema_type;

struct outbound {
    struct span url;  /* as written; empty: {service, path} */
    struct span host; /* Host of the request; empty: `url` is no URL (schema_issuer alone) */
    struct span path; /* with its query, at least "/" */
    struct span file; /* "file:keys.json": its path, beside the configuration; then no service */
    const struct service_conf *service; /* NULL: a file, or unused */
    bool unused;                        /* finish() of its owner has no need of it */
    struct plan plan;
    struct forward_conf forward; /* what plan.back_conf points to */
    struct target target;
    struct where where;
};

/* What the configuration says for all URLs (top-level `outbound`). */
struct outbound_conf {
    struct span ca; /* file; empty: the system's roots */
    const struct cidr *allow;
    uint32_t allow_count;
};

/* Types for tables of other rooms: the field is a `const struct outbound *` (NULL: not given).
 * schema_url_or_file also takes "file:PATH". schema_issuer takes any text; a URL leads to the
 * discovery document below it (OpenID Connect Discovery 4), `url` stays the issuer itself. */
extern const struct schema_object schema_outbound;
extern const struct schema_type schema_url, schema_url_or_file, schema_issuer;

/* For finish() of a policy or an authenticator: no service is made for this URL. NULL is fine. */
static inline void outbound_unused(const struct outbound *o) {
    if (o)
        ((struct outbound *)(uintptr_t)o)->unused = true;
}

struct url_origin { /* of a URL that was read */
    bool tls, name; /* name: a host name, which somebody's DNS resolves */
    bool loopback;  /* "localhost", or a loopback address in the URL */
    struct span origin, authority, host, address_text; /* "https://a", "a", "a", "a:443" */
    struct address address;                            /* of an IP address; len 0: a name */
    uint16_t port;
    struct span path;
};
/* NULL, or a sentence that says why this is no URL that the gateway asks. */
must_use const char *outbound_read(struct arena *a, struct span url, struct url_origin *out);
/* Fills what an origin says of a service; TLS and shipped values are the caller's. */
void outbound_service(struct arena *a, const struct url_origin *o, const struct outbound_conf *conf,
                      struct service_conf *s);
/* Points o at its service, to be reached through this back (the proxy). */
void outbound_aim(struct outbound *o, const struct service_conf *s, const struct back_ops *proxy);

/* May a connection for this service not go to this address? */
must_use bool outbound_refuses(const struct service_conf *s, const struct address *to);

/* For a URL that only an answer names (the jwks_uri of a discovery document): a place of its own,
 * with the times and limits of `like`, whose answer it was. No clear text where that had TLS. Not
 * even a literal address is taken for meant, unless it is that of `like`. NULL: *why. Owner: the
 * caller, who outlives its calls. Thread: control. */
enum { OUTBOUND_URL_MAX = 2048 };
must_use struct outbound *outbound_make(const struct snapshot *s, const struct outbound *like,
                                        struct span url, const char **why);
void outbound_destroy(struct outbound *o); /* NULL is fine */
/* How such a service comes to its endpoints (main sets it, before threads run). */
struct outbound_hooks {
    void (*attach)(struct service_conf *s);
    void (*detach)(struct service_conf *s);
};
void outbound_set_hooks(const struct outbound_hooks *hooks);
