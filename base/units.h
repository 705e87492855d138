/* Numbers with units, as they stand in configuration files and flags. */
#ifndef BASE_UNITS_H
#define BASE_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "50GB" (decimal), "8MiB", "64Mi", "512", "1.5gib"; case-insensitive. */
bool units_parse_bytes(const char *text, uint64_t *out);
/* "360s", "5m", "1h30m", "30d", "500ms"; a bare number is refused (no unit). Result in ms. */
bool units_parse_duration_ms(const char *text, int64_t *out);
/* "1.2 GiB", "0 B". */
void units_print_bytes(uint64_t n, char *text, size_t size);
/* "1.47 s", "37 ms", "2 m 03 s". */
void units_print_ms(int64_t ms, char *text, size_t size);

#endif
