# What the plain boots do to the disk: rw-verify's steps by hand. $B is a busybox, $D the disk, $M a mount point.
# The last line is the proof that all of it worked; a boot that does not say it is thrown away with an error.
set -e
$B seq 1 120000 | $B head -c 524288 >/tmp/pattern
$B head -c 262144 /tmp/pattern >/tmp/half
$B mount -t btrfs $D $M
$B umount $M
$B mount -t btrfs $D $M
$B dd if=/tmp/pattern of=$M/buffered bs=512k conv=fsync 2>/dev/null
$B dd if=$M/buffered iflag=direct bs=512k 2>/dev/null | $B cmp - /tmp/pattern
$B cmp $M/buffered /tmp/pattern
$B dd if=/tmp/pattern of=$M/direct bs=512k oflag=direct conv=fsync 2>/dev/null
$B dd if=$M/direct iflag=direct bs=512k 2>/dev/null | $B cmp - /tmp/pattern
$B cmp $M/direct /tmp/pattern
$B mv $M/buffered $M/renamed
$B truncate -s 262144 $M/direct
$B truncate -s 524288 $M/direct
$B sync
$B umount $M
$B mount -t btrfs $D $M
$B cmp $M/renamed /tmp/pattern
$B dd if=$M/direct bs=256k count=1 2>/dev/null | $B cmp - /tmp/half
test ! -e $M/buffered
$B umount $M
echo "bench: verified"
