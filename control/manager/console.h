/* The console's files, served from a directory: a single page and what it loads. */
#ifndef CONTROL_MANAGER_CONSOLE_H
#define CONTROL_MANAGER_CONSOLE_H

#include "control/manager/rest.h"

/* Answers GET and HEAD of a file below server.consoleDir, of a compressed copy beside it (x.js.gz)
 * where the client takes that, or of index.html for paths that name no file. False: there is no
 * console, or no such file. */
bool console_answer(struct rest_call *c);

#endif
