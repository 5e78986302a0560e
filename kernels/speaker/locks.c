// SPDX-License-Identifier: GPL-2.0-only
/* What lockdep, RCU's checks and the checks of atomic context say. lockdep speaks once a boot. */
#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/irq_work.h>
#include <linux/kthread.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "speaker.h"

static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);
static DEFINE_SPINLOCK(safe);
static DEFINE_SPINLOCK(unsafe);
static DEFINE_RAW_SPINLOCK(raw);

static int say_circular(char *arg)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);

	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
	return 0;
}

struct locked {
	struct mutex lock;
};

static void locked_init(struct locked *it)
{
	mutex_init(&it->lock);
}

static int say_recursive(char *arg)
{
	struct locked *one = kmalloc(sizeof(*one), GFP_KERNEL);
	struct locked *two = kmalloc(sizeof(*two), GFP_KERNEL);

	if (!one || !two)
		return -ENOMEM;
	locked_init(one);
	locked_init(two);
	mutex_lock(&one->lock);
	mutex_lock(&two->lock);
	mutex_unlock(&two->lock);
	mutex_unlock(&one->lock);
	return 0;
}

static void take_safe(struct irq_work *work)
{
	spin_lock(&safe);
	spin_unlock(&safe);
}

static struct irq_work irq_taker;

static void take_in_hardirq(void)
{
	init_irq_work(&irq_taker, take_safe);
	irq_work_queue(&irq_taker);
	irq_work_sync(&irq_taker);
}

static int say_inconsistent(char *arg)
{
	spin_lock(&safe);
	spin_unlock(&safe);
	take_in_hardirq();
	return 0;
}

static void take_softly(struct tasklet_struct *unused)
{
	spin_lock(&safe);
	spin_unlock(&safe);
}

static struct tasklet_struct soft_taker;

static int say_inconsistent_softirq(char *arg)
{
	tasklet_setup(&soft_taker, take_softly);
	tasklet_schedule(&soft_taker);
	msleep(100);
	spin_lock(&safe);
	spin_unlock(&safe);
	return 0;
}

static int say_safe_unsafe(char *arg)
{
	unsigned long flags;

	take_in_hardirq();
	spin_lock(&unsafe);
	spin_unlock(&unsafe);
	spin_lock_irqsave(&safe, flags);
	spin_lock(&unsafe);
	spin_unlock(&unsafe);
	spin_unlock_irqrestore(&safe, flags);
	return 0;
}

static int say_held_freed(char *arg)
{
	struct locked *it = kmalloc(sizeof(*it), GFP_KERNEL);

	if (!it)
		return -ENOMEM;
	locked_init(it);
	mutex_lock(&it->lock);
	kfree(it);
	return 0;
}

static int exit_with_lock(void *unused)
{
	mutex_lock(&first);
	return 0;
}

static int say_still_held(char *arg)
{
	return PTR_ERR_OR_ZERO(kthread_run(exit_with_lock, NULL, "keeper"));
}

static int say_return_locked(char *arg)
{
	mutex_lock(&first);
	return 0;
}

static int say_bad_unlock(char *arg)
{
	mutex_unlock(&first);
	return 0;
}

static int say_wait_context(char *arg)
{
	raw_spin_lock(&raw);
	spin_lock(&safe);
	spin_unlock(&safe);
	raw_spin_unlock(&raw);
	return 0;
}

static int say_non_static(char *arg)
{
	spinlock_t *lock = kzalloc(sizeof(*lock), GFP_KERNEL);

	if (!lock)
		return -ENOMEM;
	spin_lock(lock);
	spin_unlock(lock);
	kfree(lock);
	return 0;
}

static int say_nest_lock(char *arg)
{
	mutex_lock_nest_lock(&first, &second);
	mutex_unlock(&first);
	return 0;
}

static int say_lock_depth(char *arg)
{
	static struct lock_class_key keys[64];
	static spinlock_t many[64];
	int i;

	for (i = 0; i < 64; i++) {
		spin_lock_init(&many[i]);
		lockdep_set_class(&many[i], &keys[i]);
		spin_lock(&many[i]);
	}
	while (i--)
		spin_unlock(&many[i]);
	return 0;
}

static int say_bad_magic(char *arg)
{
	static spinlock_t zeroed;

	spin_lock(&zeroed);
	spin_unlock(&zeroed);
	return 0;
}

static int say_already_unlocked(char *arg)
{
	spin_unlock(&safe);
	return 0;
}

static void *watched;

static int say_rcu_usage(char *arg)
{
	return rcu_dereference(*(void __rcu **)&watched) ? 1 : 0;
}

static int say_rcu_sleep(char *arg)
{
	rcu_read_lock();
	msleep(1);
	rcu_read_unlock();
	return 0;
}

static int say_rcu_wait(char *arg)
{
	rcu_read_lock();
	synchronize_rcu();
	rcu_read_unlock();
	return 0;
}

static int say_atomic_sleep(char *arg)
{
	spin_lock(&safe);
	msleep(1);
	spin_unlock(&safe);
	return 0;
}

static int say_atomic_alloc(char *arg)
{
	void *got;

	local_irq_disable();
	got = kmalloc(128, GFP_KERNEL);
	local_irq_enable();
	kfree(got);
	return 0;
}

static int say_atomic_schedule(char *arg)
{
	preempt_disable();
	schedule();
	preempt_enable();
	return 0;
}

static int say_processor_id(char *arg)
{
	return smp_processor_id() > 4096;
}

static void leak_atomic(struct work_struct *work)
{
	preempt_disable();
}

static void leak_lock(struct work_struct *work)
{
	mutex_lock(&second);
}

static DECLARE_WORK(atomic_leaker, leak_atomic);
static DECLARE_WORK(lock_leaker, leak_lock);

static int say_work_atomic(char *arg)
{
	schedule_work(&atomic_leaker);
	return 0;
}

static int say_work_lock(char *arg)
{
	schedule_work(&lock_leaker);
	return 0;
}

const struct word lock_words[] = {
	{ "lockdep-circular", say_circular },
	{ "lockdep-recursive", say_recursive },
	{ "lockdep-inconsistent", say_inconsistent },
	{ "lockdep-inconsistent-softirq", say_inconsistent_softirq },
	{ "lockdep-safe-unsafe", say_safe_unsafe },
	{ "lockdep-held-freed", say_held_freed },
	{ "lockdep-still-held", say_still_held },
	{ "lockdep-return-locked", say_return_locked },
	{ "lockdep-bad-unlock", say_bad_unlock },
	{ "lockdep-wait-context", say_wait_context },
	{ "lockdep-non-static", say_non_static },
	{ "lockdep-nest-lock", say_nest_lock },
	{ "lockdep-depth", say_lock_depth },
	{ "spinlock-magic", say_bad_magic },
	{ "spinlock-unlocked", say_already_unlocked },
	{ "rcu-usage", say_rcu_usage },
	{ "rcu-sleep", say_rcu_sleep },
	{ "rcu-wait", say_rcu_wait },
	{ "atomic-sleep", say_atomic_sleep },
	{ "atomic-alloc", say_atomic_alloc },
	{ "atomic-schedule", say_atomic_schedule },
	{ "processor-id", say_processor_id },
	{ "work-atomic", say_work_atomic },
	{ "work-lock", say_work_lock },
	{ }
};
