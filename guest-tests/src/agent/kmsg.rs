//! The kernel's log: marks that the console shows, so that it tells by itself which case and phase a message belongs
//! to, and a reading of what is in it, by which the host knows that the console is whole.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;

use guest_wire::{LogPiece, LogRecord};
use rustix::io::Errno;

const KMSG: &str = "/dev/kmsg";
/// The kernel's longest record in `/dev/kmsg`, and more.
const RECORD_BYTES_MAX: usize = 16 << 10;
/// Records of one piece.
const PIECE_RECORDS: usize = 64;
/// Bytes of text of one job that are passed on; of what comes after them, only the numbers are.
const TEXT_BYTES_MAX: usize = 512 << 10;

/// Writes `bioscope: TEXT` to `/dev/kmsg`. Nothing depends on it, so a failure is nothing.
pub fn write(text: &str) {
    // Level 6 (info): shown on the console with `loglevel=7`, and no warning.
    let line = format!("<6>{}\n", message(text));
    if let Ok(mut kmsg) = OpenOptions::new().write(true).open(KMSG) {
        let _ = kmsg.write_all(line.as_bytes());
    }
}

fn message(text: &str) -> String {
    format!("bioscope: {}", text.replace('\n', " "))
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
            let pass_on = self.passed_on + record.text.len() <= TEXT_BYTES_MAX;
            match pieces.last_mut() {
                Some(piece)
                    if !overran
                        && piece.last + 1 == record.seq
                        && piece.records.len() < PIECE_RECORDS
                        && piece.records.is_empty() != pass_on =>
                {
                    piece.last = record.seq;
                    if pass_on {
                        self.passed_on += record.text.len();
                        piece.records.push(record);
                    }
                }
                _ => {
                    self.passed_on += if pass_on { record.text.len() } else { 0 };
                    pieces.push(LogPiece {
                        first: record.seq,
                        last: record.seq,
                        records: if pass_on { vec![record] } else { Vec::new() },
                        overran,
                    });
                }
            }
        }
        Ok(pieces)
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
        // The rest is the facility.
        level: u8::try_from(prefix & 7).ok()?,
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
mod tests {
    use super::*;

    #[test]
    fn a_record_with_several_lines_and_a_dictionary() {
        let line = b"12,339,5140900,-,caller=T1;one\\x0atwo \\xc3\\xa9 \\x5cx41 \\xzz\n SUBSYSTEM=acpi\n";
        assert_eq!(
            record(line),
            Some(LogRecord {
                seq: 339,
                level: 4,
                time_us: 5_140_900,
                text: "one\ntwo é \\x41 \\xzz".to_owned(),
            })
        );
        assert_eq!(record(b"no record"), None);
        assert_eq!(record(b"6,x,1,-;text"), None);
    }
}
