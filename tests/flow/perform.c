#include "h2_actor.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void everybody_leaves(struct play *p) {
    for (int i = 0; i < p->actors; i++) {
        play_close_now(p, i);
        free(p->actor[i].out);
        if (p->actor[i].forget)
            p->actor[i].forget(p->actor[i].more);
        tls_actor_free(p->actor[i].tls);
    }
    p->actors = 0;
    p->abort_at = 0;
}

/* Connections that nobody accepted in the play: closed, until no more come. */
static void clear_services(struct play *p) {
    int fd;
    do {
        play_quiet(p);
        fd = -1;
        for (int i = 0; fd < 0 && i < RIG_ENDPOINTS_MAX; i++)
            fd = p->service[i] >= 0 ? actor_accept(p->service[i]) : -1;
        if (fd >= 0)
            actor_close(fd);
    } while (fd >= 0);
}

/* "/last" is asked for, and answered. */
static void answer_last(struct play *p, int s) {
    const struct tls_role *tls = p->rig->conf.service_tls;
    if (p->rig->snapshot->service->protocol == PROTOCOL_H2 ||
        (tls && tls->alpn && strcmp(tls->alpn, "h2") == 0)) {
        struct h2_actor *a = h2_service(p, s);
        uint32_t stream = h2_expect_request(a, H2_END, ":path: /last\n");
        h2_headers(a, stream, 0, ":status: 200\ncontent-length: 2");
        h2_data(a, stream, H2_END, "ok");
        return;
    }
    play_head(p, s, "GET /last HTTP/1.1");
    play_send(p, s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
}

/* Whatever had gone wrong before, a new client is served. */
static void still_serves(struct play *p) {
    if (p->service[0] < 0 || p->rig->drained)
        return;
    int c = play_client(p);
    if (p->rig->conf.proxy_header)
        play_send(p, c, p->rig->conf.proxy_header);
    if (p->rig->conf.tls)
        play_tls(p, c, p->rig->conf.tls);
    play_send(p, c, "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    int s = play_accept(p, PLAY_ANY);
    if (p->rig->conf.service_proxy)
        play_proxy_header(p, s, p->rig->conf.service_proxy);
    if (p->rig->conf.service_tls)
        play_tls(p, s, p->rig->conf.service_tls);
    answer_last(p, s);
    play_head(p, c, "HTTP/1.1 200 OK");
    play_expect(p, c, "ok");
    play_end(p, c);
}

static void clear_failures(void) {
    sim_fail_any(0);
    sim_fail(SIM_alloc, 0, 0);
}

void perform(struct performance *how, play_fn fn) {
    static bool wrecked; /* a play broke off: its gateway still stands around */
    struct play p = {.tolerant = how->tolerant, .abort_how = how->abort_how};
    if (wrecked)
        fail_msg("not performed: a play before it failed");
    wrecked = true;
    p.rig = rig_start(&how->rig);
    must(p.rig);
    for (int i = 0; i < RIG_ENDPOINTS_MAX; i++)
        p.service[i] = actor_listen(&p.rig->endpoint[i]);
    play_quiet(&p); /* what the start has left to do */
    p.dispatches = 0;
    p.abort_at = how->abort_at;
    if (how->fail_call)
        sim_fail_any(sim_count_all() + how->fail_call);
    if (how->fail_alloc)
        sim_fail(SIM_alloc, sim_count(SIM_alloc) + how->fail_alloc, 0);
    fn(&p);
    how->dispatches = p.dispatches;
    how->failed = sim_failed();
    clear_failures();
    bool disturbed = p.tolerant;
    p.tolerant = p.lost = false;
    everybody_leaves(&p);
    clear_services(&p);
    play_time(&p, 200000); /* every pause, every kept connection is over */
    if (disturbed)
        still_serves(&p);
    everybody_leaves(&p);
    clear_services(&p);
    for (int i = 0; i < RIG_ENDPOINTS_MAX; i++)
        play_refuse(&p, i);
    play_time(&p, 200000);
    const char *wrong = rig_check_idle(p.rig);
    char text[256] = "";
    if (wrong)
        snprintf(text, sizeof text, "after all have left: %s", wrong);
    wrong = rig_stop(p.rig);
    if (wrong && !*text)
        snprintf(text, sizeof text, "after the end: %s", wrong);
    if (*text)
        fail_msg("%s (abort %llu %s, call %llu, allocation %llu, seed %llu)", text,
                 (unsigned long long)how->abort_at, how->abort_how ? "closed" : "reset",
                 (unsigned long long)how->fail_call, (unsigned long long)how->fail_alloc,
                 (unsigned long long)how->rig.sim.seed);
    wrecked = false;
}

static unsigned aborts(const struct rig_conf *rig, play_fn fn, uint64_t dispatches) {
    unsigned n = 0;
    for (int how = PLAY_ABORT_RESET; how <= PLAY_ABORT_CLOSE; how++)
        for (uint64_t at = 1; at <= dispatches; at++, n++) {
            struct performance p = {
                .rig = *rig, .abort_at = at, .tolerant = true, .abort_how = (enum play_abort)how};
            perform(&p, fn);
        }
    return n;
}

/* Until none is left to fail. */
static unsigned failures(const struct rig_conf *rig, play_fn fn, bool alloc) {
    struct performance p = {.failed = true};
    unsigned n = 0;
    for (uint64_t nth = 1; p.failed; nth++, n++) {
        p = (struct performance){.rig = *rig,
                                 .tolerant = true,
                                 .fail_call = alloc ? 0 : nth,
                                 .fail_alloc = alloc ? nth : 0};
        perform(&p, fn);
    }
    return n;
}

unsigned torture(const struct rig_conf *rig, play_fn fn) {
    struct performance plain = {.rig = *rig}, cut = {.rig = *rig};
    unsigned n = 2;
    perform(&plain, fn);
    cut.rig.sim.read_max = cut.rig.sim.write_max = 1;
    perform(&cut, fn);
    n += aborts(rig, fn, plain.dispatches);
    n += failures(rig, fn, false);
    n += failures(rig, fn, true);
    return n;
}

static void as_it_is(void **state) {
    const struct scene *s = *state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct performance how = {.rig = s->rig};
        how.rig.sim.seed = seed;
        how.rig.sim.events_max = seed % 2 ? 1 : 64;
        perform(&how, s->fn);
    }
}

static void tortured(void **state) {
    const struct scene *s = *state;
    print_message("# %s: %u performances\n", s->name, torture(&s->rig, s->fn));
}

int play_main(const char *group, const struct scene *scenes, size_t count, const char *only) {
    struct CMUnitTest *tests = calloc(2 * count, sizeof *tests);
    size_t n = 0;
    must(tests);
    cmocka_set_test_filter(only);
    for (size_t i = 0; i < count; i++)
        for (int torture = 0; torture < 2 - scenes[i].heavy; torture++)
            tests[n++] = (struct CMUnitTest){.name = scenes[i].name,
                                             .test_func = torture ? tortured : as_it_is,
                                             .initial_state = (void *)(uintptr_t)&scenes[i]};
    int failed = _cmocka_run_group_tests(group, tests, n, NULL, NULL);
    free(tests);
    return failed;
}
