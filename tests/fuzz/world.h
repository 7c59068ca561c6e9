/*
 * world - what the fuzz targets of the whole server share: a rig, a few clients and services, and
 * what happens to them. Owner: the target that includes it. Thread: one.
 */
#pragma once
#include "../flow/rig.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENTS = 4, SERVICES = 4, SAY_MAX = 64, FRAME_HEAD = 9 };

static struct rig *rig;
static int client[CLIENTS], service[SERVICES], listener;

/* A frame of HTTP/2 as a whole word: a mutation needs one byte for it. */
struct frame {
    unsigned char type, flags;
    const char *bytes;
    unsigned char n;
};

static inline void leave(int *fd, bool reset) {
    if (*fd < 0)
        return;
    if (reset)
        actor_reset(*fd);
    else
        actor_close(*fd);
    *fd = -1;
}

/* Reads all that has come and forgets it. */
static inline void listen_to(int fd) {
    char buf[4096];
    size_t got;
    while (fd >= 0 && actor_read(fd, buf, sizeof buf, &got) == IO_OK)
        ;
}

static inline void settle(void) {
    for (unsigned i = 0; sim_step(); i++)
        must(i < 1000000); /* it becomes quiet */
}

static inline void pass(uint64_t ms) {
    uint64_t until = sim_now_ms() + ms;
    do
        settle();
    while (sim_advance(until));
    settle();
}

static inline void accept_one(void) {
    for (int i = 0; i < SERVICES; i++)
        if (service[i] < 0 && (service[i] = actor_accept(listener)) >= 0)
            return;
}

static inline void connect_one(int *c) {
    if (*c < 0)
        *c = actor_connect(&rig->door, NULL);
}

static inline void say(int fd, const void *bytes, size_t n) {
    if (fd >= 0 && n)
        actor_send(fd, bytes, n);
}

static inline void say_text(int fd, const char *text) {
    say(fd, text, strlen(text));
}

static inline void say_frame(int fd, const struct frame *f, unsigned stream) {
    unsigned char head[FRAME_HEAD] = {
        0, 0, f->n, f->type, f->flags, 0, 0, 0, (unsigned char)stream};
    if (fd >= 0 && actor_send(fd, head, sizeof head) == sizeof head)
        actor_send(fd, f->bytes, f->n);
}

/* The next bytes of the input: a length, then they. */
static inline void say_raw(int fd, const uint8_t **at, const uint8_t *end) {
    size_t n = *at < end ? *(*at)++ % SAY_MAX : 0, left = (size_t)(end - *at);
    n = n < left ? n : left;
    say(fd, *at, n);
    *at += n;
}

static inline void on_world(unsigned what) {
    static const uint64_t waits[] = {1, 900, 1100, 4000, 16000, 31000, 61000};
    if (what < array_len(waits))
        pass(waits[what]);
    else if (what == 7)
        rig_reload(rig);
    else
        settle();
}

static inline void begin_world(struct rig_conf conf, unsigned settings) {
    conf.sim.seed = settings;
    conf.sim.buffer = settings & 2 ? 512 : 0;
    conf.sim.read_max = settings & 4 ? 3 : 0;
    conf.sim.write_max = settings & 8 ? 7 : 0;
    conf.sim.events_max = settings & 16 ? 64 : 1;
    rig = rig_start(&conf);
    must(rig);
    listener = actor_listen(&rig->endpoint[0]);
    for (int i = 0; i < CLIENTS; i++)
        client[i] = -1;
    for (int i = 0; i < SERVICES; i++)
        service[i] = -1;
}

static inline void all_leave(void) {
    for (int i = 0; i < CLIENTS; i++)
        leave(&client[i], false);
    for (int i = 0; i < SERVICES; i++)
        leave(&service[i], false);
    for (int fd; settle(), (fd = actor_accept(listener)) >= 0;)
        actor_close(fd);
    pass(200000);
}

/* All that has come by now, or as much as fits. */
static inline size_t heard(int fd, char *buf, size_t max) {
    size_t n = 0, got;
    for (settle(); n < max && actor_read(fd, buf + n, max - n, &got) == IO_OK; settle())
        n += got;
    return n;
}

static inline void check(const char *wrong) {
    if (!wrong)
        return;
    fprintf(stderr, "%s\n", wrong);
    abort();
}

/* When all have left nothing may be left. */
static inline void end_world(void) {
    all_leave();
    actor_close(listener);
    check(rig_check_idle(rig));
    check(rig_stop(rig));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
