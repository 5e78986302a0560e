//! Between the front end and the crate underneath: hands every message on, but for the two about requests in flight,
//! which the crate refuses (vhost-user-backend 0.24, `get_inflight_fd` and `set_inflight_fd`) and the device answers
//! itself, and the one that gives the device a channel of its own (`channel.rs`), of which the crate makes too little.
//! And before a message that gives a ring to somebody else (RESET_OWNER, and places for a ring that has some already)
//! the device learns of it, for the crate tells it nothing then: what is out belongs to the ring before.
//!
//! The crate wants a listener and takes what connects to it; so there is one, for a moment, with room for one
//! connection, and that is the relay's. What the crate answers goes back as it is.

mod rings;

use std::fs::File;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rings::Rings;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, getsockname, listen, socket_with,
};
use smallvec::SmallVec;
use vhost_blk_api::control::FrontEnd;

use super::channel::{Bell, Channel};
use super::inflight::Area;
use super::message::{BODY_BYTES_MAX, FLAG_NEED_REPLY, HEADER_BYTES, Message, message, put, reply, send};

// Requests as of the vhost-user specification.
const RESET_OWNER: u32 = 4;
const SET_BACKEND_REQ_FD: u32 = 21;
const GET_INFLIGHT_FD: u32 = 31;
const SET_INFLIGHT_FD: u32 = 32;
/// Bytes of what follows in the two messages: size and offset of the area as `u64`, number and size of queues as `u16`,
/// and padding.
const INFLIGHT_BYTES: usize = 24;

/// What becomes of a connection; called by the relay's thread.
pub(super) trait Watcher: Send + Sync {
    /// The area that the front end keeps.
    ///
    /// # Errors
    /// It cannot be watched.
    fn inflight(&self, area: Area) -> io::Result<()>;
    /// The front end is gone, or is taken to be.
    fn gone(&self);
    /// The driver has forgotten all that is out: nothing of it is to be completed, and no ring to be looked at before
    /// it is stopped.
    fn reset(&self);
    /// A ring goes on elsewhere: what is out is to be completed where it is.
    fn moves(&self, ring: u32);
    /// Most queues and the largest queue there can be.
    fn limits(&self) -> (u16, u16);
    /// Whether the disk had another size once: a front end that comes again may have that in mind.
    fn was_resized(&self) -> bool;
}

/// One connection's relay.
pub(super) struct Relay {
    /// Shared with all who may hang up: to make them one each would take descriptors.
    front: Arc<UnixStream>,
    bell: Arc<Bell>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Relay {
    /// Begins to hand messages on between a front end and whoever accepts at the listener that is returned.
    ///
    /// # Errors
    /// Descriptors or threads have run out.
    pub(super) fn start(front: UnixStream, watcher: Arc<dyn Watcher>) -> io::Result<(Relay, UnixListener)> {
        let (listener, back) = private_connection()?;
        let ours = Arc::new(front.try_clone()?);
        let bell = Arc::new(Bell::new()?);
        let channel = Channel::new(Arc::clone(&bell), watcher.was_resized());
        let thread = thread::Builder::new().name("relay".to_owned()).spawn(move || {
            let ended = hand_on(&front, &back, channel, &*watcher);
            // First nothing more is taken from the rings, then the crate and the front end learn of it.
            watcher.gone();
            let _ = back.shutdown(Shutdown::Both);
            let _ = front.shutdown(Shutdown::Both);
            ended
        })?;
        let relay = Relay {
            front: ours,
            bell,
            thread: Some(thread),
        };
        Ok((relay, listener))
    }

    /// The connection to the front end, to hang up on it.
    pub(super) fn front(&self) -> Arc<UnixStream> {
        Arc::clone(&self.front)
    }

    /// Something that tells the front end that the disk has another size.
    pub(super) fn teller(&self) -> impl Fn() -> FrontEnd + Send + Sync + 'static {
        let bell = Arc::clone(&self.bell);
        move || bell.ring()
    }

    /// Waits for its end; the connections are closed then.
    ///
    /// # Errors
    /// The front end broke the protocol.
    pub(super) fn end(mut self) -> io::Result<()> {
        let _ = self.front.shutdown(Shutdown::Both);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(ended)) => ended,
            Some(Err(_)) => Err(io::Error::other("the relay panicked")),
            None => Ok(()),
        }
    }
}

/// A listener with one connection waiting, and its other end.
fn private_connection() -> io::Result<(UnixListener, UnixStream)> {
    let socket = || socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
    loop {
        let listener = socket()?;
        // The kernel finds an abstract name that nobody has. The sandbox allows no others, which it tells by their
        // length.
        bind(&listener, &SocketAddrUnix::new_unnamed())?;
        let address = SocketAddrUnix::try_from(getsockname(&listener)?)?;
        // A backlog of 0 has room for one: once ours is in, nobody else's can be.
        listen(&listener, 0)?;
        let back = socket()?;
        rustix::fs::fcntl_setfl(&back, rustix::fs::OFlags::NONBLOCK)?;
        match connect(&back, &address) {
            Ok(()) => {
                rustix::fs::fcntl_setfl(&back, rustix::fs::OFlags::empty())?;
                return Ok((UnixListener::from(listener), UnixStream::from(back)));
            }
            // Somebody else was first.
            Err(rustix::io::Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Hands messages on until one side is gone.
fn hand_on(front: &UnixStream, back: &UnixStream, mut channel: Channel, watcher: &dyn Watcher) -> io::Result<()> {
    let mut bytes = [0; HEADER_BYTES + BODY_BYTES_MAX];
    let mut rings = Rings::new(watcher.limits().0);
    loop {
        let Some([of_front, of_back, called, said]) = wait(front, back, &channel)? else {
            channel.quiet();
            continue;
        };
        if called {
            channel.called();
        }
        if said {
            channel.readable();
        }
        // Answers first: they are older than what the front end says next.
        if of_back {
            let Some((answer, fds)) = message(back, &mut bytes)? else {
                return Ok(());
            };
            rings.answered(answer);
            channel.answered();
            send(front, answer.bytes, &fds)?;
        }
        if of_front {
            let Some((message, fds)) = message(front, &mut bytes)? else {
                return Ok(());
            };
            match message.request {
                GET_INFLIGHT_FD => give_area(front, message, watcher)?,
                SET_INFLIGHT_FD => take_area(front, message, fds, watcher)?,
                SET_BACKEND_REQ_FD => {
                    channel.open(fds)?;
                    acknowledge(front, message, true)?;
                }
                _ => {
                    if message.request == RESET_OWNER {
                        watcher.reset();
                        if !rings.stop(front, back)? {
                            return Ok(());
                        }
                        channel.rings_stopped();
                    }
                    if let Some(ring) = rings.moving(message) {
                        watcher.moves(ring);
                    }
                    channel.hears(message);
                    send(back, message.bytes, &fds)?;
                }
            }
        }
    }
}

/// Waits until something can be read: of the front end, of the crate, a call for the channel, or what is said there.
/// Nothing if the channel only waits for that to be so.
fn wait(front: &UnixStream, back: &UnixStream, channel: &Channel) -> io::Result<Option<[bool; 4]>> {
    let (called, said) = channel.events();
    let polled = [front.as_fd(), back.as_fd(), called].into_iter().chain(said);
    let mut polled: SmallVec<[PollFd<'_>; 4]> = polled.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut polled, channel.wants_quiet().then_some(&at_once)) {
        Ok(0) => return Ok(None),
        // After an interruption nothing is there to be read.
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(Some([0, 1, 2, 3].map(|index| {
        polled.get(index).is_some_and(|fd| !fd.revents().is_empty())
    })))
}

/// GET_INFLIGHT_FD: makes an area for the front end to keep.
fn give_area(front: &UnixStream, message: Message<'_>, watcher: &dyn Watcher) -> io::Result<()> {
    let (_, _, num_queues, queue_size) = area_of(message, watcher)?;
    let (file, bytes) = Area::create(num_queues, queue_size)?;
    let mut body = [0; INFLIGHT_BYTES];
    put(&mut body, 0, &bytes.to_ne_bytes());
    put(&mut body, 16, &num_queues.to_ne_bytes());
    put(&mut body, 18, &queue_size.to_ne_bytes());
    reply(front, message, &body, &[OwnedFd::from(file)])
}

/// SET_INFLIGHT_FD: what the front end has kept.
fn take_area(front: &UnixStream, message: Message<'_>, fds: Vec<OwnedFd>, watcher: &dyn Watcher) -> io::Result<()> {
    let (bytes, offset, num_queues, queue_size) = area_of(message, watcher)?;
    let file = fds.into_iter().next().map(File::from);
    let file =
        file.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "SET_INFLIGHT_FD without a descriptor"))?;
    let mapped = Area::map(file, offset, bytes, num_queues, queue_size).and_then(|area| watcher.inflight(area));
    let taken = mapped.is_ok();
    match mapped {
        Ok(()) => {}
        Err(error) if message.flags & FLAG_NEED_REPLY == 0 => return Err(error),
        Err(error) => {
            crate::say!("cannot use the front end's record of requests in flight: {error}");
        }
    }
    acknowledge(front, message, taken)
}

/// Says whether a message was taken, if the front end wants to know.
fn acknowledge(front: &UnixStream, message: Message<'_>, taken: bool) -> io::Result<()> {
    if message.flags & FLAG_NEED_REPLY == 0 {
        return Ok(());
    }
    reply(front, message, &u64::from(!taken).to_ne_bytes(), &[])
}

/// Size, offset, number of queues and size of a queue.
fn area_of(message: Message<'_>, watcher: &dyn Watcher) -> io::Result<(u64, u64, u16, u16)> {
    let long = |at| {
        message
            .body
            .get(at..)
            .and_then(|bytes| bytes.first_chunk().copied())
            .map(u64::from_ne_bytes)
    };
    let short = |at| {
        message
            .body
            .get(at..)
            .and_then(|bytes| bytes.first_chunk().copied())
            .map(u16::from_ne_bytes)
    };
    let (queues_max, size_max) = watcher.limits();
    match (long(0), long(8), short(16), short(18)) {
        (Some(bytes), Some(offset), Some(queues), Some(size))
            if queues <= queues_max && (1..=size_max).contains(&size) =>
        {
            Ok((bytes, offset, queues, size))
        }
        found => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("requests in flight of {found:?}: expected at most {queues_max} queues of at most {size_max}"),
        )),
    }
}
