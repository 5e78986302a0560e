#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Packs an initramfs that runs lines of shell from its second serial port: initramfs.sh OUT.gz SPEAKER.ko [MODULES]
# MODULES is a directory lib/modules/RELEASE; without it the kernel has all built in. Needs busybox (static), cpio, mkfs.*, modprobe, a static
# `act` (act.c) in the working directory.
set -eu
out=$1 speaker=$2 modules=${3:-}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/dev" "$root/tmp" "$root/m" "$root/mnt" "$root/etc"
cp "$(command -v busybox)" act "$root/bin/"
ln -s busybox "$root/bin/sh"
for program in mkfs.ext4 mkfs.btrfs mkfs.xfs xfs_db debugfs; do
	path=$(PATH=$PATH:/usr/sbin:/sbin command -v "$program")
	cp -L "$path" "$root/bin/"
	ldd "$path" | grep -oE '/[^ ]+' | while read -r library; do
		mkdir -p "$root$(dirname "$library")"
		cp -Ln "$library" "$root$library"
	done
done
cp /etc/mke2fs.conf "$root/etc/"
strip -g -o "$root/m/speaker.ko" "$speaker"
: >"$root/m/order"
if [ -n "$modules" ]; then
	base=$(dirname "$(dirname "$(dirname "$modules")")")
	for module in virtio_pci virtio_blk loop ext4 btrfs xfs xxhash_generic sha256_generic blake2b_generic crc32c_generic; do
		modprobe -d "$base" -S "$(basename "$modules")" --show-depends "$module" 2>/dev/null | awk '$1 == "insmod" { print $2 }'
	done | awk '!seen[$0]++' | while read -r file; do
		name=$(basename "${file%.xz}")
		case $file in
		*.xz) xz -dc "$file" >"$root/m/$name" ;;
		*) cp "$file" "$root/m/$name" ;;
		esac
		echo "$name" >>"$root/m/order"
	done
fi
cat >"$root/init" <<'I'
#!/bin/sh
export PATH=/bin
for applet in $(busybox --list); do [ -e /bin/$applet ] || busybox ln -s busybox /bin/$applet; done
mount -t proc p /proc; mount -t sysfs s /sys; mount -t devtmpfs d /dev; mount -t debugfs d /sys/kernel/debug; mount -t tmpfs t /tmp
while read module; do insmod /m/$module; done < /m/order
insmod /m/speaker.ko
echo 8 > /proc/sys/kernel/printk
exec < /dev/ttyS1 > /dev/ttyS1 2>&1
stty -echo raw
echo READY
while read -r line; do
  [ "$line" = die ] && exit 3
  (exec sh -c "$line") </dev/null
  echo "DONE $?"
done
I
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$out"
