/* The two questions of OAuth 2 that the manager asks a provider itself. */
#ifndef CONTROL_MANAGER_OAUTH_H
#define CONTROL_MANAGER_OAUTH_H

#include "base/err.h"
#include "control/manager/config.h"

#include <stdbool.h>

struct oauth_person {
	char *subject;		     /* what never changes there; never empty */
	char *name, *email, *avatar; /* "" if not told; the e-mail only if it is proven */
};
void oauth_person_release(struct oauth_person *p);

struct oauth_ask {
	const struct manager_oauth *urls;
	const char *client_id, *client_secret, *redirect_url;
	const char *code, *verifier; /* of PKCE */
};

/* Blocks for at most some 20 s. EACCES: the provider refuses the code; EPROTO nonsense;
 * EHOSTUNREACH. No error text has a secret. */
must_check int oauth_person_of(const struct oauth_ask *ask, struct oauth_person *out,
			       struct err *e);
/* Where the browser goes; the caller frees. challenge: of PKCE, S256. */
char *oauth_url(const struct oauth_ask *ask, bool is_google, const char *state,
		const char *challenge);

#endif
