#include "base/check.h"
#include <stdio.h>
#include <stdlib.h>

_Noreturn void must_failed(const char *what, const char *file, int line) {
    fprintf(stderr, "sluice: broken invariant: %s (%s:%d)\n", what, file, line);
    abort();
}
