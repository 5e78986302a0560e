// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests that fail in the guest although the disk answered them, and a driver that breaks the protocol. virtio_blk
 * has to ask (virtio_blk-6.1.patch), so this is only there where the speaker is built in.
 */
#include <linux/blk-mq.h>
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/virtio.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ring.h>

#include "speaker.h"

/* What the data of this project's tests begins with. */
#define TAG "BIOSCOPE"
/* A type of request that no device has. */
#define UNKNOWN_TYPE 9999

enum which { NONE, READS, TAGGED_READS, TAGGED_WRITES };

static char disk[DISK_NAME_LEN];
static enum which failing = NONE;
static atomic_t unknown = ATOMIC_INIT(0);
static atomic_t beyond = ATOMIC_INIT(0);
/* The queue of the last request to any disk. */
static struct virtqueue *queue;

static bool is_of_disk(struct request *request)
{
	return *disk && request->q->disk && !strcmp(request->q->disk->disk_name, disk);
}

static bool is_tagged(struct request *request)
{
	struct bio_vec first;

	if (!request->bio || !blk_rq_bytes(request))
		return false;
	first = req_bvec(request);
	return first.bv_len >= strlen(TAG) && !memcmp(bvec_virt(&first), TAG, strlen(TAG));
}

/* Whether a request that the device has done is to fail. */
bool speaker_fails(struct request *request)
{
	if (failing == NONE || !is_of_disk(request))
		return false;
	switch (failing) {
	case READS:
		return req_op(request) == REQ_OP_READ;
	case TAGGED_READS:
		return req_op(request) == REQ_OP_READ && is_tagged(request);
	case TAGGED_WRITES:
		return req_op(request) == REQ_OP_WRITE && is_tagged(request);
	default:
		return false;
	}
}

/* A request is about to be sent. */
void speaker_sends(struct request *request, struct virtqueue *vq, struct virtio_blk_outhdr *header)
{
	queue = vq;
	if (!is_of_disk(request))
		return;
	if (req_op(request) != REQ_OP_READ && req_op(request) != REQ_OP_WRITE)
		return;
	if (atomic_dec_if_positive(&unknown) >= 0)
		header->type = cpu_to_virtio32(vq->vdev, UNKNOWN_TYPE);
	if (atomic_dec_if_positive(&beyond) >= 0)
		header->sector = cpu_to_virtio64(vq->vdev, get_capacity(request->q->disk));
}

static int of_disk(char *name)
{
	if (!*name)
		return -EINVAL;
	strscpy(disk, name, sizeof(disk));
	return 0;
}

/* `fail vda reads`: they end in EIO. */
static int say_fail(char *arg)
{
	char *name = strsep(&arg, " ");

	if (!arg)
		return -EINVAL;
	if (!strcmp(arg, "reads"))
		failing = READS;
	else if (!strcmp(arg, "tagged-reads"))
		failing = TAGGED_READS;
	else if (!strcmp(arg, "tagged-writes"))
		failing = TAGGED_WRITES;
	else
		return -EINVAL;
	return of_disk(name);
}

static int say_send_unknown(char *arg)
{
	atomic_set(&unknown, 1);
	return of_disk(arg);
}

static int say_send_beyond(char *arg)
{
	atomic_set(&beyond, 1);
	return of_disk(arg);
}

/* Says that there are more requests in the last used queue than fit into it. */
static int say_kill_queue(char *arg)
{
	struct vring *ring;

	if (!queue)
		return -EAGAIN;
	ring = (struct vring *)virtqueue_get_vring(queue);
	ring->avail->idx = cpu_to_virtio16(queue->vdev, virtio16_to_cpu(queue->vdev, ring->avail->idx) + 2 * ring->num);
	virtqueue_notify(queue);
	/* The next request would put the index right. Nothing tells that the device has seen it. */
	ssleep(1);
	return 0;
}

const struct word disk_words[] = {
	{ "fail", say_fail },
	{ "send-unknown", say_send_unknown },
	{ "send-beyond", say_send_beyond },
	{ "kill-queue", say_kill_queue },
	{ }
};
