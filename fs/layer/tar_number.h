/* Numbers as tar writes them: octal text, base-256, and the decimal text of pax headers. */
#ifndef FS_LAYER_TAR_NUMBER_H
#define FS_LAYER_TAR_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A field of a header: octal between blanks and NULs (empty is 0), or big-endian two's complement
 * when the first bit is set. false: neither, or beyond 63 bits. */
bool tar_number_field(const unsigned char *field, size_t len, int64_t *out);
/* Decimal digits only, up to INT64_MAX. */
bool tar_number_decimal(const char *text, size_t len, uint64_t *out);
/* "[-]seconds[.fraction]"; digits below the nanosecond are dropped towards minus infinity's side
 * as the file system's times are: ns is always 0..999999999. */
bool tar_number_time(const char *text, size_t len, int64_t *s_out, uint32_t *ns_out);
/* The header's checksum is right, counted with unsigned or (old programs) signed bytes. */
bool tar_checksum_right(const unsigned char block[512]);

#endif
