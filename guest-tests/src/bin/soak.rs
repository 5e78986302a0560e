//! Pid 1 of a soak's guest: runs fio on the raw disk as the host says, and tells what it found.
//!
//! Goal: an ordinary, well-known program puts load on the disk and verifies what it reads. Method: the host sends a
//! job file, fio runs, and every block that differs, every request that failed and the summary go back over the second
//! serial port.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use guest_tests::agent::serve::{await_disk, load_modules};
use guest_tests::agent::{boot, job, kmsg, serial};
use guest_tests::errno;
use guest_tests::fio::{Stderr, summary};
use guest_wire::soak::{DISK, FIO, Order, Range, SoakReport};
use rustix::fs::{Mode, OFlags};
use rustix::ioctl::{Opcode, Setter, opcode};

const JOBS: &str = "/tmp/jobs.fio";
const SUMMARY: &str = "/tmp/summary.json";
const BLKZEROOUT: Opcode = opcode::none(0x12, 127);

fn main() {
    boot::mount_all();
    if let Err(error) = serve() {
        kmsg::write(&format!("soak: {}", errno::io_name(&error)));
    }
    loop {
        boot::power_off();
        rustix::event::pause();
    }
}

/// The line to the host, for several threads.
#[derive(Clone)]
struct Host(Arc<Mutex<File>>);

impl Host {
    fn tell(&self, report: &SoakReport) -> io::Result<()> {
        let line = format!("{}\n", serde_json::to_string(report)?);
        let mut port = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        port.write_all(line.as_bytes())
    }
}

fn serve() -> io::Result<()> {
    let port = File::from(serial::open_port()?);
    let lines = BufReader::new(port.try_clone()?).lines();
    let host = Host(Arc::new(Mutex::new(port)));
    match load_modules().and_then(|()| await_disk()) {
        Ok(()) => host.tell(&SoakReport::Ready)?,
        Err(reason) => host.tell(&SoakReport::Unfit { reason })?,
    }
    for line in lines {
        match serde_json::from_str(&line?) {
            Ok(Order::Run { jobs, zero }) => {
                // In a thread, so that the stacks of what hangs can be asked for meanwhile.
                let host = host.clone();
                thread::Builder::new().spawn(move || {
                    let how = run(&host, &jobs, zero).unwrap_or_else(|error| format!("not run: {error}"));
                    // Without the line there is nobody to tell.
                    let _ = host.tell(&SoakReport::End { how });
                })?;
            }
            Ok(Order::DumpBlocked) => job::dump_blocked(),
            Ok(Order::PowerOff) => return Ok(()),
            Err(error) => host.tell(&SoakReport::Unfit {
                reason: format!("an order that is none: {error}"),
            })?,
        }
    }
    Ok(())
}

/// Runs fio, and zeroes beside it; says how fio ended.
fn run(host: &Host, jobs: &str, zero: Vec<Range>) -> io::Result<String> {
    std::fs::write(JOBS, jobs)?;
    // One that is left from the last time must not be taken for this one's.
    match std::fs::remove_file(SUMMARY) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let zeroing = {
        let host = host.clone();
        thread::Builder::new().spawn(move || zero_all(&host, &zero))?
    };
    let mut fio = Command::new(FIO)
        .args(["--output-format=json", "--output", SUMMARY, JOBS])
        .current_dir("/tmp")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stderr = Stderr::default();
    if let Some(pipe) = fio.stderr.take() {
        for line in BufReader::new(pipe).split(b'\n') {
            if let Some(report) = stderr.line(&String::from_utf8_lossy(&line?)) {
                host.tell(&report)?;
            }
        }
    }
    let status = fio.wait()?;
    zeroing
        .join()
        .map_err(|_| io::Error::other("the thread that zeroes panicked"))??;
    match summary(&std::fs::read_to_string(SUMMARY).unwrap_or_default()) {
        Ok(jobs) => {
            for job in jobs {
                host.tell(&SoakReport::Job(job))?;
            }
        }
        Err(line) => host.tell(&SoakReport::Said { line })?,
    }
    Ok(match status.code() {
        Some(code) => format!("exit code {code}"),
        None => status.to_string(),
    })
}

fn disk() -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::DIRECT | OFlags::CLOEXEC;
    Ok(rustix::fs::open(DISK, flags, Mode::empty())?)
}

fn zero_all(host: &Host, ranges: &[Range]) -> io::Result<()> {
    let disk = disk()?;
    for range in ranges {
        // SAFETY: BLKZEROOUT reads two u64, offset and length, through its argument.
        let zero = unsafe { Setter::<BLKZEROOUT, [u64; 2]>::new([range.offset, range.len]) };
        // SAFETY: it writes nothing to this process's memory, and the range lives until the call returns.
        if let Err(errno) = unsafe { rustix::ioctl::ioctl(&disk, zero) } {
            host.tell(&SoakReport::Failed {
                op: "zero".to_owned(),
                range: *range,
                error: errno::name(errno),
            })?;
        }
    }
    Ok(())
}
