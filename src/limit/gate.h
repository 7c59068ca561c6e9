/*
 * gate - how services are protected (core/gate.h): a fixed limit, the adaptive one, a rate.
 *
 * A pass asks for what costs others nothing first: the rate, then a turn of the fixed limit, then
 * one of the adaptive limit. A turn of the fixed limit is had until the attempt is over, whatever
 * it is (a WebSocket has its own as long as it lasts). The adaptive limit counts only who waits for
 * an answer: its turn is over with the head, or when its patience is (adaptive_patience).
 *
 * Where only the adaptive limit stands, as on every service, a request costs two atomic operations
 * and no memory. What it took is written down by its thread alone; once a window is long enough
 * whoever comes by adds up what the threads have, and judges. Owner: gates last by the service's
 * name. Thread: any.
 */
#pragma once
#include "core/gate.h"
#include "core/snapshot.h"

extern const struct gate_ops gate_ops;

/* Before a snapshot is published, and when it is freed. */
void gate_attach(struct snapshot *s);
void gate_detach(struct snapshot *s);

/* For status, metrics and explain. */
struct gate_state {
    uint32_t in_flight; /* of the fixed limit */
    uint32_t asked;     /* wait for an answer, as the adaptive limit counts */
    uint32_t waiting;   /* for a turn */
    uint32_t adaptive;  /* the limit now */
    bool limiting;      /* it is below what it may be: there was evidence */
    uint64_t usual_ns;  /* median of the time to a head; 0: nothing is known yet */
    uint64_t refused_limit, refused_adaptive, refused_rate, refused_queue, refused_late;
    uint64_t queued, waited_ns;
};
void gate_look(const struct service_conf *s, struct gate_state *out);
