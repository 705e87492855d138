/* Drawing the progress. Must not know: where the tally comes from. */
#include "daemon/dfget/progress.h"

#include "base/clock.h"
#include "base/units.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BAR_EVERY_MS   100
#define PLAIN_EVERY_MS 10000

static uint64_t have(const struct tally *t)
{
	return t->local + t->from_peers + t->from_origin;
}

void progress_init(struct progress *p, const char *word, bool none, FILE *out)
{
	const char *term = getenv("TERM");
	bool tty = isatty(fileno(out)) && !(term && strcmp(term, "dumb") == 0);

	*p = (struct progress){.out = out, .started_ms = clock_ms()};
	p->shown_ms = p->started_ms;
	if (none)
		p->kind = PROGRESS_NONE;
	else if (!word)
		p->kind = tty ? PROGRESS_BAR : PROGRESS_PLAIN;
	else if (strcmp(word, "none") == 0)
		p->kind = PROGRESS_NONE;
	else if (strcmp(word, "json") == 0)
		p->kind = PROGRESS_JSON;
	else
		p->kind = strcmp(word, "bar") == 0 ? PROGRESS_BAR : PROGRESS_PLAIN;
}

static unsigned terminal_width(FILE *out)
{
	struct winsize w;

	if (ioctl(fileno(out), TIOCGWINSZ, &w) == 0 && w.ws_col >= 20)
		return w.ws_col;
	return 80;
}

static bool is_ascii_terminal(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

	for (size_t i = 0; i < 3; i++) {
		const char *value = getenv(names[i]);

		if (value && *value)
			return !strstr(value, "UTF-8") && !strstr(value, "utf8");
	}
	return true;
}

/* Where each part of the bar comes from: local '=', peers '#', origin 'o' (or blocks of three
 * shades). */
static void draw_bar(char *out, size_t size, unsigned cells, const struct tally *t, bool ascii)
{
	static const char *const marks[2][4] = {{"▒", "█", "░", " "}, {"=", "#", "o", " "}};
	const uint64_t until[3] = {t->local, t->local + t->from_peers, have(t)};
	size_t len = 0;

	for (unsigned i = 0; i < cells; i++) {
		uint64_t at = t->total ? (t->total * i) / cells : UINT64_MAX;
		unsigned kind = 0;
		const char *mark;

		while (kind < 3 && at >= until[kind])
			kind++;
		mark = marks[ascii][kind];
		if (len + strlen(mark) + 1 > size)
			break;
		memcpy(out + len, mark, strlen(mark));
		len += strlen(mark);
	}
	out[len] = 0;
}

void progress_draw(char *line, size_t size, unsigned width, const struct tally *t,
		   int64_t elapsed_ms, bool ascii)
{
	char got[16], rate[16], peers[16], origin[16], left[16] = "", bar[400], text[160];
	uint64_t done = have(t), moved = t->from_peers + t->from_origin;
	uint64_t per_s = elapsed_ms > 0 ? moved * 1000 / (uint64_t)elapsed_ms : 0;
	unsigned percent = t->total ? (unsigned)(done * 100 / t->total) : 0;
	unsigned cells, used;

	units_print_bytes(done, got, sizeof(got));
	units_print_bytes(per_s, rate, sizeof(rate));
	units_print_bytes(t->from_peers, peers, sizeof(peers));
	units_print_bytes(t->from_origin, origin, sizeof(origin));
	if (per_s && t->total > done)
		units_print_ms((int64_t)((t->total - done) * 1000 / per_s), left, sizeof(left));
	snprintf(text, sizeof(text), "%3u%% %s  %s/s  %s%speers %s, origin %s", percent, got, rate,
		 left, *left ? " left  " : "", peers, origin);
	used = (unsigned)strlen(text) + 3;
	cells = width > used + 8 ? width - used : 0;
	if (cells > 60)
		cells = 60;
	draw_bar(bar, sizeof(bar), cells, t, ascii);
	if (cells)
		snprintf(line, size, "[%s] %s", bar, text);
	else
		snprintf(line, size, "%.*s", (int)width, text);
}

static void show_bar(struct progress *p, const struct tally *t)
{
	char line[640];

	progress_draw(line, sizeof(line), terminal_width(p->out) - 1, t, clock_ms() - p->started_ms,
		      is_ascii_terminal());
	fprintf(p->out, "\r%s\033[K", line);
	fflush(p->out);
	p->drawn = true;
}

static void show_line(struct progress *p, const struct tally *t)
{
	if (p->kind == PROGRESS_JSON)
		fprintf(p->out,
			"{\"bytes_total\":%llu,\"bytes_local\":%llu,\"bytes_peers\":%llu,"
			"\"bytes_origin\":%llu,\"elapsed_ms\":%lld}\n",
			(unsigned long long)t->total, (unsigned long long)t->local,
			(unsigned long long)t->from_peers, (unsigned long long)t->from_origin,
			(long long)(clock_ms() - p->started_ms));
	else {
		char line[200];

		progress_draw(line, sizeof(line), 79, t, clock_ms() - p->started_ms, true);
		fprintf(p->out, "dfget: %s\n", line);
	}
	fflush(p->out);
}

void progress_show(struct progress *p, const struct tally *t)
{
	int64_t every = p->kind == PROGRESS_BAR ? BAR_EVERY_MS : PLAIN_EVERY_MS;

	if (p->kind == PROGRESS_NONE || clock_ms() - p->shown_ms < every)
		return;
	p->shown_ms = clock_ms();
	if (p->kind == PROGRESS_BAR)
		show_bar(p, t);
	else
		show_line(p, t);
}

void progress_end(struct progress *p)
{
	if (!p->drawn)
		return;
	fputs("\r\033[K", p->out);
	fflush(p->out);
	p->drawn = false;
}

void progress_summary(char *line, size_t size, const struct tally *t, int64_t elapsed_ms)
{
	char total[16], time[24], peers[16], origin[16], local[16], count[16] = "";
	uint64_t all = have(t);
	unsigned saved = all ? (unsigned)((all - t->from_origin) * 100 / all) : 100;

	units_print_bytes(all, total, sizeof(total));
	units_print_ms(elapsed_ms, time, sizeof(time));
	units_print_bytes(t->from_peers, peers, sizeof(peers));
	units_print_bytes(t->from_origin, origin, sizeof(origin));
	units_print_bytes(t->local, local, sizeof(local));
	/* A daemon need not tell whom a piece came from. */
	if (t->parents)
		snprintf(count, sizeof(count), " (%u)", t->parents);
	snprintf(line, size, "%s in %s; origin %s, peers %s%s, local %s; saved %u %%", total, time,
		 origin, peers, count, local, saved);
}
