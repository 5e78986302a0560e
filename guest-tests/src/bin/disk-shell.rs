//! Pid 1 of a guest that does to its disk what the host says: for the tests of the block device, never in a matrix.
//!
//! The host writes `ID COMMAND ARG…` to the second serial port and gets `ID ok TEXT` or `ID ERRNO` back. Every command
//! runs in a thread of its own, named `cID`, so that one that the disk keeps waiting holds up no other and can be
//! looked at.

use std::ffi::CString;
use std::fmt::Write;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use guest_tests::agent::serve::{DISK, await_disk, load_modules};
use guest_tests::agent::{MOUNT_POINT, boot, kmsg, procfs, serial};
use guest_tests::errno;
use rustix::fs::{FallocateFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::ioctl::{Opcode, Setter, opcode};
use rustix::mount::{MountFlags, UnmountFlags};
use rustix::thread::CpuSet;

/// Where the kernel describes the disk; paths of commands are relative to it.
const SYS: &str = "/sys/block/vda";
/// Where the kernel traces itself.
const TRACING: &str = "/sys/kernel/tracing";
/// What the block layer tells of every request: that it goes to the driver, and how the driver ended it.
const REQUEST_EVENTS: [&str; 2] = ["block_rq_issue", "block_rq_complete"];
/// Alignment of buffers, enough for every block size.
const ALIGN: usize = 4096;
/// What files are made of.
const FILE_FILL: u8 = 0xF1;

const BLKDISCARD: Opcode = opcode::none(0x12, 119);
const BLKZEROOUT: Opcode = opcode::none(0x12, 127);
const FITRIM: Opcode = opcode::read_write::<[u64; 3]>(b'X', 121);

fn main() {
    boot::mount_all();
    if let Err(reason) = serve() {
        kmsg::write(&format!("disk-shell: {reason}"));
    }
    loop {
        boot::power_off();
        rustix::event::pause();
    }
}

fn serve() -> Result<(), String> {
    let reason = |error: io::Error| errno::io_name(&error);
    std::fs::create_dir_all(MOUNT_POINT).map_err(reason)?;
    load_modules()?;
    await_disk()?;
    let port = serial::open_port().map_err(|errno| format!("{}: {}", serial::PORT, errno::name(errno)))?;
    let mut port = File::from(port);
    let lines = BufReader::new(port.try_clone().map_err(reason)?).lines();
    port.write_all(b"ready\n").map_err(reason)?;
    let port = Arc::new(Mutex::new(port));
    for line in lines {
        let line = line.map_err(reason)?;
        let Some((id, command)) = line.split_once(' ') else {
            continue;
        };
        if command == "power-off" {
            return Ok(());
        }
        let (id, command, port) = (id.to_owned(), command.to_owned(), Arc::clone(&port));
        let thread = thread::Builder::new().name(format!("c{id}"));
        let started = thread.spawn(move || {
            let answer = match run(&command) {
                Ok(text) => format!("{id} ok {text}"),
                Err(error) => format!("{id} {}", errno::io_name(&error)),
            };
            let line = format!("{}\n", answer.trim_end());
            // Without the line there is nobody to tell.
            let _ = port
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .write_all(line.as_bytes());
        });
        started.map_err(reason)?;
    }
    Ok(())
}

fn run(command: &str) -> io::Result<String> {
    let words: Vec<&str> = command.split(' ').collect();
    match words.as_slice() {
        ["get", path] => return Ok(std::fs::read_to_string(sys(path))?.trim().to_owned()),
        ["put", path, value @ ..] => std::fs::write(sys(path), value.join(" "))?,
        ["list", path] => return list(path),
        ["cpu", cpu, rest @ ..] => {
            let mut cpus = CpuSet::new();
            cpus.set(number(cpu)? as usize);
            rustix::thread::sched_setaffinity(None, &cpus)?;
            return run(&rest.join(" "));
        }
        ["time", rest @ ..] => {
            let start = Instant::now();
            run(&rest.join(" "))?;
            return Ok(start.elapsed().as_micros().to_string());
        }
        ["task", id] => return task(&format!("c{id}")),
        ["log", rest @ ..] => kmsg::write(&rest.join(" ")),
        ["watch"] => watch()?,
        ["watched"] => return watched(),
        ["write", offset, len, fill] => write(number(offset)?, number(len)?, fill)?,
        ["write-cached", offset, len, fill] => write_cached(number(offset)?, number(len)?, fill)?,
        ["read", offset, len] => return read(number(offset)?, number(len)?),
        ["sync"] => rustix::fs::fsync(disk(OFlags::RDWR)?)?,
        ["discard", offset, len] => range_ioctl::<BLKDISCARD>(offset, len)?,
        ["zeroout", offset, len] => range_ioctl::<BLKZEROOUT>(offset, len)?,
        ["zero-range", offset, len] => fallocate(FallocateFlags::ZERO_RANGE, offset, len)?,
        ["punch-hole", offset, len] => fallocate(FallocateFlags::PUNCH_HOLE, offset, len)?,
        ["mount", fs, options] => {
            let options = CString::new(*options)?;
            rustix::mount::mount(DISK, MOUNT_POINT, *fs, MountFlags::empty(), options.as_c_str())?;
        }
        ["umount"] => rustix::mount::unmount(MOUNT_POINT, UnmountFlags::empty())?,
        ["make-file", name, len] => {
            let mut file = File::create(format!("{MOUNT_POINT}/{name}"))?;
            file.write_all(&vec![FILE_FILL; number(len)? as usize])?;
            file.sync_all()?;
        }
        ["check-file", name, len] => {
            let bytes = std::fs::read(format!("{MOUNT_POINT}/{name}"))?;
            if bytes != vec![FILE_FILL; number(len)? as usize] {
                return Err(io::Error::other("another content"));
            }
        }
        ["unlink", name] => std::fs::remove_file(format!("{MOUNT_POINT}/{name}"))?,
        ["sync-fs"] => rustix::fs::syncfs(File::open(MOUNT_POINT)?)?,
        ["trim"] => trim()?,
        _ => return Err(io::Error::other(format!("no command: {command}"))),
    }
    Ok(String::new())
}

fn number(word: &str) -> io::Result<u64> {
    word.parse().map_err(io::Error::other)
}

fn sys(path: &str) -> String {
    format!("{SYS}/{path}")
}

fn list(path: &str) -> io::Result<String> {
    let entries = std::fs::read_dir(sys(path))?.flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    Ok(names.join(" "))
}

/// A thread's state letter and its kernel stack, innermost first.
fn task(name: &str) -> io::Result<String> {
    for entry in std::fs::read_dir("/proc/self/task")? {
        let dir = entry?.path();
        // A thread may have ended since it was listed.
        let stat = std::fs::read_to_string(dir.join("stat")).unwrap_or_default();
        if let Some(stat) = procfs::stat(&stat).filter(|stat| stat.comm == name) {
            let stack = std::fs::read_to_string(dir.join("stack"))?;
            return Ok(format!("{} {}", stat.state, procfs::stack(&stack).join(" ")));
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// Has the kernel trace the disk's requests from now on.
fn watch() -> io::Result<()> {
    match rustix::mount::mount("tracefs", TRACING, "tracefs", MountFlags::empty(), None) {
        Ok(()) | Err(Errno::BUSY) => {}
        Err(errno) => return Err(errno.into()),
    }
    std::fs::write(format!("{TRACING}/trace"), "")?;
    for event in REQUEST_EVENTS {
        std::fs::write(format!("{TRACING}/events/block/{event}/enable"), "1")?;
    }
    Ok(())
}

/// What was traced, an event after the other, a tab between two.
fn watched() -> io::Result<String> {
    let text = std::fs::read_to_string(format!("{TRACING}/trace"))?;
    let events = text.lines().filter(|line| !line.starts_with('#'));
    Ok(events.map(str::trim).collect::<Vec<_>>().join("\t"))
}

fn disk(access: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::open(DISK, access | OFlags::DIRECT | OFlags::CLOEXEC, Mode::empty())
}

/// Runs `work` on a buffer of this length that direct I/O takes.
fn aligned<T>(len: u64, fill: u8, work: impl FnOnce(&mut [u8]) -> T) -> T {
    let len = len as usize;
    let mut bytes = vec![fill; len + ALIGN];
    let start = bytes.as_ptr().align_offset(ALIGN).min(ALIGN);
    work(&mut bytes[start..start + len])
}

fn byte(word: &str) -> io::Result<u8> {
    u8::from_str_radix(word, 16).map_err(io::Error::other)
}

/// Writes one byte over and over through the page cache, and has it written back.
fn write_cached(offset: u64, len: u64, fill: &str) -> io::Result<()> {
    let disk = File::options().write(true).open(DISK)?;
    disk.write_all_at(&vec![byte(fill)?; len as usize], offset)?;
    disk.sync_all()
}

/// One write(2) of one byte over and over.
fn write(offset: u64, len: u64, fill: &str) -> io::Result<()> {
    let fill = byte(fill)?;
    let disk = disk(OFlags::RDWR)?;
    let done = aligned(len, fill, |bytes| rustix::io::pwrite(&disk, bytes, offset))?;
    if done as u64 == len {
        Ok(())
    } else {
        Err(io::Error::other(format!("{done} bytes")))
    }
}

/// One read(2); tells runs of equal bytes as `LENxBYTE`.
fn read(offset: u64, len: u64) -> io::Result<String> {
    let disk = disk(OFlags::RDONLY)?;
    aligned(len, 0xEE, |bytes| {
        let done = rustix::io::pread(&disk, &mut *bytes, offset)?;
        let mut text = String::new();
        for run in bytes[..done].chunk_by(|left, right| left == right) {
            // Writing to a string does not fail.
            let _ = write!(text, "{}x{:02x} ", run.len(), run[0]);
        }
        Ok(text)
    })
}

fn range_ioctl<const CODE: Opcode>(offset: &str, len: &str) -> io::Result<()> {
    let disk = disk(OFlags::RDWR)?;
    // SAFETY: BLKDISCARD and BLKZEROOUT read two u64, offset and length, through their argument.
    let ioctl = unsafe { Setter::<CODE, [u64; 2]>::new([number(offset)?, number(len)?]) };
    // SAFETY: they write nothing to this process's memory, and the range lives until the call returns.
    Ok(unsafe { rustix::ioctl::ioctl(&disk, ioctl) }?)
}

fn fallocate(mode: FallocateFlags, offset: &str, len: &str) -> io::Result<()> {
    let mode = mode | FallocateFlags::KEEP_SIZE;
    Ok(rustix::fs::fallocate(
        disk(OFlags::RDWR)?,
        mode,
        number(offset)?,
        number(len)?,
    )?)
}

fn trim() -> io::Result<()> {
    let root = File::open(MOUNT_POINT)?;
    let mut range = [0, u64::MAX, 0];
    // SAFETY: FITRIM reads and writes three u64 through its argument.
    let ioctl = unsafe { rustix::ioctl::Updater::<FITRIM, [u64; 3]>::new(&mut range) };
    // SAFETY: the range lives until the call returns, and the kernel writes within it alone.
    Ok(unsafe { rustix::ioctl::ioctl(&root, ioctl) }?)
}
