//! Records to lines. The two that come with every request are written by hand, for serde takes as long over them as the
//! device over the request; a test says that they are what serde would write.

use std::io::{self, Write};

use vhost_blk_api::trace::{Complete, Record, Submit};

/// Adds a record's line to `out`.
pub(super) fn write(out: &mut Vec<u8>, record: &Record) -> io::Result<()> {
    match record {
        // Names of rules and ranges come seldom, and are left to serde.
        Record::Submit(submit) if submit.rules.is_empty() && submit.ranges.is_empty() => write_submit(out, submit),
        Record::Complete(complete) if complete.timing.is_none() && complete.outcome.is_none() => {
            write_complete(out, complete);
        }
        other => {
            serde_json::to_writer(&mut *out, other)?;
            out.write_all(b"\n")?;
        }
    }
    Ok(())
}

fn write_submit(out: &mut Vec<u8>, submit: &Submit) {
    let Submit {
        seq,
        t_us,
        queue,
        generation,
        op,
        sector,
        len,
        tag,
        segs,
        ranges: _,
        rules: _,
    } = submit;
    number(out, r#"{"ev":"submit","seq":"#, *seq);
    number(out, r#","t_us":"#, *t_us);
    number(out, r#","queue":"#, u64::from(*queue));
    number(out, r#","gen":"#, *generation);
    word(out, r#","op":""#, op.name());
    number(out, r#"","sector":"#, *sector);
    number(out, r#","len":"#, *len);
    if let Some(tag) = tag {
        number(out, r#","tag":["#, tag.tag);
        number(out, ",", tag.page);
        out.push(b']');
    }
    number(out, r#","segs":"#, *segs as u64);
    out.extend_from_slice(b"}\n");
}

fn write_complete(out: &mut Vec<u8>, complete: &Complete) {
    let Complete {
        seq,
        t_us,
        status,
        bytes,
        latency_us,
        timing: _,
        outcome: _,
    } = complete;
    number(out, r#"{"ev":"complete","seq":"#, *seq);
    number(out, r#","t_us":"#, *t_us);
    word(out, r#","status":""#, status.name());
    number(out, r#"","bytes":"#, *bytes);
    number(out, r#","latency_us":"#, *latency_us);
    out.extend_from_slice(b"}\n");
}

fn number(out: &mut Vec<u8>, before: &str, number: u64) {
    out.extend_from_slice(before.as_bytes());
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn word(out: &mut Vec<u8>, before: &str, word: &str) {
    out.extend_from_slice(before.as_bytes());
    out.extend_from_slice(word.as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::option::of;
    use proptest::prelude::*;
    use proptest::sample::select;
    use vhost_blk_api::op::Op;
    use vhost_blk_api::payload::Tag;
    use vhost_blk_api::trace::{OutcomeNote, RangeOnDisk, ReleasedBy, Status, TimingNote};

    use super::*;

    fn submit() -> impl Strategy<Value = Record> {
        let op = select(Op::MATCHABLE.into_iter().chain([Op::GetId]).collect::<Vec<_>>());
        let tag = of(any::<(u64, u64)>());
        let rules = select(vec![Vec::new(), vec!["a \"rule\"".to_owned()]]);
        let ranges = of(any::<(u64, u32, u32)>());
        let numbers = any::<(u64, u64, u16, u64, u64, u64, usize)>();
        (numbers, op, tag, rules, ranges).prop_map(
            |((seq, t_us, queue, generation, sector, len, segs), op, tag, rules, ranges)| {
                Record::Submit(Submit {
                    seq,
                    t_us,
                    queue,
                    generation,
                    op,
                    sector,
                    len,
                    tag: tag.map(Tag::from),
                    segs,
                    ranges: ranges
                        .map(|(sector, sectors, flags)| RangeOnDisk { sector, sectors, flags })
                        .into_iter()
                        .collect(),
                    rules,
                })
            },
        )
    }

    fn complete() -> impl Strategy<Value = Record> {
        let status = select(vec![Status::Ok, Status::IoErr, Status::Unsupp, Status::Dropped]);
        let note = || of(select(vec!["r1", "a \"rule\""]));
        (any::<(u64, u64, u64, u64)>(), status, note(), note()).prop_map(
            |((seq, t_us, bytes, latency_us), status, timing, outcome)| {
                Record::Complete(Complete {
                    seq,
                    t_us,
                    status,
                    bytes,
                    latency_us,
                    timing: timing.map(|rule| TimingNote {
                        rule: rule.to_owned(),
                        action: "hold".to_owned(),
                        released_by: Some(ReleasedBy::Max),
                    }),
                    outcome: outcome.map(|rule| OutcomeNote {
                        rule: rule.to_owned(),
                        action: "short".to_owned(),
                        bytes: Some(512),
                    }),
                })
            },
        )
    }

    proptest! {
        #[test]
        fn lines_are_what_serde_would_write(record in prop_oneof![submit(), complete()]) {
            let mut line = b"before\n".to_vec();
            write(&mut line, &record).expect("a vector takes everything");
            let expected = format!("before\n{}\n", serde_json::to_string(&record).expect("serde"));
            prop_assert_eq!(String::from_utf8(line).expect("text"), expected);
        }
    }
}
