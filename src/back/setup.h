/*
 * setup - what a new connection to a service goes through before HTTP begins: TCP, a PROXY header
 * where the service wants one, TLS. A small switch that is entered again with every event, until it
 * is ready or has failed. Owner: the client that embeds it. Thread: that of the client.
 */
#pragma once
#include "back/client.h"

enum setup_stage { SETUP_TCP, SETUP_PROXY, SETUP_TLS, SETUP_DONE };
enum setup_result { SETUP_WAIT, SETUP_READY, SETUP_FAILED };

struct setup {
    unsigned char stage; /* enum setup_stage */
    unsigned char sent;  /* bytes of the PROXY header */
    bool http1;          /* nothing else is offered */
    enum fault why;      /* after SETUP_FAILED */
    const char *detail;
};

/* On an event of the socket; `a` is the attempt that the connection was opened for. Counts what
 * happened, but for the time running out: that is the client's to see. */
enum setup_result setup_go(struct setup *s, struct client *c, struct attempt *a, uint32_t events);
/* Its time ran out: counted; what was it waiting for? */
const char *setup_gave_up(struct setup *s, struct client *c);
