/* Two texts, line by line, as diff -u shows them. */
#ifndef CONTRIB_DFINIT_DIFF_H
#define CONTRIB_DFINIT_DIFF_H

#include <stdio.h>

/* The hunks without the two lines that name the files; nothing if the texts are equal. */
void diff_print(const char *before, const char *after, FILE *out);

#endif
