#include "daemon/reach.h"

#include "base/mem.h"
#include "base/net.h"

#include <errno.h>
#include <fnmatch.h>

int reach_check(const struct config_strings *patterns, const char *host, uint16_t port,
		struct err *e)
{
	cleanup(free_at) char *with_port = mem_printf("%s:%u", host, port);
	struct net_addr literal;

	if (net_addr_parse(host, port, &literal) && net_ip_is_forbidden(host))
		return err_set(e, EACCES, "%s is an address that the mount may not reach", host);
	if (!patterns || patterns->count == 0)
		return 0;
	for (size_t i = 0; i < patterns->count; i++)
		if (fnmatch(patterns->items[i], host, FNM_CASEFOLD) == 0 ||
		    fnmatch(patterns->items[i], with_port, FNM_CASEFOLD) == 0)
			return 0;
	return err_set(e, EACCES, "%s is not among the hosts of mount.allowHosts", host);
}
