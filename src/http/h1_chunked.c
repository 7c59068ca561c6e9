#include "http/h1.h"

enum { EXT_MAX = 256, DIGITS_MAX = 16, OVERHEAD_FREE = 16 * 1024, OVERHEAD_RATIO = 16 };

enum state {
    C_FIRST, /* first digit of a size */
    C_SIZE,
    C_EXT, /* after ";": blanks, then a name */
    C_NAME,
    C_NAME_END, /* blanks after a name: "=" or ";" must follow */
    C_EQUALS,   /* after "=": blanks, then a value */
    C_TOKEN,
    C_QUOTED,
    C_PAIR,      /* after "\" in a quoted string */
    C_VALUE_END, /* after a quoted string */
    C_VALUE_BWS, /* blanks after a value: ";" must follow */
    C_LINE_LF,
    C_DATA,
    C_DATA_CR,
    C_DATA_LF,
    C_END,
};

void h1_chunked_init(struct h1_chunked *c) {
    *c = (struct h1_chunked){.state = C_FIRST};
}

static bool blank(unsigned char b) {
    return b == ' ' || b == '\t';
}

static int hex_value(unsigned char b) {
    char c = lower((char)b);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum fault size_byte(struct h1_chunked *c, unsigned char b) {
    int v = hex_value(b);
    if (v >= 0) {
        if (++c->digits > DIGITS_MAX || c->left > (uint64_t)INT64_MAX >> 4)
            return FAULT_CHUNK_OVERFLOW;
        c->left = c->left << 4 | (unsigned)v;
        c->state = C_SIZE;
        return FAULT_NONE;
    }
    if (c->state == C_FIRST || (b != ';' && b != '\r'))
        return b == '\n' ? FAULT_BARE_LF : FAULT_BAD_CHUNK;
    c->state = b == ';' ? C_EXT : C_LINE_LF;
    return FAULT_NONE;
}

/* The next state inside an extension (RFC 9112 7.1.1), or -1: this byte may not stand here. */
static int ext_next(enum state s, unsigned char b) {
    bool token = token_char[b], text = (b >= 0x20 && b != 0x7f) || b == '\t';
    switch (s) {
    case C_EXT:
        return blank(b) ? C_EXT : token ? C_NAME : -1;
    case C_NAME:
        if (token)
            return C_NAME;
        return b == '='    ? C_EQUALS
               : b == ';'  ? C_EXT
               : b == '\r' ? C_LINE_LF
               : blank(b)  ? C_NAME_END
                           : -1;
    case C_NAME_END:
        return blank(b) ? C_NAME_END : b == '=' ? C_EQUALS : b == ';' ? C_EXT : -1;
    case C_EQUALS:
        return blank(b) ? C_EQUALS : b == '"' ? C_QUOTED : token ? C_TOKEN : -1;
    case C_TOKEN:
        if (token)
            return C_TOKEN;
        __attribute__((fallthrough));
    case C_VALUE_END:
        return b == ';' ? C_EXT : b == '\r' ? C_LINE_LF : blank(b) ? C_VALUE_BWS : -1;
    case C_VALUE_BWS:
        return blank(b) ? C_VALUE_BWS : b == ';' ? C_EXT : -1;
    case C_QUOTED:
        return b == '"' ? C_VALUE_END : b == '\\' ? C_PAIR : text ? C_QUOTED : -1;
    case C_PAIR:
        return text ? C_QUOTED : -1;
    case C_FIRST:
    case C_SIZE:
    case C_LINE_LF:
    case C_DATA:
    case C_DATA_CR:
    case C_DATA_LF:
    case C_END:
        break;
    }
    return -1;
}

static enum fault ext_byte(struct h1_chunked *c, unsigned char b) {
    int next = ext_next((enum state)c->state, b);
    if (next < 0)
        return FAULT_BAD_CHUNK_EXT;
    if (++c->ext > EXT_MAX)
        return FAULT_CHUNK_OVERHEAD;
    c->state = (uint8_t)next;
    return FAULT_NONE;
}

static enum fault size_line_end(struct h1_chunked *c, unsigned char b) {
    if (b != '\n')
        return FAULT_BAD_CHUNK_EXT;
    /* overhead > 16 * data + free, without overflow */
    if (c->overhead > OVERHEAD_FREE &&
        (c->overhead - OVERHEAD_FREE + OVERHEAD_RATIO - 1) / OVERHEAD_RATIO > c->data)
        return FAULT_CHUNK_OVERHEAD;
    c->state = c->left ? C_DATA : C_END;
    c->ext = 0;
    c->digits = 0;
    return FAULT_NONE;
}

static enum fault data_end(struct h1_chunked *c, unsigned char b) {
    if (b != (c->state == C_DATA_CR ? '\r' : '\n'))
        return b == '\n' ? FAULT_BARE_LF : FAULT_BAD_CHUNK;
    c->state = c->state == C_DATA_CR ? C_DATA_LF : C_FIRST;
    return FAULT_NONE;
}

static enum fault framing_byte(struct h1_chunked *c, unsigned char b) {
    c->overhead++;
    switch ((enum state)c->state) {
    case C_FIRST:
    case C_SIZE:
        return size_byte(c, b);
    case C_LINE_LF:
        return size_line_end(c, b);
    case C_DATA_CR:
    case C_DATA_LF:
        return data_end(c, b);
    case C_EXT:
    case C_NAME:
    case C_NAME_END:
    case C_EQUALS:
    case C_TOKEN:
    case C_QUOTED:
    case C_PAIR:
    case C_VALUE_END:
    case C_VALUE_BWS:
        return ext_byte(c, b);
    case C_DATA:
    case C_END:
        break;
    }
    return FAULT_INTERNAL;
}

enum h1_chunk h1_chunked_read(struct h1_chunked *c, const char *p, size_t n, size_t *used,
                              struct span *data) {
    *data = SPAN_NONE;
    *used = 0;
    if (c->fault != FAULT_NONE)
        return CHUNK_FAULT;
    while (c->state != C_END && *used < n) {
        if (c->state == C_DATA) {
            size_t take = n - *used < c->left ? n - *used : (size_t)c->left;
            *data = span_of(p + *used, take);
            *used += take;
            c->data += take;
            c->left -= take;
            if (c->left == 0)
                c->state = C_DATA_CR;
            return CHUNK_DATA;
        }
        c->fault = framing_byte(c, (unsigned char)p[(*used)++]);
        if (c->fault != FAULT_NONE)
            return CHUNK_FAULT;
    }
    return c->state == C_END ? CHUNK_TRAILERS : CHUNK_MORE;
}
