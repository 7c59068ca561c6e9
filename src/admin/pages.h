/*
 * pages - what the admin listener tells, as text. Part of admin. Thread: the control thread.
 */
#pragma once
#include "observe/text.h"

struct service_conf;
struct snapshot;

void page_metrics(struct text *t, const struct snapshot *s);
void page_status(struct text *t, const struct snapshot *s);
void page_status_text(struct text *t, const struct snapshot *s);
/* keys_page.c: a part of each of the three. */
void page_keys_metrics(struct text *t);
void page_keys_status(struct text *t);
void page_keys_text(struct text *t);
/* state_page.c */
void page_state_metrics(struct text *t);
void page_state_status(struct text *t);
void page_state_text(struct text *t);
/* limits_page.c */
void page_limits_metrics(struct text *t);
/* limits_list.c */
void page_limits_status(struct text *t);
void page_limits_text(struct text *t);
/* gate_page.c */
void page_gates_metrics(struct text *t, const struct snapshot *s);
void page_gate_status(struct text *t, const struct service_conf *c);
void page_gate_text(struct text *t, const struct service_conf *c);
/* quotas_page.c */
void page_quotas_metrics(struct text *t);
/* shared_limits_page.c */
void page_shared_limits_metrics(struct text *t);
void page_routes(struct text *t, const struct snapshot *s);
