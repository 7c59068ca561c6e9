/*
 * registry - the only list of policies and backs: what the loader can ask for by name. Thread: any
 * (const).
 */
#pragma once
#include "conf/conf.h"

extern const struct conf_registry registry;
