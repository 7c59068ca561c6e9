/*
 * diag_codes - every code that a configuration can be told, once given never reused for something
 * else.
 *
 * E01 files and YAML, keys and shapes; E02 values; E03 names; E04 routes; E05 templates and
 * actions; E06 inheritance; E09 what is not there yet; W01 legal, and probably wrong. The table
 * behind it (diag_codes.c) holds the long explanation that `sluice help CODE` and docs/errors.md
 * print. Thread: any (const).
 */
#pragma once

#define DIAG_LIST(D)                                                                               \
    D(E0101, "a file cannot be read")                                                              \
    D(E0102, "a file is too large")                                                                \
    D(E0103, "the YAML is malformed")                                                              \
    D(E0105, "nested too deeply")                                                                  \
    D(E0106, "a key stands twice in one map")                                                      \
    D(E0107, "YAML tags are not accepted")                                                         \
    D(E0108, "the merge key << is not accepted")                                                   \
    D(E0109, "a file holds exactly one document")                                                  \
    D(E0110, "an anchor or alias is wrong")                                                        \
    D(E0111, "a key must be plain text")                                                           \
    D(E0112, "unknown key")                                                                        \
    D(E0113, "another kind of value is expected")                                                  \
    D(E0114, "a required key is missing")                                                          \
    D(E0115, "keys exclude each other")                                                            \
    D(E0116, "a name is defined twice")                                                            \
    D(E0117, "an include is wrong")                                                                \
    D(E0118, "the configuration's version")                                                        \
    D(E0119, "the JSON is malformed")                                                              \
    D(E0120, "a setting stands in two files")                                                      \
    D(E0121, "too many of something")                                                              \
    D(E0201, "a unit is missing")                                                                  \
    D(E0202, "not a duration")                                                                     \
    D(E0203, "not a size")                                                                         \
    D(E0204, "not a rate")                                                                         \
    D(E0205, "not a percentage")                                                                   \
    D(E0206, "not a whole number in range")                                                        \
    D(E0207, "neither true nor false")                                                             \
    D(E0208, "an unknown word")                                                                    \
    D(E0209, "not an address")                                                                     \
    D(E0210, "not a network")                                                                      \
    D(E0211, "not a host")                                                                         \
    D(E0212, "not a header name, method or other token")                                           \
    D(E0213, "a status out of range")                                                              \
    D(E0214, "an environment variable is not set")                                                 \
    D(E0215, "a secret cannot be read")                                                            \
    D(E0216, "an unknown variable")                                                                \
    D(E0217, "a constant is malformed")                                                            \
    D(E0218, "not a name")                                                                         \
    D(E0219, "not a URL that the gateway can ask")                                                 \
    D(E0301, "an unknown service")                                                                 \
    D(E0302, "an unknown listener")                                                                \
    D(E0303, "an unknown policy set")                                                              \
    D(E0304, "an unknown authenticator or plan")                                                   \
    D(E0305, "nothing to listen on")                                                               \
    D(E0306, "two listeners share an address")                                                     \
    D(E0307, "a service without endpoints")                                                        \
    D(E0308, "the weights leave nothing")                                                          \
    D(E0310, "a file for TLS cannot be used")                                                      \
    D(E0311, "a key does not fit its certificate")                                                 \
    D(E0312, "a setting of TLS is wrong")                                                          \
    D(E0313, "TLS without certificate or key")                                                     \
    D(E0314, "the PROXY protocol without a trusted source")                                        \
    D(E0315, "protocol and TLS contradict each other")                                             \
    D(E0316, "a redirect to itself")                                                               \
    D(E0330, "an authenticator is incomplete or wrong")                                            \
    D(E0331, "a credential of a consumer is malformed")                                            \
    D(E0332, "two consumers share a credential")                                                   \
    D(E0401, "a route does nothing")                                                               \
    D(E0402, "a route has several actions")                                                        \
    D(E0403, "two routes are ambiguous")                                                           \
    D(E0404, "two routes have the same name")                                                      \
    D(E0405, "a path pattern is wrong")                                                            \
    D(E0406, "a condition that nothing can meet")                                                  \
    D(E0407, "a regular expression is wrong")                                                      \
    D(E0408, "captures are wrong")                                                                 \
    D(E0501, "a template is malformed")                                                            \
    D(E0502, "a template uses a name that is not in scope")                                        \
    D(E0503, "a rewrite is incomplete")                                                            \
    D(E0504, "a redirect is incomplete")                                                           \
    D(E0505, "an answer is wrong")                                                                 \
    D(E0506, "an expression is wrong")                                                             \
    D(E0507, "an expression has no value")                                                         \
    D(E0601, "a policy that cannot stand here")                                                    \
    D(E0602, "inherit or mode is used wrongly")                                                    \
    D(E0901, "not available yet")                                                                  \
    D(W0101, "a route that is never reached")                                                      \
    D(W0102, "a secret in clear")                                                                  \
    D(W0103, "a timeout that never ends anything")                                                 \
    D(W0104, "a service that no route uses")                                                       \
    D(W0105, "a policy set that nobody uses")                                                      \
    D(W0106, "a group without routes")                                                             \
    D(W0107, "the admin listener is open to others")                                               \
    D(W0108, "a variable that nobody uses")                                                        \
    D(W0109, "every address is a trusted proxy")                                                   \
    D(W0110, "a target that gets no requests")                                                     \
    D(W0111, "an include that matches no file")                                                    \
    D(W0112, "a certificate expires")                                                              \
    D(W0113, "a certificate without its chain")                                                    \
    D(W0114, "everybody may read a key")                                                           \
    D(W0115, "an OCSP response is stale")                                                          \
    D(W0116, "a service is not verified")                                                          \
    D(W0117, "a certificate does not cover a name")                                                \
    D(W0118, "a protocol that nobody is asked about")                                              \
    D(W0119, "a URL in clear text")                                                                \
    D(W0120, "one limit, several rates")                                                           \
    D(W0130, "anybody may call everything")                                                        \
    D(W0131, "an authenticator that no route uses")                                                \
    D(W0132, "an API key in clear")                                                                \
    D(W0133, "a hash that nothing can have")                                                       \
    D(W0140, "quotas that a restart forgets")

enum diag_code {
#define D(code, title) DIAG_##code,
    DIAG_LIST(D)
#undef D
        DIAG_CODES
};

struct diag_info {
    const char *code, *title;
    const char *text;    /* some sentences: what it means, why it is refused, what to do */
    const char *example; /* a wrong line and a right one */
};

extern const struct diag_info diag_codes[DIAG_CODES];
