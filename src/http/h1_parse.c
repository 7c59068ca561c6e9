/*
 * The reader of heads: one switch over states that can be entered again at any byte. A state judges
 * bytes in their order and never waits for a later one to refuse an earlier one, so the verdict
 * does not depend on how the input was cut. Limits are judged by position for the same reason.
 */
#include "http/h1.h"
#include "http/scan.h"

const struct h1_limits h1_request_limits = {.line_max = 8 * 1024,
                                            .total_max = 32 * 1024,
                                            .field_max = 16 * 1024,
                                            .name_max = 256,
                                            .count_max = 100,
                                            .method_max = 32};
const struct h1_limits h1_response_limits = {.line_max = 8 * 1024,
                                             .total_max = 64 * 1024,
                                             .field_max = 64 * 1024,
                                             .name_max = 256,
                                             .count_max = H1_FIELDS_MAX,
                                             .method_max = 32};
const struct h1_limits h1_trailer_limits = {.line_max = 8 * 1024,
                                            .total_max = 4 * 1024,
                                            .field_max = 4 * 1024,
                                            .name_max = 256,
                                            .count_max = 16,
                                            .method_max = 32};

enum state {
    S_BEGIN, /* request: a first CRLF is tolerated */
    S_BEGIN_LF,
    S_METHOD,
    S_TARGET,
    S_VERSION, /* at - line bytes of "HTTP/1.x" have been read */
    S_STATUS,  /* three digits */
    S_REASON_SP,
    S_REASON,
    S_LINE_CR,
    S_LINE_LF,
    S_FIELD, /* first byte of a field line, or of the empty line */
    S_NAME,
    S_OWS,
    S_VALUE,
    S_FIELD_LF,
    S_END_LF,
};

void h1_parser_init(struct h1_parser *p, enum h1_kind kind, const struct h1_limits *limits) {
    must(limits->count_max <= H1_FIELDS_MAX);
    p->limits = limits;
    p->kind = kind;
    p->fault = FAULT_NONE;
    p->state = kind == H1_REQUEST ? S_BEGIN : kind == H1_RESPONSE ? S_VERSION : S_FIELD;
    p->line = p->at = p->length = 0;
    p->method = p->method_len = p->target = p->target_len = 0;
    p->status = p->count = 0;
    p->minor = 1;
}

static enum h1_status refuse(struct h1_parser *p, enum fault fault) {
    p->fault = fault;
    return H1_FAULT;
}

/* Looked at all bytes up to `end`: either no more have come, or a limit stands there. */
static enum h1_status starve(struct h1_parser *p, uint32_t end, uint32_t n, enum fault limit) {
    p->at = end;
    return end < n ? refuse(p, limit) : H1_MORE;
}

/* A byte that no state expects. */
static enum fault blame(unsigned char c, enum fault otherwise) {
    if (c == '\n')
        return FAULT_BARE_LF;
    return c == 0 && otherwise == FAULT_BAD_HEADER_NAME ? FAULT_CTL_IN_HEADER : otherwise;
}

static uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

/* The first byte that no target holds: outside 0x21..0x7e. */
static uint32_t find_gap(const unsigned char *b, uint32_t at, uint32_t end) {
#ifdef __SSE2__
    /* Signed: bytes above 0x7f are negative, so "less than 0x21" finds them too. */
    const __m128i first = _mm_set1_epi8(0x21), del = _mm_set1_epi8(0x7f);
    for (; end - at >= 16; at += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(b + at));
        __m128i bad = _mm_or_si128(_mm_cmplt_epi8(v, first), _mm_cmpeq_epi8(v, del));
        int mask = _mm_movemask_epi8(bad);
        if (mask)
            return at + (uint32_t)__builtin_ctz((unsigned)mask);
    }
#endif
    while (at < end && b[at] > 0x20 && b[at] < 0x7f)
        at++;
    return at;
}

static uint32_t find_non_token(const unsigned char *b, uint32_t at, uint32_t end) {
    while (at < end && token_char[b[at]])
        at++;
    return at;
}

/* Each of the following reads one part of a line from p->at on and, when it ends, sets the next
 * state and returns H1_DONE. */

static enum h1_status begin(struct h1_parser *p, unsigned char c) {
    if (p->state == S_BEGIN && c == '\r') {
        p->state = S_BEGIN_LF;
        p->at++;
        return H1_DONE;
    }
    if (p->state == S_BEGIN_LF) {
        if (c != '\n')
            return refuse(p, FAULT_BARE_CR);
        p->at++;
    }
    p->line = p->method = p->at;
    p->state = S_METHOD;
    return H1_DONE;
}

static enum h1_status method(struct h1_parser *p, const unsigned char *b, uint32_t n) {
    uint32_t end = least(n, p->line + p->limits->method_max + 1);
    uint32_t at = p->at = find_non_token(b, p->at, end);
    if (at == end)
        return starve(p, end, n, FAULT_BAD_METHOD);
    if (b[at] == '\r' || b[at] == '\t' || b[at] == '\v' || b[at] == '\f' ||
        (b[at] == ' ' && at == p->line))
        return refuse(p, FAULT_BAD_REQUEST_LINE);
    if (b[at] != ' ')
        return refuse(p, blame(b[at], FAULT_BAD_METHOD));
    p->method_len = at - p->line;
    p->target = p->at = at + 1;
    p->state = S_TARGET;
    return H1_DONE;
}

static enum h1_status target(struct h1_parser *p, const unsigned char *b, uint32_t n) {
    uint32_t end = least(n, p->line + p->limits->line_max);
    uint32_t at = p->at = find_gap(b, p->at, end);
    if (at == end)
        return starve(p, end, n, FAULT_TARGET_TOO_LONG);
    if (b[at] == '\r' || b[at] == '\t' || b[at] == '\v' || b[at] == '\f' ||
        (b[at] == ' ' && at == p->target))
        return refuse(p, FAULT_BAD_REQUEST_LINE);
    if (b[at] != ' ')
        return refuse(p, blame(b[at], FAULT_BAD_TARGET_BYTE));
    p->target_len = at - p->target;
    p->line = p->at = at + 1; /* S_VERSION counts from here */
    p->state = S_VERSION;
    return H1_DONE;
}

/* "HTTP/1.0" or "HTTP/1.1"; other well-formed versions are told apart from garbage. */
static enum fault version_byte(struct h1_parser *p, uint32_t i, unsigned char c) {
    enum fault bad = blame(c, FAULT_BAD_REQUEST_LINE);
    bool digit = c >= '0' && c <= '9';
    switch (i) {
    case 5:
        p->minor =
            (uint8_t)(c - '0'); /* for the next byte: "HTTP/0." is a version, "HTTP/01" is not */
        return !digit ? bad : c > '1' ? FAULT_BAD_VERSION : FAULT_NONE;
    case 6:
        return c != '.' ? bad : p->minor == 0 ? FAULT_BAD_VERSION : FAULT_NONE;
    case 7:
        p->minor = (uint8_t)(c - '0');
        return !digit ? bad : c > '1' ? FAULT_BAD_VERSION : FAULT_NONE;
    default:
        return c == (unsigned char)"HTTP/"[i] ? FAULT_NONE : bad;
    }
}

static enum h1_status version(struct h1_parser *p, const unsigned char *b, uint32_t n) {
    static const char usual[] = "HTTP/1.1";
    if (p->at == p->line && n - p->at >= 8 && memcmp(b + p->at, usual, 8) == 0)
        p->at += 8;
    for (; p->at - p->line < 8; p->at++) {
        if (p->at == n)
            return H1_MORE;
        enum fault f = version_byte(p, p->at - p->line, b[p->at]);
        if (f != FAULT_NONE)
            return refuse(p, f);
    }
    p->state = p->kind == H1_REQUEST ? S_LINE_CR : S_STATUS;
    return H1_DONE;
}

/* " 200" after the version of a response. */
static enum h1_status status(struct h1_parser *p, const unsigned char *b, uint32_t n) {
    for (uint32_t i; (i = p->at - p->line - 8) < 4; p->at++) {
        if (p->at == n)
            return H1_MORE;
        unsigned char c = b[p->at];
        bool ok = i == 0 ? c == ' ' : c >= '0' && c <= '9' && !(i == 1 && (c == '0' || c > '5'));
        if (!ok)
            return refuse(p, FAULT_UPSTREAM_BAD_STATUS);
        if (i > 0)
            p->status = (uint16_t)(p->status * 10 + (c - '0'));
    }
    p->state = S_REASON_SP;
    return H1_DONE;
}

static enum h1_status reason(struct h1_parser *p, const unsigned char *b, uint32_t n) {
    uint32_t end = least(n, p->line + p->limits->line_max);
    if (p->state == S_REASON_SP) {
        if (b[p->at] != ' ' && b[p->at] != '\r')
            return refuse(p, blame(b[p->at], FAULT_UPSTREAM_BAD_STATUS));
        p->state = S_REASON;
    }
    p->at = find_ctl(b, p->at, end);
    if (p->at == end)
        return starve(p, end, n, FAULT_HEADERS_TOO_LARGE);
    p->state = S_LINE_CR;
    return H1_DONE;
}

static enum h1_status line_end(struct h1_parser *p, unsigned char c) {
    if (p->state == S_LINE_CR) {
        if (c != '\r')
            return refuse(p, blame(c, FAULT_BAD_REQUEST_LINE));
        p->state = S_LINE_LF;
        p->at++;
        return H1_DONE;
    }
    if (c != '\n')
        return refuse(p, FAULT_BARE_CR);
    p->line = ++p->at;
    p->state = S_FIELD;
    return H1_DONE;
}

static enum h1_status start_line(struct h1_parser *p, const unsigned char *b, uint32_t n) {
    enum h1_status s = H1_DONE;
    while (s == H1_DONE && p->state < S_FIELD) {
        if (p->at == n)
            return H1_MORE;
        switch ((enum state)p->state) {
        case S_BEGIN:
        case S_BEGIN_LF:
            s = begin(p, b[p->at]);
            break;
        case S_METHOD:
            s = method(p, b, n);
            break;
        case S_TARGET:
            s = target(p, b, n);
            break;
        case S_VERSION:
            s = version(p, b, n);
            break;
        case S_STATUS:
            s = status(p, b, n);
            break;
        case S_REASON_SP:
        case S_REASON:
            s = reason(p, b, n);
            break;
        case S_LINE_CR:
        case S_LINE_LF:
            s = line_end(p, b[p->at]);
            break;
        case S_FIELD:
        case S_NAME:
        case S_OWS:
        case S_VALUE:
        case S_FIELD_LF:
        case S_END_LF:
            break;
        }
    }
    return s;
}

/* The first byte of a line. */
static enum h1_status field_begin(struct h1_parser *p, unsigned char c) {
    if (c == '\r') {
        p->state = S_END_LF;
        p->at++;
        return H1_DONE;
    }
    if (c == ' ' || c == '\t')
        return refuse(p, p->count ? FAULT_OBS_FOLD : FAULT_BAD_HEADER_NAME);
    if (!token_char[c])
        return refuse(p, blame(c, FAULT_BAD_HEADER_NAME));
    if (p->count == p->limits->count_max)
        return refuse(p, FAULT_TOO_MANY_HEADERS);
    p->state = S_NAME;
    return H1_DONE;
}

static enum h1_status name(struct h1_parser *p, const unsigned char *b, uint32_t n) {
    uint32_t end = least(n, p->line + p->limits->name_max + 1);
    uint32_t at = find_non_token(b, p->at, end);
    if (at == end)
        return starve(p, end, n, FAULT_HEADER_NAME_TOO_LONG);
    p->at = at;
    if (b[at] != ':')
        return refuse(p, blame(b[at], FAULT_BAD_HEADER_NAME));
    struct h1_field *f = &p->field[p->count];
    f->name = p->line;
    f->name_len = (uint16_t)(at - p->line);
    f->id = (uint16_t)hdr_lookup(span_of((const char *)b + f->name, f->name_len));
    p->at = at + 1;
    p->state = S_OWS;
    return H1_DONE;
}

static enum h1_status ows(struct h1_parser *p, const unsigned char *b, uint32_t n, uint32_t end) {
    while (p->at < end && (b[p->at] == ' ' || b[p->at] == '\t'))
        p->at++;
    if (p->at == end)
        return starve(p, end, n, FAULT_HEADER_TOO_LONG);
    p->field[p->count].value = p->at;
    p->state = S_VALUE;
    return H1_DONE;
}

static enum h1_status value(struct h1_parser *p, const unsigned char *b, uint32_t n, uint32_t end) {
    struct h1_field *f = &p->field[p->count];
    uint32_t at = p->at = find_ctl(b, p->at, end);
    if (at == end)
        return starve(p, end, n, FAULT_HEADER_TOO_LONG);
    if (b[at] != '\r')
        return refuse(p, blame(b[at], FAULT_CTL_IN_HEADER));
    p->at = at + 1;
    while (at > f->value && (b[at - 1] == ' ' || b[at - 1] == '\t'))
        at--;
    f->value_len = at - f->value;
    p->state = S_FIELD_LF;
    return H1_DONE;
}

static enum h1_status field_end(struct h1_parser *p, unsigned char c) {
    if (c != '\n')
        return refuse(p, FAULT_BARE_CR);
    p->line = ++p->at;
    p->count++;
    p->state = S_FIELD;
    return H1_DONE;
}

/* The usual line in one go: a known name, at most one blank, a value, CRLF, with bytes to spare
 * behind it. Whatever is not just that is left to the states below, untouched. */
static bool quick_field(struct h1_parser *p, const unsigned char *b, uint32_t n) {
#ifdef __SSE2__
    uint32_t at = p->at;
    if (n - at < 34 || p->count == p->limits->count_max)
        return false;
    const __m128i colon = _mm_set1_epi8(':');
    const __m128i *v = (const __m128i *)(const void *)(b + at);
    unsigned low = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128(v), colon));
    unsigned high = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128(v + 1), colon));
    if (!(low | high))
        return false;
    struct h1_field *f = &p->field[p->count];
    f->name = at;
    f->name_len = (uint16_t)__builtin_ctz(low | high << 16);
    f->id = (uint16_t)hdr_lookup(span_of((const char *)b + at, f->name_len));
    /* The look-up folds case by setting a bit, so a CR passes for "-": it knows names, it judges
     * none. */
    if (find_non_token(b, at, at + f->name_len) != at + f->name_len)
        return false;
    at += f->name_len + 1u;
    at += b[at] == ' ';
    uint32_t end = least(n, p->line + p->limits->field_max), cr = find_ctl(b, at, end);
    if (f->id == HDR_OTHER || end - cr < 2 || b[cr] != '\r' || b[cr + 1] != '\n')
        return false;
    if (cr > at && (b[at] == ' ' || b[at] == '\t' || b[cr - 1] == ' ' || b[cr - 1] == '\t'))
        return false;
    f->value = at;
    f->value_len = cr - at;
    p->count++;
    p->line = p->at = cr + 2;
    return true;
#else
    (void)p, (void)b, (void)n;
    return false;
#endif
}

/* Lines of fields until the empty one. The cases fall through: a line that has come whole is one
 * pass. */
static enum h1_status fields(struct h1_parser *p, const unsigned char *b, uint32_t n) {
    for (;;) {
        uint32_t end = least(n, p->line + p->limits->field_max);
        enum h1_status s = H1_DONE;
        switch ((enum state)p->state) {
        case S_FIELD:
            if (quick_field(p, b, n))
                break;
            if (p->at == n || (s = field_begin(p, b[p->at])) != H1_DONE)
                return p->at == n ? H1_MORE : s;
            if (p->state == S_END_LF)
                break;
            __attribute__((fallthrough));
        case S_NAME:
            if ((s = name(p, b, n)) != H1_DONE)
                return s;
            __attribute__((fallthrough));
        case S_OWS:
            if ((s = ows(p, b, n, end)) != H1_DONE)
                return s;
            __attribute__((fallthrough));
        case S_VALUE:
            if ((s = value(p, b, n, end)) != H1_DONE)
                return s;
            __attribute__((fallthrough));
        case S_FIELD_LF:
            if (p->at == n || (s = field_end(p, b[p->at])) != H1_DONE)
                return p->at == n ? H1_MORE : s;
            break;
        case S_END_LF:
            if (p->at == n)
                return H1_MORE;
            if (b[p->at] != '\n')
                return refuse(p, FAULT_BARE_CR);
            p->length = p->at + 1;
            return H1_DONE;
        case S_BEGIN:
        case S_BEGIN_LF:
        case S_METHOD:
        case S_TARGET:
        case S_VERSION:
        case S_STATUS:
        case S_REASON_SP:
        case S_REASON:
        case S_LINE_CR:
        case S_LINE_LF:
            return refuse(p, FAULT_INTERNAL); /* the start line has been read */
        }
    }
}

enum h1_status h1_parse(struct h1_parser *p, const char *bytes, size_t n) {
    const unsigned char *b = (const unsigned char *)bytes;
    uint32_t seen = n > p->limits->total_max ? p->limits->total_max : (uint32_t)n;
    if (p->fault != FAULT_NONE)
        return H1_FAULT;
    if (p->length)
        return H1_DONE;
    enum h1_status s = start_line(p, b, seen);
    if (s == H1_DONE)
        s = fields(p, b, seen);
    return s == H1_MORE && n > seen ? refuse(p, FAULT_HEADERS_TOO_LARGE) : s;
}
