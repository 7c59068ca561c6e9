#include "http/names.h"

const struct hdr_info hdr_table[HDR_COUNT] = {
#define H(id, name, title, flags) [HDR_##id] = {SPAN(name), SPAN(title), flags},
    HDR_LIST(H)
#undef H
};

/* RFC 9110 5.6.2: "!#$%&'*+-.^_`|~", digits and letters. */
const unsigned char token_char[256] = {
    ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1, ['*'] = 1, ['+'] = 1,
    ['-'] = 1, ['.'] = 1, ['^'] = 1, ['_'] = 1, ['`'] = 1, ['|'] = 1,  ['~'] = 1, ['0'] = 1,
    ['1'] = 1, ['2'] = 1, ['3'] = 1, ['4'] = 1, ['5'] = 1, ['6'] = 1,  ['7'] = 1, ['8'] = 1,
    ['9'] = 1, ['A'] = 1, ['B'] = 1, ['C'] = 1, ['D'] = 1, ['E'] = 1,  ['F'] = 1, ['G'] = 1,
    ['H'] = 1, ['I'] = 1, ['J'] = 1, ['K'] = 1, ['L'] = 1, ['M'] = 1,  ['N'] = 1, ['O'] = 1,
    ['P'] = 1, ['Q'] = 1, ['R'] = 1, ['S'] = 1, ['T'] = 1, ['U'] = 1,  ['V'] = 1, ['W'] = 1,
    ['X'] = 1, ['Y'] = 1, ['Z'] = 1, ['a'] = 1, ['b'] = 1, ['c'] = 1,  ['d'] = 1, ['e'] = 1,
    ['f'] = 1, ['g'] = 1, ['h'] = 1, ['i'] = 1, ['j'] = 1, ['k'] = 1,  ['l'] = 1, ['m'] = 1,
    ['n'] = 1, ['o'] = 1, ['p'] = 1, ['q'] = 1, ['r'] = 1, ['s'] = 1,  ['t'] = 1, ['u'] = 1,
    ['v'] = 1, ['w'] = 1, ['x'] = 1, ['y'] = 1, ['z'] = 1,
};

/* Open addressing, filled once before main() and read-only from then on. Setting bit 5 folds the
 * case: of the bytes that a token may hold only letters change into what stands in known names. */
enum { SLOTS = 512 };
static uint8_t slot[SLOTS];
_Static_assert(HDR_COUNT < 256, "ids fit a byte");

/* The factors were searched for: with them the names of today share but one slot. */
static unsigned hash_of(struct span s) {
    unsigned first = (unsigned char)s.p[0] | 0x20u;
    unsigned mid = (unsigned char)s.p[s.n / 2] | 0x20u;
    unsigned last = (unsigned char)s.p[s.n - 1] | 0x20u;
    return ((unsigned)s.n * 0x281u + first * 0x1bfu + mid * 0xbfu + last * 0x16fu) & (SLOTS - 1);
}

__attribute__((constructor)) static void fill_slots(void) {
    for (unsigned id = 1; id < HDR_COUNT; id++) {
        unsigned at = hash_of(hdr_table[id].name);
        while (slot[at])
            at = (at + 1) & (SLOTS - 1);
        slot[at] = (uint8_t)id;
    }
}

static uint64_t load8(const char *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v | 0x2020202020202020u;
}

static uint32_t load4(const char *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v | 0x20202020u;
}

static bool same_folded(struct span raw, struct span name) {
    if (raw.n != name.n)
        return false;
    if (raw.n >= 4 && raw.n <= 8)
        return load4(raw.p) == load4(name.p) &&
               load4(raw.p + raw.n - 4) == load4(name.p + name.n - 4);
    if (raw.n < 4) {
        for (size_t i = 0; i < raw.n; i++)
            if ((raw.p[i] | 0x20) != name.p[i])
                return false;
        return true;
    }
    for (size_t i = 0; i + 8 < raw.n; i += 8)
        if (load8(raw.p + i) != load8(name.p + i))
            return false;
    return load8(raw.p + raw.n - 8) == load8(name.p + name.n - 8);
}

enum hdr_id hdr_lookup(struct span name) {
    if (name.n == 0)
        return HDR_OTHER;
    for (unsigned at = hash_of(name); slot[at]; at = (at + 1) & (SLOTS - 1))
        if (same_folded(name, hdr_table[slot[at]].name))
            return (enum hdr_id)slot[at];
    return HDR_OTHER;
}

enum hdr_id hdr_twin(struct span name) {
    char dashed[32];
    if (name.n > sizeof dashed)
        return HDR_OTHER;
    for (size_t i = 0; i < name.n; i++)
        dashed[i] = name.p[i] == '_' ? '-' : name.p[i];
    return hdr_lookup(span_of(dashed, name.n));
}

bool hdr_imitates(struct span name) {
    enum hdr_id id = hdr_twin(name);
    return id != HDR_OTHER && hdr_table[id].flags & (HF_HOP | HF_FRAMING | HF_FORWARDED |
                                                     HF_IDENTITY | HF_NOT_HOP | HF_OVERRIDE);
}

static const struct span methods[METHOD_COUNT] = {
#define M(m) [METHOD_##m] = SPAN(#m),
    METHOD_LIST(M)
#undef M
};

enum method method_lookup(struct span name) {
    for (unsigned m = 1; m < METHOD_COUNT; m++)
        if (span_eq(name, methods[m]))
            return (enum method)m;
    return METHOD_OTHER;
}

struct span method_name(enum method m) {
    return m < METHOD_COUNT ? methods[m] : SPAN_NONE;
}

bool method_idempotent(enum method m) {
    switch (m) {
    case METHOD_GET:
    case METHOD_HEAD:
    case METHOD_PUT:
    case METHOD_DELETE:
    case METHOD_OPTIONS:
    case METHOD_TRACE:
    case METHOD_QUERY:
        return true;
    case METHOD_OTHER:
    case METHOD_POST:
    case METHOD_PATCH:
    case METHOD_CONNECT:
    case METHOD_COUNT:
        break;
    }
    return false;
}
