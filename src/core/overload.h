/*
 * overload - what the gateway does when it has too much to do, or too little memory.
 *
 *     overload: {memory: 2GiB, loop_delay: 100ms}      # or false
 *
 * **Time** is each thread's own matter: while its loop is behind (core/shed.h) it refuses, with 503
 * and Retry-After, those who use more than their share. Who asks is the consumer, else the claim
 * `sub`, else the client's address (IPv6: its /64). Judged twice: when the route is known, by the
 * address, which stands for all that nobody has shown credentials for; and once the caller is
 * known, before limits are counted.
 *
 * **Memory** is the process's: the control thread looks (core/pressure.h) and tells every worker a
 * level. From OVERLOAD_SPARE on connections close after their answer, idle ones after two seconds;
 * from OVERLOAD_REFUSE on new requests get 503; at OVERLOAD_STOP nobody is accepted, and the
 * exchanges that hold most are ended. What is a connection's matter front/relief does.
 *
 * A route's `shed` says which requests matter more: `last` may use twice the share and passes
 * until OVERLOAD_STOP; `first` is refused as soon as anything of this has begun. The admin listener
 * and the gateway's own calls are never refused.
 *
 * A request pays for all of this with one look at a byte of its thread. Owner: the thread. Thread:
 * its own, but for what is atomic.
 */
#pragma once
#include "core/shed.h"
#include "http/fault.h"
#include <stdatomic.h>

struct exchange;
struct thread;
struct schema_type; /* core/schema.h, as the table that uses this */

enum overload_level { OVERLOAD_NONE, OVERLOAD_SPARE, OVERLOAD_REFUSE, OVERLOAD_STOP };
enum shed_word { SHED_WORD_FAIR, SHED_WORD_FIRST, SHED_WORD_LAST }; /* a route's `shed` */

struct overload_conf { /* top-level `overload` */
    bool off;
    uint64_t memory; /* bytes that the gateway may use; 0: the cgroup's limit, else the machine's */
    uint64_t loop_delay_ms;
};
extern const struct schema_type schema_overload_type;

struct overload {        /* a thread's */
    bool on;             /* there is something to ask; all that requests look at */
    unsigned char level; /* enum overload_level, of memory */
    bool charging;       /* time is being taken */
    struct shed shed;
    struct timer tick;          /* while it is on: windows end though nobody comes */
    uint64_t excess;            /* bytes that this thread is still to give back */
    struct reader ending;       /* while there are */
    uint64_t began_at, refused; /* of the shedding that is under way */
    /* Of the listeners: the level has changed. May be NULL. */
    void (*told)(struct thread *t);
    _Atomic uint64_t delay_ns; /* for status and metrics */
    atomic_bool cuts;
};

void overload_init(struct thread *t);
void overload_finish(struct thread *t);
/* In the thread: memory's level from now on, and what it is to give back. */
void overload_set_level(struct thread *t, enum overload_level level, uint64_t excess);

/* While `on`: why this exchange, whose route is known, may not go on; or none. */
enum fault overload_refuses(struct exchange *x);
/* The same once its caller is known; asked again and again, it answers once. */
enum fault overload_refuses_caller(struct exchange *x);

/* Around what the loop does for an exchange. */
uint64_t overload_clock(struct exchange *x);
void overload_charge(struct exchange *x, uint64_t from);
