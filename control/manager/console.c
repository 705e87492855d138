/*
 * Files of the console. The kernel keeps us below the directory (openat2, RESOLVE_BENEATH, no
 * links), whatever a path says; names that begin with a dot are not there.
 */
#include "control/manager/console.h"

#include "base/mem.h"
#include "base/url.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define NAME_MAX_LEN 1024

static const char *content_type(const char *name)
{
	static const struct {
		const char *end, *type;
	} types[] = {
		{".html", "text/html; charset=utf-8"},
		{".js", "text/javascript; charset=utf-8"},
		{".css", "text/css; charset=utf-8"},
		{".json", "application/json; charset=utf-8"},
		{".svg", "image/svg+xml"},
		{".png", "image/png"},
		{".ico", "image/x-icon"},
		{".woff2", "font/woff2"},
		{".txt", "text/plain; charset=utf-8"},
		{".map", "application/json"},
		{".webmanifest", "application/manifest+json"},
	};
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && i < array_len(types); i++)
		if (strcmp(dot, types[i].end) == 0)
			return types[i].type;
	return "application/octet-stream";
}

/* A file of the directory and nothing else; -1 if it is none. */
static int open_below(const char *dir, const char *name, uint64_t *len_out)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
					  RESOLVE_NO_MAGICLINKS};
	cleanup(close_at) int dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup(close_at) int fd = -1;
	struct stat st;

	if (dir_fd < 0)
		return -1;
	fd = (int)syscall(SYS_openat2, dir_fd, name, &how, sizeof(how));
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -1;
	*len_out = (uint64_t)st.st_size;
	return take_fd(&fd);
}

static bool is_fit_name(const char *name)
{
	if (strlen(name) > NAME_MAX_LEN || strchr(name, '\\') || name[0] == '/')
		return false;
	for (const char *at = name; at; at = strchr(at, '/')) {
		at += *at == '/';
		if (*at == '.' || *at == '/')
			return false;
	}
	return true;
}

static bool serve(struct rest_call *c, const char *name)
{
	const char *dir = c->rest->config->console_dir;
	bool gzip = c->rq->encodings && strstr(c->rq->encodings, "gzip");
	char *packed cleanup(free_at) = mem_printf("%s.gz", name);
	int fd = gzip ? open_below(dir, packed, &c->answer->file_len) : -1;

	if (fd >= 0)
		web_header(c->answer, "Content-Encoding", "gzip");
	else
		fd = open_below(dir, name, &c->answer->file_len);
	if (fd < 0)
		return false;
	c->answer->file_fd = fd;
	web_header(c->answer, "Content-Type", "%s", content_type(name));
	web_header(c->answer, "Vary", "Accept-Encoding");
	/* Built files have a hash in their name below assets/; the page itself may change. */
	web_header(c->answer, "Cache-Control", "%s",
		   strncmp(name, "assets/", 7) == 0 ? "public, max-age=31536000, immutable"
						    : "no-cache");
	return true;
}

bool console_answer(struct rest_call *c)
{
	char *name cleanup(free_at) = mem_strdup(c->rq->path + 1);

	if (!c->rest->config->console_dir ||
	    (strcmp(c->rq->method, "GET") != 0 && strcmp(c->rq->method, "HEAD") != 0))
		return false;
	if (c->rq->path[0] != '/' || !url_decode(name) || !is_fit_name(name))
		return false;
	if (*name && serve(c, name))
		return true;
	/* A page of the console's own; what looks like a file and is none stays not found. */
	return !strchr(name, '.') && serve(c, "index.html");
}
