#!/bin/busybox sh
# Pid 1 of `cargo xtask shell`: the disk's file system at /mnt and a prompt.
b=/bin/busybox
$b mkdir -p /proc /sys /dev /mnt /tmp /bin
$b --install -s /bin
# busybox' own poweroff asks an init that is not there, and its shell takes its own before what is in PATH, but not before a function.
$b rm -f /bin/poweroff /bin/reboot
printf '#!/bin/busybox sh\ncd /\numount /mnt\nexec /bin/busybox poweroff -f\n' >/bin/poweroff
$b chmod 755 /bin/poweroff
echo 'poweroff() { exec /bin/poweroff; }' >/tmp/shrc
export PATH=/bin HOME=/ ENV=/tmp/shrc PS1='\w # '
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
while read -r module; do
    insmod "$module" 2>/dev/null
done </etc/bioscope/modules
if mount -t @FS@ /dev/vda /mnt; then
    echo "a fresh @FS@ is mounted at /mnt, on /dev/vda"
else
    echo "the @FS@ on /dev/vda could not be mounted; see dmesg"
fi
cd /mnt
setsid cttyhack sh
cd /
umount /mnt 2>/dev/null
poweroff -f
