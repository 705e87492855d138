/* The fixture's layer with a table of contents of its own, and an image that vouches for it. */
#ifndef TEST_VOUCHED_LAYER_H
#define TEST_VOUCHED_LAYER_H

#include "daemon/layers.h"
#include "daemon/vouch.h"
#include "test/unit/daemon/layer_fixture.h"
#include "test/unit/fs/layer/toc_make.h"

#define MANIFEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define IMAGE	 "registry:5000/library/debian:12"

static struct vouched says;
static size_t first_len;

/* For layers_config.vouch. */
static inline int vouch_as_told(void *arg, const struct layer_wish *w, struct vouched *out,
				struct err *e)
{
	(void)arg;
	assert_string_equal(w->image, IMAGE);
	if (strcmp(w->manifest, MANIFEST) != 0)
		return err_set(e, ENOENT, "fake");
	*out = says;
	return 0;
}

static inline const unsigned char *second_file(void)
{
	return fake.tar + 512 + first_len;
}

/* The blob is a layer of two files of noise now, and the landmark of what is read first between
 * them. */
static inline void make_vouched_layer(enum layer_toc kind, size_t first, size_t second,
				      size_t chunk)
{
	struct toc_maker m cleanup(toc_make_release);

	assert_true(first + second <= FILE_LEN);
	first_len = first;
	toc_make_begin(&m, kind);
	toc_put_file(&m, "first", (const char *)fake.tar + 512, first, chunk);
	toc_put_file(&m, ".prefetch.landmark", "\xf", 1, chunk);
	toc_put_file(&m, "second", (const char *)second_file(), second, chunk);
	toc_make_end(&m);
	free(fake.blob);
	fake.blob = mem_dup(m.blob.data, m.blob.len);
	fake.blob_len = m.blob.len;
	fake.task.meta.geometry.content_length = m.blob.len;
	says = (struct vouched){.of_stored = kind == LAYER_TOC_ZSTD_CHUNKED};
	strcpy(fake.digest, m.digest);
	strcpy(says.digest, m.digest);
	strcpy(says.diff_id, m.diff_id);
	strcpy(says.toc_digest, m.toc_digest);
}

/* Another digest. */
static inline void spoil(char *hex)
{
	hex[0] = hex[0] == '0' ? '1' : '0';
}

/* One bit in the middle of the blob, which is in the second file if that is long. */
static inline void spoil_second_file(void)
{
	fake.blob[fake.blob_len / 2] ^= 1;
}

#endif
