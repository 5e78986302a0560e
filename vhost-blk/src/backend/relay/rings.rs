//! What the messages that pass say of rings, and the end of all of them at RESET_OWNER.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::os::unix::net::UnixStream;

use crate::backend::message::{BODY_BYTES_MAX, FLAG_VERSION, HEADER_BYTES, Message, message, send, word};

const SET_VRING_ADDR: u32 = 9;
const SET_VRING_BASE: u32 = 10;
const GET_VRING_BASE: u32 = 11;
/// Where the addresses are in what follows SET_VRING_ADDR: after the ring's number and flags, and before the log's.
const ADDRESSES: Range<usize> = 8..32;

/// What the relay knows of the rings.
pub(super) struct Rings {
    count: u16,
    /// Where each was put last.
    places: BTreeMap<u32, Vec<u8>>,
    /// Answers to GET_VRING_BASE that are the front end's and still to come.
    asked: usize,
}

impl Rings {
    pub(super) fn new(count: u16) -> Rings {
        Rings {
            count,
            places: BTreeMap::new(),
            asked: 0,
        }
    }

    /// Notes a message to the crate; a ring that it gives another place.
    pub(super) fn moving(&mut self, message: Message<'_>) -> Option<u32> {
        let ring = word(message.body, 0);
        match message.request {
            GET_VRING_BASE => {
                self.asked += 1;
                None
            }
            SET_VRING_BASE => Some(ring),
            SET_VRING_ADDR if ring < u32::from(self.count) => {
                let place = message.body.get(ADDRESSES)?.to_vec();
                let before = self.places.insert(ring, place);
                before
                    .filter(|before| Some(before) != self.places.get(&ring))
                    .map(|_| ring)
            }
            _ => None,
        }
    }

    pub(super) fn answered(&mut self, answer: Message<'_>) {
        if answer.request == GET_VRING_BASE {
            self.asked = self.asked.saturating_sub(1);
        }
    }

    /// Has the crate stop all rings, as if the front end had said GET_VRING_BASE: RESET_OWNER alone leaves them
    /// running. Whether the crate is there still.
    pub(super) fn stop(&mut self, front: &UnixStream, back: &UnixStream) -> io::Result<bool> {
        for ring in 0..u32::from(self.count) {
            let words = [GET_VRING_BASE, FLAG_VERSION, 8, ring, 0];
            send(back, words.map(u32::to_ne_bytes).as_flattened(), &[])?;
        }
        let mut bytes = [0; HEADER_BYTES + BODY_BYTES_MAX];
        let mut left = self.count;
        while left > 0 {
            let Some((answer, fds)) = message(back, &mut bytes)? else {
                return Ok(false);
            };
            // What the front end asked for comes first.
            if answer.request == GET_VRING_BASE && self.asked == 0 {
                left -= 1;
                continue;
            }
            self.answered(answer);
            send(front, answer.bytes, &fds)?;
        }
        Ok(true)
    }
}
