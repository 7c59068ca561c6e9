#include "conf/diag_codes.h"
#include <stddef.h>

/* The titles stand in the list of the header; the compiler checks that every code has one row here.
 */

#define CODE(code_, text_, example_)                                                               \
    [DIAG_##code_] = {.code = #code_, .title = title_##code_, .text = text_, .example = example_}

enum { ROWS = 100 };
_Static_assert(ROWS == (int)DIAG_CODES, "every code has its explanation");

#define D(code_, text_) static const char title_##code_[] = text_;
DIAG_LIST(D)
#undef D

const struct diag_info diag_codes[DIAG_CODES] = {
    CODE(E0101,
         "The file does not exist, or must not be read. A configuration that cannot be "
         "read is never replaced by a default one: the gateway does not start, and a "
         "running one keeps what it has. Paths in a file are relative to the folder of "
         "that file.",
         "include: [routes/shop.yaml]   # seen from the folder of this file"),
    CODE(E0102,
         "A configuration file may have 16 MiB, a secret 64 KiB, a file for `respond` "
         "16 MiB.",
         NULL),
    CODE(E0103,
         "The text is not YAML. Often a text needs quotes: one that holds `{`, `}`, `: "
         "` or ` #`, or that begins with one of `* ~ ! [ { \" % @ &`. Inside {..} and "
         "[..] this is also true of commas and of every brace.",
         "match: {path: /products/{id}}      # wrong\nmatch: {path: \"/products/{id}\"}    "
         "# right"),
    CODE(E0105,
         "Maps and lists may stand 64 deep in one another, aliases counted with what "
         "they stand for.",
         NULL),
    CODE(E0106,
         "In one map every key stands once. YAML readers that take the last one "
         "silently hide mistakes; this one does not.",
         "timeout: 2s\ntimeout: 5s    # which one?"),
    CODE(E0107,
         "A value that begins with `!` is a YAML tag, and tags have no meaning here. "
         "Expressions that begin with `!` stand in single quotes.",
         "when: !has(claim.sub)      # wrong\nwhen: '!has(claim.sub)'    # right"),
    CODE(E0108,
         "The merge key `<<` of YAML 1.1 is not part of YAML 1.2. What it is used for "
         "is done by `service_defaults`, `defaults`, route groups, and by `policies` "
         "with `use`. Anchors and aliases for whole values work.",
         "defaults: {request_timeout: 10s}   # instead of <<: *defaults in every route"),
    CODE(E0109,
         "A file holds one document that is a map. An empty file, or a second document "
         "behind `---`, is most likely a mistake. Split a configuration with `include`.",
         NULL),
    CODE(E0110,
         "An alias `*name` needs an anchor `&name` before it, must not stand inside the "
         "value that it names, and aliases of aliases must not make the document grow "
         "without bounds. A text that begins with `*` needs quotes.",
         "host: *.shop.example      # wrong: read as an alias\nhost: \"*.shop.example\"    "
         "# right"),
    CODE(E0111, "Keys are plain texts, never maps or lists.", NULL),
    CODE(E0112,
         "This key does not exist at this place. Unknown keys are errors, so that a "
         "misspelt limit never silently protects nothing. docs/configuration.md lists "
         "what each place takes, and `sluice schema` gives it to an editor.",
         "request_timout: 5s     # wrong\nrequest_timeout: 5s    # right"),
    CODE(E0113,
         "The key is right and its value has the wrong shape: a map where a text is "
         "wanted, a text where a list is wanted, or nothing at all. If nothing stands "
         "behind a key, the lines below it are probably not indented deeper than it.",
         "services:\nproduct: 127.0.0.1:7001      # not indented: `services` is empty"),
    CODE(E0114, "This map needs the key that is named.",
         "listeners:\n  public: {limits: {}}                  # wrong: where does it "
         "listen?\n  public: {address: 0.0.0.0:8080}       # right"),
    CODE(E0115,
         "Of these keys only one may stand in a map, as they say different things about "
         "the same matter.",
         "a: {endpoints: [10.0.0.1:80], discover: {dns: a.internal:80}}   # one of them"),
    CODE(E0116,
         "Names of services, listeners, policy sets and the like are unique, over all "
         "included files.",
         "services:\n  a: 127.0.0.1:7001\n  a: 127.0.0.1:7002"),
    CODE(E0117,
         "A file includes itself by way of others, is included twice, or includes are "
         "nested more than 8 deep.",
         NULL),
    CODE(E0118,
         "The first key of a configuration is `version: 1`: the version of the language "
         "it is written in.",
         "version: 1"),
    CODE(E0119,
         "JSON as RFC 8259 has it: names and texts in double quotes, no comma behind the last "
         "element, no comments, UTF-8.",
         "{\"sub\": \"u1\",}    # wrong\n{\"sub\": \"u1\"}     # right"),
    CODE(E0120,
         "An included file adds named things (services, policies ...) and routes. A "
         "setting that stands once in a configuration, as `limits` or `defaults`, can "
         "stand in one file only. For what differs between environments give a further "
         "`-c FILE`: it is a patch of what stands before.",
         "sluice run -c sluice.yaml -c production.yaml"),
    CODE(E0121,
         "There are bounds on how many listeners, paths, captures and the like there "
         "can be, so that no configuration makes requests slow.",
         NULL),
    CODE(E0201,
         "A number with a dimension is written with its unit, so that nobody has to "
         "know whether 30 means seconds or milliseconds. Durations: ms s m h d. Sizes: "
         "B KiB MiB GiB KB MB GB. Rates: 100/s, 5000/day. Percentages: 20%.",
         "timeout: 30      # wrong\ntimeout: 30s     # right"),
    CODE(E0202,
         "A duration is a whole number and one of the units ms, s, m, h, d. Some "
         "durations must be longer than 0.",
         "timeout: 1.5s      # wrong\ntimeout: 1500ms    # right"),
    CODE(E0203,
         "A size is a whole number and one of the units B, KiB, MiB, GiB, TiB (1024) or "
         "KB, MB, GB, TB (1000).",
         "max_body: 10M      # wrong\nmax_body: 10MiB    # right"),
    CODE(E0204,
         "A rate is a number, a slash and a time: 100/s, 300/m, 5000/day, 10/5s. A data "
         "rate is a size and /s: 240B/s.",
         "rate: 100 per second    # wrong\nrate: 100/s             # right"),
    CODE(E0205,
         "A percentage is a number from 0 to 100, with at most two decimals, and a "
         "percent sign.",
         "budget: 0.2    # wrong\nbudget: 20%    # right"),
    CODE(E0206,
         "A whole number without sign and unit is wanted here, within the range that "
         "the message names.",
         "workers: many    # wrong\nworkers: 4       # right"),
    CODE(E0207, "YAML 1.2 knows true and false. yes, no, on and off are texts.",
         "metrics: yes     # wrong\nmetrics: true    # right"),
    CODE(E0208, "Only certain words can stand here; the message lists them.",
         "load_balancing: roundrobin     # wrong\nload_balancing: round_robin    # right"),
    CODE(E0209,
         "A listener has an IP address and a port, or the path of a unix socket. A "
         "service may also have a host name. There is no scheme in front.",
         "product: http://127.0.0.1:7001    # wrong\nproduct: 127.0.0.1:7001           # "
         "right"),
    CODE(E0210,
         "A network is written as address/prefix, and behind the prefix all bits are 0; "
         "a single address is a network of one.",
         "trusted_proxies: [10.0.0.1/8]    # wrong\ntrusted_proxies: [10.0.0.0/8]    # "
         "right"),
    CODE(E0211,
         "A host of `match` is a name without scheme and port, or `*.` and a name for "
         "every depth below it. Ports are chosen by `listener`.",
         "host: shop.example:8080    # wrong\nhost: shop.example         # right"),
    CODE(E0212,
         "Header names, cookie names and methods are made of letters, digits and "
         "!#$%&'*+-.^_`|~ (RFC 9110). Methods are written in capitals. Headers that "
         "belong to a connection, as Connection or Content-Length, are written by the "
         "gateway itself.",
         "method: get    # wrong\nmethod: GET    # right"),
    CODE(E0213, "The gateway answers with a status from 200 to 599.", NULL),
    CODE(E0214,
         "`${env.NAME}` is put in when the file is read. A variable that is not set is "
         "an error, never an empty text. Where it may be missing, say what holds then.",
         "timeout: \"${env.?TIMEOUT.orValue('2s')}\""),
    CODE(E0215,
         "A secret comes from a file (`file:path`, relative to this file; a line break "
         "at its end is not part of it) or from the environment (`env:NAME`). It must "
         "be there when the configuration is read.",
         "key: \"${secret('file:/run/secrets/jwt.key')}\""),
    CODE(E0216,
         "`${vars.name}` is a constant from the top-level `vars`. A variable may use "
         "those that stand above it.",
         "vars: {zone: eu}\nservices: {a: \"a.${vars.zone}.internal:80\"}"),
    CODE(E0217,
         "What is put in when the file is read is `${env.NAME}`, "
         "`${env.?NAME.orValue('text')}`, `${secret('file:path')}`, `${secret('env:NAME')}`, "
         "`${vars.name}`, or any expression over `env` and `vars`. It is computed once; what fails "
         "then is an error of the file.",
         "timeout: \"${vars.seconds * 2}s\""),
    CODE(E0218,
         "Names that expressions use are made of a-z, 0-9 and _, and begin with a "
         "letter or _. Other names have 1 to 256 bytes without control characters.",
         "vars: {my-zone: eu}    # wrong\nvars: {my_zone: eu}    # right"),
    CODE(E0219,
         "Where the gateway itself asks is written as a URL: https://, a host, perhaps a port, a "
         "path. User names, passwords and fragments do not stand in it, and other schemes are not "
         "asked. A service of the file is named as {service: NAME, path: /x}.",
         "jwks: https://id.shop.example/jwks.json\njwks: {service: id, path: /jwks.json}"),
    CODE(E0301,
         "A route names a service that stands nowhere in `services`. The message names "
         "one that is spelt nearly so.",
         "services: {product: 127.0.0.1:7001}\nroutes: [{match: {path: /p}, to: "
         "products}]    # wrong"),
    CODE(E0302, "`match.listener` names a listener that stands nowhere in `listeners`.", NULL),
    CODE(E0303,
         "`use` names a policy set that stands nowhere in `policies`, or sets use one "
         "another in a loop.",
         "policies: {strict: {max_body: 1KiB}}\ndefaults: {use: [strict]}"),
    CODE(E0304,
         "An authenticator or plan is named that stands nowhere in `authenticators` or "
         "`plans`.",
         NULL),
    CODE(E0305, "Without a listener no request can come.",
         "listeners: {public: {address: 0.0.0.0:8080}}"),
    CODE(E0306, "Two listeners cannot have the same address and port.", NULL),
    CODE(E0307, "A service needs `endpoints`, or `discover` to find some.",
         "product: {endpoints: [127.0.0.1:7001], timeout: 2s}"),
    CODE(E0308, "If every target of a route has weight 0, no request can go anywhere.", NULL),
    CODE(E0310,
         "A certificate, key, CA, CRL or OCSP file does not exist, must not be read, is not what "
         "it should be (PEM, for OCSP DER), asks for a passphrase, or is too weak. A running "
         "gateway keeps the files that it has.",
         "tls: {certificate: certs/shop.pem, private_key: certs/shop.key}   # seen from this "
         "file's folder"),
    CODE(E0311,
         "The private key belongs to another certificate. Often the chain stands in the wrong "
         "order: the server's own certificate comes first.",
         "cat shop.crt intermediate.crt > shop.pem"),
    CODE(E0312,
         "None of the ciphers, suites or curves is known, or two certificates of one kind (both "
         "RSA, both ECDSA) claim the same server name.",
         NULL),
    CODE(E0313, "A certificate needs its private key, and a listener with `tls` needs both.",
         "tls: {certificate: certs/shop.pem, private_key: certs/shop.key}"),
    CODE(E0314,
         "The PROXY protocol tells who the client is, so only known balancers may send it: those "
         "in `from`, else trusted_proxies. With neither nobody could connect.",
         "proxy_protocol: {from: [10.0.0.0/8]}"),
    CODE(E0315,
         "h2c means HTTP/2 on clear text. Over TLS both sides agree on a protocol: `http2` insists "
         "on HTTP/2, `auto` takes what the service chooses.",
         "services: {payment: {endpoints: [10.0.0.7:443], tls: true, protocol: auto}}"),
    CODE(E0316,
         "`redirect: https` belongs to a listener on clear text; on one with TLS every answer "
         "would be a redirect to the same place.",
         "listeners:\n  public: {address: 0.0.0.0:80, redirect: https}\n  secure: {address: "
         "0.0.0.0:443, tls: {certificate: a.pem, private_key: a.key}}"),
    CODE(E0330,
         "An authenticator is of exactly one kind (jwt, api_key, basic ...), and its kind may ask "
         "for more than its keys and shapes: the message says what.",
         "authenticators:\n  partners: {api_key: {in: header, name: X-API-Key}}"),
    CODE(E0331,
         "Keys of consumers stand in the file as SHA-256, passwords as bcrypt, argon2id or "
         "yescrypt; `sluice hash key` and `sluice hash password` make them. Times are written "
         "2027-01-31 or 2027-01-31T12:00:00Z.",
         "consumers:\n  - {name: acme, keys: [\"sha256:2bb80d53..\"]}"),
    CODE(E0332,
         "A key, certificate or signature key tells who asks, so it belongs to one consumer and "
         "stands once.",
         NULL),
    CODE(E0401,
         "Every route says what happens to its requests: `to`, `respond` or `redirect`. "
         "With `routes` it is a group.",
         "routes: [{match: {path: /old}, redirect: /new}]"),
    CODE(E0402, "A route has one action.",
         "{match: {path: /a}, to: a, respond: ok}    # forward or answer?"),
    CODE(E0403,
         "There is a request that both routes match, and precedence does not rank them: "
         "first `priority`; then host (exact, wildcard, any); then the path from the "
         "left (literal, capture, tail, regular expression); then the number of further "
         "conditions. The order in the file never decides.",
         "{match: {path: \"/a/{x}\"}, to: a}\n{match: {path: \"/a/{y}\"}, to: b}    # the "
         "same requests"),
    CODE(E0404,
         "Routes are told apart by name in logs, metrics and patches. Without `name` a "
         "route is called METHODS host/path; two routes that differ in other conditions "
         "only need names of their own.",
         "{name: orders-v2, match: {path: /orders, header: {x-api-version: \"2\"}}, to: "
         "orders2}"),
    CODE(E0405,
         "A path begins with /. Its segments are literal, or {name} for one whole "
         "segment; at the end may stand /* or {name*} for everything below. A regular "
         "expression begins with \"~ \". Query parameters are matched by `query`.",
         "path: \"/files/{name}.txt\"                  # wrong\npath: \"~ "
         "^/files/(?<name>[^/]+)\\.txt$\"     # right"),
    CODE(E0406,
         "`match` only narrows: what the groups around demand must hold too. Here "
         "nothing is left that a request could meet.",
         "- match: {host: \"*.shop.example\"}\n  routes: [{match: {host: other.example}, "
         "to: a}]    # no host fits both"),
    CODE(E0407,
         "Regular expressions are those of PCRE2, under limits on what a match may "
         "cost. They are searched for anywhere in the text unless they say ^ and $.",
         NULL),
    CODE(E0408,
         "A capture has one name per path, a route has at most 16, and with several "
         "paths every path captures the same names, so that ${path.x} always means "
         "something.",
         NULL),
    CODE(E0501,
         "A template is a text with ${..}. Each ${ has its }, and $${ stands for ${ "
         "itself; any other $ is just a dollar sign.",
         "rewrite: \"/x/${path.id\"     # wrong\nrewrite: \"/x/${path.id}\"    # right"),
    CODE(E0502,
         "The name is not known, or not at this place. Always known: request.method, "
         "request.scheme, request.host, request.path, request.id, request.protocol, "
         "header[\"x\"], query.x, cookie.x, path.x (captures of this route), client.ip, "
         "client.port, client.tls.version, sni, subject, san and verified (empty without TLS); in "
         "`errors` also error.code, error.status, error.detail, "
         "error.who.",
         "match: {path: \"/p/{id}\"}\nrewrite: \"/p/${path.idd}\"    # wrong: the capture is "
         "id"),
    CODE(E0503,
         "A rewrite is one of three: a whole new `path`; `strip` and `add`, prefixes of "
         "whole segments; `regex` and `with`, where $1 is the first group. A path "
         "begins with /.",
         "rewrite: {strip: /api, add: /v2}"),
    CODE(E0504,
         "A redirect names its whole target with `to`, or the parts that change: "
         "scheme, host, path.",
         "redirect: {scheme: https}"),
    CODE(E0505, "Answers with status 204, 205 or 304 have no body.", NULL),
    CODE(E0506,
         "Conditions and what stands in ${..} are written in CEL, the Common Expression Language. "
         "Syntax, names and types are checked when the file is read. `sluice eval` tries one.",
         "when: request.method = \"GET\"     # wrong: one = assigns, and there is no assignment\n"
         "when: request.method == \"GET\"    # right"),
    CODE(E0507,
         "The expression is right, but with these values it comes to nothing: a key that is not "
         "there, a division by zero, a conversion that fails, too much work. `has(claim.x)`, "
         "`claim[?\"x\"].orValue(\"\")` and `\"x\" in claim` ask before they take.",
         "claim.plan == \"gold\"                      # no value without such a claim\n"
         "has(claim.plan) && claim.plan == \"gold\"   # right"),
    CODE(E0601,
         "`timeout` and `retry` belong to services: `service_defaults`, a service, a "
         "group, a route. They do not stand in `defaults`. What bounds a whole exchange "
         "is `request_timeout`.",
         "service_defaults: {timeout: 2s}"),
    CODE(E0602,
         "`mode: observe` (evaluate, count and log, but let pass) is for policies that "
         "can refuse a request.",
         NULL),
    CODE(E0901,
         "The key is part of the language, and this version of sluice does not have "
         "what it stands for. It is refused rather than ignored: a gateway that forgets "
         "to check who asks would be worse than none.",
         "authenticate: shop    # not in this version"),
    CODE(W0101,
         "Every request that this route matches goes to another one first, so it never "
         "gets any. Remove it, or make its conditions more particular.",
         NULL),
    CODE(W0102,
         "A secret in a configuration ends up in backups and version control. Keep it "
         "in a file or in the environment.",
         "headers: {Authorization: \"Bearer ${secret('file:token')}\"}"),
    CODE(W0103,
         "`request_timeout` bounds the whole exchange, every attempt together. A "
         "service's `timeout` that is longer never ends anything.",
         "request_timeout: 5s\ntimeout: 10s    # never reached"),
    CODE(W0104, "The service is defined and no route sends anything to it.", NULL),
    CODE(W0105, "The policy set is defined and nobody uses it.", NULL),
    CODE(W0106, "A group without routes matches nothing.", NULL),
    CODE(W0107,
         "The admin listener shows how the gateway is set up and can reload it. It is "
         "meant for the machine itself, or for a network of operators.",
         "admin: {address: 127.0.0.1:9901}"),
    CODE(W0108, "The variable is defined and nobody uses it.", NULL),
    CODE(W0109,
         "trusted_proxies names whose X-Forwarded-For and Forwarded are believed, and `from` of "
         "proxy_protocol whose PROXY header. If that is everybody, every client can say where it "
         "comes from.",
         "trusted_proxies: [10.0.0.0/8]"),
    CODE(W0110,
         "A target with weight 0 gets no requests: useful for a moment, easily "
         "forgotten.",
         NULL),
    CODE(W0111,
         "The pattern of an include matches no file. The path is relative to the folder "
         "of the file that includes.",
         NULL),
    CODE(W0112,
         "The certificate has expired, is not valid yet, or expires within 30 days. It is served "
         "all the same; clients refuse it once it has expired. New files are read when they "
         "change, no reload is needed.",
         NULL),
    CODE(W0113,
         "The certificate was not signed by a root, and the file does not hold the certificate of "
         "who signed it. Some clients find it by themselves, many do not.",
         "cat shop.crt intermediate.crt > shop.pem"),
    CODE(W0114, "Whoever can read the key can pretend to be this server.", "chmod 600 shop.key"),
    CODE(W0115,
         "The OCSP response is over its time, or is about another certificate. None is stapled "
         "until the file is renewed.",
         NULL),
    CODE(W0116,
         "With insecure_skip_verify anybody between the gateway and the service can answer in its "
         "place and read everything. Give the service's CA instead.",
         "tls: {ca: certs/internal-ca.pem}"),
    CODE(W0117,
         "`names` gives the certificate a server name that does not stand in it. Clients check the "
         "name and will refuse the connection.",
         NULL),
    CODE(
        W0118,
        "With `auto` the service chooses between HTTP/2 and HTTP/1.1 while TLS begins. Without TLS "
        "nobody is asked, and HTTP/1.1 is spoken. A service that speaks HTTP/2 on clear text is "
        "named h2c.",
        "services: {payment: {endpoints: [127.0.0.1:7005], protocol: h2c}}"),
    CODE(W0119,
         "The gateway asks this URL for keys, tokens or decisions. Over http:// whoever is on the "
         "way reads and changes them. Loopback addresses are not warned about.",
         "jwks: https://id.shop.example/jwks.json"),
    CODE(W0120,
         "Rate limits of one name have one count, which each judges by its own rate: what one lets "
         "pass, the other may already refuse. Say the same rate, burst and algorithm wherever the "
         "name stands, or use another name.",
         "rate_limit: {name: search-reports, rate: 2/s}"),
    CODE(W0130,
         "The configuration has authenticators, and yet this route takes every path from anybody "
         "to a service: what no other route matches is open. Give it `authenticate`, or a "
         "narrower `match`.",
         "routes:\n  - {match: {path: /*}, to: shop, authenticate: partners}"),
    CODE(W0131, "The authenticator is defined and no route asks it.", NULL),
    CODE(W0132,
         "The file holds the key itself: whoever reads it can call as this consumer. Write its "
         "SHA-256 instead; `sluice hash key` makes it.",
         "keys: [\"sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\"]"),
    CODE(W0133,
         "The text says which hash it is and is none: so nothing that a client sends can match it. "
         "`sluice hash key` and `sluice hash password` print hashes whole.",
         NULL),
    CODE(
        W0140,
        "Nothing keeps what quotas have counted: when the gateway is started again, everybody has "
        "all of his quota again. `state.store` names a file that keeps it; with `state.shared` the "
        "shared store does.",
        "state: {store: /var/lib/sluice/state.db}"),
};
