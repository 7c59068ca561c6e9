#include "base/env.h"
#include "cli/command.h"
#include "identity/password.h"
#include "identity/sha256.h"
#include <openssl/crypto.h>
#include <unistd.h>

/* Hashes for the configuration, of what stands on standard input: secrets are no arguments, which
 * every user of the machine can see. */

enum { SECRET_MAX = 4096 };

/* The first line, or all where there is none. False: said why. */
static bool read_secret(char out[SECRET_MAX], size_t *n) {
    size_t got = 0;
    ssize_t r = 0;
    if (isatty(STDIN_FILENO))
        fprintf(stderr, "type it and end with Enter (it is shown):\n");
    while (got < SECRET_MAX - 1 && !memchr(out, '\n', got) &&
           (r = env.read(STDIN_FILENO, out + got, SECRET_MAX - 1 - got)) > 0)
        got += (size_t)r;
    const char *end = memchr(out, '\n', got);
    *n = end ? (size_t)(end - out) : got;
    if (*n && out[*n - 1] == '\r')
        --*n;
    out[*n] = 0;
    const char *wrong = r < 0                  ? "standard input cannot be read"
                        : *n == 0              ? "nothing stands on standard input"
                        : *n == SECRET_MAX - 1 ? "it is too long"
                                               : NULL;
    if (wrong)
        fprintf(stderr, "sluice: %s\n", wrong);
    return !wrong;
}

static int hash_key(struct span secret) {
    unsigned char hash[SHA256_SIZE];
    sha256_of(secret, hash);
    printf("sha256:");
    for (size_t i = 0; i < sizeof hash; i++)
        printf("%02x", hash[i]);
    printf("\n");
    if (secret.n < 20)
        fprintf(stderr, "warning: this key is short enough to be guessed; `openssl rand -hex 24` "
                        "makes a good one\n");
    return CLI_FINE;
}

static int hash_password(enum password_form form, struct span secret) {
    char hash[PASSWORD_HASH_MAX];
    if (secret.n > PASSWORD_MAX || memchr(secret.p, 0, secret.n)) {
        fprintf(stderr, "sluice: a password has at most %d bytes, and no NUL\n", PASSWORD_MAX);
        return CLI_FAILED;
    }
    if (form == PASSWORD_BCRYPT && secret.n > 72)
        fprintf(stderr, "warning: bcrypt looks at the first 72 bytes only\n");
    if (!password_make(form, secret, hash)) {
        fprintf(stderr, "sluice: the library could not make this hash\n");
        return CLI_FAILED;
    }
    printf("%s\n", hash);
    return CLI_FINE;
}

int cli_hash(struct cli *c) {
    static const struct {
        const char *name;
        enum password_form form;
    } forms[] = {{"password", PASSWORD_ARGON2ID},
                 {"argon2id", PASSWORD_ARGON2ID},
                 {"bcrypt", PASSWORD_BCRYPT},
                 {"yescrypt", PASSWORD_YESCRYPT}};
    char secret[SECRET_MAX];
    size_t n, form = 0;
    bool key = strcmp(c->argument[0], "key") == 0;
    while (!key && form < array_len(forms) && strcmp(c->argument[0], forms[form].name) != 0)
        form++;
    if (form == array_len(forms))
        return cli_misused(c, "hash makes key, password, argon2id, bcrypt or yescrypt, not `%s`",
                           c->argument[0]);
    if (!read_secret(secret, &n))
        return CLI_FAILED;
    int code =
        key ? hash_key(span_of(secret, n)) : hash_password(forms[form].form, span_of(secret, n));
    OPENSSL_cleanse(secret, sizeof secret);
    return code;
}
