#include "core/shed.h"
#include "base/env.h"
#include <math.h>
#include <string.h>

#define DECAY 0.9    /* a window: what is older than a second counts a third */
#define KEEP 0.97    /* of what was done, after a window that was behind */
#define KEEP_FAR 0.8 /* far behind */
#define LESS 0.99    /* the level that was too high, at least */
#define LESS_FAR 0.95
#define KEEP_LEAST 0.1 /* of the loop's time */
/* Lifted by so much more with each window in a row that was not behind. An asker who is cut has ten
 * windows of use on his account: what lifts the level by a tenth he may use up at once. */
#define LIFT 0.02
#define LIFT_MAX 0.5
#define LET_BE 4
#define EASE_LAST 2

enum {
    QUIET_WINDOWS = 20,
    FAR = 4,
    SLEPT_NS = 50000,
    FADE_NS = 10000000,
    WINDOWS_MAX = 100,
    REQUESTS = 4, /* so many, at least, may be waited for */
    BISECTIONS = 40
};

void shed_finish(struct shed *s) {
    mem_free(s->asker);
    s->asker = NULL;
    s->on = false;
}

/* ---- the table -------------------------------------------------------------------------------
 */

static double wish(const struct shed_asker *a) {
    return (double)a->used + (double)a->refused;
}

/* Who wishes for up to three times the level is let be: what people do comes in bursts. Beyond that
 * he may have less the more it is, down to the level itself. */
static double may_use(double wish, double level) {
    return wish <= LET_BE * level ? wish : fmax(level, LET_BE * LET_BE * level * level / wish);
}

/* His place; where he has none yet, that of the least of his set (`take`), or NULL. */
static struct shed_asker *place(struct shed *s, uint64_t key, bool take) {
    struct shed_asker *set = &s->asker[(key >> 32) % SHED_SETS * SHED_WAYS], *least = set;
    for (struct shed_asker *a = set; a < set + SHED_WAYS; a++) {
        if (a->key == key)
            return a;
        if (least->key && (!a->key || wish(a) < wish(least)))
            least = a;
    }
    if (!take)
        return NULL;
    *least = (struct shed_asker){.key = key};
    return least;
}

static double mean_cost(const struct shed *s) {
    return s->admitted > 0.5 ? s->used / s->admitted : 0;
}
static double cost_of(const struct shed *s, const struct shed_asker *a) {
    return a->admitted > 0.5f ? (double)a->used / (double)a->admitted : mean_cost(s);
}

/* Even in [0, 1): splitmix64. */
static double chance(struct shed *s) {
    uint64_t z = s->seed += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

bool shed_asks(struct shed *s, uint64_t key, enum shed_ease ease) {
    struct shed_asker *a = place(s, key, true);
    double cost = cost_of(s, a), level = s->level * s->age * (ease == SHED_LAST ? EASE_LAST : 1);
    if ((double)a->used + chance(s) * cost > may_use(wish(a) + cost, level)) {
        a->refused += (float)cost;
        s->refused += cost;
        s->refusing = true;
        return false;
    }
    a->admitted += 1;
    s->admitted += 1;
    return true;
}

void shed_charge(struct shed *s, uint64_t key, uint64_t ns) {
    struct shed_asker *a = place(s, key, false);
    if (a)
        a->used += (float)ns;
    s->used += (double)ns;
    s->done += (double)ns;
}

static float less(float from, float what) {
    return from > what ? from - what : 0;
}

void shed_takes_back(struct shed *s, uint64_t key, uint64_t ns) {
    struct shed_asker *a = place(s, key, false);
    if (a) {
        a->used = less(a->used, (float)ns);
        a->admitted = less(a->admitted, 1);
    }
    s->used = s->used > (double)ns ? s->used - (double)ns : 0;
    s->done -= (double)ns;
    s->admitted = s->admitted > 1 ? s->admitted - 1 : 0;
}

/* ---- the level -------------------------------------------------------------------------------
 */

/* What all would use together at this level; those who have lost their place are
 * so many that asked once. */
static double cut_to(const struct shed *s, double level, double lost) {
    double sum = 0, mean = mean_cost(s);
    for (size_t i = 0; i < (size_t)SHED_SETS * SHED_WAYS; i++)
        if (s->asker[i].key)
            sum += may_use(wish(&s->asker[i]), level);
    return mean > 0 ? sum + lost / mean * may_use(mean, level) : sum;
}

static double lost_wishes(const struct shed *s) {
    double known = 0;
    for (size_t i = 0; i < (size_t)SHED_SETS * SHED_WAYS; i++)
        known += wish(&s->asker[i]);
    return fmax(s->used + s->refused - known, 0);
}

static double highest_wish(const struct shed *s) {
    double most = mean_cost(s);
    for (size_t i = 0; i < (size_t)SHED_SETS * SHED_WAYS; i++)
        most = fmax(most, wish(&s->asker[i]));
    return most;
}

/* The highest level at which all together use `goal`. */
static double fill(const struct shed *s, double goal) {
    double low = 0, high = highest_wish(s), lost = lost_wishes(s);
    for (int i = 0; i < BISECTIONS; i++) {
        double mid = (low + high) / 2;
        *(cut_to(s, mid, lost) > goal ? &high : &low) = mid;
    }
    return low;
}

static void fade(struct shed *s, uint64_t now) {
    double windows = fmin((double)(now - s->faded) / SHED_WINDOW_NS, WINDOWS_MAX);
    double by = pow(DECAY, windows);
    s->faded = now;
    for (size_t i = 0; i < (size_t)SHED_SETS * SHED_WAYS; i++) {
        struct shed_asker *a = &s->asker[i];
        a->used *= (float)by;
        a->refused *= (float)by;
        a->admitted *= (float)by;
    }
    s->used *= by;
    s->refused *= by;
    s->admitted *= by;
    s->age = (s->age + windows) * by;
}

/* ---- windows ---------------------------------------------------------------------------------
 */

/* Without memory for the table nobody is refused. From here on use is counted; somebody is cut at
 * the end of the next window, if that is behind too. */
static void begin(struct shed *s, uint64_t now) {
    size_t size = sizeof *s->asker * SHED_SETS * SHED_WAYS;
    if (!s->asker && !(s->asker = mem_try(size)))
        return;
    memset(s->asker, 0, size);
    s->on = true;
    s->refusing = false;
    s->quiet = s->calm = 0;
    s->level = HUGE_VAL;
    s->faded = now;
    s->age = 0;
    s->used = s->admitted = s->refused = s->done = 0;
}

/* The window was behind, so what was done in it is what the loop can do. A higher level than before
 * would let in at once what was held back; the same one was too high. */
static enum shed_change cut(struct shed *s, double windows, bool far) {
    bool cutting = shed_cuts(s);
    double keep = far ? KEEP_FAR : KEEP, least = KEEP_LEAST * SHED_WINDOW_NS;
    double level = fill(s, fmax(s->done / windows * keep, least) * s->age) / s->age;
    s->level = fmin(level, fmax(s->level * (far ? LESS_FAR : LESS), least / LET_BE));
    s->quiet = s->calm = 0;
    return cutting ? SHED_SAME : SHED_BEGAN;
}

static enum shed_change lift(struct shed *s, unsigned windows) {
    bool cutting = shed_cuts(s);
    s->quiet = s->refusing ? 0 : s->quiet + windows;
    for (unsigned i = 0; i < windows; i++)
        s->level *= 1 + fmin(LIFT * ++s->calm, LIFT_MAX);
    if (s->quiet < QUIET_WINDOWS)
        return SHED_SAME;
    shed_finish(s);
    return cutting ? SHED_ENDED : SHED_SAME;
}

static enum shed_change window_over(struct shed *s, uint64_t wall, uint64_t target_ns) {
    uint64_t delay = s->events ? s->waited / s->events : 0;
    double windows = fmin((double)wall / SHED_WINDOW_NS, WINDOWS_MAX);
    delay = delay > s->queued ? delay : s->queued;
    if (s->on) /* what one request takes, another waits for, whoever is refused */
        target_ns = (uint64_t)fmax((double)target_ns, REQUESTS * mean_cost(s));
    bool behind = s->events && delay > target_ns && s->busy >= wall / 4 * 3;
    s->delay_ns = delay;
    if (!s->on) {
        if (behind)
            begin(s, s->last_ended);
        return SHED_SAME;
    }
    enum shed_change c =
        behind ? cut(s, windows, delay > FAR * target_ns) : lift(s, (unsigned)windows);
    s->refusing = false;
    s->done = 0;
    return c;
}

enum shed_change shed_turn(struct shed *s, const struct lap *t, uint64_t target_ns) {
    uint64_t took = t->ended - t->began, n = t->events;
    bool slept = !s->since || t->began - s->last_ended > SLEPT_NS;
    if (!s->since)
        s->since = t->began;
    s->busy += took;
    s->events += n;
    if (n)
        s->waited += (n * (slept ? 0 : s->last_took) + (n - 1) * took) / 2;
    if (t->queued > s->queued)
        s->queued = t->queued;
    s->last_ended = t->ended;
    s->last_took = took;
    if (s->on && t->ended - s->faded >= FADE_NS)
        fade(s, t->ended);
    uint64_t wall = t->ended - s->since;
    if (wall < SHED_WINDOW_NS)
        return SHED_SAME;
    enum shed_change c = window_over(s, wall, target_ns);
    s->since = t->ended;
    s->busy = s->waited = s->events = s->queued = 0;
    return c;
}
