#include "data/base64.h"

static const char digit_std[64] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char digit_url[64] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* A digit's value + 1; 0: it is none. */
#define LETTERS                                                                                    \
    ['A'] = 1, ['B'] = 2, ['C'] = 3, ['D'] = 4, ['E'] = 5, ['F'] = 6, ['G'] = 7, ['H'] = 8,        \
    ['I'] = 9, ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16, \
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23,            \
    ['X'] = 24, ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30,            \
    ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37,            \
    ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44,            \
    ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48, ['w'] = 49, ['x'] = 50, ['y'] = 51,            \
    ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56, ['4'] = 57, ['5'] = 58,            \
    ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62
static const unsigned char value_std[256] = {LETTERS, ['+'] = 63, ['/'] = 64};
static const unsigned char value_url[256] = {LETTERS, ['-'] = 63, ['_'] = 64};

/* The last group, of 2 or 3 digits, whose last digit has bits that no byte takes: they are zero. */
static bool decode_rest(const unsigned char *value, const unsigned char *p, size_t n,
                        unsigned char *out) {
    unsigned a = value[p[0]], b = value[p[1]], c = n == 3 ? value[p[2]] : 1;
    if (!a || !b || !c)
        return false;
    unsigned v = (a - 1) << 12 | (b - 1) << 6 | (c - 1);
    out[0] = (unsigned char)(v >> 10);
    if (n == 2)
        return (v & 0x3ff) == 0;
    out[1] = (unsigned char)(v >> 2);
    return (v & 3) == 0;
}

static bool cut_padding(enum base64_form form, struct span *text) {
    size_t pad = 0, whole = text->n;
    while (pad < 2 && pad < text->n && text->p[text->n - 1 - pad] == '=')
        pad++;
    text->n -= pad;
    return pad ? whole % 4 == 0 : form == BASE64_LENIENT || whole % 4 == 0;
}

bool base64_decode(enum base64_form form, struct span text, unsigned char *out, size_t *n) {
    const unsigned char *value = form == BASE64_URL ? value_url : value_std;
    if (form != BASE64_URL && !cut_padding(form, &text))
        return false;
    const unsigned char *p = (const unsigned char *)text.p;
    unsigned char *o = out;
    size_t rest = text.n % 4;
    if (rest == 1)
        return false;
    for (size_t i = text.n / 4; i > 0; i--, p += 4) {
        unsigned a = value[p[0]], b = value[p[1]], c = value[p[2]], d = value[p[3]];
        if (!a || !b || !c || !d)
            return false;
        unsigned v = (a - 1) << 18 | (b - 1) << 12 | (c - 1) << 6 | (d - 1);
        *o++ = (unsigned char)(v >> 16);
        *o++ = (unsigned char)(v >> 8);
        *o++ = (unsigned char)v;
    }
    if (rest && !decode_rest(value, p, rest, o))
        return false;
    *n = (size_t)(o - out) + (rest ? rest - 1 : 0);
    return true;
}

static char *encode_rest(const char *digit, const unsigned char *p, size_t n, char *o) {
    unsigned v = (unsigned)p[0] << 16 | (n == 2 ? (unsigned)p[1] << 8 : 0);
    *o++ = digit[v >> 18];
    *o++ = digit[v >> 12 & 63];
    if (n == 2)
        *o++ = digit[v >> 6 & 63];
    return o;
}

size_t base64_encode(enum base64_form form, struct span bytes, char *out) {
    const char *digit = form == BASE64_URL ? digit_url : digit_std;
    const unsigned char *p = (const unsigned char *)bytes.p;
    size_t n = bytes.n;
    char *o = out;
    for (; n >= 3; n -= 3, p += 3) {
        unsigned v = (unsigned)p[0] << 16 | (unsigned)p[1] << 8 | p[2];
        *o++ = digit[v >> 18];
        *o++ = digit[v >> 12 & 63];
        *o++ = digit[v >> 6 & 63];
        *o++ = digit[v & 63];
    }
    if (n)
        o = encode_rest(digit, p, n, o);
    while (form == BASE64 && (o - out) % 4)
        *o++ = '=';
    return (size_t)(o - out);
}
