/*
 * redis_slots - which of a cluster's 16,384 slots a key lies in: CRC16 (XMODEM) of the key, or of
 * what stands in its first braces, so that keys may be kept together. Thread: any.
 */
#pragma once
#include "base/str.h"

enum { REDIS_SLOTS = 16384 };

unsigned redis_slot_of(struct span key);
