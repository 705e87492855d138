/* One GET of the metrics page. */
#include "contrib/dfinit/probe.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/net.h"
#include "base/url.h"

#include <errno.h>
#include <string.h>

#define TIMEOUT_MS 5000
#define PAGE_MAX   (4u << 20)
#define COUNTER	   "\ndragonfly_client_proxy_request_total"

static int read_page(const char *host, uint16_t port, const char *path, struct buf *page,
		     struct err *e)
{
	int64_t deadline_ms = clock_ms() + TIMEOUT_MS;
	char *ask cleanup(free_at) = mem_printf(
		"GET %s HTTP/1.1\r\nHost: %s:%u\r\nConnection: close\r\n\r\n", path, host, port);
	int fd cleanup(close_at) = -1;
	struct net_addr addr;
	size_t got = 1;
	int r = net_resolve(host, port, &addr, e);

	if (r == 0)
		r = net_connect(&addr, deadline_ms, &fd, e);
	if (r == 0)
		r = net_write_full(fd, ask, strlen(ask), deadline_ms, e);
	while (r == 0 && got && !page->overflow) {
		char part[16384];

		r = net_read_some(fd, part, sizeof(part), deadline_ms, &got, e);
		if (r == 0)
			buf_append(page, part, got);
	}
	return r;
}

int probe_requests(const char *metrics_url, uint64_t *out, struct err *e)
{
	struct buf page cleanup(buf_release) = BUF_INIT(PAGE_MAX);
	struct url u cleanup(url_release) = {0};
	const char *line;
	int r = url_parse(metrics_url, &u, e);

	if (r == 0)
		r = read_page(u.host, u.port, u.path, &page, e);
	if (r < 0)
		return err_wrap(e, "%s", metrics_url);
	*out = 0;
	line = page.data ? strstr(page.data, COUNTER) : NULL;
	/* A counter that has counted nothing yet is not shown. */
	if (!line && (!page.data || !strstr(page.data, "\ndragonfly_client_")))
		return err_set(e, EPROTO, "%s: no dfdaemon's metrics", metrics_url);
	for (; line; line = strstr(line + 1, COUNTER)) {
		const char *blank = line + strcspn(line + 1, "\n");

		while (blank > line && *blank != ' ')
			blank--;
		*out += strtoull(blank, NULL, 10);
	}
	return 0;
}
