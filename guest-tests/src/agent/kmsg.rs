//! The kernel's log: marks that the console shows, so that it tells by itself which case and phase a message belongs
//! to, and a reading of what is in it, by which the host knows that the console is whole.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;

use guest_wire::{LogDigest, LogPiece, LogRecord};
use rustix::io::Errno;

const KMSG: &str = "/dev/kmsg";
/// Where words go of a kernel that has no log, or nothing in /dev; the initramfs brings it.
const CONSOLE: &str = "/dev/console";
/// What the agent's own messages begin with.
const MARK: &str = "bioscope: ";
/// The kernel's longest record in `/dev/kmsg`, and more.
const RECORD_BYTES_MAX: usize = 16 << 10;
/// Records of one piece.
const PIECE_RECORDS: usize = 64;
/// Bytes of text of one job that are passed on, without those of marks; of what comes after them, digests are.
const TEXT_BYTES_MAX: usize = 512 << 10;

/// Writes `bioscope: TEXT` to `/dev/kmsg`. Nothing depends on it, so a failure is nothing.
pub fn write(text: &str) {
    // Level 6 (info): shown on the console with `loglevel=7`, and no warning.
    let line = format!("<6>{}\n", message(text));
    write_to(&[KMSG, CONSOLE], &line);
}

/// Writes to the first of these that is there.
fn write_to(places: &[&str], line: &str) {
    let mut open = places
        .iter()
        .filter_map(|place| OpenOptions::new().write(true).open(place).ok());
    if let Some(mut place) = open.next() {
        let _ = place.write_all(line.as_bytes());
    }
}

fn message(text: &str) -> String {
    format!("{MARK}{}", text.replace('\n', " "))
}

/// Reads the log from a mark on.
#[derive(Debug)]
pub(super) struct LogReader {
    kmsg: File,
    /// The mark from which on records count, until it was read.
    mark: Option<String>,
    /// Bytes of text that were passed on.
    passed_on: usize,
    /// Whether records were overwritten that nobody had read, since the last one that was.
    overran: bool,
}

impl LogReader {
    /// Writes a mark, and reads from it on.
    ///
    /// # Errors
    /// The log cannot be read; the mark is written all the same.
    pub(super) fn from_mark(text: &str) -> io::Result<LogReader> {
        let flags = rustix::fs::OFlags::NONBLOCK.bits();
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(i32::try_from(flags).unwrap_or(0))
            .open(KMSG)
            .and_then(|mut kmsg| kmsg.seek(SeekFrom::End(0)).map(|_| kmsg));
        write(text);
        Ok(LogReader {
            kmsg: opened?,
            mark: Some(message(text)),
            passed_on: 0,
            overran: false,
        })
    }

    /// All that came since the last look, after so much was printed at once that it may not have found room.
    ///
    /// # Errors
    /// The log cannot be read on, or records were overwritten before they were read.
    pub(super) fn read_dump(&mut self) -> io::Result<Vec<LogPiece>> {
        let pieces = self.read()?;
        if pieces.iter().any(|piece| piece.overran) {
            return Err(Errno::PIPE.into());
        }
        Ok(pieces)
    }

    /// All that came since the last look.
    ///
    /// # Errors
    /// The log cannot be read on.
    pub(super) fn read(&mut self) -> io::Result<Vec<LogPiece>> {
        let mut pieces: Vec<LogPiece> = Vec::new();
        while let Some(record) = self.next()? {
            if let Some(mark) = &self.mark {
                if record.text != *mark {
                    continue;
                }
                self.mark = None;
            }
            let overran = std::mem::take(&mut self.overran);
            let pass_on = self.pass_on(&record);
            let seq = record.seq;
            let follows = |piece: &LogPiece| {
                !overran
                    && piece.last + 1 == seq
                    && piece.records.is_empty() != pass_on
                    && piece.records.len().max(piece.digests.len()) < PIECE_RECORDS
            };
            if !pieces.last().is_some_and(follows) {
                pieces.push(LogPiece {
                    first: seq,
                    last: seq,
                    records: Vec::new(),
                    digests: Vec::new(),
                    overran,
                });
            }
            if let Some(piece) = pieces.last_mut() {
                piece.last = seq;
                if pass_on {
                    piece.records.push(record);
                } else {
                    piece.digests.push(LogDigest::of(record.level, &record.text));
                }
            }
        }
        Ok(pieces)
    }

    /// Whether the host gets the text of a record. It waits for marks, and looks for them at both ends of the log.
    fn pass_on(&mut self, record: &LogRecord) -> bool {
        if record.text.starts_with(MARK) {
            return true;
        }
        let bytes = self.passed_on + record.text.len();
        let has_room = bytes <= TEXT_BYTES_MAX;
        if has_room {
            self.passed_on = bytes;
        }
        has_room
    }

    fn next(&mut self) -> io::Result<Option<LogRecord>> {
        let mut buffer = [0; RECORD_BYTES_MAX];
        loop {
            match self.kmsg.read(&mut buffer) {
                Ok(0) => return Ok(None),
                Ok(length) => match record(&buffer[..length]) {
                    Some(record) => return Ok(Some(record)),
                    None => return Err(io::ErrorKind::InvalidData.into()),
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Records were overwritten; the next one's number tells how many.
                Err(error) if error.raw_os_error() == Some(Errno::PIPE.raw_os_error()) => self.overran = true,
                Err(error) => return Err(error),
            }
        }
    }
}

/// Reads `6,339,5140900,-;text`, with what follows on further lines left out.
fn record(bytes: &[u8]) -> Option<LogRecord> {
    let split = bytes.iter().position(|byte| *byte == b';')?;
    let (head, text) = bytes.split_at(split);
    let mut fields = std::str::from_utf8(head).ok()?.split(',');
    let prefix: u32 = fields.next()?.parse().ok()?;
    let text = text[1..].split(|byte| *byte == b'\n').next().unwrap_or_default();
    Some(LogRecord {
        level: u8::try_from(prefix & 7).ok()?,
        facility: prefix >> 3,
        seq: fields.next()?.parse().ok()?,
        time_us: fields.next()?.parse().ok()?,
        text: unescaped(text),
    })
}

/// `\x0a` and so on stand for bytes that do not print, and for the backslash itself.
fn unescaped(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let escaped = match rest {
            [b'\\', b'x', high, low, ..] => std::str::from_utf8(&[*high, *low])
                .ok()
                .and_then(|digits| u8::from_str_radix(digits, 16).ok()),
            _ => None,
        };
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &rest[4..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
impl LogReader {
    /// Of a log that anybody writes, from a mark on that is in it.
    pub(super) fn over(kmsg: File, mark: &str) -> LogReader {
        LogReader {
            kmsg,
            mark: Some(message(mark)),
            passed_on: 0,
            overran: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixDatagram;

    use super::*;

    #[test]
    fn the_mark_at_the_end_comes_through_whatever_came_before_it() {
        for length in [60, 110, 130, 200] {
            let (ours, theirs) = UnixDatagram::pair().unwrap();
            ours.set_nonblocking(true).unwrap();
            let mut reader = LogReader::over(OwnedFd::from(ours).into(), "begin x");
            let mut seq = 0;
            let mut say = |text: &str| {
                seq += 1;
                theirs.send(format!("4,{seq},1,-;{text}\n").as_bytes()).unwrap();
            };
            say("bioscope: begin x");
            let mut pieces = Vec::new();
            for _ in 0..=TEXT_BYTES_MAX / length / 4 {
                (0..5).for_each(|_| say(&"w".repeat(length)));
                pieces.extend(reader.read().unwrap());
            }
            say("bioscope: end x");
            pieces.extend(reader.read().unwrap());
            let texts: Vec<&LogRecord> = pieces.iter().flat_map(|piece| &piece.records).collect();
            assert_eq!(texts.last().map(|record| &*record.text), Some("bioscope: end x"));
            let bytes: usize = texts.iter().map(|record| record.text.len()).sum();
            assert!(
                (TEXT_BYTES_MAX - 1_000..TEXT_BYTES_MAX + 1_000).contains(&bytes),
                "{bytes}"
            );
            let witnessed = pieces
                .iter()
                .map(|piece| piece.records.len() + piece.digests.len())
                .sum::<usize>();
            assert_eq!((pieces[0].first, pieces[pieces.len() - 1].last), (1, seq));
            assert_eq!(witnessed as u64, seq);
        }
    }

    #[test]
    fn what_the_log_cannot_take_goes_to_the_console() {
        let dir = std::env::temp_dir().join(format!("kmsg-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let place = |name: &str| dir.join(name).to_str().unwrap().to_owned();
        let (kmsg, console) = (place("kmsg"), place("console"));
        std::fs::write(&console, "").unwrap();
        write_to(&[&kmsg, &console], "one\n");
        std::fs::write(&kmsg, "").unwrap();
        write_to(&[&kmsg, &console], "two\n");
        assert_eq!(
            [&kmsg, &console].map(|path| std::fs::read_to_string(path).unwrap()),
            ["two\n", "one\n"]
        );
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_record_with_several_lines_and_a_dictionary() {
        let line = b"12,339,5140900,-,caller=T1;one\\x0atwo \\xc3\\xa9 \\x5cx41 \\xzz\n SUBSYSTEM=acpi\n";
        assert_eq!(
            record(line),
            Some(LogRecord {
                seq: 339,
                level: 4,
                facility: 1,
                time_us: 5_140_900,
                text: "one\ntwo é \\x41 \\xzz".to_owned(),
            })
        );
        assert_eq!(record(b"no record"), None);
        assert_eq!(record(b"6,x,1,-;text"), None);
    }
}
