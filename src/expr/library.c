#include "expr/lib.h"

const struct expr_function *const expr_library[] = {
    lib_text, lib_string, lib_convert, lib_net, NULL,
};
