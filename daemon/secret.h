/* Text that must not stay in memory: wiped before it is given back. */
#ifndef DAEMON_SECRET_H
#define DAEMON_SECRET_H

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

static inline void secret_free(char *text)
{
	if (text)
		OPENSSL_cleanse(text, strlen(text));
	free(text);
}

static inline void secret_free_at(char **text)
{
	secret_free(*text);
	*text = NULL;
}

#endif
