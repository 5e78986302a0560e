//! Those who are compared: processes that serve one image at a socket each.

use std::error::Error;
use std::fmt::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::clone;

/// How long a process may take to listen.
const START_WITHIN: Duration = Duration::from_secs(20);

/// A process that serves the image.
pub struct Contender {
    /// What the table calls it.
    pub name: &'static str,
    /// Where it listens.
    pub socket: PathBuf,
    child: Child,
}

impl Contender {
    /// Our device, with these arguments more.
    ///
    /// # Errors
    /// It does not start.
    pub fn ours(name: &'static str, dir: &Path, image: &Path, more: &[&Path]) -> Result<Contender, Box<dyn Error>> {
        Contender::build(name, &clone::vhost_blk(), dir, image, more)
    }

    /// Some build of our device.
    ///
    /// # Errors
    /// It does not start.
    pub fn build(
        name: &'static str,
        program: &Path,
        dir: &Path,
        image: &Path,
        more: &[&Path],
    ) -> Result<Contender, Box<dyn Error>> {
        let socket = dir.join(format!("{}.sock", name.replace([' ', ','], "-")));
        let mut command = Command::new(program);
        command.arg("--die-with-parent").arg("--num-queues").arg("1");
        command
            .arg("--socket")
            .arg(&socket)
            .arg("--image")
            .arg(image)
            .args(more);
        Contender::start(name, socket, command)
    }

    /// qemu-storage-daemon's export of the same image.
    ///
    /// # Errors
    /// It does not start.
    pub fn storage_daemon(program: &Path, dir: &Path, image: &Path, aio: &str) -> Result<Contender, Box<dyn Error>> {
        let disk = format!("driver=file,node-name=disk,filename={},aio={aio}", image.display());
        Contender::export(
            "qemu-storage-daemon",
            program,
            dir.join(format!("qsd-{aio}.sock")),
            &disk,
        )
    }

    /// qemu-storage-daemon's export of a new qcow2 overlay on tmpfs, which leaves the image as it is, as our device
    /// does.
    ///
    /// # Errors
    /// The overlay cannot be made, or it does not start.
    pub fn overlay(
        name: &'static str,
        program: &Path,
        dir: &Path,
        image: &Path,
        aio: &str,
    ) -> Result<Contender, Box<dyn Error>> {
        let overlay = dir.join("overlay.qcow2");
        let _ = std::fs::remove_file(&overlay);
        let mut create = Command::new("qemu-img");
        create.args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"]);
        let status = create.arg(image).arg(&overlay).status();
        if !status
            .map_err(|error| format!("cannot start qemu-img: {error} (Debian's package qemu-utils has it)"))?
            .success()
        {
            return Err("qemu-img makes no overlay".into());
        }
        let socket = dir.join("qsd-overlay.sock");
        let _ = std::fs::remove_file(&socket);
        let disk = format!(
            "driver=qcow2,node-name=disk,file.driver=file,file.filename={},file.aio={aio}",
            overlay.display()
        );
        Contender::export(name, program, socket, &disk)
    }

    /// qemu-storage-daemon's vhost-user-blk export of the block device `disk`.
    fn export(name: &'static str, program: &Path, socket: PathBuf, disk: &str) -> Result<Contender, Box<dyn Error>> {
        let mut command = Command::new(program);
        command.args(["--blockdev", disk, "--export"]).arg(format!(
            "type=vhost-user-blk,id=export,node-name=disk,writable=on,addr.type=unix,addr.path={}",
            socket.display()
        ));
        Contender::start(name, socket, command)
    }

    fn start(name: &'static str, socket: PathBuf, mut command: Command) -> Result<Contender, Box<dyn Error>> {
        let child = command
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", command.get_program().display()))?;
        let mut contender = Contender { name, socket, child };
        let deadline = Instant::now() + START_WITHIN;
        // qemu-storage-daemon says nowhere that it listens; that a connection is taken says it.
        while UnixStream::connect(&contender.socket).is_err() {
            if let Some(status) = contender.child.try_wait()? {
                return Err(format!("{name} ended before it listened: {status}").into());
            }
            if Instant::now() > deadline {
                return Err(format!("{name} does not listen").into());
            }
            std::thread::yield_now();
        }
        Ok(contender)
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        // It may have ended by itself, which the measurement has told already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A plan of rules of every look, none of which the load's requests have: places beyond the disk, tags, beginnings of
/// data, lengths and queues that do not come.
pub fn plan_of(rules: u64) -> String {
    let mut plan = "seed = 1\nrules = [\n".to_owned();
    for number in 0..rules {
        let sector = (1 << 40) + number * 64;
        let rule = match number % 10 {
            0..=3 => format!("fail write sectors={sector}..{}", sector + 8),
            4 => format!("delay any for=5ms sectors={sector}..{}", sector + 128),
            5 | 6 => format!("short write bytes=512 then=ioerr payload=tag:{number}.3"),
            7 => format!("fail write payload=hex:{number:08x}"),
            8 => format!("delay read for=1ms len={}..{}", 8192 + number * 2, 8193 + number * 2),
            _ => format!("hold read until=mark(m{number}) max=1s queue=7"),
        };
        // A string takes everything.
        let _ = writeln!(plan, "  \"{rule}\",");
    }
    plan + "]\n"
}
