/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SPEAKER_H
#define SPEAKER_H

#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/types.h>
#include <linux/version.h>

/*
 * One word that can be written to the speaker's file. @speak does it in the task that writes; what follows the word is
 * @arg, which is empty if nothing follows.
 */
struct word {
	const char *name;
	int (*speak)(char *arg);
};

/* Each file's words, ended by one without a name. */
extern const struct word oops_words[];
extern const struct word lock_words[];
extern const struct word memory_words[];
extern const struct word slab_words[];
extern const struct word hang_words[];
extern const struct word vfs_words[];
extern const struct word disk_words[];

/* Undoes what words have left behind, where that can be undone. */
void vfs_release(void);
void hang_release(void);

/*
 * Asked by virtio_blk where the speaker is built in: before a request is sent, and of each one that the device has
 * answered.
 */
struct request;
struct virtio_blk_outhdr;
struct virtqueue;
void speaker_sends(struct request *request, struct virtqueue *vq, struct virtio_blk_outhdr *header);
bool speaker_fails(struct request *request);
bool speaker_loses(struct request *request);

/* Keeps a value from the optimizer, which would otherwise drop what has no effect in C. */
#define hide(value) OPTIMIZER_HIDE_VAR(value)

#endif
