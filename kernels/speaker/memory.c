// SPDX-License-Identifier: GPL-2.0-only
/* Accesses that KASAN, KFENCE, KCSAN, UBSAN and kmemleak report; lists, counters, pages and address spaces gone bad. */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/percpu-refcount.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/timer.h>
#include <linux/vmalloc.h>
#include <linux/version.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 12, 0)
#include <linux/kfence.h>
#else
#define is_kfence_address(address) false
#endif

#include "speaker.h"

static noinline void touch(volatile char *where)
{
	*where = 1;
}

static noinline char look(volatile char *where)
{
	return *where;
}

static noinline int say_kasan_bounds(char *arg)
{
	char *block = kmalloc(113, GFP_KERNEL);

	hide(block);
	touch(block + 113 + 7);
	kfree(block);
	return 0;
}

static noinline int say_kasan_use_after_free(char *arg)
{
	char *block = kmalloc(64, GFP_KERNEL);

	kfree(block);
	hide(block);
	return look(block + 8) == 1;
}

static noinline int say_kasan_double_free(char *arg)
{
	char *block = kmalloc(64, GFP_KERNEL);

	kfree(block);
	hide(block);
	kfree(block);
	return 0;
}

static noinline int say_kasan_invalid_free(char *arg)
{
	char *block = kmalloc(64, GFP_KERNEL);

	hide(block);
	kfree(block + 16);
	return 0;
}

static noinline int say_kasan_stack(char *arg)
{
	char few[16];
	char *past = few;
	int at = 17;

	few[0] = 0;
	hide(past);
	hide(at);
	return ((volatile char *)past)[at] == 1;
}

static noinline int say_kasan_global(char *arg)
{
	static char global[10];
	char *past = global;

	hide(past);
	return look(past + 12) == 1;
}

static noinline int say_kasan_vmalloc(char *arg)
{
	char *block = vmalloc(4000);

	hide(block);
	look(block + 4000 + 8);
	vfree(block);
	return 0;
}

/* KFENCE takes an allocation now and then: asks until it does. */
static char *fenced(size_t size)
{
	char *block;
	int i;

	for (i = 0; i < 100000; i++) {
		block = kmalloc(size, GFP_KERNEL);
		if (is_kfence_address(block))
			return block;
		kfree(block);
		if (i % 64 == 63)
			usleep_range(100, 200);
	}
	return NULL;
}

static noinline int say_kfence_bounds(char *arg)
{
	char *block = fenced(32);

	if (!block)
		return -EAGAIN;
	/* One of the two lies in a guard page, according to the side on which the object was put. */
	look(block - 1);
	look(block + 32);
	kfree(block);
	return 0;
}

static noinline int say_kfence_use_after_free(char *arg)
{
	char *block = fenced(32);

	if (!block)
		return -EAGAIN;
	kfree(block);
	hide(block);
	return look(block) == 1;
}

static noinline int say_kfence_corruption(char *arg)
{
	char *block = fenced(27);

	if (!block)
		return -EAGAIN;
	hide(block);
	touch(block + 27);
	touch(block - 1);
	kfree(block);
	return 0;
}

static noinline int say_kfence_invalid_free(char *arg)
{
	char *block = fenced(32);

	if (!block)
		return -EAGAIN;
	kfree(block);
	hide(block);
	kfree(block);
	return 0;
}

static int raced;

static noinline int race_writer(void *unused)
{
	unsigned long end = jiffies + 3 * HZ;

	while (time_before(jiffies, end))
		raced++;
	return 0;
}

static noinline int race_reader(void *unused)
{
	unsigned long end = jiffies + 3 * HZ;
	int sum = 0;

	while (time_before(jiffies, end))
		sum += raced;
	return sum == 1;
}

static int say_race(char *arg)
{
	struct task_struct *writer = kthread_create(race_writer, NULL, "writer");
	struct task_struct *reader = kthread_create(race_reader, NULL, "reader");

	if (IS_ERR(writer) || IS_ERR(reader))
		return -ENOMEM;
	kthread_bind(writer, 0);
	kthread_bind(reader, 1);
	wake_up_process(writer);
	wake_up_process(reader);
	return 0;
}

static noinline int say_ubsan_shift(char *arg)
{
	volatile int value = 1, by = 40;

	return (value << by) == 3;
}

struct table {
	int count;
	int cells[4];
	int after[8];
};

static noinline int say_ubsan_bounds(char *arg)
{
	static struct table table;
	volatile int at = 5;

	return table.cells[at] == 3;
}

static noinline int say_ubsan_bool(char *arg)
{
	char byte = 7;
	volatile bool *flag = (bool *)&byte;

	hide(flag);
	return *flag ? -EIO : 0;
}

static noinline int say_ubsan_divide(char *arg)
{
	volatile int value = 1, by = 0;

	return value / by;
}

static noinline int say_ubsan_overflow(char *arg)
{
	volatile int value = INT_MAX, by = 10;

	return (value + by) == 3;
}

static int say_list_add(char *arg)
{
	static LIST_HEAD(head);
	static struct list_head entry, stray;

	list_add(&entry, &head);
	head.next = &stray;
	list_add_tail(&stray, &head);
	list_add(&stray, &head);
	return 0;
}

static int say_list_double_add(char *arg)
{
	static LIST_HEAD(head);
	static struct list_head entry;

	list_add(&entry, &head);
	list_add(&entry, &head);
	return 0;
}

static int say_list_del(char *arg)
{
	static LIST_HEAD(head);
	static struct list_head entry;

	list_add(&entry, &head);
	list_del(&entry);
	list_del(&entry);
	return 0;
}

static refcount_t counter;

static noinline int say_refcount_underflow(char *arg)
{
	refcount_set(&counter, 0);
	return refcount_dec_and_test(&counter) ? -EIO : 0;
}

static noinline int say_refcount_saturated(char *arg)
{
	refcount_set(&counter, INT_MAX);
	refcount_inc(&counter);
	return 0;
}

static noinline int say_refcount_add_on_0(char *arg)
{
	refcount_set(&counter, 0);
	refcount_inc(&counter);
	return 0;
}

static noinline int say_refcount_leak(char *arg)
{
	refcount_set(&counter, 1);
	refcount_dec(&counter);
	return 0;
}

static void nothing_released(struct percpu_ref *ref)
{
}

static int say_percpu_ref(char *arg)
{
	static struct percpu_ref ref;

	if (percpu_ref_init(&ref, nothing_released, 0, GFP_KERNEL))
		return -ENOMEM;
	percpu_ref_put(&ref);
	percpu_ref_put(&ref);
	percpu_ref_kill(&ref);
	return 0;
}

static noinline int say_leak(char *arg)
{
	int i;

	for (i = 0; i < 8; i++)
		hide(*(char *)kmalloc(200, GFP_KERNEL | __GFP_ZERO));
	return 0;
}

static void never(struct timer_list *timer)
{
}

static noinline int say_odebug_free(char *arg)
{
	struct timer_list *timer = kmalloc(sizeof(*timer), GFP_KERNEL);

	timer_setup(timer, never, 0);
	mod_timer(timer, jiffies + 1000 * HZ);
	kfree(timer);
	return 0;
}

static noinline int say_odebug_init(char *arg)
{
	static struct timer_list timer;

	timer_setup(&timer, never, 0);
	mod_timer(&timer, jiffies + 1000 * HZ);
	timer_setup(&timer, never, 0);
	return 0;
}

static int say_bad_page(char *arg)
{
	struct page *page = alloc_page(GFP_KERNEL);

	if (!page)
		return -ENOMEM;
	page->mapping = (void *)0xdead00ul;
	__free_page(page);
	return 0;
}

static int say_page_twice(char *arg)
{
	struct page *page = alloc_page(GFP_KERNEL);

	if (!page)
		return -ENOMEM;
	__free_page(page);
	__free_page(page);
	return 0;
}

static int say_bad_rss(char *arg)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
	percpu_counter_add(&current->mm->rss_stat[MM_ANONPAGES], 3);
#else
	atomic_long_add(3, &current->mm->rss_stat.count[MM_ANONPAGES]);
#endif
	return 0;
}

static int say_bad_pgtables(char *arg)
{
	atomic_long_add(4096, &current->mm->pgtables_bytes);
	return 0;
}

static int say_vfree(char *arg)
{
	vfree((void *)VMALLOC_START + PAGE_SIZE * 7777777ul);
	return 0;
}

const struct word memory_words[] = {
	{ "kasan-bounds", say_kasan_bounds },
	{ "kasan-use-after-free", say_kasan_use_after_free },
	{ "kasan-double-free", say_kasan_double_free },
	{ "kasan-invalid-free", say_kasan_invalid_free },
	{ "kasan-stack", say_kasan_stack },
	{ "kasan-global", say_kasan_global },
	{ "kasan-vmalloc", say_kasan_vmalloc },
	{ "kfence-bounds", say_kfence_bounds },
	{ "kfence-use-after-free", say_kfence_use_after_free },
	{ "kfence-corruption", say_kfence_corruption },
	{ "kfence-invalid-free", say_kfence_invalid_free },
	{ "race", say_race },
	{ "ubsan-shift", say_ubsan_shift },
	{ "ubsan-bounds", say_ubsan_bounds },
	{ "ubsan-bool", say_ubsan_bool },
	{ "ubsan-divide", say_ubsan_divide },
	{ "ubsan-overflow", say_ubsan_overflow },
	{ "list-add", say_list_add },
	{ "list-double-add", say_list_double_add },
	{ "list-del", say_list_del },
	{ "refcount-underflow", say_refcount_underflow },
	{ "refcount-saturated", say_refcount_saturated },
	{ "refcount-add-on-0", say_refcount_add_on_0 },
	{ "refcount-leak", say_refcount_leak },
	{ "percpu-ref", say_percpu_ref },
	{ "leak", say_leak },
	{ "odebug-free", say_odebug_free },
	{ "odebug-init", say_odebug_init },
	{ "bad-page", say_bad_page },
	{ "page-twice", say_page_twice },
	{ "bad-rss", say_bad_rss },
	{ "bad-pgtables", say_bad_pgtables },
	{ "vfree", say_vfree },
	{ }
};
