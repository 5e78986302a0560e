// SPDX-License-Identifier: GPL-2.0-only
/* Exceptions, BUG, WARN, panic: what ends or marks a task at the place where it happens. */
#include <linux/bug.h>
#include <linux/delay.h>
#include <linux/irq_work.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/task_stack.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/task_work.h>
#include <linux/uaccess.h>

#include "speaker.h"

static const int read_only = 5;

static noinline int say_warn(char *arg)
{
	WARN(1, "speaker: a warning with words, %s\n", *arg ? arg : "none");
	return 0;
}

static noinline int say_warn_on(char *arg)
{
	int yes = 1;

	hide(yes);
	WARN_ON(yes);
	return 0;
}

static noinline int say_warn_once(char *arg)
{
	int yes = 1;

	hide(yes);
	WARN_ON_ONCE(yes);
	return 0;
}

static void warn_from_irq(struct irq_work *work)
{
	WARN(1, "speaker: in an interrupt\n");
}

static struct irq_work irq_warning;

static int say_warn_irq(char *arg)
{
	init_irq_work(&irq_warning, warn_from_irq);
	irq_work_queue(&irq_warning);
	irq_work_sync(&irq_warning);
	return 0;
}

static noinline int warn_loudly(void *unused)
{
	int i;

	for (i = 0; i < 3; i++)
		WARN(1, "speaker: one of two CPUs\n");
	return 0;
}

static noinline int warn_plainly(void *unused)
{
	int i;

	for (i = 0; i < 3; i++)
		WARN_ON(1);
	return 0;
}

/* Two CPUs warn at the same time, so that their lines mix. */
static int say_warn_both(char *arg)
{
	struct task_struct *one = kthread_create(warn_loudly, NULL, "loud");
	struct task_struct *two = kthread_create(warn_plainly, NULL, "plain");

	if (IS_ERR(one) || IS_ERR(two))
		return -ENOMEM;
	kthread_bind(one, 0);
	kthread_bind(two, num_online_cpus() - 1);
	wake_up_process(one);
	wake_up_process(two);
	return 0;
}

static noinline int say_bug(char *arg)
{
	BUG();
	return 0;
}

static void bug_from_irq(struct irq_work *work)
{
	BUG();
}

static int say_bug_irq(char *arg)
{
	init_irq_work(&irq_warning, bug_from_irq);
	irq_work_queue(&irq_warning);
	return 0;
}

static noinline int say_null(char *arg)
{
	int *where = NULL;

	hide(where);
	return *(volatile int *)(where + 4);
}

static noinline int say_null_write(char *arg)
{
	int *where = NULL;

	hide(where);
	*(volatile int *)where = 1;
	return 0;
}

#ifndef MODULE
static struct callback_head work_of_parent;

static noinline void oops_in_parent(struct callback_head *work)
{
	int *where = NULL;

	hide(where);
	*(volatile int *)where = 1;
}

/* The writer's parent follows a null pointer on its way back to user space. */
static int say_oops_parent(char *arg)
{
	struct task_struct *parent;
	int error;

	rcu_read_lock();
	parent = rcu_dereference(current->real_parent);
	get_task_struct(parent);
	rcu_read_unlock();
	init_task_work(&work_of_parent, oops_in_parent);
	error = task_work_add(parent, &work_of_parent, TWA_SIGNAL);
	put_task_struct(parent);
	return error;
}
#endif

static noinline int say_null_call(char *arg)
{
	int (*call)(void) = NULL;

	hide(call);
	return call() + 1;
}

static noinline int say_page_fault(char *arg)
{
	int *where = (int *)0xffffc8ff12345678UL;

	hide(where);
	return *(volatile int *)where;
}

static noinline int say_read_only(char *arg)
{
	int *where = (int *)&read_only;

	hide(where);
	*(volatile int *)where = 6;
	return 0;
}

static noinline int say_user_access(char *arg)
{
	int *where = (int *)0x10000000;

	hide(where);
	return *(volatile int *)where;
}

static noinline int say_execute_data(char *arg)
{
	int (*call)(void) = kmalloc(64, GFP_KERNEL);

	if (!call)
		return -ENOMEM;
	memset(call, 0xc3, 64);
	return call();
}

static noinline int say_gpf(char *arg)
{
	int *where = (int *)0x6b6b6b6b6b6b6b6bUL;

	hide(where);
	return *(volatile int *)where;
}

static noinline int say_divide(char *arg)
{
	asm volatile("xorl %%ecx, %%ecx\n\tmovl $1, %%eax\n\tcltd\n\tidivl %%ecx" ::: "eax", "ecx", "edx");
	return 0;
}

static noinline int say_opcode(char *arg)
{
	asm volatile(".byte 0x0f, 0xff, 0xc0");
	return 0;
}

static noinline int say_stack_segment(char *arg)
{
	asm volatile("pushq %%rbp\n\tmovabsq $0x6b6b6b6b6b6b6b6b, %%rbp\n\tmovq (%%rbp), %%rax\n\tpopq %%rbp" ::: "rax", "memory");
	return 0;
}

static noinline int say_double_fault(char *arg)
{
	asm volatile("movabsq $0x6b6b6b6b6b6b6b68, %%rsp\n\tpushq %%rax" ::: "memory");
	return 0;
}

static noinline int dig(int depth)
{
	volatile char hole[256];

	hole[0] = depth;
	hole[255] = hole[0];
	return dig(depth + 1) + hole[255];
}

static int say_stack_overflow(char *arg)
{
	return dig(0) & 1;
}

static noinline int say_stack_canary(char *arg)
{
	char small[8];
	char *past = small;
	int i;

	hide(past);
	for (i = 0; i < 64; i++)
		((volatile char *)past)[i] = 'x';
	return 0;
}

static int say_stack_end(char *arg)
{
	*(volatile unsigned long *)task_stack_page(current) = 0;
	schedule();
	return 0;
}

static int say_panic(char *arg)
{
	panic("speaker: %s", *arg ? arg : "no reason");
}

static noinline int say_fortify(char *arg)
{
	static char little[8], much[64];
	size_t size = 40;

	hide(size);
	memcpy(little, much, size);
	return little[0];
}

static noinline int say_usercopy(char *arg)
{
	char *little = kmalloc(32, GFP_KERNEL);
	unsigned long size = 500;
	int left;

	if (!little)
		return -ENOMEM;
	hide(size);
	left = copy_to_user((void __user *)current->mm->start_stack, little, size);
	kfree(little);
	return left ? -EFAULT : 0;
}

const struct word oops_words[] = {
	{ "warn", say_warn },
	{ "warn-on", say_warn_on },
	{ "warn-once", say_warn_once },
	{ "warn-irq", say_warn_irq },
	{ "warn-both", say_warn_both },
	{ "bug", say_bug },
	{ "bug-irq", say_bug_irq },
	{ "null", say_null },
	{ "null-write", say_null_write },
#ifndef MODULE
	{ "oops-parent", say_oops_parent },
#endif
	{ "null-call", say_null_call },
	{ "page-fault", say_page_fault },
	{ "read-only", say_read_only },
	{ "user-access", say_user_access },
	{ "execute-data", say_execute_data },
	{ "gpf", say_gpf },
	{ "divide", say_divide },
	{ "opcode", say_opcode },
	{ "stack-segment", say_stack_segment },
	{ "double-fault", say_double_fault },
	{ "stack-overflow", say_stack_overflow },
	{ "stack-canary", say_stack_canary },
	{ "stack-end", say_stack_end },
	{ "panic", say_panic },
	{ "fortify", say_fortify },
	{ "usercopy", say_usercopy },
	{ }
};
