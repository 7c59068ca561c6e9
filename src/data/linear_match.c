/* Following all possible matches at once (Thompson, Pike): for each character of the subject the
 * set of places in the program that are alive, in order of preference, each once. */
#include "data/linear.h"
#include "data/linear_code.h"

enum { NEAR = 64, SLOTS_MAX = 2 * REGEX_GROUPS_MAX };

/* A place still to be visited, or (slot >= 0) a slot's value to be put back. */
struct todo {
    uint32_t at;
    int32_t slot;
    size_t old;
};

struct list {
    uint32_t *at;
    size_t *saved; /* slots of each, where groups are asked for */
    uint32_t n;
};

struct run {
    const struct linear *r;
    struct span s;
    size_t pos;
    unsigned slots; /* 0: only whether */
    struct list now, next;
    uint32_t *mark, generation; /* places that are in the list being made */
    struct todo *todo;
    uint64_t *steps;
    unsigned work;
    bool spent, matched;
    size_t slot[SLOTS_MAX], best[SLOTS_MAX];
};

static bool word_at(struct span s, size_t at) {
    char ch = at < s.n ? s.p[at] : 0, l = lower(ch);
    return (l >= 'a' && l <= 'z') || (ch >= '0' && ch <= '9') || ch == '_';
}

static bool holds(const struct run *m, enum linear_assert what) {
    size_t at = m->pos;
    bool begin = at == 0, end = at == m->s.n;
    bool edge = (!begin && word_at(m->s, at - 1)) != (!end && word_at(m->s, at));
    switch (what) {
    case AT_BEGIN:
        return begin;
    case AT_END:
        return end;
    case AT_LINE_BEGIN:
        return begin || m->s.p[at - 1] == '\n';
    case AT_LINE_END:
        return end || m->s.p[at] == '\n';
    case AT_WORD:
        return edge;
    case AT_NO_WORD:
        return !edge;
    }
    return false;
}

static bool work(struct run *m, unsigned n) {
    m->work += n;
    if (likely(m->work < 256))
        return true;
    uint64_t units = m->work / 16;
    m->work = 0;
    m->spent = units >= *m->steps;
    *m->steps = m->spent ? 0 : *m->steps - units;
    return !m->spent;
}

static void enlist(struct run *m, struct list *l, uint32_t at) {
    if (m->slots)
        memcpy(l->saved + (size_t)l->n * m->slots, m->slot, m->slots * sizeof *m->slot);
    l->at[l->n++] = at;
}

/* The place and all that can be reached without taking a character. */
static void visit(struct run *m, struct list *l, uint32_t first) {
    size_t n = 0;
    m->todo[n++] = (struct todo){first, -1, 0};
    while (n > 0) {
        struct todo t = m->todo[--n];
        const struct linear_code *c = &m->r->code[t.at];
        if (t.slot >= 0) {
            m->slot[t.slot] = t.old;
            continue;
        }
        if (m->mark[t.at] == m->generation)
            continue;
        m->mark[t.at] = m->generation;
        m->work++;
        switch (c->op) {
        case OP_SPLIT:
            m->todo[n++] = (struct todo){t.at + (uint32_t)c->b, -1, 0};
            m->todo[n++] = (struct todo){t.at + (uint32_t)c->a, -1, 0};
            break;
        case OP_JUMP:
            m->todo[n++] = (struct todo){t.at + (uint32_t)c->a, -1, 0};
            break;
        case OP_SAVE:
            if (m->slots > (unsigned)c->a) {
                m->todo[n++] = (struct todo){0, c->a, m->slot[c->a]};
                m->slot[c->a] = m->pos;
            }
            m->todo[n++] = (struct todo){t.at + 1, -1, 0};
            break;
        case OP_ASSERT:
            if (holds(m, (enum linear_assert)c->a))
                m->todo[n++] = (struct todo){t.at + 1, -1, 0};
            break;
        case OP_CHAR:
        case OP_ANY:
        case OP_LINE:
        case OP_CLASS:
        case OP_MATCH:
            enlist(m, l, t.at);
            break;
        }
    }
}

static bool in_class(const struct linear_class *k, uint32_t ch) {
    if (ch < 128)
        return k->ascii[ch >> 6] >> (ch & 63) & 1;
    for (uint32_t i = 0; i < k->ranges; i++)
        if (ch >= k->range[i].low && ch <= k->range[i].high)
            return !k->other;
    return k->other;
}

static bool takes(const struct run *m, const struct linear_code *c, uint32_t ch) {
    switch (c->op) {
    case OP_CHAR:
        return ch == (uint32_t)c->a;
    case OP_ANY:
        return true;
    case OP_LINE:
        return ch != '\n';
    case OP_CLASS:
        return in_class(&m->r->class_at[c->a], ch);
    case OP_SPLIT:
    case OP_JUMP:
    case OP_SAVE:
    case OP_ASSERT:
    case OP_MATCH:
        break;
    }
    return false;
}

/* All that are alive take the character at m->pos, `n` bytes; there is none (n 0) at the end. */
static void step(struct run *m, uint32_t ch, size_t n) {
    struct list was = m->now;
    m->next.n = 0;
    m->generation++;
    for (uint32_t i = 0; i < was.n; i++) {
        const struct linear_code *c = &m->r->code[was.at[i]];
        const size_t *saved = m->slots ? was.saved + (size_t)i * m->slots : NULL;
        if (c->op == OP_MATCH) { /* what stands behind it in the list is worth less */
            m->matched = true;
            if (saved)
                memcpy(m->best, saved, m->slots * sizeof *saved);
            break;
        }
        if (n == 0 || !takes(m, c, ch))
            continue;
        if (saved)
            memcpy(m->slot, saved, m->slots * sizeof *saved);
        m->pos += n;
        visit(m, &m->next, was.at[i] + 1);
        m->pos -= n;
    }
    m->now = m->next;
    m->next = was;
}

/* Where nothing is alive: the next place where a match could begin. False: nowhere. */
static bool leap(struct run *m) {
    const struct linear_code *first = &m->r->code[1];
    if (first->op == OP_ASSERT && first->a == AT_BEGIN)
        return m->pos == 0;
    if (first->op != OP_CHAR || first->a >= 128 || m->pos >= m->s.n)
        return true;
    const char *p = memchr(m->s.p + m->pos, first->a, m->s.n - m->pos);
    if (!p)
        return false;
    m->work += (unsigned)(((size_t)(p - m->s.p) - m->pos) / 16);
    m->pos = (size_t)(p - m->s.p);
    return true;
}

static enum regex_result run(struct run *m) {
    for (;;) {
        if (m->now.n == 0 && (m->matched || !leap(m)))
            break;
        if (!m->matched) {
            for (unsigned i = 0; i < m->slots; i++)
                m->slot[i] = SIZE_MAX;
            visit(m, &m->now, 0);
        }
        size_t n = 0;
        uint32_t ch = m->pos < m->s.n ? linear_char(m->s, m->pos, &n) : 0;
        if (!work(m, m->now.n + 1))
            return REGEX_FAILED;
        step(m, ch, n);
        if (n == 0 || (m->matched && m->slots == 0))
            break;
        m->pos += n;
    }
    return m->matched ? REGEX_YES : REGEX_NO;
}

/* Lists for few places lie on the stack. */
struct near {
    uint32_t at[3 * NEAR];
    struct todo todo[2 * NEAR + 2];
};

static unsigned slots_of(const struct linear *r, unsigned max) {
    return 2 * (max < r->groups + 1 ? max : r->groups + 1);
}

static size_t lists_size(size_t count) {
    return ((3 * count * sizeof(uint32_t) + 15) & ~(size_t)15) +
           (2 * count + 2) * sizeof(struct todo);
}

size_t linear_room(const struct linear *r, unsigned max) {
    return (r->count > NEAR ? lists_size(r->count) : 0) +
           2 * (size_t)r->count * slots_of(r, max) * sizeof(size_t);
}

static void furnish(struct run *m, struct near *near, char *room) {
    size_t count = m->r->count;
    uint32_t *at = near->at;
    m->todo = near->todo;
    m->now.saved = (void *)room;
    if (count > NEAR) {
        at = (void *)room;
        m->todo = (void *)(room + lists_size(count) - (2 * count + 2) * sizeof(struct todo));
        m->now.saved = (void *)(room + lists_size(count));
    }
    m->next.saved = m->slots ? m->now.saved + count * m->slots : NULL;
    m->now.at = at;
    m->next.at = at + count;
    m->mark = at + 2 * count;
    memset(m->mark, 0, count * sizeof *m->mark);
}

enum regex_result linear_match(const struct linear *r, const struct linear_search *search,
                               struct span *group, unsigned max) {
    struct run m unzeroed;
    struct near near unzeroed;
    memset(&m, 0, offsetof(struct run, slot));
    m.r = r;
    m.s = search->subject.p ? search->subject : SPAN("");
    m.pos = search->from;
    m.slots = slots_of(r, max);
    m.generation = 1;
    m.steps = search->steps;
    if (m.pos > m.s.n)
        return REGEX_NO;
    furnish(&m, &near, search->room);
    enum regex_result result = run(&m);
    if (result == REGEX_FAILED || !work(&m, 255))
        return REGEX_FAILED;
    for (unsigned i = 0; result == REGEX_YES && i < max; i++) {
        const size_t *at = &m.best[2 * i];
        group[i] = 2 * i < m.slots && at[0] != SIZE_MAX && at[1] != SIZE_MAX
                       ? span_of(m.s.p + at[0], at[1] - at[0])
                       : SPAN_NONE;
    }
    return result;
}
