//! The same work as a person would do it by hand: plain QEMU, a busybox initramfs, a script.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use host::tool;
use machine::initramfs::{self, Content, Entry};
use machine::{MEMORY_MIB, QEMU};

use crate::measure::{self, Measured, READY, Whole};
use crate::{Result, Setting};

/// What is done to the disk.
pub const WORK: &str = include_str!("work.sh");

/// One boot to power-off, and the check of the image after it.
///
/// # Errors
/// A tool is missing, or the work failed in the guest.
pub fn run(setting: &Setting) -> Result<Measured> {
    let whole = Whole::start();
    let dir = crate::scratch()?;
    let disk = crate::copy_of(&setting.image, dir.path())?;
    let initramfs = pack(setting, dir.path(), true)?;
    let (ready_ms, off_ms) = measure::machine(&mut qemu(&by_hand(setting, &initramfs, &disk)))?;
    check(&disk)?;
    Ok(whole.end(ready_ms, off_ms))
}

/// QEMU with these arguments; it does not outlive us.
pub fn qemu(args: &[OsString]) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "--", QEMU])
        .args(args)
        .stdin(std::process::Stdio::null());
    command
}

/// What a person types.
fn by_hand(setting: &Setting, initramfs: &Path, disk: &Path) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec!["-kernel".into(), setting.kernel.bzimage.clone().into()];
    args.extend([
        "-initrd".into(),
        initramfs.into(),
        "-append".into(),
        "console=ttyS0 panic=-1".into(),
    ]);
    args.extend(["-nographic", "-no-reboot", "-accel", "tcg", "-smp", "1", "-m"].map(OsString::from));
    args.push(MEMORY_MIB.to_string().into());
    args.extend(["-drive".into(), drive(disk)]);
    args
}

/// QEMU's own virtio disk on an image.
pub fn drive(disk: &Path) -> OsString {
    let mut drive = OsString::from("if=virtio,format=raw,file=");
    drive.push(disk);
    drive
}

/// A usual initramfs: busybox with its links, the modules, a shell script as init; gzipped as the kernel's own
/// documentation has it.
///
/// # Errors
/// There is no busybox, or the archive cannot be written.
pub fn pack(setting: &Setting, dir: &Path, gzip: bool) -> Result<PathBuf> {
    let busybox = tool::find("busybox").ok_or("the plain boot needs busybox; install Debian's busybox-static")?;
    let init = dir.join("init");
    fs::write(&init, script())?;
    let entry = |path: &str, content| Entry {
        path: path.to_owned(),
        content,
    };
    // The list of modules, in load order, comes along with them.
    let mut entries = initramfs::spec(&init, &[], &setting.modules);
    entries.push(entry("bin/busybox", Content::Program(busybox)));
    entries.push(entry("bin/sh", Content::Link("busybox".into())));
    let plain = dir.join("initramfs.cpio");
    initramfs::write(&plain, &entries)?;
    if !gzip {
        return Ok(plain);
    }
    let packed = dir.join("initramfs.cpio.gz");
    let mut encoder = GzEncoder::new(File::create(&packed)?, Compression::default());
    encoder.write_all(&fs::read(&plain)?)?;
    encoder.finish()?;
    Ok(packed)
}

fn script() -> String {
    format!(
        "#!/bin/sh\n\
         B=/bin/busybox D=/dev/vda M=/mnt\n\
         $B mount -t devtmpfs devtmpfs /dev\n\
         $B mount -t proc proc /proc\n\
         $B mount -t sysfs sysfs /sys\n\
         while read -r module; do $B insmod $module; done </{list}\n\
         echo '{READY}'\n\
         ( {WORK} )\n\
         $B poweroff -f\n",
        list = initramfs::MODULES_LIST
    )
}

/// `btrfs check` of what a guest left, as every cell does it.
///
/// # Errors
/// The image is not clean.
pub fn check(disk: &Path) -> Result<()> {
    let mut command = tool::command("btrfs", "btrfs-progs")?;
    command.args(["check", "--readonly"]).arg(disk);
    tool::run_ok(&mut command, measure::DEADLINE)?;
    Ok(())
}
