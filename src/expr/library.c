#include "expr/lib.h"

const struct expr_function *const expr_library[] = {
    lib_text, lib_string,   lib_format, lib_convert, lib_getters, lib_math, lib_list,
    lib_sets, lib_optional, lib_encode, lib_net,     lib_regex,   NULL,
};
