//! The channel against a front end that answers as it likes; over a real connection it is tested in `tests/resize/`.

use std::io::{Read, Write};
use std::thread::JoinHandle;

use super::*;

struct Bed {
    channel: Channel,
    bell: Arc<Bell>,
    front: UnixStream,
}

/// A front end that has chosen these features, given a channel, and runs its first ring.
fn bed(features: u64) -> Bed {
    let bell = Arc::new(Bell::new().unwrap());
    let mut channel = Channel::new(Arc::clone(&bell), false);
    hear(&mut channel, SET_PROTOCOL_FEATURES, &features.to_ne_bytes());
    let (front, device) = UnixStream::pair().unwrap();
    channel.open(vec![device.into()]).unwrap();
    enable(&mut channel, 1);
    Bed { channel, bell, front }
}

fn hear(channel: &mut Channel, request: u32, body: &[u8]) {
    channel.hears(Message {
        request,
        flags: FLAG_VERSION,
        body,
        bytes: &[],
    });
}

fn enable(channel: &mut Channel, on: u32) {
    let words: Vec<u8> = [0, on].into_iter().flat_map(u32::to_ne_bytes).collect();
    hear(channel, SET_VRING_ENABLE, &words);
}

const ALL: u64 = FEATURE_BACKEND_REQ | FEATURE_REPLY_ACK;

impl Bed {
    /// Somebody rings; the channel says something, if it can.
    fn ring(&mut self) -> JoinHandle<FrontEnd> {
        let before = self.bell.lock().made;
        let bell = Arc::clone(&self.bell);
        let ringing = std::thread::spawn(move || bell.ring_within(Duration::from_secs(20)));
        while self.bell.lock().made == before {
            std::thread::yield_now();
        }
        self.channel.called();
        assert!(self.channel.wants_quiet());
        self.channel.quiet();
        ringing
    }

    /// What the front end reads.
    fn message(&mut self) -> [u32; 3] {
        let mut bytes = [0; HEADER_BYTES];
        self.front.read_exact(&mut bytes).unwrap();
        [0, 4, 8].map(|at| word(&bytes, at))
    }

    fn answer(&mut self, value: u64) {
        self.say(&[CONFIG_CHANGE, FLAG_VERSION | FLAG_REPLY, 8, value as u32, 0]);
    }

    fn say(&mut self, words: &[u32]) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        self.front.write_all(&bytes).unwrap();
        self.channel.readable();
    }
}

#[test]
fn the_front_end_is_asked_for_an_answer_if_it_gives_any() {
    let mut bed = bed(ALL);
    let ringing = bed.ring();
    assert_eq!(bed.message(), [CONFIG_CHANGE, FLAG_VERSION | FLAG_NEED_REPLY, 0]);
    bed.answer(0);
    assert_eq!(ringing.join().unwrap(), FrontEnd::Told);
    let ringing = bed.ring();
    bed.answer(7);
    assert_eq!(ringing.join().unwrap(), FrontEnd::Refused);

    let mut bed = self::bed(FEATURE_BACKEND_REQ);
    assert_eq!(bed.ring().join().unwrap(), FrontEnd::Told);
    assert_eq!(bed.message(), [CONFIG_CHANGE, FLAG_VERSION, 0]);
}

#[test]
fn a_late_answer_is_not_taken_for_that_of_a_later_call() {
    let mut bed = bed(ALL);
    assert_eq!(bed.bell.ring_within(Duration::ZERO), FrontEnd::Silent);
    bed.channel.called();
    bed.channel.quiet();
    let ringing = bed.ring();
    bed.answer(1);
    assert!(bed.bell.lock().answered == 0, "that was the first one's");
    bed.answer(0);
    assert_eq!(ringing.join().unwrap(), FrontEnd::Told);
}

#[test]
fn an_answer_may_come_in_pieces_and_what_is_none_ends_the_channel() {
    let mut bed = bed(ALL);
    let ringing = bed.ring();
    bed.say(&[CONFIG_CHANGE, FLAG_VERSION | FLAG_REPLY]);
    bed.say(&[8, 0]);
    bed.say(&[0]);
    assert_eq!(ringing.join().unwrap(), FrontEnd::Told);
    for words in [
        [CONFIG_CHANGE, FLAG_VERSION, 8, 0, 0],
        [3, FLAG_VERSION | FLAG_REPLY, 8, 0, 0],
        [CONFIG_CHANGE, FLAG_VERSION | FLAG_REPLY, 4096, 0, 0],
    ] {
        let mut bed = self::bed(ALL);
        let ringing = bed.ring();
        bed.say(&words);
        assert_eq!(ringing.join().unwrap(), FrontEnd::NoChannel, "{words:?}");
        assert_eq!(bed.ring().join().unwrap(), FrontEnd::NoChannel);
    }
    // Nobody asked.
    let mut bed = self::bed(ALL);
    bed.answer(0);
    assert_eq!(bed.ring().join().unwrap(), FrontEnd::NoChannel);
}

#[test]
fn a_front_end_that_reads_nothing_is_given_up_and_one_that_is_gone_keeps_nobody_waiting() {
    let mut bed = bed(ALL);
    let silent = Duration::ZERO;
    // Until the socket has no room any more.
    while bed.channel.stream.is_some() {
        bed.bell.ring_within(silent);
        bed.channel.called();
        bed.channel.quiet();
    }
    assert_eq!(bed.ring().join().unwrap(), FrontEnd::NoChannel);

    let mut bed = self::bed(ALL);
    let ringing = bed.ring();
    let (bell, channel) = (bed.bell, bed.channel);
    drop(channel);
    assert_eq!(ringing.join().unwrap(), FrontEnd::None);
    assert_eq!(bell.ring(), FrontEnd::None);
}

#[test]
fn it_is_told_when_a_ring_runs_and_it_has_not_asked_itself() {
    let mut bed = bed(ALL);
    enable(&mut bed.channel, 0);
    assert_eq!(bed.ring().join().unwrap(), FrontEnd::Later);
    assert!(!bed.channel.wants_quiet());
    enable(&mut bed.channel, 1);
    assert!(bed.channel.wants_quiet());
    hear(&mut bed.channel, GET_VRING_BASE, &[0; 8]);
    assert!(
        !bed.channel.wants_quiet(),
        "while it waits for an answer it is left alone"
    );
    bed.channel.answered();
    enable(&mut bed.channel, 1);
    hear(&mut bed.channel, GET_CONFIG, &[]);
    bed.channel.answered();
    enable(&mut bed.channel, 1);
    bed.channel.quiet();
    assert_eq!(bed.message()[0], CONFIG_CHANGE);
    enable(&mut bed.channel, 1);
    assert!(!bed.channel.wants_quiet(), "it has asked for the size since");
}

#[test]
fn a_channel_that_was_not_chosen_or_is_none_breaks_the_protocol() {
    let mut bed = bed(FEATURE_REPLY_ACK | FEATURE_BACKEND_REQ);
    assert!(bed.channel.open(Vec::new()).is_err());
    hear(
        &mut bed.channel,
        SET_PROTOCOL_FEATURES,
        &FEATURE_REPLY_ACK.to_ne_bytes(),
    );
    let (_, device) = UnixStream::pair().unwrap();
    assert!(bed.channel.open(vec![device.into()]).is_err());
}
