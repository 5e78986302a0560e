//! Deeds in a sandbox. Each is done by a process of its own, which is to end by SIGSYS, or to say what came of it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use libc::{c_long, c_ulong};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, getsockname, listen, socket_with,
};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use vhost_blk::disk::{Disk, Storage};
use vhost_blk::sandbox::{self, Allowed};
use vm_memory::VolatileSlice;

/// Where a deed has its files.
const DIR: &str = "VHOST_BLK_TEST_DIR";
/// The abstract socket of somebody outside.
const OUTSIDER: &str = "VHOST_BLK_TEST_OUTSIDER";

/// A deed, and what comes of it.
pub struct Trial {
    pub name: &'static str,
    deed: Deed,
    end: End,
    /// A system call that the kernel has not.
    without: Option<c_long>,
}

/// What is done.
enum Deed {
    /// A system call.
    Call(c_long, [c_ulong; 6]),
    /// More than that; what it says is what counts.
    Do(fn(&Path) -> String),
}

/// What comes of it.
enum End {
    /// Seccomp ends it for this system call.
    Sys(&'static str),
    /// It is over, and said this.
    Says(&'static str),
    /// The same where landlock is in force, of this version at least.
    Lands(u32, &'static str),
    /// It ends by this signal, and says this on stderr.
    Signal(i32, &'static str),
    /// It panics, and the backtrace names this.
    Panics(&'static str),
}

const fn forbidden(name: &'static str, number: c_long, arguments: [c_ulong; 6]) -> Trial {
    Trial {
        name,
        deed: Deed::Call(number, arguments),
        end: End::Sys(name),
        without: None,
    }
}

const fn with(name: &'static str, deed: fn(&Path) -> String, end: End) -> Trial {
    Trial {
        name,
        deed: Deed::Do(deed),
        end,
        without: None,
    }
}

impl Trial {
    const fn named(self, name: &'static str) -> Trial {
        Trial { name, ..self }
    }
}

const INET: c_ulong = libc::AF_INET as c_ulong;
const RWX: c_ulong = (libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC) as c_ulong;
const PRIVATE: c_ulong = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as c_ulong;
/// Length of an address that can name any path.
const ANY_PATH: c_ulong = size_of::<libc::sockaddr_un>() as c_ulong;

#[rustfmt::skip]
pub const TRIALS: &[Trial] = &[
    // Other programs and processes.
    forbidden("execve", libc::SYS_execve, [0; 6]),
    forbidden("execveat", libc::SYS_execveat, [0; 6]),
    forbidden("clone", libc::SYS_clone, [libc::SIGCHLD as c_ulong, 0, 0, 0, 0, 0]),
    forbidden("ptrace", libc::SYS_ptrace, [libc::PTRACE_SEIZE as c_ulong, 1, 0, 0, 0, 0]),
    forbidden("kill", libc::SYS_kill, [1, 0, 0, 0, 0, 0]),
    forbidden("tgkill", libc::SYS_tgkill, [1, 1, 0, 0, 0, 0]),
    forbidden("process_vm_writev", libc::SYS_process_vm_writev, [1, 0, 0, 0, 0, 0]),
    forbidden("pidfd_open", libc::SYS_pidfd_open, [1, 0, 0, 0, 0, 0]),
    // The network, and sockets with names.
    forbidden("socket", libc::SYS_socket, [INET, libc::SOCK_STREAM as c_ulong, 0, 0, 0, 0]),
    forbidden("bind", libc::SYS_bind, [0, 0, ANY_PATH, 0, 0, 0]),
    forbidden("connect", libc::SYS_connect, [0, 0, ANY_PATH, 0, 0, 0]),
    // Code.
    forbidden("mmap", libc::SYS_mmap, [0, 4096, RWX, PRIVATE, c_ulong::MAX, 0]),
    forbidden("mprotect", libc::SYS_mprotect, [0, 4096, RWX, 0, 0, 0]),
    // The file system, but for what exports take.
    forbidden("mount", libc::SYS_mount, [0; 6]),
    forbidden("chdir", libc::SYS_chdir, [0; 6]),
    forbidden("symlinkat", libc::SYS_symlinkat, [0; 6]),
    forbidden("fchmod", libc::SYS_fchmod, [0; 6]),
    forbidden("truncate", libc::SYS_truncate, [0; 6]),
    // The kernel.
    forbidden("unshare", libc::SYS_unshare, [libc::CLONE_NEWUSER as c_ulong, 0, 0, 0, 0, 0]),
    forbidden("bpf", libc::SYS_bpf, [0; 6]),
    forbidden("seccomp", libc::SYS_seccomp, [0; 6]),
    forbidden("io_uring_setup", libc::SYS_io_uring_setup, [8, 0, 0, 0, 0, 0]),
    forbidden("io_uring_enter", libc::SYS_io_uring_enter, [0; 6]),
    forbidden("prctl", libc::SYS_prctl, [libc::PR_SET_DUMPABLE as c_ulong, 1, 0, 0, 0, 0]),
    forbidden("ioctl", libc::SYS_ioctl, [0, libc::TIOCSTI, 0, 0, 0, 0]),
    forbidden("fcntl", libc::SYS_fcntl, [0, libc::F_SETOWN as c_ulong, 1, 0, 0, 0]),
    forbidden("madvise", libc::SYS_madvise, [0, 4096, libc::MADV_HWPOISON as c_ulong, 0, 0, 0]),
    Trial {
        name: "a system call that there is not",
        deed: Deed::Call(9999, [0; 6]),
        end: End::Sys("of an unknown name"),
        without: None,
    },
    with("clone3 is as on a kernel without it", clone3, End::Says("Function not implemented")),
    // Files.
    with("reading a file", |dir| told(File::open(dir.join("kept"))), End::Lands(1, "Permission denied")),
    with("reading an export", |dir| told(File::open(dir.join("exports/kept"))), End::Lands(1, "Permission denied")),
    with("making a file", |dir| told(File::create(dir.join("new"))), End::Lands(1, "Permission denied")),
    with(
        "making a file beside a socket",
        |dir| told(File::create(dir.join("sockets/new"))),
        End::Lands(1, "Permission denied"),
    ),
    with("taking a file away", |dir| told(std::fs::remove_file(dir.join("kept"))), End::Lands(1, "Permission denied")),
    with(
        "moving an export away",
        |dir| told(std::fs::rename(dir.join("exports/kept"), dir.join("kept"))),
        End::Lands(1, "Permission denied"),
    ),
    with("an abstract socket outside", outsider, End::Lands(6, "Operation not permitted")),
    with("an export", export, End::Says("kept")),
    with("its socket's end", |dir| told(std::fs::remove_file(dir.join("sockets/kept"))), End::Says("done")),
    // What a device does all the time.
    with("threads, memory, time and chance", life, End::Says("done")),
    with("an abstract socket of its own", relay, End::Says("hello")),
    with("a disk in files", disk, End::Says("done")),
    // Older kernels: what they have is in force.
    Trial {
        without: Some(libc::SYS_landlock_create_ruleset),
        ..with("files without landlock", |dir| told(File::open(dir.join("kept"))), End::Says("done"))
    },
    Trial {
        without: Some(libc::SYS_landlock_create_ruleset),
        ..forbidden("socket", libc::SYS_socket, [INET, libc::SOCK_STREAM as c_ulong, 0, 0, 0, 0])
            .named("sockets without landlock")
    },
    Trial {
        without: Some(libc::SYS_seccomp),
        ..with("files without seccomp", |dir| told(File::open(dir.join("kept"))), End::Lands(1, "Permission denied"))
    },
    Trial {
        without: Some(libc::SYS_seccomp),
        ..with(
            "sockets without seccomp",
            |_| told(call(libc::SYS_socket, [INET, libc::SOCK_STREAM as c_ulong, 0, 0, 0, 0])),
            End::Says("done"),
        )
    },
    // How it ends when something is wrong with it.
    with("a panic", panics, End::Panics("sandbox::deeds::panics")),
    with("an abort", |_| std::process::abort(), End::Signal(libc::SIGABRT, "")),
    with("a stack overflow", |_| overflow(1).to_string(), End::Signal(libc::SIGABRT, "has overflowed its stack")),
];

/// Has a trial's deed done by another process, and looks at how it ends.
pub fn attempt(trial: &Trial) {
    let dir = tempfile::tempdir().expect("a directory");
    for file in ["kept", "exports/kept", "sockets/kept"] {
        let path = dir.path().join(file);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        std::fs::write(path, "kept").expect("a file");
    }
    let (_listener, name) = abstract_listener();
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .env(crate::DEED, trial.name)
        .env(DIR, dir.path())
        .env(OUTSIDER, String::from_utf8(name).expect("digits"))
        .env("RUST_BACKTRACE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut said = String::new();
    let mut stdout = child.stdout.take().expect("its output");
    stdout.read_to_string(&mut said).expect("text");
    let output = child.wait_with_output().expect("its end");
    let errors = String::from_utf8_lossy(&output.stderr);
    let (sandbox, said) = said.split_once('\n').expect("what is in force");
    let version = sandbox
        .split(", ")
        .find_map(|part| part.strip_prefix("landlock v")?.parse::<u32>().ok());
    let (landlock, seccomp) = (version.is_some(), sandbox.contains("seccomp"));
    assert_eq!(!landlock, errors.contains("this kernel has no landlock"), "{errors}");
    assert_eq!(!seccomp, errors.contains("no seccomp filter"), "{errors}");
    match trial.without {
        Some(libc::SYS_seccomp) => assert!(!seccomp, "{sandbox}"),
        Some(_) => assert!(!landlock, "{sandbox}"),
        None => {}
    }
    let what = format!("{:?}, {said:?}, {errors}", output.status);
    let overs = |words: &str| assert!(output.status.success() && said.contains(words), "{what}");
    match trial.end {
        End::Sys(name) => {
            let ended = output.status.signal() == Some(libc::SIGSYS);
            let named = errors.contains(&format!("it made the system call {name} ("));
            assert!(!seccomp || ended && named && said.is_empty(), "{what}");
        }
        End::Says(words) => overs(words),
        End::Lands(least, words) if version >= Some(least) => overs(words),
        End::Lands(..) => {}
        End::Signal(signal, words) => {
            assert!(
                output.status.signal() == Some(signal) && errors.contains(words),
                "{what}"
            );
        }
        End::Panics(name) => {
            assert!(errors.contains("on purpose") && errors.contains(name), "{what}");
            assert_eq!(
                output.status.code(),
                Some(0),
                "the thread ended, the process did not: {what}"
            );
        }
    }
}

/// Enters the sandbox and does what the trial says.
pub fn commit(name: &str) {
    let trial = TRIALS.iter().find(|trial| trial.name == name).expect("a trial");
    let dir = PathBuf::from(std::env::var_os(DIR).expect("a directory"));
    let disk = matches!(trial.end, End::Says(_)).then(|| {
        let image = dir.join("image");
        File::create(&image)
            .and_then(|file| file.set_len(1 << 20))
            .expect("an image");
        let disk = Disk::open_in(&image, 512, &Storage::File { dir: dir.clone() }).expect("a disk");
        disk.prepare(1);
        disk
    });
    if let Some(number) = trial.without {
        take_away(number);
    }
    let sandbox = sandbox::enter(&Allowed {
        exports: vec![dir.join("exports")],
        removals: vec![dir.join("sockets")],
        io_uring: disk.is_some(),
    });
    let sandbox = sandbox.expect("a sandbox");
    for gap in sandbox.gaps() {
        eprintln!("{gap}");
    }
    println!("{sandbox}");
    DISK.with_borrow_mut(|place| *place = disk);
    let said = match trial.deed {
        Deed::Call(number, arguments) => told(call(number, arguments)),
        Deed::Do(deed) => deed(&dir),
    };
    println!("{said}");
}

/// Makes this kernel one that has not a system call.
fn take_away(number: c_long) {
    let calls = [(number, Vec::new())].into_iter().collect();
    let missing = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let arch = std::env::consts::ARCH.try_into().expect("a known processor");
    let filter = SeccompFilter::new(calls, SeccompAction::Allow, missing, arch).expect("a filter");
    let program: BpfProgram = filter.try_into().expect("a program");
    seccompiler::apply_filter(&program).expect("a filter");
}

thread_local! {
    /// A disk that was there before.
    static DISK: std::cell::RefCell<Option<Disk>> = const { std::cell::RefCell::new(None) };
}

fn told<T>(result: io::Result<T>) -> String {
    result.map_or_else(|error| error.to_string(), |_| "done".to_owned())
}

fn call(number: c_long, [a, b, c, d, e, f]: [c_ulong; 6]) -> io::Result<c_long> {
    // SAFETY: with these arguments none of the calls has memory of this process to write to.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

fn clone3(_: &Path) -> String {
    told(call(libc::SYS_clone3, [0; 6]))
}

/// Writes a file as exports do.
fn export(dir: &Path) -> String {
    let (beside, path) = (dir.join("exports/out.partial"), dir.join("exports/kept"));
    let written = File::create(&beside)
        .and_then(|mut file| file.write_all(b"kept"))
        .and_then(|()| std::fs::rename(&beside, &path))
        .and_then(|()| path.metadata());
    written.map_or_else(|error| error.to_string(), |_| "kept".to_owned())
}

fn life(_: &Path) -> String {
    let mut map = HashMap::new();
    for number in 0..8u64 {
        let thread = thread::Builder::new().name(format!("thread {number}"));
        let joined = thread.spawn(move || {
            thread::sleep(Duration::from_millis(1));
            // More than the allocator has, so that it asks the kernel.
            vec![number; 4 << 20].iter().sum::<u64>()
        });
        map.insert(number, joined.expect("a thread").join().expect("a sum"));
    }
    assert_eq!(map[&3], 12 << 20);
    "done".to_owned()
}

fn unix_socket() -> std::os::fd::OwnedFd {
    socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).expect("a socket")
}

/// A listener, and the five digits that the kernel found for it.
fn abstract_listener() -> (std::os::fd::OwnedFd, Vec<u8>) {
    let listener = unix_socket();
    bind(&listener, &SocketAddrUnix::new_unnamed()).expect("a name");
    listen(&listener, 1).expect("a listener");
    let address = SocketAddrUnix::try_from(getsockname(&listener).expect("a name")).expect("a name");
    let name = address.abstract_name().expect("an abstract name").to_owned();
    (listener, name)
}

fn outsider(_: &Path) -> String {
    let name = std::env::var(OUTSIDER).expect("a name");
    let address = SocketAddrUnix::new_abstract_name(name.as_bytes()).expect("a name");
    told(connect(unix_socket(), &address).map_err(io::Error::from))
}

fn relay(_: &Path) -> String {
    let (listener, name) = abstract_listener();
    let front = unix_socket();
    connect(&front, &SocketAddrUnix::new_abstract_name(&name).expect("a name")).expect("a connection");
    let (mut back, _) = UnixListener::from(listener).accept().expect("a connection");
    rustix::io::write(&front, b"hello").expect("written");
    let mut bytes = [0; 5];
    back.read_exact(&mut bytes).expect("read");
    String::from_utf8_lossy(&bytes).into_owned()
}

fn disk(_: &Path) -> String {
    DISK.with_borrow(|disk| {
        let disk = disk.as_ref().expect("a disk");
        // One ring was made: one of the two threads has to do without.
        thread::scope(|scope| {
            for part in [0u64, 1] {
                scope.spawn(move || {
                    for round in 1..=50u8 {
                        let mut bytes = vec![round; 64 << 10];
                        disk.write(part << 16, &VolatileSlice::from(&mut bytes[..]))
                            .expect("written");
                        let mut back = vec![0; 64 << 10];
                        disk.read(part << 16, &VolatileSlice::from(&mut back[..]))
                            .expect("read");
                        assert_eq!(back, bytes);
                    }
                });
            }
        });
        disk.rollback().expect("rolled back");
        let mut back = vec![7; 4096];
        disk.read(0, &VolatileSlice::from(&mut back[..])).expect("read");
        assert_eq!(back, [0; 4096]);
    });
    "done".to_owned()
}

fn panics(_: &Path) -> String {
    let ended = thread::spawn(|| panic!("on purpose")).join();
    if ended.is_err() { "done" } else { "no panic" }.to_owned()
}

#[expect(unconditional_recursion, reason = "that is the deed")]
fn overflow(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 512]);
    overflow(depth + 1) + frame[0]
}
