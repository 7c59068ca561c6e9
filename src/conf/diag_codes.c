#include "conf/diag_codes.h"

const struct diag_info diag_codes[DIAG_CODES] = {
#define D(code_, title_) [DIAG_##code_] = {.code = #code_, .title = title_},
    DIAG_LIST(D)
#undef D
};
