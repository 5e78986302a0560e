//! The channel by which the device tells the front end something that it was not asked: that the disk has another size.
//! The crate underneath has no such message (vhost-user-backend 0.24), so the relay keeps the descriptor that the front
//! end gives for it, and its thread does the talking.
//!
//! It is not said at just any time. While no ring runs, QEMU before 7.2 dies of it and later ones do not listen, so it
//! waits for a ring that starts. And while the front end waits for an answer itself, QEMU before 8.0 asks for the size
//! in the middle of that and takes one answer for the other; so it is said only when nothing is to be answered and
//! nothing more has come.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use vhost_blk_api::control::FrontEnd;

use super::message::{FLAG_NEED_REPLY, FLAG_REPLY, FLAG_VERSION, HEADER_BYTES, Message, word};

/// How long a front end may take to answer; QEMU asks for the new size first.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

// Requests of the front end and features of the protocol, as of the vhost-user specification.
const GET_FEATURES: u32 = 1;
const GET_VRING_BASE: u32 = 11;
const GET_PROTOCOL_FEATURES: u32 = 15;
const SET_PROTOCOL_FEATURES: u32 = 16;
const GET_QUEUE_NUM: u32 = 17;
const SET_VRING_ENABLE: u32 = 18;
const GET_CONFIG: u32 = 24;
const GET_MAX_MEM_SLOTS: u32 = 36;
const FEATURE_REPLY_ACK: u64 = 1 << 3;
const FEATURE_BACKEND_REQ: u64 = 1 << 5;
/// The device's own message: the configuration has changed.
const CONFIG_CHANGE: u32 = 2;
/// Bytes of its answer: a header and a number.
const ANSWER_BYTES: usize = HEADER_BYTES + 8;

/// Wakes the relay from other threads: the front end is to be told.
pub(super) struct Bell {
    event: OwnedFd,
    calls: Mutex<Calls>,
    answered: Condvar,
}

#[derive(Default)]
struct Calls {
    /// How many there were.
    made: u64,
    /// How many of them are answered.
    answered: u64,
    /// How the last of those was.
    answer: Option<FrontEnd>,
    /// The front end is gone.
    closed: bool,
}

impl Bell {
    pub(super) fn new() -> io::Result<Bell> {
        Ok(Bell {
            event: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            calls: Mutex::default(),
            answered: Condvar::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the front end told, and waits for what it says.
    pub(super) fn ring(&self) -> FrontEnd {
        self.ring_within(ANSWER_WITHIN)
    }

    fn ring_within(&self, within: Duration) -> FrontEnd {
        let mut calls = self.lock();
        calls.made += 1;
        let call = calls.made;
        // The only way to fail is a counter that is full, and then the relay is awake already.
        let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
        let waits = |calls: &mut Calls| calls.answered < call && !calls.closed;
        let waited = self.answered.wait_timeout_while(calls, within, waits);
        let (calls, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match calls.answer {
            _ if calls.closed => FrontEnd::None,
            Some(answer) if calls.answered >= call => answer,
            _ => FrontEnd::Silent,
        }
    }

    /// The front end is gone: nobody waits for it any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.answered.notify_all();
    }
}

/// The relay's end of it all; its thread alone has it.
pub(super) struct Channel {
    bell: Arc<Bell>,
    stream: Option<UnixStream>,
    /// Features of the protocol that the front end has chosen.
    features: u64,
    /// The rings that run, a bit each.
    running: u64,
    /// Whether the front end waits for an answer.
    waited_for: bool,
    /// Whether it may not know the disk's size.
    stale: bool,
    /// Whether it is to be told.
    pending: bool,
    /// Calls that are to be answered by what is said next.
    calls: u64,
    /// Calls that the last thing said answers.
    said_for: u64,
    /// Answers that are still to come.
    owed: u32,
    /// The beginning of one.
    answer: Vec<u8>,
}

impl Channel {
    /// For a front end that may have an old size in mind, or not.
    pub(super) fn new(bell: Arc<Bell>, stale: bool) -> Channel {
        Channel {
            bell,
            stream: None,
            features: 0,
            running: 0,
            waited_for: false,
            stale,
            pending: false,
            calls: 0,
            said_for: 0,
            owed: 0,
            answer: Vec::new(),
        }
    }

    /// What wakes its owner: a call, and what the front end says.
    pub(super) fn events(&self) -> (BorrowedFd<'_>, Option<BorrowedFd<'_>>) {
        (self.bell.event.as_fd(), self.stream.as_ref().map(AsFd::as_fd))
    }

    /// Whether [`quiet`](Self::quiet) is to be called once nothing else happens.
    pub(super) fn wants_quiet(&self) -> bool {
        self.pending && !self.waited_for
    }

    /// The front end gives the channel.
    ///
    /// # Errors
    /// It did not choose to, or gives none.
    pub(super) fn open(&mut self, fds: Vec<OwnedFd>) -> io::Result<()> {
        let problem = if self.features & FEATURE_BACKEND_REQ == 0 {
            "SET_BACKEND_REQ_FD without the feature BACKEND_REQ"
        } else if let Some(fd) = fds.into_iter().next() {
            // Answers of an older one will not come.
            self.owed = 0;
            self.answer.clear();
            self.stream = Some(UnixStream::from(fd));
            return Ok(());
        } else {
            "SET_BACKEND_REQ_FD without a descriptor"
        };
        Err(io::Error::new(io::ErrorKind::InvalidData, problem))
    }

    /// The front end says something to the crate underneath.
    pub(super) fn hears(&mut self, message: Message<'_>) {
        let number = |at: usize| {
            let bytes = message.body.get(at..).and_then(|bytes| bytes.first_chunk().copied());
            u64::from_ne_bytes(bytes.unwrap_or_default())
        };
        let ring = || 1u64.checked_shl(word(message.body, 0)).unwrap_or(0);
        match message.request {
            SET_PROTOCOL_FEATURES => self.features = number(0),
            GET_CONFIG => self.stale = false,
            SET_VRING_ENABLE if word(message.body, 4) == 1 => {
                self.running |= ring();
                self.pending |= self.stale;
            }
            SET_VRING_ENABLE | GET_VRING_BASE => self.running &= !ring(),
            _ => {}
        }
        self.waited_for = message.flags & FLAG_NEED_REPLY != 0
            || matches!(
                message.request,
                GET_FEATURES | GET_VRING_BASE | GET_PROTOCOL_FEATURES | GET_QUEUE_NUM | GET_CONFIG | GET_MAX_MEM_SLOTS
            );
    }

    /// No ring runs any more.
    pub(super) fn rings_stopped(&mut self) {
        self.running = 0;
    }

    /// The front end was answered.
    pub(super) fn answered(&mut self) {
        self.waited_for = false;
    }

    /// Somebody has rung.
    pub(super) fn called(&mut self) {
        let mut count = [0; 8];
        // Nobody else reads it, and it was readable.
        let _ = rustix::io::read(&self.bell.event, &mut count);
        self.calls = self.bell.lock().made;
        (self.stale, self.pending) = (true, true);
    }

    /// Nothing else is to do: tells the front end what it is to be told.
    pub(super) fn quiet(&mut self) {
        self.pending = false;
        self.said_for = self.calls;
        if self.stream.is_none() {
            self.say(FrontEnd::NoChannel);
        } else if self.running == 0 {
            // `stale` sees to it that it is told then.
            self.say(FrontEnd::Later);
        } else if !self.send() {
            self.lose();
        } else if self.features & FEATURE_REPLY_ACK == 0 {
            self.say(FrontEnd::Told);
        } else {
            self.owed += 1;
        }
    }

    fn send(&self) -> bool {
        let need = if self.features & FEATURE_REPLY_ACK == 0 {
            0
        } else {
            FLAG_NEED_REPLY
        };
        let words = [CONFIG_CHANGE, FLAG_VERSION | need, 0];
        let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        // One that reads nothing, until there is no room for so little, is as good as gone.
        self.stream
            .as_ref()
            .is_some_and(|stream| send(stream, &bytes, flags).is_ok_and(|sent| sent == bytes.len()))
    }

    /// The front end says something here.
    pub(super) fn readable(&mut self) {
        let Some(stream) = &self.stream else { return };
        let mut bytes = [0; ANSWER_BYTES];
        let room = bytes.get_mut(self.answer.len()..).unwrap_or_default();
        match recv(stream, &mut *room, RecvFlags::DONTWAIT) {
            Ok((1.., read)) => self.answer.extend(room.iter().take(read)),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return,
            _ => return self.lose(),
        }
        if self.answer.len() < ANSWER_BYTES {
            return;
        }
        let answer = std::mem::take(&mut self.answer);
        let is_answer = word(&answer, 0) == CONFIG_CHANGE && word(&answer, 4) & FLAG_REPLY != 0 && self.owed > 0;
        if !is_answer || word(&answer, 8) as usize != ANSWER_BYTES - HEADER_BYTES {
            return self.lose();
        }
        self.owed -= 1;
        // Each answer is to what was said first; only the last is to what was said last.
        if self.owed == 0 {
            let done = answer.iter().skip(HEADER_BYTES).all(|byte| *byte == 0);
            self.say(if done { FrontEnd::Told } else { FrontEnd::Refused });
        }
    }

    /// The channel is of no use any more.
    fn lose(&mut self) {
        self.stream = None;
        self.owed = 0;
        self.answer.clear();
        self.say(FrontEnd::NoChannel);
    }

    /// Answers those who rang.
    fn say(&self, answer: FrontEnd) {
        let mut calls = self.bell.lock();
        if calls.answered < self.said_for {
            (calls.answered, calls.answer) = (self.said_for, Some(answer));
            self.bell.answered.notify_all();
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.bell.close();
    }
}

#[cfg(test)]
mod tests;
