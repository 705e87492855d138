/* Passwords: yescrypt by libcrypt. Slow on purpose: some 20 ms of a core each. */
#ifndef CONTROL_MANAGER_PASSWORD_H
#define CONTROL_MANAGER_PASSWORD_H

#include <stdbool.h>

#define PASSWORD_LEN_MIN 8
#define PASSWORD_LEN_MAX 128

/* The caller frees. */
char *password_hash(const char *password);
/* hash NULL: nobody's; false after as long a time. */
bool password_fits(const char *password, const char *hash);

#endif
