//! A trace for people as it comes: the lines of the listing, each when its request has ended or its event has happened.

use std::collections::BTreeMap;

use super::reader::RequestLine;
use super::record::{Record, Submit};
use super::show::{event, line, request, time};

/// Turns records into lines, in the order in which they come.
#[derive(Debug, Default)]
pub struct Live {
    /// Requests that have not ended.
    out: BTreeMap<u64, Submit>,
    /// When the last record was.
    t_us: u64,
}

impl Live {
    /// What a record makes to print, if anything. A request's line comes when it ends; one to which a rule was applied
    /// has one when it comes, too, for it may wait.
    pub fn add(&mut self, record: Record) -> Option<String> {
        match record {
            Record::Submit(submit) => {
                self.t_us = submit.t_us;
                let waits = (!submit.rules.is_empty()).then(|| {
                    let line = RequestLine {
                        submit: submit.clone(),
                        complete: None,
                    };
                    self::line(submit.t_us, &request(&line, "is out"))
                });
                self.out.insert(submit.seq, submit);
                waits
            }
            Record::Complete(complete) => {
                self.t_us = complete.t_us;
                let Some(submit) = self.out.remove(&complete.seq) else {
                    let text = format!(
                        "-- request {}, which came before this began, ended: {} after {}",
                        complete.seq,
                        complete.status.name(),
                        time(complete.latency_us)
                    );
                    return Some(line(complete.t_us, &text));
                };
                let request_line = RequestLine {
                    submit,
                    complete: Some(complete),
                };
                Some(line(request_line.submit.t_us, &request(&request_line, "")))
            }
            // Of this listener's, unlike the file's, nobody knows when.
            Record::Missed { t_us: 0, lines } => {
                let text = format!("-- {lines} lines are missing here: they came faster than they were taken");
                Some(line(self.t_us, &text))
            }
            other => {
                let (t_us, text) = event(&other)?;
                self.t_us = t_us;
                Some(line(t_us, &text))
            }
        }
    }

    /// Lines for what has not ended; nothing comes any more.
    #[must_use]
    pub fn end(self) -> Vec<String> {
        let lines = self.out.into_values().map(|submit| {
            let request_line = RequestLine { submit, complete: None };
            line(request_line.submit.t_us, &request(&request_line, "for ever"))
        });
        lines.collect()
    }
}
