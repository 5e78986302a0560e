// SPDX-License-Identifier: GPL-2.0-only
/* Files, inodes and dentries that are kept or dropped once too often. */
#include <linux/dcache.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/namei.h>

#include "speaker.h"

static struct file *held;

/* `hold-file PATH`: keeps a file open that no process has open, so that umount says EBUSY. */
static int say_hold_file(char *arg)
{
	struct file *opened = filp_open(arg, O_RDONLY, 0);

	if (IS_ERR(opened))
		return PTR_ERR(opened);
	if (held)
		fput(held);
	held = opened;
	return 0;
}

static int say_release_file(char *arg)
{
	vfs_release();
	return 0;
}

/* `hold-inode PATH`: a reference that is never put; umount goes through and says so. */
static int say_hold_inode(char *arg)
{
	struct path path;
	int error = kern_path(arg, LOOKUP_FOLLOW, &path);

	if (error)
		return error;
	ihold(d_inode(path.dentry));
	path_put(&path);
	return 0;
}

static int say_hold_dentry(char *arg)
{
	struct path path;
	int error = kern_path(arg, LOOKUP_FOLLOW, &path);

	if (error)
		return error;
	dget(path.dentry);
	path_put(&path);
	return 0;
}

/* `close-closed PATH`: closes a file whose count is 0. */
static int say_close_closed(char *arg)
{
	struct file *opened = filp_open(arg, O_RDONLY, 0);

	if (IS_ERR(opened))
		return PTR_ERR(opened);
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
	atomic_long_set(&opened->f_ref.refcnt, FILE_REF_DEAD);
#else
	atomic_long_set(&opened->f_count, 0);
#endif
	return filp_close(opened, NULL);
}

void vfs_release(void)
{
	if (held)
		fput(held);
	held = NULL;
}

const struct word vfs_words[] = {
	{ "hold-file", say_hold_file },
	{ "release-file", say_release_file },
	{ "hold-inode", say_hold_inode },
	{ "hold-dentry", say_hold_dentry },
	{ "close-closed", say_close_closed },
	{ }
};
