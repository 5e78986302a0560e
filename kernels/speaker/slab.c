// SPDX-License-Identifier: GPL-2.0-only
/* What SLUB's own checks say, of a cache of ours that asks for them: no boot option is needed. */
#include <linux/slab.h>
#include <linux/string.h>

#include "speaker.h"

static struct kmem_cache *cache(void)
{
	return kmem_cache_create("speaker_cache", 64, 8,
				 SLAB_CONSISTENCY_CHECKS | SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER, NULL);
}

static noinline int say_poison(char *arg)
{
	struct kmem_cache *slab = cache();
	char *object = kmem_cache_alloc(slab, GFP_KERNEL);

	kmem_cache_free(slab, object);
	hide(object);
	((volatile char *)object)[20] = 0x42;
	object = kmem_cache_alloc(slab, GFP_KERNEL);
	kmem_cache_free(slab, object);
	kmem_cache_destroy(slab);
	return 0;
}

static noinline int say_redzone(char *arg)
{
	struct kmem_cache *slab = cache();
	char *object = kmem_cache_alloc(slab, GFP_KERNEL);

	hide(object);
	((volatile char *)object)[64] = 0x42;
	kmem_cache_free(slab, object);
	kmem_cache_destroy(slab);
	return 0;
}

static noinline int say_double_free(char *arg)
{
	struct kmem_cache *slab = cache();
	char *object = kmem_cache_alloc(slab, GFP_KERNEL);

	kmem_cache_free(slab, object);
	hide(object);
	kmem_cache_free(slab, object);
	kmem_cache_destroy(slab);
	return 0;
}

static noinline int say_remaining(char *arg)
{
	struct kmem_cache *slab = cache();

	if (!kmem_cache_alloc(slab, GFP_KERNEL))
		return -ENOMEM;
	kmem_cache_destroy(slab);
	return 0;
}

static noinline int say_wrong_cache(char *arg)
{
	struct kmem_cache *slab = cache();
	char *block = kmalloc(64, GFP_KERNEL);

	kmem_cache_free(slab, block);
	kmem_cache_destroy(slab);
	return 0;
}

const struct word slab_words[] = {
	{ "slab-poison", say_poison },
	{ "slab-redzone", say_redzone },
	{ "slab-double-free", say_double_free },
	{ "slab-remaining", say_remaining },
	{ "slab-wrong-cache", say_wrong_cache },
	{ }
};
