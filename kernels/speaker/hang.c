// SPDX-License-Identifier: GPL-2.0-only
/* Tasks and processors that don't go on: spins, blocks, kworkers, a completion of virtio_blk that is lost. */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/irqflags.h>
#include <linux/jiffies.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched/signal.h>
#include <linux/kthread.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

/* A module finds the way to completions by a probe; built in, virtio_blk can ask (virtio_blk-6.1.patch). */
#ifdef MODULE
#define LOSES_COMPLETIONS (IS_ENABLED(CONFIG_KPROBES) && IS_ENABLED(CONFIG_BLOCK))
#else
#define LOSES_COMPLETIONS IS_ENABLED(CONFIG_BLOCK)
#endif
#define PROBES_COMPLETIONS (LOSES_COMPLETIONS && IS_ENABLED(CONFIG_KPROBES))

#if LOSES_COMPLETIONS
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#endif

#include "speaker.h"

/* A file below /sys/module/speaker/parameters ends all that waits or spins for it. */
static bool stop;
module_param(stop, bool, 0600);

static DECLARE_COMPLETION(never);
static DECLARE_WAIT_QUEUE_HEAD(nobody);
static DEFINE_MUTEX(kept);

static unsigned long seconds_of(char *arg)
{
	unsigned long seconds;

	return *arg && !kstrtoul(arg, 10, &seconds) ? seconds : 1000000;
}

/* For a number of seconds or until stopped; mdelay, as jiffies stand still on a CPU whose interrupts are off. */
static noinline void spin_for(unsigned long seconds)
{
	unsigned long ms;

	for (ms = 0; ms < seconds * 1000 && !READ_ONCE(stop); ms++)
		mdelay(1);
}

static noinline int say_spin(char *arg)
{
	unsigned long seconds = seconds_of(arg);

	preempt_disable();
	spin_for(seconds);
	preempt_enable();
	return 0;
}

/* As `spin`, but a kernel that preempts gives the processor to others. */
static noinline int say_spin_preemptible(char *arg)
{
	spin_for(seconds_of(arg));
	return 0;
}

static noinline int say_spin_irqs_off(char *arg)
{
	unsigned long seconds = seconds_of(arg);
	unsigned long flags;

	local_irq_save(flags);
	spin_for(seconds);
	local_irq_restore(flags);
	return 0;
}

static noinline int spin_thread(void *seconds)
{
	preempt_disable();
	spin_for((unsigned long)seconds);
	preempt_enable();
	return 0;
}

/* Spins on all processors but the writer's, which goes on. */
static int say_spin_others(char *arg)
{
	unsigned int cpu, here = raw_smp_processor_id();

	for_each_online_cpu(cpu) {
		struct task_struct *task;

		if (cpu == here)
			continue;
		task = kthread_create(spin_thread, (void *)seconds_of(arg), "spinner/%u", cpu);
		if (IS_ERR(task))
			return PTR_ERR(task);
		kthread_bind(task, cpu);
		wake_up_process(task);
	}
	return 0;
}

static noinline int say_block(char *arg)
{
	wait_for_completion(&never);
	return 0;
}

static noinline int say_sleep(char *arg)
{
	return wait_event_interruptible(nobody, READ_ONCE(stop));
}

static int keep_mutex(void *unused)
{
	mutex_lock(&kept);
	wait_for_completion(&never);
	mutex_unlock(&kept);
	return 0;
}

/* Blocks on a mutex that another task keeps. */
static noinline int say_block_mutex(char *arg)
{
	struct task_struct *keeper = kthread_run(keep_mutex, NULL, "keeper");

	if (IS_ERR(keeper))
		return PTR_ERR(keeper);
	msleep(50);
	mutex_lock(&kept);
	mutex_unlock(&kept);
	return 0;
}

static void block_work_fn(struct work_struct *work)
{
	wait_for_completion(&never);
}

static void spin_work_fn(struct work_struct *work)
{
	spin_for(1000000);
}

static void nothing_fn(struct work_struct *work)
{
}

static DECLARE_WORK(block_work, block_work_fn);
static DECLARE_WORK(spin_work, spin_work_fn);
static DECLARE_WORK(nothing_work, nothing_fn);

static int say_kworker_block(char *arg)
{
	schedule_work(&block_work);
	return 0;
}

static int say_kworker_spin(char *arg)
{
	schedule_work_on(0, &spin_work);
	schedule_work_on(0, &nothing_work);
	return 0;
}

/* The writer waits for a kworker that waits for ever. */
static int say_wait_kworker_block(char *arg)
{
	schedule_work(&block_work);
	flush_work(&block_work);
	return 0;
}

/* The writer waits for a kworker that spins for ever. */
static int say_wait_kworker_spin(char *arg)
{
	schedule_work(&spin_work);
	flush_work(&spin_work);
	return 0;
}

#if LOSES_COMPLETIONS
static char lost_disk[DISK_NAME_LEN];
static atomic_t to_lose = ATOMIC_INIT(0);
static atomic_t to_forget = ATOMIC_INIT(0);

static struct gendisk *disk_of(struct request *request)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 17, 0)
	return request->q->disk;
#else
	return request->rq_disk;
#endif
}

/* Whether a completion is lost. That of a request whose bio is forgotten goes on, and nobody hears of it. */
bool speaker_loses(struct request *request)
{
	struct gendisk *disk = disk_of(request);

	if (!disk || strcmp(disk->disk_name, lost_disk))
		return false;
	if (atomic_dec_if_positive(&to_forget) >= 0)
		request->bio = NULL;
	return atomic_dec_if_positive(&to_lose) >= 0;
}

#if PROBES_COMPLETIONS
static bool probed;

static noinline __used void complete_nothing(struct request *request)
{
}

/* Goes to a function that does nothing, in place of the one that completes the request in the first argument. */
static int before_completion(struct kprobe *probe, struct pt_regs *regs)
{
	if (!speaker_loses((struct request *)regs->di))
		return 0;
	regs->ip = (unsigned long)complete_nothing;
	return 1;
}

/* Its presence keeps the probe from being made a jump, behind which the place to go on can't be changed. */
static void after_completion(struct kprobe *probe, struct pt_regs *regs, unsigned long flags)
{
}

static struct kprobe completion_probe = {
	.symbol_name = "blk_mq_complete_request",
	.pre_handler = before_completion,
	.post_handler = after_completion,
};

static int watch_completions(void)
{
	int error = probed ? 0 : register_kprobe(&completion_probe);

	probed = probed || !error;
	return error;
}

static void forget_completions(void)
{
	if (probed)
		unregister_kprobe(&completion_probe);
}
#else
static int watch_completions(void)
{
	return 0;
}

static void forget_completions(void)
{
}
#endif

static int of_completions(char *arg, atomic_t *number)
{
	char *name = strsep(&arg, " ");
	int count = 1;
	int error;

	if (!*name || (arg && kstrtoint(arg, 10, &count)))
		return -EINVAL;
	strscpy(lost_disk, name, sizeof(lost_disk));
	error = watch_completions();
	if (!error)
		atomic_set(number, count);
	return error;
}

/* `lose-completion vda 2`: the next two completions of requests to vda never reach the block layer. */
static int say_lose_completion(char *arg)
{
	return of_completions(arg, &to_lose);
}

/* `forget-bio vda 2`: the next two requests to vda end, and who made them is not told. */
static int say_forget_bio(char *arg)
{
	return of_completions(arg, &to_forget);
}
#else
static void forget_completions(void)
{
}
#endif

static int say_go_on(char *arg)
{
	stop = true;
	complete_all(&never);
	wake_up_all(&nobody);
	return 0;
}

void hang_release(void)
{
	forget_completions();
	say_go_on("");
	flush_work(&block_work);
	flush_work(&spin_work);
	flush_work(&nothing_work);
}

const struct word hang_words[] = {
	{ "spin", say_spin },
	{ "spin-preemptible", say_spin_preemptible },
	{ "spin-irqs-off", say_spin_irqs_off },
	{ "spin-others", say_spin_others },
	{ "block", say_block },
	{ "sleep", say_sleep },
	{ "block-mutex", say_block_mutex },
	{ "kworker-block", say_kworker_block },
	{ "kworker-spin", say_kworker_spin },
	{ "wait-kworker-block", say_wait_kworker_block },
	{ "wait-kworker-spin", say_wait_kworker_spin },
#if LOSES_COMPLETIONS
	{ "lose-completion", say_lose_completion },
	{ "forget-bio", say_forget_bio },
#endif
	{ "go-on", say_go_on },
	{ }
};
