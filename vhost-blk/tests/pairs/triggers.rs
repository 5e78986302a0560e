//! For every word of a trigger: the rest of a rule, requests that it does not mean, and one that it means.

use vhost_blk_api::op::Op;
use vhost_blk_api::payload::Tag;
use vhost_blk_api::rng::Rng;

use crate::rig::{Ask, PAGE, PAGE_SECTORS};

/// What happens in a trial, one after the other.
#[derive(Debug, Clone)]
pub enum Step {
    /// A request that the rule does not mean: it is done as ever.
    Miss(Ask),
    /// The one that it means.
    Hit(Ask),
    /// A request that another rule of the trial fails.
    Fails(Ask),
    Mark(&'static str),
    Set(&'static str),
}

use Step::{Fails, Hit, Mark, Miss, Set};

/// One word of a trigger, with one operation.
#[derive(Debug, Clone)]
pub struct Trigger {
    /// The operation and keys of the rule.
    pub text: String,
    /// Rules beside it.
    pub others: Vec<&'static str>,
    pub seed: u64,
    pub steps: Vec<Step>,
    /// Whether the request that it means is meant again when it comes again.
    pub repeats: bool,
}

/// What becomes of a pair: trials, or no such rule.
#[derive(Debug)]
pub enum Pair {
    Trials(Vec<Trigger>),
    /// The language refuses it; the message has these words.
    Refused(String, &'static str),
}

/// The page of what is meant, and of what is not.
const HERE: u64 = 2;
const THERE: u64 = 8;
/// A page for requests of other rules.
const ASIDE: u64 = 14;

fn here(op: Op) -> Ask {
    Ask::page(op, HERE)
}

fn there(op: Op) -> Ask {
    Ask::page(op, THERE)
}

fn aside() -> Ask {
    Ask::page(Op::WriteZeroes, ASIDE)
}

fn trial(op: Op, keys: &str, steps: Vec<Step>) -> Trigger {
    Trigger {
        text: format!("{op} {keys}"),
        others: Vec::new(),
        seed: 0,
        steps,
        repeats: true,
    }
}

fn once(op: Op, keys: &str, steps: Vec<Step>) -> Trigger {
    Trigger {
        repeats: false,
        ..trial(op, keys, steps)
    }
}

fn beside(rule: &'static str, trigger: Trigger) -> Trigger {
    Trigger {
        others: vec![rule],
        ..trigger
    }
}

/// A rule for an operation by itself: an operation's word, or `any`, under which `main` is sent.
pub fn of_op(word: &str, main: Op) -> Trigger {
    let op = Op::MATCHABLE.into_iter().find(|op| op.name() == word);
    let other = match op {
        // No rule means it, also not that for any.
        None => Op::GetId,
        Some(Op::Read) => Op::Write,
        Some(_) => Op::Read,
    };
    let hit = op.unwrap_or(main);
    Trigger {
        text: word.to_owned(),
        ..trial(hit, "", vec![Miss(there(other)), Hit(here(hit))])
    }
}

/// Rules with this key for this operation; nothing for a key that is not known here.
pub fn of_key(key: &str, op: Op) -> Option<Pair> {
    let flush = op == Op::Flush;
    let simple = vec![Miss(there(op)), Hit(here(op))];
    let refused = |keys: &str, words| Some(Pair::Refused(format!("{op} {keys}"), words));
    let pairs = match key {
        "sectors" if flush => return refused("sectors=16..24", "sectors does not go with `flush`"),
        "sectors" => vec![trial(op, "sectors=16..24", simple)],
        "len" if flush => return refused("len=0..1", "len does not go with `flush`"),
        "len" => {
            let longer = Ask::at(op, THERE * PAGE_SECTORS, 2 * PAGE);
            vec![
                trial(op, "len=4k", vec![Miss(longer.clone()), Hit(here(op))]),
                trial(op, "len=512..8k", vec![Miss(longer), Hit(here(op))]),
            ]
        }
        "align" if flush => return refused("align=4k", "align does not go with `flush`"),
        "align" => {
            let off = |page: u64| Ask::at(op, page * PAGE_SECTORS + 1, PAGE);
            vec![
                trial(op, "align=4k", vec![Miss(off(THERE)), Hit(here(op))]),
                trial(op, "align=not(4k)", vec![Miss(there(op)), Hit(off(HERE))]),
            ]
        }
        "queue" => {
            let mut other = here(op);
            other.queue = 1;
            vec![trial(op, "queue=1", vec![Miss(there(op)), Hit(other)])]
        }
        "payload" if op != Op::Write => return refused("payload=tag:7", "payload does not go with"),
        "payload" => payload(),
        "covers" if flush => return refused("covers=64..80", "covers does not go with `flush`"),
        "covers" => vec![once(
            op,
            "covers=64..80",
            vec![Miss(there(op)), Hit(Ask::page(op, THERE + 1))],
        )],
        _ => return of_course(key, op).map(Pair::Trials),
    };
    Some(Pair::Trials(pairs))
}

/// Trials of a key that says which of the requests that look alike are meant, or when.
fn of_course(key: &str, op: Op) -> Option<Vec<Trigger>> {
    let simple = vec![Miss(there(op)), Hit(here(op))];
    Some(match key {
        "nth" => vec![once(op, "nth=2", simple)],
        "every" => vec![once(
            op,
            "every=2",
            vec![Miss(there(op)), Hit(here(op)), Miss(there(op))],
        )],
        "p" => vec![Trigger {
            seed: seed("r1"),
            ..once(op, "p=0.5", simple)
        }],
        "limit" => vec![once(op, "limit=1", vec![Hit(here(op)), Miss(there(op))])],
        "first-after" => {
            // An operation that no action's effect is seen with.
            let steps = vec![Miss(there(op)), Miss(aside()), Hit(here(op)), Miss(there(op))];
            vec![once(op, "first-after=write-zeroes", steps)]
        }
        "after" => vec![
            trial(op, "after=mark(now)", vec![Miss(there(op)), Mark("now"), Hit(here(op))]),
            beside(
                "delay write-zeroes for=1us name=other",
                trial(
                    op,
                    "after=rule(other)",
                    vec![Miss(there(op)), Miss(aside()), Hit(here(op))],
                ),
            ),
        ],
        "before" => vec![
            trial(
                op,
                "before=mark(now)",
                vec![Hit(here(op)), Mark("now"), Miss(there(op))],
            ),
            beside(
                "delay write-zeroes for=1us name=other",
                trial(
                    op,
                    "before=rule(other)",
                    vec![Hit(here(op)), Miss(aside()), Miss(there(op))],
                ),
            ),
        ],
        "when" => vec![trial(
            op,
            "when=phase:1",
            vec![
                Miss(there(op)),
                Set("phase:2"),
                Miss(there(op)),
                Set("phase:1"),
                Hit(here(op)),
            ],
        )],
        "set" => vec![beside(
            "fail write-zeroes when=phase:1",
            once(
                op,
                "nth=2 set=phase:1",
                vec![Miss(there(op)), Miss(aside()), Hit(here(op)), Fails(aside())],
            ),
        )],
        "name" => vec![once(op, "nth=2 name=chosen", simple)],
        _ => return None,
    })
}

/// Writes whose data begins with what the rule names.
fn payload() -> Vec<Trigger> {
    let write = |page, head: &[u8]| {
        let mut ask = Ask::page(Op::Write, page);
        ask.data[..head.len()].copy_from_slice(head);
        ask
    };
    let tagged = |page, tag, number| write(page, &Tag { tag, page: number }.header());
    let of = |keys: &str, miss, hit| trial(Op::Write, keys, vec![Miss(there(Op::Write)), Miss(miss), Hit(hit)]);
    vec![
        of("payload=tag:7", tagged(THERE, 8, 0), tagged(HERE, 7, 3)),
        of("payload=tag:7.3", tagged(THERE, 7, 2), tagged(HERE, 7, 3)),
        of(
            "payload=hex:0badcafe",
            write(THERE, b"\x0b\xad\xca"),
            write(HERE, b"\x0b\xad\xca\xfe"),
        ),
    ]
}

/// A seed with which a rule of this name does not take the plan's first request, and takes the second and third (there
/// may be one that another operation's rule does not look at in between).
fn seed(rule: &str) -> u64 {
    let takes = |seed, ordinal| Rng::for_choice(seed, rule, ordinal).chance(0.5);
    let fits = |seed: &u64| !takes(*seed, 1) && takes(*seed, 2) && takes(*seed, 3);
    (0..).find(fits).unwrap_or_default()
}
