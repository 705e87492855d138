/* Between inflate.c and its two codecs. */
#ifndef FS_LAYER_INFLATE_CODEC_H
#define FS_LAYER_INFLATE_CODEC_H

#include "fs/layer/inflate.h"

/* Offsets and the sink, shared by whichever codec there is. */
struct inflate_run {
	struct inflate_sink sink;
	uint64_t in_pos, out_pos; /* of the blob and of the layer */
	uint64_t last_place;	  /* out_offset of the last one told */
	bool has_place;
};

/* Passes bytes to the sink and counts them. */
must_check int inflate_pass(struct inflate_run *run, const void *data, size_t len, struct err *e);
/* Whether a place is due here. */
bool inflate_place_due(const struct inflate_run *run);
must_check int inflate_place_tell(struct inflate_run *run, struct inflate_place *place,
				  struct err *e);

struct inflate_gzip;

struct inflate_gzip *inflate_gzip_new(void);
must_check int inflate_gzip_resume(struct inflate_gzip *g, const struct inflate_place *place,
				   struct err *e);
void inflate_gzip_free(struct inflate_gzip *g);
must_check int inflate_gzip_feed(struct inflate_gzip *g, struct inflate_run *run,
				 const unsigned char *data, size_t len, struct err *e);
bool inflate_gzip_is_whole(const struct inflate_gzip *g);

struct inflate_zstd;

struct inflate_zstd *inflate_zstd_new(void);
void inflate_zstd_free(struct inflate_zstd *z);
must_check int inflate_zstd_feed(struct inflate_zstd *z, struct inflate_run *run,
				 const unsigned char *data, size_t len, struct err *e);
bool inflate_zstd_is_whole(const struct inflate_zstd *z);

#endif
