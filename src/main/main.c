/* sluice: an API gateway. What a command does stands in cli and, for a running gateway, in main. */
#include "base/env.h"
#include "base/hash.h"
#include "cli/cli.h"
#include "tls/stream.h"

int main(int argc, char **argv) {
    uint64_t key[2];
    env.random(key, sizeof key);
    hash_seed(key[0], key[1]);
    tls_init();
    return cli_main(argc, argv);
}
