/* Help, manual page and shell completions, all from one table. */
#include "base/cli_page.h"

#include "base/mem.h"

#include <ctype.h>
#include <string.h>

#define WIDTH	    80
#define HELP_COLUMN 28

const struct cli_option cli_common_options[] = {
	{.name = "help", .letter = 'h', .type = CLI_FLAG, .help = "Show this help and exit."},
	{.name = "version", .letter = 'V', .type = CLI_FLAG, .help = "Show the version and exit."},
	{.name = "man", .type = CLI_FLAG, .help = "Print the manual page (roff) and exit."},
	{.name = "completion",
	 .type = CLI_TEXT,
	 .value_name = "SHELL",
	 .help = "Print the completion script for bash, zsh or fish and exit."},
	{.name = NULL},
};

static const char *value_name(const struct cli_option *o)
{
	static const char *const names[] = {
		[CLI_FLAG] = "",      [CLI_TEXT] = "TEXT",  [CLI_TEXTS] = "TEXT",
		[CLI_U64] = "NUMBER", [CLI_BYTES] = "SIZE", [CLI_DURATION] = "TIME",
	};

	return o->value_name && o->type != CLI_FLAG ? o->value_name : names[o->type];
}

/* A common option's letter gives way to the program's own. */
static char letter_of(const struct cli *c, const struct cli_option *o)
{
	bool is_common =
		o >= cli_common_options && o < cli_common_options + array_len(cli_common_options);

	for (const struct cli_option *own = c->options; is_common && own->name; own++)
		if (own->letter == o->letter)
			return 0;
	return o->letter;
}

static void each_option(const struct cli *c,
			void (*print)(const struct cli *, const struct cli_option *, FILE *),
			FILE *out)
{
	for (const struct cli_option *o = c->options; o->name; o++)
		print(c, o, out);
	for (const struct cli_option *o = cli_common_options; o->name; o++)
		print(c, o, out);
}

/* ---- help */

/* Words of text, wrapped, every line but the first indented; column: where the first begins. */
static void print_wrapped(const char *text, int indent, int column, FILE *out)
{
	const char *gap = "";

	while (*text) {
		int len = (int)strcspn(text, " ");

		if (*gap && column + 1 + len > WIDTH) {
			fprintf(out, "\n%*s", indent, "");
			column = indent;
			gap = "";
		}
		fprintf(out, "%s%.*s", gap, len, text);
		column += (int)strlen(gap) + len;
		gap = " ";
		text += len;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

static void help_option(const struct cli *c, const struct cli_option *o, FILE *out)
{
	const char *value = value_name(o);
	char letter = letter_of(c, o);
	cleanup(free_at) char *left = NULL, *help = NULL;
	int len;

	left = mem_printf(letter ? "  -%c, --%s%s%s" : "  %c   --%s%s%s", letter ? letter : ' ',
			  o->name, *value ? "=" : "", value);
	help = o->env ? mem_printf("%s [$%s]", o->help, o->env) : mem_strdup(o->help);
	len = (int)strlen(left);
	if (len + 2 > HELP_COLUMN)
		fprintf(out, "%s\n%*s", left, HELP_COLUMN, "");
	else
		fprintf(out, "%-*s", HELP_COLUMN, left);
	print_wrapped(help, HELP_COLUMN, HELP_COLUMN, out);
}

/* Calls print for each line of text. */
static void each_line(const char *text, void (*print)(const char *line, FILE *out), FILE *out)
{
	while (*text) {
		size_t len = strcspn(text, "\n");
		cleanup(free_at) char *line = mem_strndup(text, len);

		print(line, out);
		text += len + (text[len] == '\n');
	}
}

static void help_paragraph(const char *line, FILE *out)
{
	print_wrapped(line, 0, 0, out);
}

static void help_indented(const char *line, FILE *out)
{
	fprintf(out, "  %s\n", line);
}

static void help_commands(const struct cli *c, FILE *out)
{
	if (!c->commands)
		return;
	fprintf(out, "\nCommands:\n");
	for (const struct cli_command *k = c->commands; k->name; k++) {
		fprintf(out, "  %-*s", HELP_COLUMN - 2, k->name);
		print_wrapped(k->cli->summary, HELP_COLUMN, HELP_COLUMN, out);
	}
}

void cli_print_help(const struct cli *c, FILE *out)
{
	fprintf(out, "%s: %s\n\nUsage: %s\n", c->program, c->summary, c->usage);
	if (c->description) {
		fputc('\n', out);
		each_line(c->description, help_paragraph, out);
	}
	help_commands(c, out);
	fprintf(out, "\nOptions:\n");
	each_option(c, help_option, out);
	if (c->examples) {
		fprintf(out, "\nExamples:\n");
		each_line(c->examples, help_indented, out);
	}
	if (c->exit_codes) {
		fprintf(out, "\nExit codes:\n");
		each_line(c->exit_codes, help_indented, out);
	}
}

/* ---- manual page */

/* Text that roff shall not read: no requests, no escapes, hyphens that can be copied. */
static void roff(const char *text, FILE *out)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", out);
	for (; *text; text++) {
		if (*text == '\\')
			fputs("\\e", out);
		else if (*text == '-')
			fputs("\\-", out);
		else
			fputc(*text, out);
	}
}

static void man_option(const struct cli *c, const struct cli_option *o, FILE *out)
{
	const char *value = value_name(o);
	char letter = letter_of(c, o);

	fputs(".TP\n", out);
	if (letter)
		fprintf(out, "\\fB\\-%c\\fR, ", letter);
	fputs("\\fB\\-\\-", out);
	roff(o->name, out);
	fputs("\\fR", out);
	if (*value) {
		fputs("=\\fI", out);
		roff(value, out);
		fputs("\\fR", out);
	}
	fputc('\n', out);
	roff(o->help, out);
	if (o->env)
		fprintf(out, "\nThe variable \\fB%s\\fR gives the default.", o->env);
	fputc('\n', out);
}

static void man_paragraph(const char *line, FILE *out)
{
	if (!*line) {
		fputs(".PP\n", out);
		return;
	}
	roff(line + strspn(line, " "), out);
	fputc('\n', out);
}

/* "command  # what it does" */
static void man_example(const char *line, FILE *out)
{
	const char *sharp = strstr(line, "  #");
	size_t len = sharp ? (size_t)(sharp - line) : strlen(line);
	cleanup(free_at) char *command = mem_strndup(line, len);

	if (!*line)
		return;
	fputs(".TP\n\\fB", out);
	roff(command, out);
	fputs("\\fR\n", out);
	roff(sharp ? sharp + 3 + strspn(sharp + 3, " ") : "", out);
	fputc('\n', out);
}

/* "0  done": the number is the tag. */
static void man_exit_code(const char *line, FILE *out)
{
	size_t start = strspn(line, " ");
	size_t len = strcspn(line + start, " ");

	if (!len)
		return;
	fprintf(out, ".TP\n\\fB%.*s\\fR\n", (int)len, line + start);
	line += start + len;
	roff(line + strspn(line, " "), out);
	fputc('\n', out);
}

/* The day of the build, "2026-01-31"; compilers take it from SOURCE_DATE_EPOCH if that is set. */
static void man_date(FILE *out)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	static const char date[] = __DATE__; /* "Jan 31 2026" */
	char month[4] = {date[0], date[1], date[2], 0};

	fprintf(out, "%s-%02d-%c%c", date + 7, (int)(strstr(months, month) - months) / 3 + 1,
		date[4] == ' ' ? '0' : date[4], date[5]);
}

/* A command's part of its program's page: what the page has already is left out. */
static void man_command(const struct cli *c, FILE *out)
{
	fputs(".SS ", out);
	roff(c->usage, out);
	fputc('\n', out);
	each_line(c->description ? c->description : c->summary, man_paragraph, out);
	for (const struct cli_option *o = c->options; o->name; o++)
		man_option(c, o, out);
	if (c->exit_codes) {
		fputs(".PP\nExit status:\n", out);
		each_line(c->exit_codes, man_exit_code, out);
	}
	if (c->examples) {
		fputs(".PP\nExamples:\n", out);
		each_line(c->examples, man_example, out);
	}
}

void cli_print_man(const struct cli *c, FILE *out)
{
	fputs(".TH ", out);
	for (const char *p = c->program; *p; p++)
		fputc(toupper((unsigned char)*p), out);
	fputs(" 1 ", out);
	man_date(out);
	fprintf(out, " \"Skimmer %s\" \"Skimmer\"\n.SH NAME\n", SKIMMER_VERSION);
	roff(c->program, out);
	fputs(" \\- ", out);
	roff(c->summary, out);
	fputs("\n.SH SYNOPSIS\n", out);
	roff(c->usage, out);
	fputc('\n', out);
	if (c->description) {
		fputs(".SH DESCRIPTION\n", out);
		each_line(c->description, man_paragraph, out);
	}
	if (c->commands)
		fputs(".SH COMMANDS\n", out);
	for (const struct cli_command *k = c->commands; k && k->name; k++)
		man_command(k->cli, out);
	fputs(".SH OPTIONS\n", out);
	each_option(c, man_option, out);
	if (c->exit_codes) {
		fputs(".SH EXIT STATUS\n", out);
		each_line(c->exit_codes, man_exit_code, out);
	}
	if (c->examples) {
		fputs(".SH EXAMPLES\n", out);
		each_line(c->examples, man_example, out);
	}
}

/* ---- completions */

static bool names_file(const struct cli_option *o)
{
	return o->value_name && (strstr(o->value_name, "FILE") || strstr(o->value_name, "DIR") ||
				 strstr(o->value_name, "PATH"));
}

/* Help in single quotes; special: characters that the shell wants a backslash before. */
static void print_quoted(const char *text, const char *special, FILE *out)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\'", out);
		else if (strchr(special, *text))
			fputc('\\', out);
		fputc(*text, out);
	}
}

/* A shell function's name for the program. */
static void print_function(const struct cli *c, FILE *out)
{
	fputc('_', out);
	for (const char *p = c->program; *p; p++)
		fputc(isalnum((unsigned char)*p) ? *p : '_', out);
}

static void bash_commands(const struct cli *c, FILE *out)
{
	for (const struct cli_command *k = c->commands; k->name; k++)
		fprintf(out, "%s%s", k == c->commands ? "" : " ", k->name);
}

/* Options of a command are offered behind its name, names of commands as the first word. */
static void bash_of_commands(const struct cli *c, FILE *out)
{
	if (!c->commands)
		return;
	fputs("\tif [ \"$COMP_CWORD\" = 1 ] && [ \"${cur#-}\" = \"$cur\" ]; then\n"
	      "\t\tCOMPREPLY=($(compgen -W '",
	      out);
	bash_commands(c, out);
	fputs("' -- \"$cur\")); return\n\tfi\n\tcase ${COMP_WORDS[1]}:$cur in\n", out);
	for (const struct cli_command *k = c->commands; k->name; k++) {
		fprintf(out, "\t%s:-*) COMPREPLY=($(compgen -W '", k->name);
		for (const struct cli_option *o = k->cli->options; o->name; o++)
			fprintf(out, "--%s%s ", o->name, o->type == CLI_FLAG ? "" : "=");
		fputs("--help' -- \"$cur\"))\n"
		      "\t\t[[ ${COMPREPLY-} != *= ]] || compopt -o nospace; return ;;\n",
		      out);
	}
	fputs("\tesac\n", out);
}

static void bash_word(const struct cli *c, const struct cli_option *o, FILE *out)
{
	(void)c;
	fprintf(out, " --%s%s", o->name, o->type == CLI_FLAG ? "" : "=");
}

static void bash_file_option(const struct cli *c, const struct cli_option *o, FILE *out)
{
	if (!names_file(o))
		return;
	fprintf(out, "|--%s", o->name);
	if (letter_of(c, o))
		fprintf(out, "|-%c", o->letter);
}

/* readline hands over "--opt=va" as three words, "--opt", "=", "va". */
static void print_bash(const struct cli *c, FILE *out)
{
	print_function(c, out);
	fputs("()\n{\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
	      "\tif [ \"$cur\" = = ]; then cur=\n"
	      "\telif [ \"$prev\" = = ]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
	      "\tcase $prev in\n"
	      "\t--completion) COMPREPLY=($(compgen -W 'bash zsh fish' -- \"$cur\")); return ;;\n"
	      "\t=",
	      out);
	each_option(c, bash_file_option, out);
	for (const struct cli_command *k = c->commands; k && k->name; k++)
		for (const struct cli_option *o = k->cli->options; o->name; o++)
			bash_file_option(k->cli, o, out);
	fputs(") COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n\tesac\n", out);
	bash_of_commands(c, out);
	fputs("\tcase $cur in\n"
	      "\t-*) COMPREPLY=($(compgen -W '",
	      out);
	each_option(c, bash_word, out);
	fputs("' -- \"$cur\")) ;;\n\t*) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n\tesac\n"
	      "\t[[ ${COMPREPLY-} != *= ]] || compopt -o nospace\n}\n"
	      "complete -o filenames -F ",
	      out);
	print_function(c, out);
	fprintf(out, " %s\n", c->program);
}

static void zsh_option(const struct cli *c, const struct cli_option *o, FILE *out)
{
	const char *value = value_name(o);
	const char *many = o->type == CLI_TEXTS ? "*" : "";
	char letter = letter_of(c, o);

	for (int i = letter ? 0 : 1; i < 2; i++) {
		if (i == 0)
			fprintf(out, " \\\n\t'%s-%c[", many, letter);
		else
			fprintf(out, " \\\n\t'%s--%s%s[", many, o->name, *value ? "=" : "");
		print_quoted(o->help, "[]:\\", out);
		fputc(']', out);
		if (*value)
			fprintf(out, ":%s:%s", value,
				strcmp(o->name, "completion") == 0 ? "(bash zsh fish)"
				: names_file(o)			   ? "_files"
								   : " ");
		fputc('\'', out);
	}
}

static void zsh_commands(const struct cli *c, FILE *out)
{
	fputs("if (( CURRENT > 2 )); then\ncase $words[2] in\n", out);
	for (const struct cli_command *k = c->commands; k->name; k++) {
		fprintf(out, "%s) shift words; (( CURRENT-- )); _arguments -s", k->name);
		for (const struct cli_option *o = k->cli->options; o->name; o++)
			zsh_option(k->cli, o, out);
		fputs(" \\\n\t'*:file:_files'; return ;;\n", out);
	}
	fputs("esac\nfi\n", out);
}

static void print_zsh(const struct cli *c, FILE *out)
{
	fprintf(out, "#compdef %s\n", c->program);
	if (c->commands)
		zsh_commands(c, out);
	fputs("_arguments -s", out);
	each_option(c, zsh_option, out);
	if (c->commands)
		fputs(" \\\n\t'1:command:(", out);
	for (const struct cli_command *k = c->commands; k && k->name; k++)
		fprintf(out, "%s%s", k == c->commands ? "" : " ", k->name);
	fputs(c->commands ? ")'" : "", out);
	fputs(" \\\n\t'*:file:_files'\n", out);
}

/* fish knows \' inside single quotes */
static void fish_quoted(const char *text, FILE *out)
{
	for (; *text; text++)
		fprintf(out, *text == '\'' || *text == '\\' ? "\\%c" : "%c", *text);
}

static void fish_option(const struct cli *c, const struct cli_option *o, FILE *out)
{
	const char *command = strchr(c->program, ' ');

	fprintf(out, "complete -c %.*s", (int)strcspn(c->program, " "), c->program);
	if (command)
		fprintf(out, " -n '__fish_seen_subcommand_from%s'", command);
	fprintf(out, " -l %s", o->name);
	if (letter_of(c, o))
		fprintf(out, " -s %c", o->letter);
	if (o->type != CLI_FLAG)
		fputs(names_file(o) ? " -r -F" : " -x", out);
	if (strcmp(o->name, "completion") == 0)
		fputs(" -a 'bash zsh fish'", out);
	fputs(" -d '", out);
	fish_quoted(o->help, out);
	fputs("'\n", out);
}

static void print_fish(const struct cli *c, FILE *out)
{
	each_option(c, fish_option, out);
	for (const struct cli_command *k = c->commands; k && k->name; k++) {
		fprintf(out, "complete -c %s -n __fish_use_subcommand -f -a %s -d '", c->program,
			k->name);
		fish_quoted(k->cli->summary, out);
		fputs("'\n", out);
		for (const struct cli_option *o = k->cli->options; o->name; o++)
			fish_option(k->cli, o, out);
	}
}

bool cli_print_completion(const struct cli *c, const char *shell, FILE *out)
{
	if (strcmp(shell, "bash") == 0)
		print_bash(c, out);
	else if (strcmp(shell, "zsh") == 0)
		print_zsh(c, out);
	else if (strcmp(shell, "fish") == 0)
		print_fish(c, out);
	else
		return false;
	return true;
}
