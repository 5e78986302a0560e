//! Sockets and threads of a running device, and its orderly end.

use std::fs::DirBuilder;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use thiserror::Error;
use vmm_sys_util::signal::register_signal_handler;

use crate::backend::{self, Session, SessionError, lost_memory};
use crate::control;
use crate::device::Device;
use crate::sandbox::{self, Allowed, Sandbox, SandboxError};

/// Threads beside those of queues that may move bytes of the disk at once: the timer's, and control clients'.
const OTHER_THREADS: usize = 3;

/// How long after a front end could not be accepted it is tried again: descriptors that have run out come back at no
/// event.
const TRY_AGAIN: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// Where a device listens, and what it may do from then on.
#[derive(Debug, Clone)]
pub struct Options {
    /// Socket for the front end.
    pub socket: PathBuf,
    /// Socket for commands.
    pub control: Option<PathBuf>,
    /// Ends when the first front end is gone.
    pub once: bool,
    /// Gives up the rights that it does not need.
    pub sandbox: bool,
    /// Directories below which control clients may have files written; the current one and that of the control socket,
    /// if there is none.
    pub export_dirs: Vec<PathBuf>,
}

/// A device that cannot listen.
#[derive(Debug, Error)]
pub enum ServeError {
    /// A socket cannot be made.
    #[error("cannot make the socket {}: {source}", path.display())]
    Socket {
        /// Where the socket was to be made.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A process listens there already.
    #[error("cannot make the socket {}: another process listens there: choose another path or end it", path.display())]
    Taken {
        /// Path of the socket.
        path: PathBuf,
    },
    /// It cannot give up its rights.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// Something that every process can have, this one could not.
    #[error("cannot set up {what}: {source}")]
    System {
        /// What was to be set up, as the message has it: "a thread".
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

/// Readable once the device is to end. A static, because a signal handler must reach it.
static QUIT: OnceLock<OwnedFd> = OnceLock::new();

/// What ends the session that is served now.
type Stopper = Mutex<Option<Box<dyn Fn() + Send>>>;

/// Makes the device end in order. Safe in a signal handler: it writes to a descriptor and does nothing else.
pub(crate) fn quit() {
    if let Some(event) = QUIT.get() {
        // The only way to fail is a counter that is full, and then it is readable already.
        let _ = rustix::io::write(event, &1u64.to_ne_bytes());
    }
}

/// A file that must not grow any more is an error where it is written, and no reason to end.
extern "C" fn on_file_limit(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}

extern "C" fn on_signal(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    quit();
}

/// Serves front ends one after the other until told to end. `ready` is called when all sockets listen.
///
/// # Errors
/// A socket cannot be made, or the system gives no descriptor or thread. Nothing stays behind.
pub fn run(device: &Arc<Device>, options: &Options, ready: impl FnOnce()) -> Result<(), ServeError> {
    raise_descriptor_limit();
    let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
        .map_err(|error| system_error("the quit event")(error.into()))?;
    let event = QUIT.get_or_init(|| event);
    handle_signals()?;
    let front = Socket::bind(&options.socket)?;
    let control = options.control.as_deref().map(Socket::bind_for_owner).transpose()?;
    backend::prepare();
    device
        .disk()
        .prepare(usize::from(device.config().num_queues) + OTHER_THREADS);
    // Threads that are started from here on are in there, too.
    device.confined(confine(options, device)?);
    let stopper: Arc<Stopper> = Arc::default();
    start_threads(device, &stopper, event, control.as_ref())?;
    ready();
    let mut failing = false;
    while wait(&[event, &front.listener]) == Woken::Second {
        let accepted = Session::accept(device, &front.listener);
        if let Err(error @ SessionError::Accept(_)) = &accepted {
            // It waits at the listener still.
            if !std::mem::replace(&mut failing, true) {
                crate::say!("{error}: it is tried again until that is possible");
            }
            if is_readable(event, TRY_AGAIN) {
                break;
            }
            continue;
        }
        failing = false;
        match accepted {
            Ok(session) => {
                if let Err(error) = serve(device, session, &stopper, event) {
                    crate::say!("the front end broke the protocol: {error}");
                }
            }
            Err(error) => crate::say!("cannot serve a front end: {error}"),
        }
        *stopper.lock().unwrap_or_else(PoisonError::into_inner) = None;
        device.front_end().set_hang_up(None);
        device.front_end().set_teller(None);
        if options.once {
            break;
        }
    }
    device.stop();
    for said in [device.replay_ending(), device.never_fired()].into_iter().flatten() {
        crate::say!("{said}");
    }
    Ok(())
}

fn system_error(what: &'static str) -> impl FnOnce(io::Error) -> ServeError {
    move |source| ServeError::System { what, source }
}

/// Has signals end the device in order, and writes that no file takes be errors.
fn handle_signals() -> Result<(), ServeError> {
    let handler = |signal, handler| {
        register_signal_handler(signal, handler)
            .map_err(|error| system_error("signal handling")(io::Error::from_raw_os_error(error.errno())))
    };
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        handler(signal, on_signal)?;
    }
    handler(libc::SIGXFSZ, on_file_limit)?;
    lost_memory::guard().map_err(system_error("signal handling"))?;
    Ok(())
}

/// Starts the threads that every device has beside those of its queues.
fn start_threads(
    device: &Arc<Device>,
    stopper: &Arc<Stopper>,
    event: &'static OwnedFd,
    control: Option<&Socket>,
) -> Result<(), ServeError> {
    {
        let stopper = Arc::clone(stopper);
        spawn("quit", move || {
            wait(&[event]);
            if let Some(stop) = &*stopper.lock().unwrap_or_else(PoisonError::into_inner) {
                stop();
            }
        })?;
    }
    if !device.config().read_only {
        let device = Arc::clone(device);
        spawn("memory", move || device.disk().keep_ahead())?;
    }
    {
        let device = Arc::clone(device);
        spawn("timer", move || device.run_timer())?;
    }
    if let Some(control) = control {
        let listener = control
            .listener
            .try_clone()
            .map_err(system_error("the control socket"))?;
        let device = Arc::clone(device);
        spawn("control", move || control::serve(&listener, &device, quit))?;
    }
    Ok(())
}

/// Enters the sandbox, if one is wanted, and says what it lacks.
fn confine(options: &Options, device: &Device) -> Result<Sandbox, SandboxError> {
    if !options.sandbox {
        crate::say!("runs without a sandbox (--no-sandbox)");
        return Ok(Sandbox::default());
    }
    let sandbox = sandbox::enter(&options.allowed(device.disk().is_in_file()))?;
    for gap in sandbox.gaps() {
        crate::say!("the sandbox lacks something: {gap}");
    }
    Ok(sandbox)
}

impl Options {
    fn allowed(&self, io_uring: bool) -> Allowed {
        let sockets = [Some(&self.socket), self.control.as_ref()];
        let exports = match &self.control {
            // Nobody is there to ask for one.
            None => Vec::new(),
            Some(control) if self.export_dirs.is_empty() => {
                let current = std::env::current_dir().ok();
                // Who was started there did not choose it, and everything is below.
                let current = current.filter(|dir| dir.parent().is_some());
                let mut dirs = vec![dir_of(control)];
                dirs.extend(current);
                dirs
            }
            Some(_) => self.export_dirs.clone(),
        };
        Allowed {
            exports,
            removals: sockets.into_iter().flatten().map(|socket| dir_of(socket)).collect(),
            io_uring,
        }
    }
}

/// The directory that a file is in.
fn dir_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Serves a front end, so that the device's end and `disconnect` end it.
fn serve(device: &Device, session: Session, stopper: &Stopper, quit: &OwnedFd) -> Result<(), SessionError> {
    let (stop, hang_up) = (session.stopper(), session.stopper());
    *stopper.lock().unwrap_or_else(PoisonError::into_inner) = Some(stop);
    // The quit thread may have looked before the stopper was there; from here on it finds it.
    if is_readable(quit, Timespec::default()) {
        hang_up();
    }
    device.front_end().set_hang_up(Some(hang_up));
    device.front_end().set_teller(Some(session.teller()));
    session.serve()
}

fn spawn(name: &'static str, work: impl FnOnce() + Send + 'static) -> Result<(), ServeError> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map(drop).map_err(|source| ServeError::System {
        what: "a thread",
        source,
    })
}

/// Which descriptor woke us.
#[derive(Debug, PartialEq, Eq)]
enum Woken {
    First,
    Second,
}

/// Waits until one of the descriptors can be read; the first has precedence.
fn wait(descriptors: &[&dyn std::os::fd::AsFd]) -> Woken {
    loop {
        let mut polled: Vec<PollFd<'_>> = descriptors
            .iter()
            .map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN))
            .collect();
        match poll(&mut polled, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            // Without poll there is nothing to wait for: end.
            Err(_) => return Woken::First,
        }
        let ready = |index: usize| {
            polled
                .get(index)
                .is_some_and(|fd: &PollFd<'_>| !fd.revents().is_empty())
        };
        if ready(0) {
            return Woken::First;
        }
        if ready(1) {
            return Woken::Second;
        }
    }
}

/// Whether the event can be read, now or within a time.
fn is_readable(event: &OwnedFd, within: Timespec) -> bool {
    let mut polled = [PollFd::new(event, PollFlags::IN)];
    matches!(poll(&mut polled, Some(&within)), Ok(1))
}

/// Lets the process have as many descriptors as it may: the limit that most are started with is meant for who uses
/// `select`.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Where it cannot be raised the device does with what there is.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    );
}

/// A listening socket that takes its file away with it.
struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    fn bind(path: &Path) -> Result<Socket, ServeError> {
        remove_stale(path)?;
        let listener = UnixListener::bind(path).map_err(|source| ServeError::Socket {
            path: path.to_owned(),
            source,
        })?;
        Ok(Socket {
            listener,
            path: path.to_owned(),
        })
    }
}

impl Socket {
    /// A socket that nobody but its owner can use, for who commands the device writes files with its rights. A
    /// directory that is missing is made, for the owner alone.
    fn bind_for_owner(path: &Path) -> Result<Socket, ServeError> {
        let error = |source| ServeError::Socket {
            path: path.to_owned(),
            source,
        };
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty() && !dir.exists()) {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)
                .map_err(error)?;
        }
        // Set before it is bound: it is never open to others, not for a moment.
        let before = rustix::process::umask(Mode::RWXG | Mode::RWXO);
        let socket = Socket::bind(path);
        rustix::process::umask(before);
        socket
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Somebody may have taken it away already.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Takes away the socket of a process that is gone; one that is listened at stays, and so does any other file.
fn remove_stale(path: &Path) -> Result<(), ServeError> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(ServeError::Taken { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|source| ServeError::Socket {
                path: path.to_owned(),
                source,
            })
        }
        Err(source) => Err(ServeError::Socket {
            path: path.to_owned(),
            source,
        }),
    }
}
