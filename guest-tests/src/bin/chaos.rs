//! What can go wrong with the rig itself, on purpose: for the harness's own tests, never in a matrix.
//!
//! `chaos WHAT` as an exec program in the guest:
//!
//! - `kill-agent`;
//! - `kill-init`: the kernel panics ("Attempted to kill init!");
//! - `poweroff`;
//! - `spin`: runs for ever without sleeping;
//! - `calls`: calls the kernel over and over;
//! - `writes`: writes the same block over and over;
//! - `stop`: sleeps for ever;
//! - `sleep N`: sleeps for N seconds;
//! - `aio` and `ring`: read a block by libaio or io_uring, and wait for it;
//! - `exit N`, and `exit N on KERNEL`: only on kernels with this in their release or version;
//! - `fault`: is ended by SIGSEGV, of which the kernel says something in its log;
//! - `args WORD…`: says what it was started with;
//! - `lines N [then WHAT]`: writes N numbered lines to standard output;
//! - `storm [then WHAT]`: leaves processes running that fork and exit for ever, each in a session of its own;
//! - `set NAME VALUE then WHAT`: sets /proc/sys/NAME first;
//! - `speak WORD… [then WHAT]`: says a word to the speaker (`kernels/speaker`), which is built into the kernel;
//! - `pages`: writes pages of a file and syncs, and does not care for errors;
//! - `feature`: gives a mounted ext4 a compatible feature that nobody knows;
//! - `oops`: a crash by sysrq-c;
//! - `lockup`: the kernel's log says that a CPU was stuck;
//! - `silence`: the kernel no longer prints on the console;
//! - `taint`: the kernel is tainted as by a warning, and none is in its log;
//! - `inject`: has a read of the disk fail, by rules that it adds itself, and says what came of it;
//! - `sometimes`: loses data where btrfs does on a partial write, but tries that only in three of ten runs; the seed of
//!   a rule that flips a bit of a read says in which.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use guest_tests::aio;
use guest_tests::file::{self, Via};
use guest_tests::mapping::Mapping;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Signal, getppid, kill_process};
use rustix::system::{RebootCommand, reboot};
use rustix::time::{ClockId, clock_gettime};

/// An instruction that is none (ud2): whoever runs it gets SIGILL.
const UD2: [u8; 2] = [0x0f, 0x0b];
/// What the kernel's watchdog says.
const LOCKUP: &str = "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [chaos:70]\n";
/// Bytes of a read, and its alignment.
const BLOCK: usize = 4096;
/// Bytes of a write.
const WRITE: usize = 256 * 1024;

/// Processes of a storm that are alive at a time.
const COMETS: usize = 40;

/// Where the speaker listens.
const SPEAKER: &str = "/proc/speaker";

/// A line on the console as the kernel prints it there. In its log it would be known for a program's.
fn lockup() -> io::Result<()> {
    let now = clock_gettime(ClockId::Monotonic);
    let line = format!("\n[{:5}.{:06}] {LOCKUP}", now.tv_sec, now.tv_nsec / 1000);
    std::fs::write("/dev/console", line)
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match act(&words) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("chaos: {error}");
            ExitCode::from(64)
        }
    }
}

/// Does what the words say; comes back only if the program goes on to its own end.
fn act(words: &[&str]) -> io::Result<ExitCode> {
    match words {
        ["kill-agent"] => kill_agent(),
        ["kill-init"] => kill_init(),
        ["poweroff"] => reboot(RebootCommand::PowerOff).map_err(io::Error::from),
        ["oops"] => std::fs::write("/proc/sysrq-trigger", "c"),
        ["spin"] => loop {
            std::hint::spin_loop();
        },
        ["calls"] => loop {
            std::hint::black_box(getppid());
        },
        ["stop"] => Ok(()),
        _ => return come_back(words),
    }?;
    // The end is on its way.
    loop {
        rustix::event::pause();
    }
}

/// What the program survives, if all goes well.
fn come_back(words: &[&str]) -> io::Result<ExitCode> {
    match words {
        ["set", name, value, "then", next @ ..] => {
            std::fs::write(Path::new("/proc/sys").join(name), value)?;
            return act(next);
        }
        ["speak", said @ ..] => {
            let end = said.iter().position(|word| *word == "then").unwrap_or(said.len());
            std::fs::write(SPEAKER, said[..end].join(" "))?;
            if let [_, next @ ..] = &said[end..] {
                return act(next);
            }
        }
        ["sleep", seconds] => {
            let seconds = seconds.parse().map_err(io::Error::other)?;
            std::thread::sleep(Duration::from_secs(seconds));
        }
        ["exit", code] => {
            let none = |_| io::Error::other(format!("{code} is no exit code"));
            return Ok(ExitCode::from(code.parse::<u8>().map_err(none)?));
        }
        ["exit", code, "on", kernel] => {
            let uname = rustix::system::uname();
            let is_it = [uname.release(), uname.version()]
                .iter()
                .any(|text| text.to_string_lossy().contains(kernel));
            return if is_it {
                act(&["exit", code])
            } else {
                Ok(ExitCode::SUCCESS)
            };
        }
        ["fault"] => fault(),
        ["args", ..] => say_args()?,
        ["lines", number, next @ ..] => {
            lines(number.parse().map_err(io::Error::other)?)?;
            if let ["then", next @ ..] = next {
                return act(next);
            }
        }
        ["storm", next @ ..] => {
            storm();
            if let ["then", next @ ..] = next {
                return act(next);
            }
        }
        ["writes"] => writes()?,
        ["pages"] => pages(),
        ["feature"] => add_feature()?,
        ["aio"] => read_block(|disk, block| aio::read_by_aio(disk, block, 0))?,
        ["ring"] => read_block(|disk, block| aio::read_by_ring(disk, block, 0))?,
        ["inject"] => inject()?,
        ["sometimes"] => return Ok(ExitCode::from(u8::from(sometimes()?))),
        ["lockup"] => lockup()?,
        ["kmsg"] => std::fs::write("/dev/kmsg", format!("<0>{LOCKUP}"))?,
        ["silence"] => std::fs::write("/proc/sys/kernel/printk", "1\n")?,
        ["taint"] => std::fs::write("/proc/sys/kernel/tainted", "512\n")?,
        _ => {
            return Err(io::Error::other(
                "expected kill-agent, kill-init, poweroff, spin, calls, writes, pages, stop, sleep N, aio, ring, \
                 exit N, fault, args, lines N, storm, set NAME VALUE then WHAT, speak WORD, feature, inject, sometimes, lockup, kmsg, silence, taint or \
                 oops",
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the disk's first block in one go.
fn read_block(read: impl FnOnce(&File, &mut [u8]) -> io::Result<usize>) -> io::Result<()> {
    let disk = File::from(rustix::fs::open(
        "/dev/vda",
        OFlags::RDONLY | OFlags::DIRECT,
        Mode::empty(),
    )?);
    let mut room = vec![0u8; 2 * BLOCK];
    let start = room.as_ptr().align_offset(BLOCK).min(BLOCK);
    let done = read(&disk, &mut room[start..start + BLOCK])?;
    println!("read {done} bytes");
    Ok(())
}

/// Writes a block of a file over and over, past the page cache. Only comes back if a write fails.
fn writes() -> io::Result<()> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::DIRECT;
    let file = rustix::fs::open("/mnt/f", flags, Mode::from_raw_mode(0o644))?;
    let mut room = vec![0u8; 2 * BLOCK];
    let start = room.as_ptr().align_offset(BLOCK).min(BLOCK);
    loop {
        rustix::io::pwrite(&file, &room[start..start + BLOCK], 0)?;
        room[start] = room[start].wrapping_add(1);
    }
}

/// Loads from where no memory can be: the address is none that the processor takes, so the kernel logs a general
/// protection fault of this program.
fn fault() {
    let nowhere = 0x4141_4141_4141_4141_usize as *const u8;
    // SAFETY: none; it is wrong on purpose, and the processor stops it before anything is read.
    std::hint::black_box(unsafe { nowhere.read_volatile() });
}

/// Leaves processes behind of which each forks, and is gone before anyone has seen it.
fn storm() {
    // SAFETY: nothing but system calls follows in the child.
    let fork = || unsafe { libc::fork() };
    for _ in 0..COMETS {
        if fork() == 0 {
            while fork() == 0 {
                let _ = rustix::process::setsid();
            }
            // SAFETY: nothing is to be done at this process's end.
            unsafe { libc::_exit(0) };
        }
    }
}

/// Says the arguments, the working directory and the variables.
fn say_args() -> io::Result<()> {
    for (number, arg) in std::env::args().enumerate() {
        println!("arg {number}: [{arg}]");
    }
    println!("cwd {}", std::env::current_dir()?.display());
    let mut variables: Vec<String> = std::env::vars()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    variables.sort();
    println!("variables {}", variables.join(" "));
    Ok(())
}

/// Writes numbered lines.
fn lines(number: u32) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    for line in 1..=number {
        writeln!(out, "line {line} of {number}")?;
    }
    out.flush()
}

/// Writes a file and makes all durable, whatever comes of it.
fn pages() {
    if let Err(error) = std::fs::write("/mnt/f", vec![0x5a; WRITE]) {
        println!("write: {error}");
    }
    rustix::fs::sync();
}

/// Sets a bit of `s_feature_compat` in the superblock that ext4 has in memory: the cache of the disk. The kernel mounts
/// what has such a feature, and gives the superblock its checksum when it writes it; e2fsck refuses it.
fn add_feature() -> io::Result<()> {
    const COMPATIBLE: u64 = 1024 + 0x5c;
    const UNKNOWN: u32 = 1 << 30;
    let disk = OpenOptions::new().read(true).write(true).open("/dev/vda")?;
    let mut field = [0; 4];
    disk.read_exact_at(&mut field, COMPATIBLE)?;
    let features = u32::from_le_bytes(field) | UNKNOWN;
    disk.write_all_at(&features.to_le_bytes(), COMPATIBLE)
}

/// Reads the disk between commands to its device. What `inject` says goes where this program's own words go.
fn inject() -> io::Result<()> {
    let disk = rustix::fs::open("/dev/vda", OFlags::RDONLY | OFlags::DIRECT, Mode::empty())?;
    let mut room = vec![0u8; 2 * BLOCK];
    let start = room.as_ptr().align_offset(BLOCK).min(BLOCK);
    let block = &mut room[start..start + BLOCK];
    for words in [
        &["add", "fail read sectors=0..8 limit=1 name=once"][..],
        &["list"],
        &["mark", "between"],
        &["fail", "read", "sectors=0..8", "after=mark(later)"],
        &["mark", "later"],
        &["clear"],
        &["export", "/tmp/disk.raw"],
        &["mark", "disarm"],
        &["fial read"],
        &["stats"],
    ] {
        let status = Command::new("inject").args(words).status()?;
        println!("code {} of {}", status.code().unwrap_or(-1), words.join(" "));
        // Through the disk at once: what was said is in force.
        match rustix::io::pread(&disk, &mut *block, 0) {
            Ok(_) => println!("read"),
            Err(error) => println!("read: {}", guest_tests::errno::name(error)),
        }
    }
    Ok(())
}

/// Whether data was lost. The disk's first block is read twice, of which a rule with `limit=1` flips a bit once; a bit
/// in the first three tenths of the block makes this run try.
fn sometimes() -> io::Result<bool> {
    let disk = rustix::fs::open("/dev/vda", OFlags::RDONLY | OFlags::DIRECT, Mode::empty())?;
    let mut room = vec![0u8; 2 * BLOCK];
    let start = room.as_ptr().align_offset(BLOCK).min(BLOCK);
    let block = &mut room[start..start + BLOCK];
    let mut reads = Vec::new();
    for _ in 0..2 {
        rustix::io::pread(&disk, &mut *block, 0)?;
        reads.push(block.to_vec());
    }
    let flipped = reads[0].iter().zip(&reads[1]).position(|(one, other)| one != other);
    let at = flipped.ok_or_else(|| {
        io::Error::other("no bit was flipped; give it the rule `corrupt read sectors=0..8 flip=1bit limit=1`")
    })?;
    if at * 10 >= BLOCK * 3 {
        println!("byte {at}: not this time");
        return Ok(false);
    }
    let source = Path::new("/mnt/source");
    std::fs::write(source, vec![0xa5; WRITE])?;
    rustix::fs::sync();
    file::drop_caches()?;
    let source = file::open_write(source, Via::Buffered, 0)?;
    let mapping = Mapping::file(&source, WRITE)?;
    // The first page is there, the others are faulted in in the middle of the write.
    mapping.touch(0..1);
    let target = Path::new("/mnt/target");
    let written = file::pwrite(
        &file::open_write(target, Via::Direct, libc::O_CREAT)?,
        &mapping,
        0,
        WRITE,
        0,
    );
    println!("byte {at}: {}", written.text());
    file::drop_caches()?;
    let content = std::fs::read(target)?;
    Ok(content.first() != Some(&0xa5))
}

/// Kills the agent, this process's parent.
fn kill_agent() -> io::Result<()> {
    let agent = getppid()
        .filter(|pid| !pid.is_init())
        .ok_or_else(|| io::Error::other("the parent is no agent"))?;
    Ok(kill_process(agent, Signal::KILL)?)
}

/// Makes pid 1 die: nobody can kill it, so its next instruction is overwritten, and the agent's end makes it go on.
fn kill_init() -> io::Result<()> {
    let syscall = std::fs::read_to_string("/proc/1/syscall")?;
    let next = syscall
        .split_whitespace()
        .next_back()
        .and_then(|word| word.strip_prefix("0x"));
    let next = next.and_then(|word| u64::from_str_radix(word, 16).ok());
    let next = next.ok_or_else(|| io::Error::other(format!("pid 1 is in no system call: {syscall}")))?;
    OpenOptions::new()
        .write(true)
        .open("/proc/1/mem")?
        .write_all_at(&UD2, next)?;
    kill_agent()
}
