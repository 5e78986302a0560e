#!/bin/busybox sh
# Pid 1 of `cargo xtask shell`: the disk's file system at /mnt and a prompt.
b=/bin/busybox
$b mkdir -p /proc /sys /dev /mnt /tmp /bin
$b --install -s /bin
# busybox' own poweroff asks an init that is not there, and its shell takes its own before what is in PATH, but not before a function.
$b rm -f /bin/poweroff /bin/reboot
$b cat >/bin/poweroff <<'END'
#!/bin/busybox sh
# Unmounts and powers off; with -f it only powers off.
cd /
mounted() { grep -q ' /mnt ' /proc/mounts; }
if [ "$1" != -f ] && mounted; then
    umount /mnt 2>/dev/null
    if mounted; then
        # Whatever still uses it is ended; that takes a moment.
        kill -9 -1
        for n in 1 2 3 4 5 6 7 8 9 10; do
            umount /mnt 2>/dev/null
            mounted || break
            sleep 0.2
        done
        mounted && echo "poweroff: /mnt is still in use and stays mounted"
    fi
fi
exec /bin/busybox poweroff -f
END
$b chmod 755 /bin/poweroff
echo 'poweroff() { exec /bin/poweroff "$@"; }' >/tmp/shrc
export PATH=/bin HOME=/ ENV=/tmp/shrc PS1='\w # '
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
while read -r module; do
    insmod "$module" 2>/dev/null
done </etc/bioscope/modules
if mount -t @FS@ /dev/vda /mnt; then
    echo "a fresh @FS@ is mounted at /mnt, on /dev/vda; \`cd /\` before \`umount /mnt\`"
else
    echo "the @FS@ on /dev/vda could not be mounted; see dmesg"
fi
# Not in this process: nobody can make pid 1 leave the file system.
(cd /mnt && exec setsid cttyhack sh)
exec /bin/poweroff
