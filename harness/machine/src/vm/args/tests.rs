//! QEMU's arguments, whole, so that a change in a boot is seen in review.

use kernels::Artifact;

use super::*;
use crate::spec::{DiskSpec, Storage, test_command_line};

fn disk() -> DiskSpec {
    DiskSpec::new("/store/btrfs.img", DiskShape::ORDINARY)
}

fn artifact() -> Artifact {
    Artifact {
        id: "debian-6.1.192".into(),
        hash: "0123".into(),
        dir: "/store".into(),
        kernel: "/store/vmlinux".into(),
        bzimage: "/store/bzImage".into(),
        release: "6.1.0-1-cloud-amd64".into(),
        version: "6.1.192-1".into(),
        modules_root: None,
    }
}

fn spec() -> MachineSpec {
    MachineSpec {
        command_line: "console=ttyS0".into(),
        ..MachineSpec::for_test(Accel::Tcg, &artifact(), "/run/initramfs.cpio".into(), disk())
    }
}

fn wiring() -> Wiring {
    Wiring {
        console: "/run/console.log".into(),
        agent: "/run/a,b/agent.sock".into(),
        monitor: None,
        disks: vec!["/run/disk.sock".into(), "/run/disk1.sock".into()],
        memory: Memory::Anonymous,
        start: Start::PowerOn,
        tsc_khz: None,
    }
}

fn lines(spec: &MachineSpec, wiring: &Wiring) -> String {
    let args = arguments(spec, wiring);
    let mut text = String::new();
    for arg in args {
        let arg = arg.to_string_lossy();
        text.push(if arg.starts_with('-') && !text.is_empty() {
            '\n'
        } else {
            ' '
        });
        text.push_str(&arg);
    }
    text
}

#[test]
fn a_test_boot() {
    insta::assert_snapshot!(lines(&spec(), &wiring()), @r#"
     -accel tcg,thread=multi
    -cpu qemu64,+ssse3,+sse4.1,+sse4.2
    -nodefaults
    -no-user-config
    -no-reboot
    -display none
    -monitor none
    -bios qboot.rom
    -object memory-backend-memfd,id=mem,size=512M,share=on
    -M pc,memory-backend=mem,usb=off,vmport=off
    -m 512
    -smp 1
    -kernel /store/vmlinux
    -initrd /run/initramfs.cpio
    -append console=ttyS0
    -chardev file,id=console,path=/run/console.log,append=on
    -serial chardev:console
    -chardev socket,id=agent,path=/run/a,,b/agent.sock
    -serial chardev:agent
    -chardev socket,id=disk,path=/run/disk.sock
    -device vhost-user-blk-pci,chardev=disk,num-queues=1,queue-size=128,disable-legacy=on
    "#);
}

#[test]
fn a_shell_on_kvm_with_a_small_queue_and_a_bzimage() {
    let shape = DiskShape {
        num_queues: 2,
        queue_size: 4,
        ..DiskShape::ORDINARY
    };
    let spec = MachineSpec {
        accel: Accel::Kvm,
        pvh: false,
        console: Console::Terminal,
        disks: vec![DiskSpec {
            shape,
            reconnect: true,
            ..disk()
        }],
        ..spec()
    };
    insta::assert_snapshot!(lines(&spec, &wiring()), @r#"
     -accel kvm
    -cpu host
    -nodefaults
    -no-user-config
    -no-reboot
    -display none
    -monitor none
    -object memory-backend-memfd,id=mem,size=512M,share=on
    -M pc,memory-backend=mem,usb=off,vmport=off
    -m 512
    -smp 1
    -kernel /store/vmlinux
    -initrd /run/initramfs.cpio
    -append console=ttyS0
    -serial mon:stdio
    -chardev socket,id=agent,path=/run/a,,b/agent.sock
    -serial chardev:agent
    -chardev socket,id=disk,path=/run/disk.sock,reconnect=1
    -device vhost-user-blk-pci,chardev=disk,num-queues=2,queue-size=4,disable-legacy=on
    "#);
}

#[test]
fn a_machine_whose_state_is_kept_and_one_that_takes_it_over() {
    let without_disk = MachineSpec {
        disks: Vec::new(),
        ..spec()
    };
    let to_keep = Wiring {
        memory: Memory::File("/run/ram".into()),
        monitor: Some("/run/qmp.sock".into()),
        ..wiring()
    };
    let to_take_over = Wiring {
        start: Start::Incoming,
        ..to_keep.clone()
    };
    let (kept, over) = (lines(&without_disk, &to_keep), lines(&spec(), &to_take_over));
    insta::assert_snapshot!(kept, @r#"
     -accel tcg,thread=multi
    -cpu qemu64,+ssse3,+sse4.1,+sse4.2
    -nodefaults
    -no-user-config
    -no-reboot
    -display none
    -monitor none
    -bios qboot.rom
    -object memory-backend-file,id=mem,size=512M,share=on,mem-path=/run/ram
    -M pc,memory-backend=mem,usb=off,vmport=off
    -m 512
    -smp 1
    -kernel /store/vmlinux
    -initrd /run/initramfs.cpio
    -append console=ttyS0
    -chardev file,id=console,path=/run/console.log,append=on
    -serial chardev:console
    -chardev socket,id=agent,path=/run/a,,b/agent.sock
    -serial chardev:agent
    -chardev socket,id=monitor,path=/run/qmp.sock
    -mon chardev=monitor,mode=control
    "#);
    // What the guest can see of the machine must be the same in both.
    let more: Vec<&str> = over
        .lines()
        .filter(|line| !kept.lines().any(|other| other == *line))
        .collect();
    insta::assert_snapshot!(more.join("\n"), @r#"
    -chardev socket,id=disk,path=/run/disk.sock
    -S
    -incoming defer
    "#);
}

#[test]
fn a_guest_is_told_how_fast_the_hosts_counter_runs() {
    let told = Wiring {
        tsc_khz: Some(2_596_152),
        ..wiring()
    };
    assert!(lines(&spec(), &told).contains("-append tsc_early_khz=2596152 console=ttyS0\n"));
}

#[test]
fn the_command_line_of_a_test_boot() {
    insta::assert_snapshot!(test_command_line().replace(' ', "\n"), @r#"
    console=ttyS0
    loglevel=7
    panic=-1
    sysctl.kernel.hung_task_timeout_secs=4
    sysctl.kernel.hung_task_warnings=64
    hung_task_panic=0
    softlockup_panic=0
    no_timer_check
    tsc=reliable
    random.trust_cpu=on
    audit=0
    cryptomgr.notests
    rcupdate.rcu_expedited=1
    kasan_multi_shot
    "#);
}

#[test]
fn a_machine_for_a_shell() {
    let spec = MachineSpec::for_shell(
        Accel::Tcg,
        &artifact(),
        "/run/initramfs.cpio".into(),
        "/store/btrfs.img".into(),
    );
    insta::assert_snapshot!(lines(&spec, &wiring()), @r#"
     -accel tcg,thread=multi
    -cpu qemu64,+ssse3,+sse4.1,+sse4.2
    -nodefaults
    -no-user-config
    -no-reboot
    -display none
    -monitor none
    -bios qboot.rom
    -object memory-backend-memfd,id=mem,size=512M,share=on
    -M pc,memory-backend=mem,usb=off,vmport=off
    -m 512
    -smp 1
    -kernel /store/vmlinux
    -initrd /run/initramfs.cpio
    -append console=ttyS0 loglevel=4 panic=-1 sysctl.kernel.hung_task_timeout_secs=10
    -serial mon:stdio
    -chardev socket,id=agent,path=/run/a,,b/agent.sock
    -serial chardev:agent
    -chardev socket,id=disk,path=/run/disk.sock,reconnect=1
    -device vhost-user-blk-pci,chardev=disk,num-queues=1,queue-size=128,disable-legacy=on
    "#);
}

#[test]
fn a_machine_for_a_soak() {
    let spec = MachineSpec::for_soak(
        Accel::Tcg,
        &artifact(),
        "/run/initramfs.cpio".into(),
        "/run/disk.raw".into(),
        Storage::File,
    );
    let lines = lines(&spec, &wiring()).replace(&test_command_line(), "TEST");
    insta::assert_snapshot!(lines, @r#"
     -accel tcg,thread=multi
    -cpu qemu64,+ssse3,+sse4.1,+sse4.2
    -nodefaults
    -no-user-config
    -no-reboot
    -display none
    -monitor none
    -bios qboot.rom
    -object memory-backend-memfd,id=mem,size=768M,share=on
    -M pc,memory-backend=mem,usb=off,vmport=off
    -m 768
    -smp 2
    -kernel /store/vmlinux
    -initrd /run/initramfs.cpio
    -append TEST sysctl.kernel.hung_task_timeout_secs=120
    -chardev file,id=console,path=/run/console.log,append=on
    -serial chardev:console
    -chardev socket,id=agent,path=/run/a,,b/agent.sock
    -serial chardev:agent
    -chardev socket,id=disk,path=/run/disk.sock,reconnect=1
    -device vhost-user-blk-pci,chardev=disk,num-queues=2,queue-size=64,disable-legacy=on
    "#);
}

#[test]
fn a_second_disk_has_names_of_its_own() {
    let one = lines(&spec(), &wiring());
    let spec = MachineSpec {
        disks: vec![disk(), disk()],
        ..spec()
    };
    let two = lines(&spec, &wiring());
    insta::assert_snapshot!(two.strip_prefix(&one).unwrap(), @r#"
    -chardev socket,id=disk1,path=/run/disk1.sock
    -device vhost-user-blk-pci,chardev=disk1,num-queues=1,queue-size=128,disable-legacy=on
    "#);
}

#[test]
fn the_host_and_the_disks_do_not_show_in_what_a_guest_depends_on() {
    let elsewhere = MachineSpec {
        kernel: "/elsewhere/vmlinux".into(),
        initramfs: "/elsewhere/initramfs.cpio".into(),
        disks: Vec::new(),
        ..spec()
    };
    assert_eq!(seen_by_guest(&spec()), seen_by_guest(&elsewhere));
    let larger = MachineSpec {
        memory_mib: 1024,
        ..spec()
    };
    assert_ne!(seen_by_guest(&spec()), seen_by_guest(&larger));
}
