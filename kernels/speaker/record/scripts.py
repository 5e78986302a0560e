# SPDX-License-Identifier: GPL-2.0-only
# Lines of shell that are run, each from the same snapshot: name, line, seconds of silence that end it, seconds in which it ends at the latest.
W='/sys/kernel/debug/speaker'
def e(w): return f'echo {w} > {W}'
K='/proc/sys/kernel'
# name: (script, quiet, limit)
oops=['warn hello','warn-on','warn-once','warn-irq','warn-both','bug','bug-irq','null','null-write','null-call','page-fault','read-only','user-access','execute-data','gpf','divide','opcode','stack-segment','double-fault','stack-overflow','stack-canary','stack-end','panic','fortify','usercopy']
mem=['list-add','list-double-add','list-del','refcount-underflow','refcount-saturated','refcount-add-on-0','refcount-leak','percpu-ref','bad-page','page-twice','bad-rss','bad-pgtables','vfree','slab-poison','slab-redzone','slab-double-free','slab-remaining','slab-wrong-cache','atomic-schedule','work-atomic']
kfence=['kfence-bounds','kfence-use-after-free','kfence-corruption','kfence-invalid-free']
debug=['kasan-bounds','kasan-use-after-free','kasan-double-free','kasan-invalid-free','kasan-stack','kasan-global','kasan-vmalloc','ubsan-shift','ubsan-bounds','ubsan-bool','ubsan-divide','odebug-free','odebug-init']
locks=['lockdep-circular','lockdep-recursive','lockdep-inconsistent','lockdep-inconsistent-softirq','lockdep-safe-unsafe','lockdep-held-freed','lockdep-still-held','lockdep-return-locked','lockdep-bad-unlock','lockdep-wait-context','lockdep-non-static','lockdep-nest-lock','lockdep-depth','spinlock-magic','rcu-usage','rcu-sleep','rcu-wait','atomic-sleep','atomic-alloc','processor-id','work-lock']
def simple(ws): return {w.split()[0]:(e(w),1.0,8) for w in ws}
hang={
 'soft-lockup':(f'echo 1 > /sys/module/rcupdate/parameters/rcu_cpu_stall_suppress; echo 2 > {K}/watchdog_thresh; {e("spin 9")}',6,35),
 'rcu-stall-self':(f'echo 0 > {K}/watchdog; {e("spin 9")}',7,35),
 'rcu-stall-irqs-off':(f'echo 0 > {K}/watchdog; {e("spin-irqs-off 9")}',7,35),
 'spin-irqs-off':(f'echo 1 > /sys/module/rcupdate/parameters/rcu_cpu_stall_suppress; echo 2 > {K}/watchdog_thresh; {e("spin-irqs-off 9")}',7,35),
 'soft-lockup-panic':(f'echo 1 > /sys/module/rcupdate/parameters/rcu_cpu_stall_suppress; echo 2 > {K}/watchdog_thresh; echo 1 > {K}/softlockup_panic; {e("spin 9")}',6,25),
 'hung-task':(f'echo 2 > {K}/hung_task_timeout_secs; {e("block")}',5,9),
 'hung-task-mutex':(f'echo 2 > {K}/hung_task_timeout_secs; {e("block-mutex")}',5,9),
 'hung-task-kworker':(f'echo 2 > {K}/hung_task_timeout_secs; {e("wait-kworker-block")}',5,9),
 'hung-task-panic':(f'echo 2 > {K}/hung_task_timeout_secs; echo 1 > {K}/hung_task_panic; {e("block")}',5,9),
 'workqueue-lockup':(f'echo 0 > {K}/watchdog; echo 1 > /sys/module/rcupdate/parameters/rcu_cpu_stall_suppress; {e("kworker-spin")}',60,80),
 'warn-panic':(f'echo 1 > {K}/panic_on_warn; {e("warn again")}',1.5,10),
 'null-panic':(f'echo 1 > {K}/panic_on_oops; {e("null")}',1.5,10),
 'init-dies':('die',1.5,4),
 'sysrq-crash':('echo c > /proc/sysrq-trigger',1.5,4),
}
M='mount -t tmpfs -o size=%s t /tmp; cd /tmp; truncate -s 200M i; '
def L(size,mk): return f'mount -t tmpfs -o size={size} t /mnt; mkdir /tmp/m; cd /mnt; truncate -s 300M i; {mk} i >/dev/null 2>&1; losetup /dev/loop0 i; '
E4='mkfs.ext4 -q -F'; BT='mkfs.btrfs -q -f'; XF='mkfs.xfs -q -f'
fs={
 'none-traps':('echo 1 > /proc/sys/debug/exception-trace; act gpf; act segv; act opcode; act divide',1.5,10),
 'none-oom':('act hog',2,20),
 'none-mount':(L('200m',E4)+'mount /dev/loop0 /tmp/m; echo a > /tmp/m/f; sync; umount /tmp/m; cd /; losetup -d /dev/loop0',1.5,20),
 'none-mount-btrfs':(L('200m',BT)+'mount -t btrfs /dev/loop0 /tmp/m; echo a > /tmp/m/f; sync; umount /tmp/m; mount -o ro -t btrfs /dev/loop0 /tmp/m; umount /tmp/m',1.5,20),
 'none-mount-xfs':(L('200m',XF)+'mount -t xfs /dev/loop0 /tmp/m; echo a > /tmp/m/f; sync; umount /tmp/m',1.5,20),
 'none-sysrq':('echo w > /proc/sysrq-trigger; echo m > /proc/sysrq-trigger; echo s > /proc/sysrq-trigger; echo h > /proc/sysrq-trigger; echo l > /proc/sysrq-trigger',1.5,10),
 'ext4-deleted-inode':(L('200m',E4)+'mount /dev/loop0 /tmp/m; echo a > /tmp/m/f; mkdir /tmp/m/d; umount /tmp/m; debugfs -w -R "clri f" i; mount /dev/loop0 /tmp/m; ls -l /tmp/m',1.5,20),
 'ext4-readonly':(L('200m',E4)+'mount /dev/loop0 /tmp/m; mkdir /tmp/m/d; umount /tmp/m; debugfs -w -R "clri d" i; mount -o errors=remount-ro /dev/loop0 /tmp/m; ls -l /tmp/m/; ls /tmp/m/d',1.5,20),
 'ext4-panic':(L('200m',E4)+'mount /dev/loop0 /tmp/m; mkdir /tmp/m/d; umount /tmp/m; debugfs -w -R "clri d" i; mount -o errors=panic /dev/loop0 /tmp/m; ls -l /tmp/m/',1.5,10),
 'ext4-data-lost':(L('24m',E4)+'mount /dev/loop0 /tmp/m; dd if=/dev/zero of=/tmp/m/f bs=1M count=60; sync; dd if=/dev/zero of=/tmp/m/g bs=1M count=20; sync; sleep 6; umount /tmp/m',4,30),
 'ext4-beyond-end':(L('200m',E4)+'mount /dev/loop0 /tmp/m; dd if=/dev/urandom of=/tmp/m/f bs=1M count=100; sync; echo 3 > /proc/sys/vm/drop_caches; truncate -s 20M i; losetup -c /dev/loop0 || act capacity /dev/loop0; cat /tmp/m/f > /dev/null; ls -lR /tmp/m',2,30),
 'ext4-stale':(L('200m',E4)+'mount /dev/loop0 /tmp/m; act stale /tmp/m/f',2,30),
 'xfs-stale':(L('200m',XF)+'mount -t xfs /dev/loop0 /tmp/m; act stale /tmp/m/f',2,30),
 'btrfs-stale':(L('200m',BT)+'mount -t btrfs -o nodatasum /dev/loop0 /tmp/m; act stale /tmp/m/f',2,30),
 'ext4-busy-inode':(L('200m',E4)+f'mount /dev/loop0 /tmp/m; echo a > /tmp/m/f; echo hold-inode /tmp/m/f > {W}; umount /tmp/m',2,20),
 'btrfs-busy-inode':(L('200m',BT)+f'mount -t btrfs /dev/loop0 /tmp/m; echo a > /tmp/m/f; echo hold-inode /tmp/m/f > {W}; umount /tmp/m',2,20),
 'xfs-busy-inode':(L('200m',XF)+f'mount -t xfs /dev/loop0 /tmp/m; echo a > /tmp/m/f; echo hold-inode /tmp/m/f > {W}; umount /tmp/m',2,20),
 'dentry':(L('200m',E4)+f'mount /dev/loop0 /tmp/m; echo a > /tmp/m/f; echo hold-dentry /tmp/m/f > {W}; umount /tmp/m',2,20),
 'close-closed':(f'echo a > /tmp/f; echo close-closed /tmp/f > {W}',1.5,10),
 'btrfs-abort':(L('300m',BT)+'mount -t btrfs /dev/loop0 /tmp/m; echo a > /tmp/m/victimAAAAAAA; ln /tmp/m/victimAAAAAAA /tmp/m/victimBBBBBBB; umount /tmp/m; act leaf i victimBBBBBBB ref; mount -t btrfs /dev/loop0 /tmp/m; rm /tmp/m/victimBBBBBBB; umount /tmp/m',2,30),
 'btrfs-corrupt-leaf':(L('300m',BT)+'mount -t btrfs /dev/loop0 /tmp/m; echo a > /tmp/m/victimAAAAAAA; umount /tmp/m; act leaf i victimAAAAAAA order; mount -t btrfs /dev/loop0 /tmp/m; ls -l /tmp/m',2,30),
 'btrfs-csum':(L('300m',BT)+'mount -t btrfs /dev/loop0 /tmp/m; yes abcdefg | head -c 400000 > /tmp/m/f; umount /tmp/m; act wipe i abcdefg; mount -t btrfs /dev/loop0 /tmp/m; cat /tmp/m/f > /dev/null',2,40),
 'btrfs-write-errors':(L('30m',BT)+'mount -t btrfs /dev/loop0 /tmp/m; dd if=/dev/urandom of=/tmp/m/f bs=1M count=100; sync; touch /tmp/m/x; sync; sleep 2; umount /tmp/m',3,40),
 'xfs-write-errors':(L('100m',XF)+'mount -t xfs /dev/loop0 /tmp/m; dd if=/dev/zero of=/tmp/m/f bs=1M count=150; sync; touch /tmp/m/x; sync; sleep 2; umount /tmp/m',3,40),
 'xfs-shutdown':(L('200m',XF)+'mount -t xfs /dev/loop0 /tmp/m; echo a > /tmp/m/f; act shutdown /tmp/m 2; sleep 1; umount /tmp/m',2,20),
 'xfs-corrupt-inode':(L('200m',XF)+'mount -t xfs /dev/loop0 /tmp/m; echo a > /tmp/m/f; I=$(stat -c %i /tmp/m/f); umount /tmp/m; xfs_db -x -c "inode $I" -c "write -c core.version 9" i; mount -t xfs /dev/loop0 /tmp/m; cat /tmp/m/f; umount /tmp/m',2,30),
 'xfs-corrupt-crc':(L('200m',XF)+'mount -t xfs /dev/loop0 /tmp/m; mkdir /tmp/m/d; for i in 1 2 3 4 5 6 7 8 9; do touch /tmp/m/d/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa$i; done; I=$(stat -c %i /tmp/m/d); umount /tmp/m; xfs_db -x -c "inode $I" -c "dblock 0" -c "write -c bhdr.hdr.magic 0" i; mount -t xfs /dev/loop0 /tmp/m; ls /tmp/m/d; umount /tmp/m',2,30),
 'buffer-io':(L('2m','true')+'dd if=/dev/zero of=/dev/loop0 bs=1M count=20; sync',2,30),
 'lost-completion':(f'echo 2 > {K}/hung_task_timeout_secs; echo lose-completion vda 1 > {W}; dd if=/dev/vda of=/dev/null bs=4k count=1 iflag=direct',5,9),
 'umount-busy':(L('200m',E4)+f'mount /dev/loop0 /tmp/m; echo a > /tmp/m/f; echo hold-file /tmp/m/f > {W}; umount /tmp/m; echo release-file > {W}; umount /tmp/m',1.5,20),
}
SH='; truncate -s 20M i; losetup -c /dev/loop0; touch /tmp/m/x; sync; sleep 1; touch /tmp/m/y; sync; sleep 6; umount /tmp/m'
for n,mk in(('ext4',E4),('btrfs',BT),('xfs',XF)): fs[n+'-shrunk']=(L('200m',mk)+f'mount -t {n} /dev/loop0 /tmp/m; echo a > /tmp/m/f; sync'+SH,2,40)
fs['bad-rss']=(f'sh -c "echo bad-rss > {W}"; for i in 1 2 3 4 5 6 7 8; do busybox true; done; sleep 1',1.5,10)
fs['bad-pgtables']=(f'sh -c "echo bad-pgtables > {W}"; for i in 1 2 3 4 5 6 7 8; do busybox true; done; sleep 1',1.5,10)
stock={**simple(oops+mem),**hang,**fs}
lean={**simple(oops+mem+debug+locks),**hang,'bad-rss':fs['bad-rss'],'bad-pgtables':fs['bad-pgtables'],'leak':(f'echo leak > {W}; sleep 7; echo scan > /sys/kernel/debug/kmemleak; sleep 6; echo scan > /sys/kernel/debug/kmemleak',60,150)}
