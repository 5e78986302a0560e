//! What happens: rules, and a row of requests and commands.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use vhost_blk_api::op::Op;

/// More steps than a story has.
pub const STEPS_MAX: u64 = 90;
/// Queues of the driver.
pub const QUEUES: usize = 3;

/// Rules, and what happens under them.
#[derive(Debug, Clone)]
pub struct Story {
    pub seed: u64,
    pub rules: Vec<String>,
    /// Those that come after them, if a step says so.
    pub more_rules: Vec<String>,
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone)]
pub enum Step {
    /// A request, of which the device is told at once or with a later one.
    Send {
        queue: usize,
        op: Op,
        kick: bool,
    },
    /// Looks at the used rings.
    Look,
    /// Waits until nothing moves any more.
    Settle,
    Mark,
    Set(u64),
    Release,
    /// Lets go what one rule keeps.
    ReleaseRule(usize),
    Clear,
    /// The other rules come into force.
    Plan,
    /// A ring is stopped, and goes on where it was.
    Pause {
        queue: usize,
    },
    /// A ring is stopped, and begins anew.
    Reset {
        queue: usize,
    },
    /// The front end goes without a word, and comes again.
    Leave,
    /// The device is told to hang up.
    HangUp,
    Cut,
    Power,
    /// The disk gets so many sectors more than any request reaches.
    Resize(u64),
}

fn word() -> impl Strategy<Value = &'static str> {
    select(&["read", "write", "flush", "discard", "write-zeroes", "any"][..])
}

/// An action with its operation. Those that end a connection or the power come seldom, for little can come after them.
fn action() -> impl Strategy<Value = String> {
    let of_any = prop_oneof![
        Just("fail {}"),
        Just("fail {} status=unsupp"),
        Just("delay {} for=0ms..3ms"),
        Just("slow {} for=0us..900us over=5"),
        Just("hold {} until=release max=60s"),
        Just("hold {} until=next(write) max=60s"),
        Just("hold {} until=done(read) max=60s"),
        Just("hold {} until=mark(go) max=4ms"),
        Just("hold {} until=2ms"),
        Just("hang {}"),
        Just("reorder {} window=3 order=shuffle max=60s"),
        Just("reorder {} window=4 order=rotate max=2ms"),
        Just("reorder {} window=epoch order=reverse max=60s"),
    ];
    let of_one = select(
        &[
            "short read bytes=512 then=ok",
            "short write bytes=1k then=ioerr",
            "corrupt write flip=1bit",
            "corrupt read stale=1",
            "drop write",
            "drop flush",
            "early flush for=1ms",
        ][..],
    );
    let ends = select(&["cut {} lose=some", "disconnect {}"][..]);
    prop_oneof![
        12 => (of_any, word()).prop_map(|(action, op)| action.replace("{}", op)),
        4 => of_one.prop_map(str::to_owned),
        1 => (ends, word()).prop_map(|(action, op)| format!("{} limit=1", action.replace("{}", op))),
    ]
}

fn trigger() -> impl Strategy<Value = String> {
    const OTHERS: [&str; 8] = [
        "p=0.5",
        "p=0.1",
        "queue=1",
        "first-after=write",
        "after=mark(go)",
        "before=mark(go)",
        "when=phase:1",
        "set=phase:1",
    ];
    prop_oneof![
        4 => Just(String::new()),
        1 => (1u32..8).prop_map(|n| format!("nth={n}")),
        1 => (2u32..5).prop_map(|n| format!("every={n}")),
        1 => select(&OTHERS[..]).prop_map(str::to_owned),
    ]
}

fn rules() -> impl Strategy<Value = Vec<String>> {
    let rule =
        (action(), trigger()).prop_map(
            |(action, trigger)| match (action.contains("until=mark(go)"), &*trigger) {
                // No request would ever meet it: it is refused.
                (true, "after=mark(go)") => action,
                _ => format!("{action} {trigger}"),
            },
        );
    vec(rule, 0..5)
}

fn step() -> impl Strategy<Value = Step> {
    let queue = 0..QUEUES;
    let send = (queue.clone(), select(&Op::MATCHABLE[..]), any::<bool>());
    prop_oneof![
        40 => send.prop_map(|(queue, op, kick)| Step::Send { queue, op, kick }),
        4 => Just(Step::Look),
        2 => Just(Step::Settle),
        1 => Just(Step::Mark),
        1 => (0u64..3).prop_map(Step::Set),
        2 => Just(Step::Release),
        1 => (0usize..5).prop_map(Step::ReleaseRule),
        1 => Just(Step::Clear),
        1 => Just(Step::Plan),
        2 => queue.clone().prop_map(|queue| Step::Pause { queue }),
        2 => queue.prop_map(|queue| Step::Reset { queue }),
        1 => Just(Step::Leave),
        1 => Just(Step::HangUp),
        1 => Just(Step::Cut),
        2 => Just(Step::Power),
        1 => (0u64..40_000).prop_map(Step::Resize),
    ]
}

pub fn story() -> impl Strategy<Value = Story> {
    (any::<u64>(), rules(), rules(), vec(step(), 1..STEPS_MAX as usize)).prop_map(|(seed, rules, more_rules, steps)| {
        Story {
            seed,
            rules,
            more_rules,
            steps,
        }
    })
}
