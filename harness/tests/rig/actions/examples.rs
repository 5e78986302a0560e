//! Every example of the rule language, whatever its action: a request of Linux's meets it, and afterwards the guest and
//! the device go on.

use vhost_blk_api::control::Command;
use vhost_blk_api::op::Op;
use vhost_blk_api::plan::{Rule, words};

use crate::guest::{Guest, Setup};

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn every_example_meets_a_request_and_the_guest_goes_on() {
    let mut guest = Guest::boot(&Setup {
        reconnect: true,
        ..Setup::default()
    });
    for example in words::ACTIONS.iter().flat_map(|action| action.examples) {
        meets(&mut guest, example);
    }
    guest.end();
}

fn meets(guest: &mut Guest, example: &str) {
    let rule: Rule = example.parse().expect(example);
    let mut rule = rule.bare();
    rule.trigger.limit = Some(1);
    guest.rule(&rule.to_string());
    let request = match rule.trigger.matcher.op {
        Some(Op::Read) => "read 0 4096",
        Some(Op::Flush) => "sync",
        Some(Op::Discard) => "discard 4096 4096",
        Some(Op::WriteZeroes) => "zero-range 4096 4096",
        Some(Op::Write) | None => "write 4096 4096 22",
        Some(Op::GetId) => panic!("no rule means it"),
    };
    let request = guest.begin(request);
    guest.until_hit(&rule.to_string());
    let dark = guest.stats().dark;
    guest.device().call("clear", &Command::Clear).expect("clear");
    if dark {
        // As after a power cut the machine begins anew.
        guest.device().call("power", &Command::Power).expect("power");
        guest.qmp().reset().expect("a reset");
        guest.until_ready();
    } else {
        // Whatever it is: the request ends.
        guest.answer(request);
    }
    guest.assert_works();
    let stats = guest.stats();
    assert_eq!((stats.outstanding, stats.held, stats.dark), (0, 0, false), "{example}");
}
