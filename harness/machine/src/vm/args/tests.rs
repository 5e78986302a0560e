//! QEMU's arguments, whole, so that a change in a boot is seen in review.

use super::*;

fn spec() -> Spec {
    Spec {
        accel: Accel::Tcg,
        kernel: "/store/vmlinux".into(),
        pvh: true,
        initramfs: "/run/initramfs.cpio".into(),
        cmdline: "console=ttyS0".into(),
        memory_mib: 512,
        cpus: 1,
        console: Serial::File("/run/console.log".into()),
        agent: Some("/run/a,b/agent.sock".into()),
        disk: Disk::Present {
            socket: "/run/disk.sock".into(),
            shape: DiskShape::ORDINARY,
            reconnect: false,
        },
        memory: Memory::Anonymous,
        start: Start::PowerOn,
        monitor: None,
    }
}

fn lines(spec: &Spec) -> String {
    let args = arguments(spec);
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
    insta::assert_snapshot!(lines(&spec()), @r#"
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
    let spec = Spec {
        accel: Accel::Kvm,
        pvh: false,
        console: Serial::Terminal,
        agent: None,
        disk: Disk::Present {
            socket: "/run/disk.sock".into(),
            shape: DiskShape {
                num_queues: 2,
                queue_size: 4,
                ..DiskShape::ORDINARY
            },
            reconnect: true,
        },
        ..spec()
    };
    insta::assert_snapshot!(lines(&spec), @r#"
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
    -chardev socket,id=disk,path=/run/disk.sock,reconnect=1
    -device vhost-user-blk-pci,chardev=disk,num-queues=2,queue-size=4,disable-legacy=on
    "#);
}

#[test]
fn a_machine_whose_state_is_kept_and_one_that_takes_it_over() {
    let kept = Spec {
        disk: Disk::Absent,
        memory: Memory::File("/run/ram".into()),
        monitor: Some("/run/qmp.sock".into()),
        ..spec()
    };
    let over = Spec {
        disk: Disk::Later {
            socket: "/run/disk.sock".into(),
        },
        start: Start::Incoming,
        ..kept.clone()
    };
    insta::assert_snapshot!(lines(&kept), @r#"
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
    let (kept, over) = (lines(&kept), lines(&over));
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
fn the_command_line_of_a_test_boot() {
    insta::assert_snapshot!(test_cmdline(), @r#"console=ttyS0 loglevel=7 panic=-1 sysctl.kernel.hung_task_timeout_secs=4 sysctl.kernel.hung_task_warnings=64 no_timer_check tsc=reliable random.trust_cpu=on audit=0 cryptomgr.notests rcupdate.rcu_expedited=1"#);
}
