//! The same work in virtme-ng: its guest is the host's own root over virtiofs or 9p, with the kernel under test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use host::tool;
use machine::MEMORY_MIB;

use crate::measure::{self, DEADLINE, Measured, READY, Whole};
use crate::plain::{WORK, check};
use crate::{Result, Setting};

/// virtme-ng's program, if it is installed.
pub fn find(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        let path = PathBuf::from(program);
        return path.is_file().then_some(path);
    }
    tool::find(program)
}

/// One boot to power-off, and the check of the image after it.
///
/// # Errors
/// virtme-ng cannot boot this kernel here, or the work failed in the guest.
pub fn run(setting: &Setting, vng: &Path) -> Result<Measured> {
    let whole = Whole::start();
    let dir = crate::scratch()?;
    let disk = crate::copy_of(&setting.image, dir.path())?;
    let work = dir.path().join("work.sh");
    fs::write(&work, script()?)?;
    let (ready_ms, off_ms) = measure::machine(&mut command(setting, vng, &disk, &work))?;
    check(&disk)?;
    Ok(whole.end(ready_ms, off_ms))
}

fn command(setting: &Setting, vng: &Path, disk: &Path, work: &Path) -> Command {
    // virtme-ng starts QEMU and virtiofsd as grandchildren; timeout(1) ends the whole process group, which nothing else
    // here can.
    let mut command = Command::new("timeout");
    // It calls its other programs by name, also when it was installed into a place of its own.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = vng.parent().map(Path::to_path_buf);
    if let Ok(path) = std::env::join_paths(own.into_iter().chain(std::env::split_paths(&path))) {
        command.env("PATH", path);
    }
    command
        .args(["--kill-after=5", &(DEADLINE.as_secs() - 10).to_string()])
        // What the guest says may come on either stream, and only the lines of one are timed.
        .args(["sh", "-c", r#"exec "$@" 2>&1"#, "sh"])
        .arg(vng);
    command
        .arg("--run")
        .arg(&setting.kernel.bzimage)
        .args(["--disable-kvm", "--cpus", "1", "--verbose"]);
    command
        .args(["--memory", &format!("{MEMORY_MIB}M")])
        .arg("--disk")
        .arg(disk);
    command
        .arg("--exec")
        .arg(format!("sh {}", work.display()))
        .stdin(Stdio::null());
    command
}

fn script() -> Result<String> {
    let busybox = tool::find("busybox").ok_or("the script needs busybox; install Debian's busybox-static")?;
    Ok(format!(
        "B={busybox} D=/dev/vda M=/run/bench\n\
         set -e\n\
         modprobe -a virtio_blk btrfs\n\
         $B mkdir -p $M\n\
         echo '{READY}'\n\
         {WORK}",
        busybox = busybox.display()
    ))
}
