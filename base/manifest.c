/* Foreign JSON: everything is checked, nothing is believed. Must not know: registries, the mount.
 */
#include "base/manifest.h"

#include "base/json.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/utsname.h>

static int parse_item(const json_t *j, const char *what, struct manifest_item *out, struct err *e)
{
	const char *digest = json_str(j, "digest"), *hex;
	uint64_t size = json_u64(j, "size", UINT64_MAX);

	if (!digest || !digest_is_sha256(digest, &hex))
		return err_set(e, EPROTO, "a %s without a sha256 digest", what);
	if (size > INT64_MAX)
		return err_set(e, EPROTO, "a %s without a size", what);
	memcpy(out->hex, hex, DIGEST_HEX_LEN + 1);
	out->size = size;
	return 0;
}

static void take_word(const json_t *j, const char *key, char *out, size_t size)
{
	const char *text = json_str(j, key);

	/* What does not fit names no platform that anybody has. */
	if (text && strlen(text) < size)
		memcpy(out, text, strlen(text) + 1);
}

static int parse_items(const json_t *list, const char *what, struct manifest *out, struct err *e)
{
	size_t count = json_array_size(list);

	if (!json_is_array(list))
		return err_set(e, EPROTO, "the list of %ss is no list", what);
	if (count > MANIFEST_ITEMS_MAX)
		return err_set(e, EPROTO, "%zu %ss, at most %d are taken", count, what,
			       MANIFEST_ITEMS_MAX);
	out->items = mem_array(count + 1, sizeof(*out->items));
	for (; out->count < count; out->count++) {
		const json_t *j = json_array_get(list, out->count);
		const json_t *platform = json_object_get(j, "platform");
		struct manifest_item *item = &out->items[out->count];
		int r = parse_item(j, what, item, e);

		if (r < 0)
			return r;
		take_word(platform, "os", item->os, sizeof(item->os));
		take_word(platform, "architecture", item->arch, sizeof(item->arch));
		take_word(platform, "variant", item->variant, sizeof(item->variant));
	}
	return 0;
}

int manifest_parse(const char *text, size_t len, struct manifest *out, struct err *e)
{
	cleanup(json_decref_at) json_t *doc = NULL;
	const json_t *manifests;
	int r = json_parse(text, len, MANIFEST_BYTES_MAX, &doc, e);

	*out = (struct manifest){0};
	if (r == -EMSGSIZE)
		return r;
	if (r < 0)
		return err_set(e, EPROTO, "a manifest that is no JSON");
	if (json_u64(doc, "schemaVersion", 0) != 2)
		return err_set(e, EPROTO, "a manifest of another schema than 2");
	manifests = json_object_get(doc, "manifests");
	if (manifests) {
		out->is_index = true;
		r = parse_items(manifests, "manifest", out, e);
	} else {
		r = parse_item(json_object_get(doc, "config"), "config", &out->config, e);
		if (r == 0)
			r = parse_items(json_object_get(doc, "layers"), "layer", out, e);
	}
	if (r < 0)
		manifest_release(out);
	return r;
}

void manifest_release(struct manifest *m)
{
	free(m->items);
	*m = (struct manifest){0};
}

const struct manifest_item *manifest_pick_for(const struct manifest *index, const char *os,
					      const char *arch, const char *variant)
{
	const struct manifest_item *near = NULL;

	for (size_t i = 0; i < index->count; i++) {
		const struct manifest_item *item = &index->items[i];

		if (strcmp(item->os, os) != 0 || strcmp(item->arch, arch) != 0)
			continue;
		if (strcmp(item->variant, variant) == 0)
			return item;
		if (!near && (!variant[0] || !item->variant[0]))
			near = item;
	}
	return near;
}

const struct manifest_item *manifest_pick(const struct manifest *index)
{
	static const struct {
		const char *machine, *arch, *variant;
	} machines[] = {
		{"x86_64", "amd64", ""}, {"aarch64", "arm64", ""},   {"armv7l", "arm", "v7"},
		{"armv6l", "arm", "v6"}, {"i686", "386", ""},	     {"riscv64", "riscv64", ""},
		{"s390x", "s390x", ""},	 {"ppc64le", "ppc64le", ""}, {"loongarch64", "loong64", ""},
	};
	struct utsname u;

	if (uname(&u) < 0)
		return NULL;
	for (size_t i = 0; i < array_len(machines); i++)
		if (strcmp(u.machine, machines[i].machine) == 0)
			return manifest_pick_for(index, "linux", machines[i].arch,
						 machines[i].variant);
	return NULL;
}
