/*
 * answer - a page on its way to the asker. Part of admin.
 *
 * The text is made whole, bounded by ADMIN_PAGE_MAX, and given to the response body as there is
 * room. It hangs in the exchange's back list, so it goes with the exchange. Thread: the control
 * thread.
 */
#pragma once
#include "admin/admin.h"

struct answer {
    struct op op;
    struct exchange *x;
    struct text text;
    size_t sent;
};

/* In the exchange's arena; becomes its back_data. */
struct answer *answer_create(struct exchange *x);
/* Sends what stands in a->text. */
void answer_send(struct answer *a, int status, const char *content_type);
/* Instead: a problem (RFC 9457) with a stable code. */
void answer_problem(struct answer *a, int status, const char *code, const char *detail);
void answer_room(struct exchange *x);
