#include "core/log_conf.h"

const struct log_field_info log_field_table[LOG_FIELD_COUNT] = {
#define F(name, doc) {{#name, sizeof #name - 1}, doc},
    LOG_FIELD_LIST(F)
#undef F
#define F(id, name, doc) {SPAN(name), doc},
        LOG_DOTTED_LIST(F)
#undef F
};

const int log_fields_shipped[LOG_SHIPPED_COUNT] = {
    LOG_FIELD_time,     LOG_FIELD_request_id, LOG_FIELD_client,     LOG_FIELD_listener,
    LOG_FIELD_protocol, LOG_FIELD_method,     LOG_FIELD_host,       LOG_FIELD_path,
    LOG_FIELD_status,   LOG_FIELD_bytes,      LOG_FIELD_duration,   LOG_FIELD_upstream_duration,
    LOG_FIELD_route,    LOG_FIELD_service,    LOG_FIELD_endpoint,   LOG_FIELD_code,
    LOG_FIELD_who,      LOG_FIELD_limit_name, LOG_FIELD_user_agent,
};

enum log_field log_field_lookup(struct span name) {
    unsigned id = 0;
    while (id < LOG_FIELD_COUNT && !span_eq(log_field_table[id].name, name))
        id++;
    return (enum log_field)id;
}
