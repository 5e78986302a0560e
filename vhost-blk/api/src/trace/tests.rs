//! What people see of a trace.

use std::fmt::Write as _;

use super::show::{Filter, HEADER, listing};
use super::summary::summary;
use super::*;
use crate::op::Op;

/// A trace as the device writes it: three writes of which one is held and one fails, a flush without an answer.
fn records() -> Vec<Record> {
    let mut text = String::new();
    let submit = |seq: u64, t_us: u64, op: &str, sector: u64, len: u64, rules: &str| {
        format!(
            r#"{{"ev":"submit","seq":{seq},"t_us":{t_us},"queue":0,"gen":1,"op":"{op}","sector":{sector},"len":{len},"tag":null,"segs":1,"rules":[{rules}]}}"#
        )
    };
    let complete = |seq: u64, t_us: u64, status: &str, bytes: u64, latency: u64, more: &str| {
        format!(
            r#"{{"ev":"complete","seq":{seq},"t_us":{t_us},"status":"{status}","bytes":{bytes},"latency_us":{latency}{more}}}"#
        )
    };
    let held = r#","timing":{"rule":"r1","action":"hold","released_by":"next"}"#;
    let failed = r#","outcome":{"rule":"fault","action":"fail"}"#;
    for line in [
        r#"{"ev":"start","version":1,"disk_bytes":1048576,"seed":0}"#.to_owned(),
        r#"{"ev":"rule-added","t_us":5,"name":"r1","text":"hold write until=next(write) limit=1"}"#.to_owned(),
        r#"{"ev":"rule-added","t_us":6,"name":"fault","text":"fail write nth=2"}"#.to_owned(),
        r#"{"ev":"rule-added","t_us":7,"name":"unused","text":"drop flush nth=9"}"#.to_owned(),
        r#"{"ev":"mark","t_us":10,"name":"begin"}"#.to_owned(),
        submit(1, 100, "write", 2048, 4096, r#""r1""#),
        submit(2, 1300, "write", 2056, 4096, r#""fault""#),
        complete(1, 1310, "ok", 4096, 1210, held),
        complete(2, 1320, "ioerr", 0, 20, failed),
        r#"{"ev":"mark","t_us":2000,"name":"end"}"#.to_owned(),
        submit(3, 2100, "write", 0, 512, ""),
        complete(3, 2110, "ok", 512, 10, ""),
        submit(4, 2200, "flush", 0, 0, ""),
    ] {
        let _ = writeln!(text, "{line}");
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace");
    std::fs::write(&path, text).unwrap();
    read(&path).unwrap()
}

#[test]
fn as_it_comes() {
    let mut live = Live::default();
    let mut lines: Vec<String> = records().into_iter().filter_map(|record| live.add(record)).collect();
    lines.extend(live.end());
    insta::assert_snapshot!(format!("{HEADER}\n{}", lines.join("\n")), @r#"
       ms    seq  q op               sector     len  tag     status    latency  rules
    0.005 -- rule r1: hold write until=next(write) limit=1
    0.006 -- rule fault: fail write nth=2
    0.007 -- rule unused: drop flush nth=9
    0.010 -- mark begin
    0.100      1  0 write              2048      4k          -          is out  r1
    1.300      2  0 write              2056      4k          -          is out  fault
    0.100      1  0 write              2048      4k          ok        1210 us  r1 hold until next
    1.300      2  0 write              2056      4k          ioerr       20 us  fault fail
    2.000 -- mark end
    2.100      3  0 write                 0     512          ok          10 us
    2.200      4  0 flush                 0       0          -        for ever
    "#);
    // Nothing else than the listing of the whole, in another order.
    lines.retain(|line| !line.contains("is out"));
    lines.sort();
    let listing = listing(&records(), &Filter::default());
    let mut listed: Vec<&str> = listing.lines().skip(1).collect();
    listed.sort_unstable();
    assert_eq!(lines, listed);
}

#[test]
fn as_it_comes_to_one_who_came_late_and_is_slow() {
    let mut live = Live::default();
    let mut said = |text: &str| {
        live.add(serde_json::from_str(text).unwrap())
            .unwrap()
            .trim_start()
            .to_owned()
    };
    insta::assert_snapshot!(
        said(r#"{"ev":"complete","seq":7,"t_us":2500,"status":"ok","bytes":512,"latency_us":900}"#),
        @"2.500 -- request 7, which came before this began, ended: ok after 900 us"
    );
    insta::assert_snapshot!(
        said(r#"{"ev":"missed","lines":12}"#),
        @"2.500 -- 12 lines are missing here: they came faster than they were taken"
    );
    insta::assert_snapshot!(
        said(r#"{"ev":"missed","t_us":2600,"lines":12}"#),
        @"2.600 -- 12 lines are missing here: the file took no more"
    );
}

#[test]
fn a_listing() {
    insta::assert_snapshot!(listing(&records(), &Filter::default()), @r#"
       ms    seq  q op               sector     len  tag     status    latency  rules
    0.005 -- rule r1: hold write until=next(write) limit=1
    0.006 -- rule fault: fail write nth=2
    0.007 -- rule unused: drop flush nth=9
    0.010 -- mark begin
    0.100      1  0 write              2048      4k          ok        1210 us  r1 hold until next
    1.300      2  0 write              2056      4k          ioerr       20 us  fault fail
    2.000 -- mark end
    2.100      3  0 write                 0     512          ok          10 us
    2.200      4  0 flush                 0       0          -        for ever
    "#);
    let faults = Filter {
        rule: Some("fault".into()),
        ..Filter::default()
    };
    insta::assert_snapshot!(listing(&records(), &faults), @r#"
       ms    seq  q op               sector     len  tag     status    latency  rules
    1.300      2  0 write              2056      4k          ioerr       20 us  fault fail
    "#);
}

#[test]
fn what_changes_the_whole_disk_changes_every_place() {
    let mut records = records();
    records.push(Record::Rollback { t_us: 3000, to: None });
    let place = Filter {
        sectors: Some(2048..2049),
        ..Filter::default()
    };
    insta::assert_snapshot!(listing(&records, &place), @r#"
       ms    seq  q op               sector     len  tag     status    latency  rules
    0.100      1  0 write              2048      4k          ok        1210 us  r1 hold until next
    3.000 -- rollback to the golden image
    "#);
    let writes = Filter {
        op: Some(Op::Write),
        ..place
    };
    assert!(!listing(&records, &writes).contains("rollback"));
}

#[test]
fn a_summary() {
    insta::assert_snapshot!(summary(&records(), &Filter::default()).unwrap(), @r#"
    operation      requests   errors  no answer     moved      p50      p95      p99      max
    write                 3        1          0      4608    20 us  1210 us  1210 us  1210 us
    flush                 1        0          1         0        -        -        -        -

    latency of write
      <    16 us        1 ########################################
      <    32 us        1 ########################################
      <  2048 us        1 ########################################

    rule           requests
    r1                    1  hold write until=next(write) limit=1
    fault                 1  fail write nth=2
    unused                0  never applied:  drop flush nth=9

    requests out at once over 2100 us: at most 2
    |▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄█                      ▄ ▄|
    "#);
}

#[test]
fn a_summary_of_what_is_never_answered_and_of_what_takes_no_time() {
    let submit = |seq: u64, t_us: u64| {
        let line = format!(
            r#"{{"ev":"submit","seq":{seq},"t_us":{t_us},"queue":0,"gen":1,"op":"write","sector":0,"len":512,"segs":1}}"#
        );
        serde_json::from_str::<Record>(&line).unwrap()
    };
    let complete = |seq: u64, t_us: u64, status: &str, latency_us: u64| {
        let bytes = if status == "ok" { 512 } else { 0 };
        let line = format!(
            r#"{{"ev":"complete","seq":{seq},"t_us":{t_us},"status":"{status}","bytes":{bytes},"latency_us":{latency_us}}}"#
        );
        serde_json::from_str::<Record>(&line).unwrap()
    };
    let mut records = Vec::new();
    for (seq, t_us) in [(1, 0), (2, 500), (3, 500), (4, 1000)] {
        records.extend([submit(seq, t_us), complete(seq, t_us, "ok", 0)]);
    }
    insta::assert_snapshot!(summary(&records, &Filter::default()).unwrap(), @r"
    operation      requests   errors  no answer     moved      p50      p95      p99      max
    write                 4        0          0        2k     0 us     0 us     0 us     0 us

    latency of write
      <     1 us        4 ########################################

    requests out at once over 1000 us: at most 1
    |█                             █                            █|
    ");
    records.extend([submit(5, 1000), complete(5, 9_001_000, "dropped", 9_000_000)]);
    let text = summary(&records, &Filter::default()).unwrap();
    insta::assert_snapshot!(text.split("\n\nrequests").next().unwrap(), @r"
    operation      requests   errors  no answer     moved      p50      p95      p99      max
    write                 5        0          1        2k     0 us     0 us     0 us     0 us

    latency of write
      <     1 us        4 ########################################
    ");
}

#[test]
fn rules_of_a_summary() {
    let of_rules = |records: &[Record], filter: &Filter| {
        let text = summary(records, filter).unwrap();
        let (_, rules) = text.split_once("rule           requests\n").unwrap();
        rules.split("\n\n").next().unwrap_or_default().to_owned()
    };
    let records = records();
    let after = Filter {
        from: Some("end".into()),
        ..Filter::default()
    };
    insta::assert_snapshot!(of_rules(&records, &after), @r"
    r1                    0  never applied:  hold write until=next(write) limit=1
    fault                 0  never applied:  fail write nth=2
    unused                0  never applied:  drop flush nth=9
    ");
    // What the filter leaves out was applied all the same.
    let failed = Filter {
        status: Some(Status::IoErr),
        ..Filter::default()
    };
    insta::assert_snapshot!(of_rules(&records, &failed), @r"
    r1                    0  hold write until=next(write) limit=1
    fault                 1  fail write nth=2
    unused                0  never applied:  drop flush nth=9
    ");
    // A name that stands for another rule by and by.
    let mut later = records.clone();
    for line in [
        r#"{"ev":"plan-set","t_us":3000,"seed":1}"#,
        r#"{"ev":"rule-added","t_us":3001,"name":"r1","text":"fail read"}"#,
        r#"{"ev":"cleared","t_us":3002}"#,
        r#"{"ev":"mark","t_us":3003,"name":"late"}"#,
        r#"{"ev":"rule-added","t_us":3004,"name":"r1","text":"drop flush"}"#,
        r#"{"ev":"submit","seq":5,"t_us":3005,"queue":0,"gen":1,"op":"flush","sector":0,"len":0,"segs":0,"rules":["r1","gone"]}"#,
    ] {
        later.push(serde_json::from_str(line).unwrap());
    }
    insta::assert_snapshot!(of_rules(&later, &Filter::default()), @r"
    r1                    1  hold write until=next(write) limit=1
    fault                 1  fail write nth=2
    unused                0  never applied:  drop flush nth=9
    r1                    0  never applied:  fail read
    r1                    1  drop flush
    gone                  1
    ");
    let late = Filter {
        from: Some("late".into()),
        ..Filter::default()
    };
    insta::assert_snapshot!(of_rules(&later, &late), @r"
    r1                    1  drop flush
    gone                  1
    ");
}

#[test]
fn a_rule_that_is_taken_off_ends_there_and_the_others_go_on() {
    let mut records = records();
    for line in [
        r#"{"ev":"rule-removed","t_us":3000,"name":"fault"}"#,
        r#"{"ev":"mark","t_us":3001,"name":"late"}"#,
        r#"{"ev":"rule-added","t_us":3002,"name":"fault","text":"fail read"}"#,
        r#"{"ev":"submit","seq":5,"t_us":3005,"queue":0,"gen":1,"op":"read","sector":0,"len":512,"segs":1,"rules":["fault"]}"#,
    ] {
        records.push(serde_json::from_str(line).unwrap());
    }
    let late = Filter {
        from: Some("late".into()),
        ..Filter::default()
    };
    let text = summary(&records, &late).unwrap();
    let (_, rules) = text.split_once("rule           requests\n").unwrap();
    insta::assert_snapshot!(rules.split("\n\n").next().unwrap(), @r"
    r1                    0  never applied:  hold write until=next(write) limit=1
    unused                0  never applied:  drop flush nth=9
    fault                 1  fail read
    ");
    assert!(listing(&records, &Filter::default()).contains("3.000 -- rule fault off\n"));
}

#[test]
fn parts_between_marks() {
    let between = |from: Option<&str>, to: Option<&str>| {
        let filter = Filter {
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
            ..Filter::default()
        };
        filter.part(&records()).map(|part| requests(part).len())
    };
    assert_eq!(between(None, None), Ok(4));
    assert_eq!(between(Some("begin"), Some("end")), Ok(2));
    assert_eq!(between(Some("end"), None), Ok(2));
    let missing = between(Some("bgin"), None).unwrap_err();
    insta::assert_snapshot!(missing, @"no mark `bgin` in the trace: it has begin, end");
}

#[test]
fn a_discard_is_where_each_of_its_ranges_is() {
    let records: Vec<Record> = [
        r#"{"ev":"submit","seq":1,"t_us":1,"queue":0,"gen":1,"op":"discard","sector":0,"len":8192,"segs":0,"ranges":[{"sector":0,"sectors":8,"flags":0},{"sector":1000,"sectors":8,"flags":0}]}"#,
        r#"{"ev":"complete","seq":1,"t_us":2,"status":"ok","bytes":8192,"latency_us":1}"#,
    ]
    .map(|line| serde_json::from_str(line).unwrap())
    .into();
    let lists = |sectors| {
        let filter = Filter {
            sectors: Some(sectors),
            ..Filter::default()
        };
        listing(&records, &filter).contains("discard")
    };
    assert!(lists(7..8) && lists(1000..1001) && lists(1007..2000));
    assert!(!lists(8..16) && !lists(999..1000) && !lists(1008..2000));
}

#[test]
fn a_rule_that_the_trace_does_not_have() {
    let of = |rule: &str| {
        let filter = Filter {
            rule: Some(rule.into()),
            ..Filter::default()
        };
        filter.check(&records())
    };
    assert_eq!(of("unused"), Ok(()), "it was never applied, but it is there");
    insta::assert_snapshot!(of("nosuch").unwrap_err(), @"no rule `nosuch` in the trace: it has r1, fault, unused");
}

#[test]
fn a_summary_of_times_as_large_as_numbers_are() {
    let mut all = records();
    for record in &mut all {
        match record {
            Record::Submit(submit) if submit.seq > 1 => submit.t_us = u64::MAX,
            Record::Complete(complete) => {
                (complete.t_us, complete.latency_us, complete.bytes) = (u64::MAX, u64::MAX, u64::MAX);
            }
            _ => {}
        }
    }
    let text = summary(&all, &Filter::default()).unwrap();
    assert!(text.contains("requests out at once"), "{text}");
    // None is there but one that came at the last moment there is.
    all.retain(|record| matches!(record, Record::Submit(submit) if submit.t_us == u64::MAX));
    let text = summary(&all, &Filter::default()).unwrap();
    assert!(text.contains("requests out at once over 0"), "{text}");
}
