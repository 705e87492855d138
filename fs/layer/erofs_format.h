/* EROFS on disk, as far as a layer's image uses it (Linux, fs/erofs/erofs_fs.h; little-endian). */
#ifndef FS_LAYER_EROFS_FORMAT_H
#define FS_LAYER_EROFS_FORMAT_H

#include <stdint.h>

#define EROFS_BLOCK	   512 /* as tar's, so that every file's data begins at a block */
#define EROFS_BLOCK_BITS   9
#define EROFS_SUPER_OFFSET 1024
#define EROFS_MAGIC	   0xe0f5e1e2
#define EROFS_SLOT	   32 /* inodes are numbered by their place, in slots */

#define EROFS_INCOMPAT_CHUNKED_FILE 0x4
#define EROFS_INCOMPAT_DEVICE_TABLE 0x8
#define EROFS_COMPAT_MTIME	    0x2

struct erofs_super {
	uint32_t magic, checksum, feature_compat;
	uint8_t block_bits, ext_slots;
	uint16_t root_nid;
	uint64_t inode_count, build_time;
	uint32_t build_time_ns, block_count, meta_block, xattr_block;
	uint8_t uuid[16], volume_name[16];
	uint32_t feature_incompat;
	uint16_t compression, extra_devices, device_slot;
	uint8_t dir_block_bits, xattr_prefix_count;
	uint32_t xattr_prefix_start;
	uint64_t packed_nid;
	uint8_t reserved[24];
} __attribute__((packed));

struct erofs_device {
	uint8_t tag[64];
	uint32_t block_count, mapped_block;
	uint8_t reserved[56];
} __attribute__((packed));

enum { EROFS_FLAT_PLAIN = 0, EROFS_FLAT_INLINE = 2, EROFS_CHUNK_BASED = 4 };
#define EROFS_CHUNK_INDEXES                                                                        \
	0x20 /* of the chunk format; the lower bits are chunk bits - block bits */
#define EROFS_CHUNK_BITS 31
#define EROFS_NULL_BLOCK 0xffffffff

/* The extended inode: bit 0 of format is 1, bits 1.. the layout of the data. */
struct erofs_inode {
	uint16_t format, xattr_slots, mode, reserved;
	uint64_t size;
	uint32_t data; /* first block, device number, or chunk format */
	uint32_t no, uid, gid;
	uint64_t mtime_s;
	uint32_t mtime_ns, nlink;
	uint8_t reserved2[16];
} __attribute__((packed));

struct erofs_chunk {
	uint16_t block_high, device;
	uint32_t block;
} __attribute__((packed));

struct erofs_dirent {
	uint64_t nid;
	uint16_t name_offset;
	uint8_t type, reserved;
} __attribute__((packed));

/* Before an inode's own xattr entries stand the places (in words) of those it shares. */
struct erofs_xattr_head {
	uint32_t filter;
	uint8_t shared_count, reserved[7];
} __attribute__((packed));

struct erofs_xattr {
	uint8_t name_len, prefix;
	uint16_t value_len;
} __attribute__((packed));

_Static_assert(sizeof(struct erofs_super) == 128, "super block");
_Static_assert(sizeof(struct erofs_device) == 128, "device slot");
_Static_assert(sizeof(struct erofs_inode) == 64, "extended inode");
_Static_assert(sizeof(struct erofs_dirent) == 12, "directory entry");
_Static_assert(sizeof(struct erofs_xattr_head) == 12, "xattr header");

#endif
