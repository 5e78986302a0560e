//! What a write's result promises about the file, and which results it may have.

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::file::Call;
use crate::oracle::{Allowed, Expected, page_of};
use crate::pattern::{PAGE, TAG_SOURCE};
use crate::target;
use crate::write_case::case::WriteCase;

/// What the write phase leaves for the verify phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Written {
    /// Return value; -1 on error.
    pub ret: i64,
    /// Number of the error, 0 if none.
    pub errno: i32,
    /// `st_size` right after it.
    pub size_after: u64,
}

impl Written {
    /// Bytes that the call says it wrote; `None` on error.
    #[must_use]
    pub(crate) fn promised(&self) -> Option<usize> {
        usize::try_from(self.ret).ok()
    }

    /// Whether it failed with this error.
    fn is(&self, errno: Errno) -> bool {
        self.errno == errno.raw_os_error()
    }
}

impl WriteCase {
    /// What the file may hold after the write gave this result.
    #[must_use]
    pub(crate) fn expected(&self, written: &Written) -> Expected {
        let end = self.offset + self.len;
        let largest = self.old_size.max(end);
        let page = |index: usize| self.page_after(index, written);
        match written.promised() {
            Some(done) => Expected::exactly(self.old_size.max(self.offset + done) as u64, page),
            // A part that was written before the fault may stay, but nothing that nobody wrote.
            None if written.is(Errno::FAULT) => {
                let largest = self.old_size.max(self.offset + self.readable.min(self.len));
                Expected {
                    size_min: self.old_size as u64,
                    ..Expected::exactly(largest as u64, page)
                }
            }
            // What a failing device leaves of an extending write is not defined, within the range written.
            None => Expected {
                size_min: self.old_size as u64,
                ..Expected::exactly(largest as u64, page)
            },
        }
    }

    /// What page `index` of the file may hold.
    fn page_after(&self, index: usize, written: &Written) -> Vec<Allowed> {
        let old = if index * PAGE < self.old_size {
            target::old_page(self.layout, self.old_tag, index)
        } else {
            Allowed::Zeros
        };
        let at = index * PAGE;
        let Some(from) = at.checked_sub(self.offset).filter(|from| *from < self.len) else {
            return vec![old];
        };
        let new = self.new_content(from / PAGE);
        let either = || new.iter().copied().chain([old]).collect();
        match written.promised() {
            Some(done) if from + PAGE <= done => new,
            // A page that the promise ends in, or one behind it that a failing device left undefined.
            Some(done) if from < done || self.expect_error => either(),
            Some(_) => vec![old],
            None if written.is(Errno::FAULT) && from >= self.readable => vec![old],
            // The file grew by this page, and only by having written it.
            None if written.is(Errno::FAULT) && at >= self.old_size => new,
            None => either(),
        }
    }

    /// What the write puts at its page `from`; two answers where the source itself is being overwritten.
    fn new_content(&self, from: usize) -> Vec<Allowed> {
        let source = self.source_page + from;
        let mut all = vec![page_of(TAG_SOURCE, source)];
        // The source page is in the range written: it may be read before or after that.
        if self.old_tag == TAG_SOURCE
            && let Some(earlier) = (source * PAGE).checked_sub(self.offset).filter(|at| *at < self.len)
        {
            let new = page_of(TAG_SOURCE, self.source_page + earlier / PAGE);
            if new != all[0] {
                all.push(new);
            }
        }
        all
    }

    /// Whether the result is one that this write may have.
    #[must_use]
    pub(crate) fn judge(&self, call: &Call) -> Option<(&'static str, String)> {
        let text = call.text();
        let wrong = |why: &str| Some(("result", format!("{text}: {why}")));
        match call.result {
            Ok(done) if done == self.len && self.expect_error => Some((
                "lost-error",
                format!("{text}: full success although the device failed a request of it"),
            )),
            Ok(done) if done == self.len && self.readable >= self.len => None,
            Ok(0) => wrong("nothing written and no error"),
            Ok(done) if done > self.readable => wrong("more than was readable in the buffer"),
            Ok(_) if self.readable < self.len || self.expect_error => None,
            Ok(_) => wrong("short without an error"),
            Err(Errno::FAULT) if self.readable < self.len => None,
            Err(Errno::FAULT) => wrong("the whole buffer is readable"),
            Err(Errno::IO) if self.expect_error => None,
            Err(_) => wrong("no such error is due"),
        }
    }
}
