//! Reads a trace back, also one whose writer was killed in the middle of a line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use super::record::{Complete, Record, Submit, VERSION};

/// A trace that cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("cannot read the trace {}: {source}", path.display())]
    Read {
        /// The trace as it was named to [`read`].
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Its first line names a version other than [`VERSION`].
    #[error("the trace {} has version {version}: this vhost-blk reads version {VERSION}, use the one that wrote it", path.display())]
    Version {
        /// The trace as it was named to [`read`].
        path: PathBuf,
        /// As the first line has it.
        version: u64,
    },
    /// A line that is not the last is no record.
    #[error("{}:{line}: not a trace record: {source}", path.display())]
    Line {
        /// The trace as it was named to [`read`].
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What serde_json expected there.
        source: serde_json::Error,
    },
}

/// What every version's first line has.
#[derive(Deserialize)]
#[serde(tag = "ev", rename_all = "kebab-case")]
enum FirstLine {
    Start { version: u64 },
}

/// A request from submission to completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLine {
    /// How it came.
    pub submit: Submit,
    /// How it ended; `None` while it is outstanding.
    pub complete: Option<Complete>,
}

/// Reads a trace file. A last line without its line end is what a killed writer leaves behind, and is left out.
///
/// # Errors
/// The file cannot be read, it has another version than [`VERSION`], or one of its whole lines is no record.
pub fn read(path: &Path) -> Result<Vec<Record>, ReadError> {
    let text = std::fs::read(path).map_err(|source| ReadError::Read {
        path: path.to_owned(),
        source,
    })?;
    // It is looked at first: another version's lines need not look like ours.
    let first = text.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
    if let Ok(FirstLine::Start { version }) = serde_json::from_slice(first)
        && version != u64::from(VERSION)
    {
        return Err(ReadError::Version {
            path: path.to_owned(),
            version,
        });
    }
    let mut records = Vec::new();
    for (index, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        match serde_json::from_slice(line) {
            Ok(record) => records.push(record),
            Err(_) if line.last() != Some(&b'\n') => break,
            Err(source) => {
                return Err(ReadError::Line {
                    path: path.to_owned(),
                    line: index + 1,
                    source,
                });
            }
        }
    }
    Ok(records)
}

/// Joins submissions with their completions, by number.
#[must_use]
pub fn requests(records: &[Record]) -> Vec<RequestLine> {
    let mut completes: BTreeMap<u64, &Complete> = BTreeMap::new();
    let mut lines: BTreeMap<u64, RequestLine> = BTreeMap::new();
    for record in records {
        match record {
            Record::Submit(submit) => {
                lines.insert(
                    submit.seq,
                    RequestLine {
                        submit: submit.clone(),
                        complete: None,
                    },
                );
            }
            Record::Complete(complete) => {
                completes.insert(complete.seq, complete);
            }
            _ => {}
        }
    }
    for (seq, complete) in completes {
        if let Some(line) = lines.get_mut(&seq) {
            line.complete = Some(complete.clone());
        }
    }
    lines.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::super::record::{OutcomeNote, ReleasedBy, Status, TimingNote};
    use super::*;
    use crate::op::Op;
    use crate::payload::Tag;

    fn submit(seq: u64) -> Record {
        Record::Submit(Submit {
            seq,
            t_us: 10,
            queue: 0,
            generation: 1,
            op: Op::Write,
            sector: 2048,
            len: 4096,
            tag: Some(Tag { tag: 7, page: 2 }),
            segs: 1,
            ranges: Vec::new(),
            rules: Vec::new(),
        })
    }

    fn complete(seq: u64) -> Record {
        Record::Complete(Complete {
            seq,
            t_us: 30,
            status: Status::IoErr,
            bytes: 0,
            latency_us: 20,
            timing: Some(TimingNote {
                rule: "r1".into(),
                action: "hold".into(),
                released_by: Some(ReleasedBy::Max),
            }),
            outcome: Some(OutcomeNote {
                rule: "r2".into(),
                action: "fail".into(),
                bytes: None,
            }),
        })
    }

    #[test]
    fn lines_look_like_this() {
        let line = |record: &Record| serde_json::to_string(record).expect("json");
        insta::assert_snapshot!(
            line(&submit(1)),
            @r#"{"ev":"submit","seq":1,"t_us":10,"queue":0,"gen":1,"op":"write","sector":2048,"len":4096,"tag":[7,2],"segs":1}"#
        );
        insta::assert_snapshot!(
            line(&complete(1)),
            @r#"{"ev":"complete","seq":1,"t_us":30,"status":"ioerr","bytes":0,"latency_us":20,"timing":{"rule":"r1","action":"hold","released_by":"max"},"outcome":{"rule":"r2","action":"fail"}}"#
        );
    }

    #[test]
    fn a_torn_last_line_is_left_out() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("trace");
        let mut text = Vec::new();
        for record in [submit(1), submit(2), complete(2)] {
            serde_json::to_writer(&mut text, &record).expect("json");
            text.push(b'\n');
        }
        text.extend_from_slice(br#"{"ev":"comp"#);
        std::fs::write(&path, &text).expect("write");
        let lines = requests(&read(&path).expect("read"));
        assert_eq!(lines.len(), 2);
        assert!(lines[0].complete.is_none(), "the first is outstanding");
        assert_eq!(
            lines[1].complete.as_ref().map(|complete| complete.status),
            Some(Status::IoErr)
        );

        std::fs::write(&path, "{\"ev\":\"mark\",\"t_us\":1,\"name\":\"x\"}\nnonsense\n").expect("write");
        assert!(matches!(read(&path), Err(ReadError::Line { line: 2, .. })));
    }
}
