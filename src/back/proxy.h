/*
 * proxy - the back that forwards to a service: chooses target and endpoint, makes attempts.
 * Its configuration is struct forward_conf. Thread: that of the exchange.
 */
#pragma once
#include "core/exchange.h"

extern const struct back_ops proxy_back;
