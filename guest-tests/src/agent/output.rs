//! What a phase's program writes to standard output and standard error, on its way to the host.
//!
//! Our own tests and helpers say little, and each line of it is a note. The output of a user's own program is kept
//! whole up to a limit, since the serial line takes some 150 kB a second under translation: its beginning is sent as it
//! comes, so that it is known even if the guest dies next, and of what comes beyond the limit only the end is kept, and
//! sent when the phase is over.

use std::collections::VecDeque;

use guest_wire::Event;

use super::lines::Lines;

/// Lines of a test's output that are passed on in one phase.
const NOTES_MAX: usize = 200;
/// Bytes of each of them.
const NOTE_BYTES_MAX: usize = 512;
/// Bytes of a program's output that are sent as they come.
const HEAD_BYTES: usize = 3 << 19;
/// Bytes of the end of an output that is longer.
const TAIL_BYTES: usize = 1 << 19;
/// Bytes of the end that one event has.
const PIECE_BYTES: usize = 16 << 10;

/// Makes events of a program's output.
#[derive(Debug)]
pub(super) enum Output {
    /// A note a line.
    Notes {
        /// The line that is not complete yet.
        lines: Lines,
        /// Lines so far.
        count: usize,
    },
    /// The whole of it.
    Whole(WholeOutput),
}

impl Output {
    /// That of a test or a helper.
    pub(super) fn notes() -> Output {
        Output::Notes {
            lines: Lines::default(),
            count: 0,
        }
    }

    /// That of a user's own program.
    pub(super) fn whole() -> Output {
        Output::Whole(WholeOutput::default())
    }

    /// Takes in what the program wrote; what there is to send now.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<Event> {
        match self {
            Output::Notes { lines, count } => notes(lines.push(bytes), count),
            Output::Whole(whole) => whole.take(bytes).into_iter().collect(),
        }
    }

    /// What is left to send, as nothing may come any more.
    pub(super) fn rest(&mut self) -> Vec<Event> {
        match self {
            Output::Notes { lines, count } => notes(lines.rest(), count),
            Output::Whole(whole) => whole.rest(),
        }
    }
}

fn notes(lines: impl IntoIterator<Item = String>, count: &mut usize) -> Vec<Event> {
    let mut events = Vec::new();
    for line in lines {
        *count += 1;
        events.extend(note(*count, line).map(|text| Event::Note { text }));
    }
    events
}

/// The note for line number `count` of a test's output; none beyond the limit.
fn note(count: usize, mut line: String) -> Option<String> {
    if count > NOTES_MAX {
        return (count == NOTES_MAX + 1).then(|| format!("output beyond {NOTES_MAX} lines is not shown"));
    }
    if line.len() > NOTE_BYTES_MAX {
        let mut cuts = (0..=NOTE_BYTES_MAX).rev();
        line.truncate(cuts.find(|at| line.is_char_boundary(*at)).unwrap_or(0));
        line.push('…');
    }
    Some(line)
}

/// The output of a user's own program, as far as it is not sent yet.
#[derive(Debug, Default)]
pub(super) struct WholeOutput {
    /// Bytes that were sent as they came.
    sent: usize,
    /// The beginning of a character whose other bytes are still to come.
    split: Vec<u8>,
    /// The end, as far as it is not sent.
    tail: VecDeque<u8>,
    /// Bytes before it that are not sent at all.
    left_out: u64,
}

impl WholeOutput {
    fn take(&mut self, bytes: &[u8]) -> Option<Event> {
        let (head, beyond) = bytes.split_at(bytes.len().min(HEAD_BYTES - self.sent));
        self.sent += head.len();
        self.tail.extend(beyond);
        let too_many = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..too_many);
        self.left_out += too_many as u64;
        self.split.extend_from_slice(head);
        let whole = self.split.len() - unfinished(&self.split);
        let rest = self.split.split_off(whole);
        part(0, &std::mem::replace(&mut self.split, rest))
    }

    fn rest(&mut self) -> Vec<Event> {
        let mut left_out = std::mem::take(&mut self.left_out);
        let mut end = std::mem::take(&mut self.split);
        let split = end.len();
        end.extend(std::mem::take(&mut self.tail));
        if left_out > 0 {
            // Not from the middle of a line on, if it is one of many.
            let line = end.iter().skip(split).position(|byte| *byte == b'\n');
            let cut = line.map_or(0, |at| split + at + 1).min(end.len());
            left_out += cut as u64;
            end.drain(..cut);
        }
        let mut events = Vec::new();
        while !end.is_empty() {
            let piece = &end[..end.len().min(PIECE_BYTES)];
            let whole = match piece.len() - unfinished(piece) {
                0 => piece.len(),
                whole => whole,
            };
            events.extend(part(std::mem::take(&mut left_out), &end[..whole]));
            end.drain(..whole);
        }
        events
    }
}

fn part(left_out: u64, bytes: &[u8]) -> Option<Event> {
    (!bytes.is_empty()).then(|| Event::Output {
        left_out,
        text: String::from_utf8_lossy(bytes).into_owned(),
    })
}

/// Bytes at the end that begin a character and do not finish it.
fn unfinished(bytes: &[u8]) -> usize {
    let last = bytes.utf8_chunks().last().map_or(&[][..], |chunk| chunk.invalid());
    match str::from_utf8(last) {
        Err(error) if error.error_len().is_none() => last.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(events: &[Event]) -> String {
        let texts = events.iter().map(|event| match event {
            Event::Output { text, .. } => text.as_str(),
            other => panic!("{other:?}"),
        });
        texts.collect()
    }

    fn left_out(events: &[Event]) -> u64 {
        let numbers = events.iter().map(|event| match event {
            Event::Output { left_out, .. } => *left_out,
            other => panic!("{other:?}"),
        });
        numbers.sum()
    }

    #[test]
    fn notes_are_bounded() {
        assert_eq!(note(1, "hello".to_owned()).as_deref(), Some("hello"));
        let long = note(200, "é".repeat(400)).unwrap();
        assert!(long.len() <= NOTE_BYTES_MAX + '…'.len_utf8() && long.ends_with('…'));
        assert_eq!(
            note(201, String::new()).as_deref(),
            Some("output beyond 200 lines is not shown")
        );
        assert_eq!(note(202, String::new()), None);
    }

    #[test]
    fn a_tests_output_is_a_note_a_line() {
        let mut output = Output::notes();
        let note = |text: &str| Event::Note { text: text.to_owned() };
        assert_eq!(output.take(b"one\ntwo\nthr"), [note("one"), note("two")]);
        assert_eq!(output.take(b"ee"), []);
        assert_eq!(output.rest(), [note("three")]);
    }

    #[test]
    fn a_programs_output_comes_at_once_and_whole() {
        let mut output = Output::whole();
        let mut events = output.take(b"a\r\n\n b\xc3");
        assert_eq!(text(&events), "a\r\n\n b");
        events.extend(output.take(b"\xa9\xff"));
        assert_eq!(text(&events), "a\r\n\n b\u{e9}\u{fffd}");
        assert_eq!(output.take(b""), []);
        // What ends in the middle of a character does not stay behind.
        assert_eq!(output.take(b"\xe2\x82"), []);
        assert_eq!(text(&output.rest()), "\u{fffd}");
        assert_eq!(output.rest(), []);
    }

    #[test]
    fn of_an_endless_output_the_beginning_and_the_end_are_kept() {
        let mut output = Output::whole();
        let mut written = String::new();
        let mut events = Vec::new();
        for number in 0.. {
            let line = format!("line {number}\n");
            written.push_str(&line);
            events.extend(output.take(line.as_bytes()));
            if written.len() > 3 << 20 {
                break;
            }
        }
        let head = text(&events);
        assert_eq!(head.len(), HEAD_BYTES);
        assert!(written.starts_with(&head));
        let end = output.rest();
        let tail = text(&end);
        assert!(tail.len() <= TAIL_BYTES && tail.len() > TAIL_BYTES - 20 && tail.starts_with("line "));
        assert!(written.ends_with(&tail));
        assert_eq!(left_out(&end), (written.len() - head.len() - tail.len()) as u64);
        // A guest that hung and went on: what comes now is told as well.
        assert_eq!(output.take(b"more\n"), []);
        assert_eq!(text(&output.rest()), "more\n");
    }
}
