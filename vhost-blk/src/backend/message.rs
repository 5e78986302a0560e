//! Messages of vhost-user as they pass: a header, a body, and descriptors.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

/// Bytes of a message's header: request, flags, size of what follows, each a `u32`.
pub(super) const HEADER_BYTES: usize = 12;
/// Most bytes that follow; the crate takes no more.
pub(super) const BODY_BYTES_MAX: usize = 4096;
/// Most descriptors of a message.
const FDS_MAX: usize = 32;

// Flags as of the vhost-user specification.
pub(super) const FLAG_VERSION: u32 = 1;
pub(super) const FLAG_REPLY: u32 = 1 << 2;
pub(super) const FLAG_NEED_REPLY: u32 = 1 << 3;

/// A message of the front end, or an answer of the crate.
#[derive(Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) request: u32,
    pub(super) flags: u32,
    pub(super) body: &'a [u8],
    pub(super) bytes: &'a [u8],
}

/// Reads one whole message; nothing at the end.
pub(super) fn message<'a>(from: &UnixStream, bytes: &'a mut [u8]) -> io::Result<Option<(Message<'a>, Vec<OwnedFd>)>> {
    let mut fds = Vec::new();
    let (mut have, mut wanted) = (0, HEADER_BYTES);
    while have < wanted {
        let rest = bytes.get_mut(have..wanted).ok_or(io::ErrorKind::InvalidData)?;
        let (len, more) = receive(from, rest)?;
        if len == 0 {
            // In the middle of a message or not: it is gone.
            return Ok(None);
        }
        fds.extend(more);
        have += len;
        if have == HEADER_BYTES && wanted == HEADER_BYTES {
            let body = word(bytes, 8) as usize;
            if body > BODY_BYTES_MAX {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("a message of {body} bytes: at most {BODY_BYTES_MAX}"),
                ));
            }
            wanted += body;
        }
    }
    let bytes = bytes.get(..wanted).unwrap_or_default();
    let message = Message {
        request: word(bytes, 0),
        flags: word(bytes, 4),
        body: bytes.get(HEADER_BYTES..).unwrap_or_default(),
        bytes,
    };
    Ok(Some((message, fds)))
}

pub(super) fn reply(front: &UnixStream, message: Message<'_>, body: &[u8], fds: &[OwnedFd]) -> io::Result<()> {
    let mut bytes = vec![0; HEADER_BYTES];
    put(&mut bytes, 0, &message.request.to_ne_bytes());
    put(&mut bytes, 4, &(FLAG_VERSION | FLAG_REPLY).to_ne_bytes());
    put(&mut bytes, 8, &u32::try_from(body.len()).unwrap_or(0).to_ne_bytes());
    bytes.extend_from_slice(body);
    send(front, &bytes, fds)
}

pub(super) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..).and_then(|bytes| bytes.first_chunk().copied());
    u32::from_ne_bytes(word.unwrap_or_default())
}

/// Some bytes, and descriptors that came with them; no bytes at the end.
fn receive(from: &UnixStream, bytes: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        match recvmsg(
            from,
            &mut [IoSliceMut::new(bytes)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        ) {
            Ok(received) => break received.bytes,
            Err(rustix::io::Errno::INTR) => {}
            // As at the end: nobody is there any more.
            Err(rustix::io::Errno::CONNRESET) => break 0,
            Err(error) => return Err(error.into()),
        }
    };
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(more) = message {
            fds.extend(more);
        }
    }
    Ok((received, fds))
}

/// Sends all bytes, and the descriptors with the first. A receiver that is gone is no error: its end is read next.
pub(super) fn send(to: &UnixStream, bytes: &[u8], fds: &[OwnedFd]) -> io::Result<()> {
    let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut sent = 0;
    while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
        let mut control = SendAncillaryBuffer::new(&mut space);
        if sent == 0 && !borrowed.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&borrowed)) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "too many descriptors"));
        }
        match sendmsg(to, &[IoSlice::new(rest)], &mut control, SendFlags::NOSIGNAL) {
            Ok(len) => sent += len,
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
