/*
 * stuck - sees that a worker hangs in one handler, and tells what it is at.
 *
 * Ten times a second the control thread looks whether each worker that is in a turn has got on
 * since the last time (loop.progress). If not for 100 ms the worker gets a signal, whose handler
 * notes, in the worker itself, which exchange it works on, its route and its filter: nobody else
 * may look at those. The next look writes that to the log, and counts it. A handler that runs for
 * 200 ms is always seen, one of 100 ms perhaps. What ends a worker that never comes back is the
 * supervisor's and systemd's matter (gateway.c, watchdog). Owner: the gateway. Thread: control, but
 * for the handler.
 */
#pragma once
struct gateway;

void stuck_start(struct gateway *g);
void stuck_stop(void);
