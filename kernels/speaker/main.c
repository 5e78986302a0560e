// SPDX-License-Identifier: GPL-2.0-only
/*
 * The speaker: makes a kernel say what it says when something goes wrong, by letting it go wrong. A word that is written
 * to /sys/kernel/debug/speaker (or /proc/speaker, where there is no debugfs) is done by the task that writes it:
 *
 *	echo kasan-use-after-free > /sys/kernel/debug/speaker
 *
 * Reading the file lists the words. For machines that are thrown away afterwards: most words damage the kernel.
 */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/init_syscalls.h>
#include <linux/initrd.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/reboot.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "speaker.h"

static int say_at_power_off(char *arg);

static const struct word main_words[] = {
	{ "at-power-off", say_at_power_off },
	{ }
};

static const struct word *const all_words[] = {
	oops_words, lock_words, memory_words, slab_words, hang_words, vfs_words, main_words,
#ifndef MODULE
	disk_words,
#endif
};

static struct dentry *file;

static int speak(char *text)
{
	char *arg = strim(text);
	char *name = strsep(&arg, " ");
	const struct word *word;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(all_words); i++)
		for (word = all_words[i]; word->name; word++)
			if (!strcmp(word->name, name))
				return word->speak(arg ? arg : "");
	return -EINVAL;
}

static char at_power_off[64];

static int powers_off(struct notifier_block *block, unsigned long action, void *unused)
{
	if (*at_power_off)
		speak(at_power_off);
	return NOTIFY_DONE;
}

static struct notifier_block power_off_block = {
	.notifier_call = powers_off,
};

/* `at-power-off warn`: says it when the machine is powered off or boots again. */
static int say_at_power_off(char *arg)
{
	return strscpy(at_power_off, arg, sizeof(at_power_off)) < 0 ? -E2BIG : 0;
}

static ssize_t speaker_write(struct file *filp, const char __user *from, size_t count, loff_t *pos)
{
	char *text;
	int error;

	if (count > 256)
		return -E2BIG;
	text = memdup_user_nul(from, count);
	if (IS_ERR(text))
		return PTR_ERR(text);
	error = speak(text);
	kfree(text);
	return error ? error : count;
}

static int speaker_show(struct seq_file *out, void *unused)
{
	const struct word *word;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(all_words); i++)
		for (word = all_words[i]; word->name; word++)
			seq_printf(out, "%s\n", word->name);
	return 0;
}

static int speaker_open(struct inode *inode, struct file *filp)
{
	return single_open(filp, speaker_show, NULL);
}

static const struct file_operations speaker_fops = {
	.owner = THIS_MODULE,
	.open = speaker_open,
	.read = seq_read,
	.write = speaker_write,
	.llseek = seq_lseek,
	.release = single_release,
};

static const struct proc_ops speaker_proc_ops = {
	.proc_open = speaker_open,
	.proc_read = seq_read,
	.proc_write = speaker_write,
	.proc_lseek = seq_lseek,
	.proc_release = single_release,
};

static int __init speaker_init(void)
{
	if (!proc_create("speaker", 0600, NULL, &speaker_proc_ops))
		return -ENOMEM;
	file = debugfs_create_file("speaker", 0600, NULL, NULL, &speaker_fops);
	return register_reboot_notifier(&power_off_block);
}

static void __exit speaker_exit(void)
{
	if (!IS_ERR_OR_NULL(file))
		debugfs_remove(file);
	remove_proc_entry("speaker", NULL);
	unregister_reboot_notifier(&power_off_block);
	vfs_release();
	hang_release();
}

#ifndef MODULE
/*
 * What is said at boot: a word that whoever has the image writes behind the colon, in place of NULs. `no-init` takes
 * init away; it is no word of the file, as it can be done at boot only.
 */
static char at_boot[64] __initdata = "speaker at boot:";

static int __init speak_at_boot(void)
{
	char *word = at_boot;

	hide(word);
	word += strlen("speaker at boot:");
	if (!*word)
		return 0;
	if (strcmp(word, "no-init"))
		return speak(word);
	wait_for_initramfs();
	return init_unlink("/init");
}
late_initcall(speak_at_boot);
#endif

module_init(speaker_init);
module_exit(speaker_exit);
MODULE_DESCRIPTION("makes the kernel report what goes wrong, by doing it");
MODULE_LICENSE("GPL");
