//! What holds of every case, and a list of them with their parameters.

use std::collections::BTreeSet;

use evidence::needs::Need;

use super::*;

#[test]
fn names_are_unique_and_every_test_has_a_plain_case() {
    let names: BTreeSet<_> = all().map(|case| case.name).collect();
    assert_eq!(names.len(), all().count(), "a case name stands twice");
    for case in all() {
        assert!(names.contains(case.test()), "{} has no plain case", case.name);
        // The name says the test, for `--case` and for whoever reads a report.
        let (test, _) = case.name.split_once('.').unwrap_or((case.name, ""));
        assert_eq!(test, case.test(), "{} has the parameters of another test", case.name);
    }
}

#[test]
fn every_test_can_do_what_its_cases_ask() {
    for case in all() {
        assert_eq!(case.params.validate(), Ok(()), "{}", case.name);
    }
}

/// The cases of the tests that `of` chooses, each with its parameters.
fn asked(of: impl Fn(&str) -> bool) -> String {
    let lines = all().filter(|case| of(case.test())).map(|case| {
        let params = serde_json::to_string(&case.params).unwrap().replace('"', "");
        format!("{}\n  {params}\n", case.name)
    });
    lines.collect()
}

/// Tests that write from a buffer that faults.
const FAULTING: [&str; 3] = ["partial-write", "zero-progress", "fault-midway"];

#[test]
fn what_partial_writes_ask() {
    insta::assert_snapshot!(asked(|test| test == "partial-write"), @r"
    partial-write
      {partial-write:{size:64,present:1,target:{at:{layout:new,offset:0}},sync:none,expect_error:false}}
    partial-write.dsync
      {partial-write:{size:64,present:1,target:{at:{layout:new,offset:0}},sync:dsync,expect_error:false}}
    partial-write.append
      {partial-write:{size:64,present:1,target:{append:{prefix:4}},sync:none,expect_error:false}}
    partial-write.prealloc
      {partial-write:{size:64,present:1,target:{at:{layout:prealloc,offset:0}},sync:none,expect_error:false}}
    partial-write.nocow
      {partial-write:{size:64,present:1,target:{at:{layout:nocow,offset:0}},sync:none,expect_error:false}}
    partial-write.fragmented
      {partial-write:{size:64,present:1,target:{at:{layout:fragmented,offset:0}},sync:none,expect_error:false}}
    partial-write.held
      {partial-write:{size:128,present:64,target:{at:{layout:new,offset:0}},sync:none,expect_error:false}}
    partial-write.split
      {partial-write:{size:128,present:64,target:{at:{layout:new,offset:0}},sync:none,expect_error:false}}
    partial-write.first-fails
      {partial-write:{size:64,present:1,target:{at:{layout:new,offset:0}},sync:none,expect_error:true}}
    partial-write.rest-fails
      {partial-write:{size:64,present:1,target:{at:{layout:new,offset:0}},sync:none,expect_error:true}}
    partial-write.8k
      {partial-write:{size:2,present:1,target:{at:{layout:new,offset:0}},sync:none,expect_error:false}}
    partial-write.8m
      {partial-write:{size:2048,present:1300,target:{at:{layout:new,offset:0}},sync:none,expect_error:false}}
    partial-write.2m
      {partial-write:{size:512,present:1,target:{at:{layout:new,offset:0}},sync:none,expect_error:false}}
    partial-write.64k
      {partial-write:{size:16,present:8,target:{at:{layout:new,offset:0}},sync:none,expect_error:false}}
    partial-write.append-dsync
      {partial-write:{size:64,present:1,target:{append:{prefix:4}},sync:dsync,expect_error:false}}
    partial-write.prealloc-dsync
      {partial-write:{size:64,present:1,target:{at:{layout:prealloc,offset:0}},sync:dsync,expect_error:false}}
    partial-write.nocow-dsync
      {partial-write:{size:64,present:1,target:{at:{layout:nocow,offset:0}},sync:dsync,expect_error:false}}
    partial-write.new-nocow
      {partial-write:{size:64,present:1,target:{at:{layout:new-nocow,offset:0}},sync:none,expect_error:false}}
    partial-write.existing
      {partial-write:{size:64,present:1,target:{at:{layout:existing,offset:0}},sync:none,expect_error:false}}
    ");
}

#[test]
fn what_other_writes_that_fault_ask() {
    insta::assert_snapshot!(asked(|test| FAULTING[1..].contains(&test)), @r"
    zero-progress
      {zero-progress:{size:64,first:forbidden,target:{at:{layout:new,offset:0}},sync:none}}
    zero-progress.cold
      {zero-progress:{size:64,first:cold,target:{at:{layout:new,offset:0}},sync:none}}
    zero-progress.dsync
      {zero-progress:{size:64,first:forbidden,target:{at:{layout:new,offset:0}},sync:dsync}}
    zero-progress.prealloc
      {zero-progress:{size:64,first:forbidden,target:{at:{layout:prealloc,offset:0}},sync:none}}
    zero-progress.nocow
      {zero-progress:{size:64,first:forbidden,target:{at:{layout:nocow,offset:0}},sync:none}}
    fault-midway
      {fault-midway:{size:64,readable:32,source:{file:{present:1}},target:{at:{layout:new,offset:0}},sync:none}}
    fault-midway.dsync
      {fault-midway:{size:64,readable:32,source:{file:{present:1}},target:{at:{layout:new,offset:0}},sync:dsync}}
    fault-midway.existing
      {fault-midway:{size:64,readable:32,source:{file:{present:1}},target:{at:{layout:existing,offset:0}},sync:none}}
    fault-midway.prealloc
      {fault-midway:{size:64,readable:32,source:{file:{present:1}},target:{at:{layout:prealloc,offset:0}},sync:none}}
    fault-midway.8k
      {fault-midway:{size:2,readable:1,source:{file:{present:1}},target:{at:{layout:new,offset:0}},sync:none}}
    ");
}

#[test]
fn what_all_other_cases_ask() {
    insta::assert_snapshot!(asked(|test| !FAULTING.contains(&test)), @r"
    rw-verify
      {rw-verify:{size:128,sync:none}}
    rw-verify.delayed
      {rw-verify:{size:128,sync:none}}
    rw-verify.large
      {rw-verify:{size:2048,sync:none}}
    self-deadlock
      {self-deadlock:{size:64,present:0,layout:existing,sync:none,expect_error:false}}
    self-deadlock.dsync
      {self-deadlock:{size:64,present:0,layout:existing,sync:dsync,expect_error:false}}
    self-deadlock.4k
      {self-deadlock:{size:1,present:0,layout:existing,sync:none,expect_error:false}}
    self-deadlock.8m
      {self-deadlock:{size:2048,present:0,layout:existing,sync:none,expect_error:false}}
    overlap
      {overlap:{size:64,present:1,layout:existing,sync:none,expect_error:false}}
    overlap.dsync
      {overlap:{size:64,present:1,layout:existing,sync:dsync,expect_error:false}}
    overlap.32k
      {overlap:{size:8,present:1,layout:existing,sync:none,expect_error:false}}
    overlap.8m
      {overlap:{size:2048,present:1,layout:existing,sync:none,expect_error:false}}
    read-own-mapping
      {read-own-mapping:{size:64,present:0,shift:none,layout:existing}}
    read-own-mapping.8m
      {read-own-mapping:{size:2048,present:0,shift:none,layout:existing}}
    ioerr-leak
      {ioerr-leak:{size:2048,order:backwards,target:{at:{layout:new,offset:0}},sync:none,expect_error:true}}
    ioerr-leak.second
      {ioerr-leak:{size:2048,order:backwards,target:{at:{layout:new,offset:0}},sync:none,expect_error:true}}
    ioerr-leak.torn
      {ioerr-leak:{size:2048,order:backwards,target:{at:{layout:new,offset:0}},sync:none,expect_error:true}}
    ioerr-leak.dsync
      {ioerr-leak:{size:2048,order:backwards,target:{at:{layout:new,offset:0}},sync:dsync,expect_error:true}}
    ioerr-leak.late
      {ioerr-leak:{size:2048,order:backwards,target:{at:{layout:new,offset:0}},sync:none,expect_error:true}}
    ioerr-leak.eighth
      {ioerr-leak:{size:2048,order:backwards,target:{at:{layout:new,offset:0}},sync:none,expect_error:true}}
    ");
}

#[test]
fn every_rule_parses_and_every_need_names_a_rule() {
    for case in all() {
        let rules: Vec<vhost_blk_api::plan::Rule> = case
            .rules
            .iter()
            .map(|rule| {
                rule.parse()
                    .unwrap_or_else(|error| panic!("{}: {rule}: {error}", case.name))
            })
            .collect();
        for need in case.needs {
            if let Need::Hits(name, _) | Need::ReleasedByCondition(name) = need {
                let named = rules.iter().any(|rule| rule.name.as_deref() == Some(name));
                assert!(named, "{}: no rule is called {name}", case.name);
            }
        }
    }
}
