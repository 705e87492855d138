/*
 * What every curl handle of this daemon is given: which roots are trusted, which addresses may be
 * reached, and that neither the environment nor an answer changes the way (no proxy variables, no
 * .netrc, http and https only, redirects are the caller's business).
 *
 * Must not know: what is asked and why. Thread-safe once made.
 */
#ifndef DAEMON_TRANSPORT_H
#define DAEMON_TRANSPORT_H

#include "base/err.h"
#include "daemon/origin.h"

#include <curl/curl.h>

struct transport;

/* EINVAL if ca_file holds no certificate. */
must_check int transport_new(const struct origin_config *c, struct transport **out, struct err *e);
/* After the last handle that it was applied to. NULL is fine. */
void transport_free(struct transport *t);

/* Sets *easy up anew (curl_easy_reset() first). *refused becomes true when the name resolved to an
 * address that content may not be fetched from. */
void transport_apply(const struct transport *t, CURL *easy, bool *refused);

/* What CURLOPT_OPENSOCKETFUNCTION is set to, for who wants to know of each socket. */
curl_socket_t transport_open_socket(void *refused, curlsocktype purpose, struct curl_sockaddr *a);

/* Translates what curl says. EHOSTUNREACH cannot be reached or the certificate is not trusted,
 * EACCES refused address, EPROTO nonsense, ETIMEDOUT. *retryable_out: trying again may help. */
int transport_error(CURLcode code, bool refused, const char *detail, const char *what,
		    bool *retryable_out, struct err *e);

#endif
