//! What looks like a report and is none. Who is alarmed for nothing stops reading.

use super::kinds;

#[test]
fn ordinary_talk_is_no_report() {
    for line in [
        "RETBleed: WARNING: Spectre v2 mitigation leaves CPU vulnerable to RETBleed attacks, data leaks possible!",
        "Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on, data leaks possible",
        "WARNING: Spectre v2 mitigation leaves CPU vulnerable",
        "XFS (vda): WARNING: Reset corrupted AGFL on AG 0. 1 blocks leaked. Please unmount and run xfs_repair.",
        "XFS (vda): User initiated shutdown received. Shutting down filesystem",
        "XFS (vda): User initiated shutdown received.",
        "XFS (vda): xfs_do_force_shutdown(0x4) called from line 12 of file fs/xfs/xfs_fsops.c.",
        "XFS (vda): Please unmount the filesystem and rectify the problem(s)",
        "XFS (vda): Mounting V5 Filesystem",
        "hrtimer: interrupt took 2837482 ns",
        "clocksource: timekeeping watchdog on CPU0: Marking clocksource 'tsc' as unstable because the skew is too large:",
        "clocksource: Switched to clocksource kvm-clock",
        "traps: user-gpf[71] general protection fault ip:401a2b sp:7ffd5c3a4d90 error:0 in user-gpf[401000+98000]",
        "traps: repro[71] trap invalid opcode ip:401a2b sp:7ffd5c3a4d90 error:0 in repro[401000+98000]",
        "traps: repro[71] trap divide error ip:401a2b sp:7ffd5c3a4d90 error:0 in repro[401000+98000]",
        "repro[71]: segfault at 0 ip 0000000000401a2b sp 00007ffd5c3a4d90 error 4 in repro[401000+98000]",
        "repro[71] general protection fault ip:401a2b sp:7ffd5c3a4d90 error:0 in repro[401000+98000]",
        "show_signal_msg: 3 callbacks suppressed",
        "BTRFS info (device vda): using free space tree",
        "BTRFS info (device vda): bdev /dev/vda errs: wr 1, rd 0, flush 0, corrupt 0, gen 0",
        "BTRFS warning (device vda): Skipping commit of aborted transaction.",
        "EXT4-fs (vda): mounted filesystem with ordered data mode. Quota mode: none.",
        "EXT4-fs (vda): Remounting filesystem read-only",
        "EXT4-fs (vda): 1 orphan inode deleted",
        "EXT4-fs (vda): recovery complete",
        "JBD2: clearing recovery information on journal",
        "blk_print_req_error: 12 callbacks suppressed",
        "buffer_io_error: 12 callbacks suppressed",
        "Buffer I/O errors are counted",
        "virtio_blk virtio1: [vda] 2097152 512-byte logical blocks (1.07 GB/1.00 GiB)",
        "kmemleak: Kernel memory leak detector initialized (mem pool available: 15689)",
        "kmemleak: Automatic memory scanning thread started",
        "ODEBUG: selftest passed",
        "ODEBUG: Out of memory. ODEBUG disabled",
        "INFO: lockdep is turned off.",
        "Future hung task reports are suppressed, see sysctl kernel.hung_task_warnings",
        "NMI watchdog: Enabled. Permanently consumes one hw-PMU counter.",
        "rcu: Hierarchical RCU implementation.",
        "rcu: \tRCU event tracing is enabled.",
        "Lockdep: MAX_LOCKDEP_SUBCLASSES:  8",
        "... MAX_LOCK_DEPTH:          48",
        "Kernel command line: panic_on_warn=0 oops=panic softlockup_panic=0",
        "sysctl: kernel.panic_on_oops: Oops: 1",
        "test: Oops: is a word, and BUG: too",
        "systemd[1]: BUG: this is what systemd says",
        "list of things: list_add corruption is a word",
        "the program said WARNING: CPU: 0 PID: 1 at nowhere",
        "INFO: task scheduler picked cfq",
        "stack segment: a word",
        "general protection fault: a word",
        "Oops",
        "BUG",
        "WARNING",
        "WARNING: no such file:12 at home",
        "BUG report addresses are on the web",
        "Internal error handling is set up",
        "-- Unable to handle kernel paging request",
        "BUG: workqueue lockups are watched for",
    ] {
        for form in [
            format!("[    1.000000] {line}\n"),
            format!("[    1.000000][    T1] {line}\n"),
            format!("{line}\n"),
        ] {
            assert_eq!(kinds(&form), Vec::<String>::new(), "{line}");
        }
    }
}

#[test]
fn what_our_init_quotes_is_no_report() {
    for said in [
        "BUG: KASAN: use-after-free in f+0x1/0x2",
        "Oops: 0000 [#1] SMP",
        "Kernel panic - not syncing: no",
        "[    1.000000] kernel BUG at a.c:1!",
    ] {
        assert_eq!(
            kinds(&format!("[    1.000000] bioscope: {said}\n")),
            Vec::<String>::new(),
            "{said}"
        );
        assert_eq!(kinds(&format!("bioscope: {said}\n")), Vec::<String>::new(), "{said}");
    }
}

#[test]
fn a_program_that_prints_among_stamped_lines_is_not_believed() {
    let log = "[    1.000000] Run /init as init process\nBUG: the program says\n[    1.100000] talk\n";
    assert_eq!(kinds(log), Vec::<String>::new());
    // But what no program says by chance is, for a line may have lost its stamp.
    let log = "[    1.000000] Run /init as init process\nBUG: KASAN: use-after-free in f+0x1/0x2\n";
    assert_eq!(kinds(log), ["kasan f"]);
    // And so is what a host says that the kernel said, whatever a program prints beside it.
    for (date, kernel) in [
        ("Nov 30 03:05:50", "host kernel: "),
        ("Dez 01 03:05:50", "host kernel: "),
        ("Di 2026-12-01 03:05:50 CET", "host kernel: "),
        // And what `dmesg` prints.
        ("[Mon Nov 30 03:05:50 2026]", ""),
        ("[Nov30 03:05]", ""),
        ("[  +0.000012]", ""),
        ("kern  :alert :", ""),
    ] {
        let log = format!("{date} host app[7]: [12345.678901] talk\n{date} {kernel}BUG: the kernel says\n");
        assert_eq!(kinds(&log), ["bug -"], "{log}");
    }
}

#[test]
fn lines_within_a_report_open_none() {
    let log = "\
[    9.1] BUG: kernel NULL pointer dereference, address: 0000000000000008
[    9.1] Oops: 0000 [#1] SMP
[    9.1] RIP: 0010:f+0x1/0x2
[    9.1] Call Trace:
[    9.1]  <TASK>
[    9.1]  g+0x1/0x2
[    9.1]  </TASK>
[    9.1] ---[ end trace 0000000000000000 ]---
[    9.1] note: repro[71] exited with irqs disabled
[    9.1] note: repro[71] exited with preempt_count 1
[    9.1] Fixing recursive fault but reboot is needed!
[    9.1] ---[ end Kernel panic - not syncing: Fatal exception ]---
[    9.1] Rebooting in 1 seconds..
";
    assert_eq!(kinds(log), ["oops f"]);
}

#[test]
fn what_programs_say_of_their_own_is_no_report() {
    for line in [
        "WARNING: at least one disk is missing",
        "WARNING: possible data loss",
        "WARNING: x.c:12 at home",
        "WARNING: x.h:12 at home, CPU#0: a",
        "Oops: something went wrong",
        "Internal error: file not found",
        "Bad mode in settings",
        "Assertion failure in main",
        "UBSAN: enabled",
        "test: attempt to access beyond end of device",
        "test: I/O error, dev vda, sector 8 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 0",
        "test: vda: writeback error on inode 131, offset 0, sector 264",
        "assertion failed: a == b, in test.c:12",
    ] {
        assert_eq!(
            kinds(&format!("[    1.000000] boot\n{line}\n")),
            Vec::<String>::new(),
            "{line}"
        );
    }
    for line in [
        "systemd[1]: kworker/u4:1: attempt to access beyond end of device",
        "audit: type=1400 audit(1.2:3): avc:  denied comm=\"a: attempt to access beyond end of device",
        "a b: vda: writeback error on inode 131, offset 0, sector 264",
    ] {
        assert_eq!(
            kinds(&format!("[    1.000000] {line}\n")),
            Vec::<String>::new(),
            "{line}"
        );
    }
}
