/*
 * forward - authenticators of the kind forward: another service decides about each request.
 *
 * It is asked with some headers of the request and told what is asked for (X-Forwarded-Method,
 * -Host, -Uri, -Proto, -For). 2xx lets the request pass, with the headers that the configuration
 * names; those of the client by these names are taken away before. 3xx and 4xx are the client's
 * answer: status, some headers, the body. All else, and no answer in time, is 503: it fails closed
 * (F19). Remembered where `cache` says so, by `key`. Owner: conf belongs to the snapshot. Thread:
 * the exchange's.
 */
#pragma once
#include "core/authenticator.h"

extern const struct auth_kind auth_forward;
