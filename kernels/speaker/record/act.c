// SPDX-License-Identifier: GPL-2.0-only
/* What user space does in the recordings: faults of its own, direct writes beside a mapping, a shutdown of XFS. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int stale(const char *path)
{
	enum { SIZE = 1 << 20 };
	int fd = open(path, O_RDWR | O_CREAT, 0600), direct = open(path, O_RDWR | O_DIRECT);
	char *map, *buffer;
	time_t end = time(NULL) + 6;
	pid_t child;

	if (fd < 0 || direct < 0 || ftruncate(fd, SIZE))
		return perror(path), 1;
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (posix_memalign((void **)&buffer, 4096, SIZE))
		return 1;
	memset(buffer, 1, SIZE);
	pwrite(fd, buffer, SIZE, 0);
	fsync(fd);
	child = fork();
	if (!child)
		for (;;)
			for (int i = 0; i < SIZE; i += 4096)
				map[i]++;
	while (time(NULL) < end)
		pwrite(direct, buffer, SIZE, 0);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return 0;
}

static uint32_t crc32c(const unsigned char *bytes, size_t count)
{
	uint32_t crc = ~0u;

	while (count--) {
		crc ^= *bytes++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? 0x82f63b78u ^ (crc >> 1) : crc >> 1;
	}
	return ~crc;
}

/*
 * Changes each leaf of a btrfs image that has a file's name in it, and makes its checksum right: `ref` spoils the name in
 * the inode's reference (the last item, so the first in the leaf's data), `order` the order of keys.
 */
static int leaf(const char *image, const char *name, int order)
{
	enum { NODE = 16384, HEAD = 101 };
	static unsigned char super[4096], node[NODE];
	int fd = open(image, O_RDWR), changed = 0;
	off_t end = lseek(fd, 0, SEEK_END);

	if (fd < 0 || pread(fd, super, sizeof(super), 65536) != sizeof(super))
		return perror(image), 1;
	for (off_t at = 131072; at + NODE <= end; at += 4096) {
		unsigned char *found;
		uint32_t crc;

		if (pread(fd, node, 64, at) != 64 || memcmp(node + 32, super + 32, 16))
			continue;
		if (pread(fd, node, NODE, at) != NODE || node[100])
			continue;
		memcpy(&crc, node, 4);
		found = memmem(node, NODE, name, strlen(name));
		if (!found || crc != crc32c(node + 32, NODE - 32))
			continue;
		if (order)
			memset(node + HEAD, 0x7f, 4);
		else
			found[strlen(name) - 1] = 'X';
		crc = crc32c(node + 32, NODE - 32);
		memcpy(node, &crc, 4);
		if (pwrite(fd, node, NODE, at) == NODE)
			changed++;
	}
	printf("%d leaves changed\n", changed);
	return !changed;
}

/* Zeroes the second and third block after each that begins with a text, so that data differs from its checksum. */
static int wipe(const char *image, const char *text)
{
	static char block[4096], zeros[8192];
	int fd = open(image, O_RDWR), count = 0;

	if (fd < 0)
		return perror(image), 1;
	for (off_t at = 0; pread(fd, block, sizeof(block), at) == sizeof(block); at += sizeof(block)) {
		if (memcmp(block, text, strlen(text)))
			continue;
		if (count++ < 2)
			pwrite(fd, zeros, sizeof(zeros), at + 4096);
		at += sizeof(zeros);
	}
	return !count;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *arg = argc > 2 ? argv[2] : "";

	if (!strcmp(what, "gpf"))
		return *(volatile char *)(uintptr_t)0x6b6b6b6b6b6b6b6b;
	if (!strcmp(what, "segv"))
		return *(volatile char *)(uintptr_t)0x10;
	if (!strcmp(what, "opcode"))
		__asm__ volatile("ud2");
	if (!strcmp(what, "divide"))
		__asm__ volatile("xorl %%ecx, %%ecx\n\tidivl %%ecx" ::: "eax", "ecx", "edx");
	if (!strcmp(what, "stale"))
		return stale(arg);
	if (!strcmp(what, "shutdown")) {
		uint32_t flags = argc > 3 ? atoi(argv[3]) : 2;
		return ioctl(open(arg, O_RDONLY), _IOR('X', 125, uint32_t), &flags) ? perror("goingdown"), 1 : 0;
	}
	if (!strcmp(what, "leaf"))
		return leaf(arg, argv[3], !strcmp(argv[4], "order"));
	if (!strcmp(what, "wipe"))
		return wipe(arg, argv[3]);
	if (!strcmp(what, "hog"))
		for (;;)
			memset(malloc(1 << 20), 1, 1 << 20);
	return 2;
}
