//! Reads what fio prints in the guest of a soak: its standard error and its summary.
//!
//! It is read here and not on the host: fio prints four lines for every block that differs, too many for a serial port.

use guest_wire::soak::{Job, Range, SoakReport};

/// Reads fio's standard error, a line at a time.
#[derive(Debug, Default)]
pub struct Stderr {
    /// Where the block that is told of next differs first.
    first: u64,
}

impl Stderr {
    /// What a line says; nothing if it belongs to one that is still to come, or repeats what was said.
    pub fn line(&mut self, line: &str) -> Option<SoakReport> {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with("fio: got pattern ") || line.starts_with("fio: verify type mismatch ") {
            return None;
        }
        if let Some(first) = line.strip_prefix("fio: bad pattern block offset ") {
            self.first = first.parse().unwrap_or(0);
            return None;
        }
        let read = mismatch(line, self.first).or_else(|| failure(line));
        Some(read.unwrap_or_else(|| SoakReport::Said { line: line.to_owned() }))
    }
}

/// `pattern: verify failed at file … (requested block: offset=1052672, length=4096, flags=8)`; what comes before the
/// parenthesis is read out of a header that this kind of verification does not write.
fn mismatch(line: &str, first: u64) -> Option<SoakReport> {
    let (_, block) = line
        .strip_prefix("pattern: verify failed at file ")?
        .split_once("(requested block: ")?;
    Some(SoakReport::Mismatch {
        block: Range {
            offset: number_after(block, "offset=")?,
            len: number_after(block, "length=")?,
        },
        first,
    })
}

/// `fio: io_u error on file /dev/vda: Input/output error: write offset=1052672, buflen=4096`.
fn failure(line: &str) -> Option<SoakReport> {
    let rest = line.strip_prefix("fio: io_u error on file ")?;
    let (before, _) = rest.split_once(" offset=")?;
    let mut words = before.rsplitn(2, ": ");
    let op = words.next()?.to_owned();
    let error = words.next()?.split_once(": ")?.1.to_owned();
    Some(SoakReport::Failed {
        op,
        range: Range {
            offset: number_after(rest, "offset=")?,
            len: number_after(rest, "buflen=")?,
        },
        error,
    })
}

fn number_after(text: &str, word: &str) -> Option<u64> {
    let (_, rest) = text.split_once(word)?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// The jobs of fio's summary (`--output-format=json`).
///
/// # Errors
/// It is no summary.
pub fn summary(text: &str) -> Result<Vec<Job>, String> {
    // Notes of fio's may stand before the object.
    let json = text.find('{').and_then(|at| text.get(at..)).unwrap_or_default();
    let summary: serde_json::Value = serde_json::from_str(json).map_err(|error| format!("fio's summary: {error}"))?;
    let jobs = summary.get("jobs").and_then(|jobs| jobs.as_array());
    let jobs = jobs.ok_or("fio's summary has no jobs")?;
    let number =
        |job: &serde_json::Value, path: &str| job.pointer(path).and_then(serde_json::Value::as_u64).unwrap_or(0);
    Ok(jobs
        .iter()
        .map(|job| Job {
            name: job
                .get("jobname")
                .and_then(|name| name.as_str())
                .unwrap_or_default()
                .to_owned(),
            reads: number(job, "/read/total_ios"),
            writes: number(job, "/write/total_ios"),
            trims: number(job, "/trim/total_ios"),
            syncs: number(job, "/sync/total_ios"),
            errors: number(job, "/total_err"),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What fio 3.33 said of a file with two bad blocks and a disk that failed.
    const SAID: &str = "fio: got pattern '58', wanted '00'. Bad bits 3
fio: bad pattern block offset 904
pattern: verify failed at file /dev/vda offset 1052672, length 1052672 \
(requested block: offset=1052672, length=4096, flags=8)
fio: verify type mismatch (61374 media, 18 given)
fio: got pattern '00', wanted 'de'. Bad bits 6
fio: bad pattern block offset 0
pattern: verify failed at file /dev/vda offset 1536000, length 0 \
(requested block: offset=1536000, length=65536, flags=8)
fio: verify type mismatch (0 media, 18 given)
fio: io_u error on file /dev/vda: Input/output error: write offset=1052672, buflen=4096
fio: io_u error on file /dev/vda: Operation not supported: sync offset=0, buflen=0
fio: pid=31135, err=25/file:ioengines.c:399, func=td_io_queue, error=Inappropriate ioctl for device
";

    #[test]
    fn what_fio_says() {
        let mut stderr = Stderr::default();
        let reports: Vec<SoakReport> = SAID.lines().filter_map(|line| stderr.line(line)).collect();
        let range = |offset, len| Range { offset, len };
        let failed = |op: &str, range, error: &str| SoakReport::Failed {
            op: op.to_owned(),
            range,
            error: error.to_owned(),
        };
        assert_eq!(
            reports,
            [
                SoakReport::Mismatch {
                    block: range(1_052_672, 4096),
                    first: 904
                },
                SoakReport::Mismatch {
                    block: range(1_536_000, 65536),
                    first: 0
                },
                failed("write", range(1_052_672, 4096), "Input/output error"),
                failed("sync", range(0, 0), "Operation not supported"),
                SoakReport::Said {
                    line: SAID.lines().last().unwrap().to_owned()
                },
            ]
        );
    }

    #[test]
    fn a_summary_has_jobs() {
        let text = r#"note: both iodepth >= 1 and synchronous I/O engine
{"fio version": "fio-3.33", "jobs": [{"jobname": "s1", "error": 84, "total_err": 2,
  "read": {"total_ios": 256}, "write": {"total_ios": 0}, "trim": {"total_ios": 0}, "sync": {"total_ios": 3}}]}"#;
        let job = Job {
            name: "s1".into(),
            reads: 256,
            writes: 0,
            trims: 0,
            syncs: 3,
            errors: 2,
        };
        assert_eq!(summary(text), Ok(vec![job]));
        assert!(summary("fio: job global dropped\n").is_err());
        assert!(summary("{}").is_err());
    }
}
