//! Every action with every trigger over a real ring: what the rule does not mean is done as ever, what it means meets
//! the action.
//!
//! The trials are made of the language's own tables of words (`plan::words`): a word for which there is no trial fails.
//! What the language refuses is a trial, too, that sees the refusal. A trial's name is its rule.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

#[path = "../common/mod.rs"]
mod common;
mod effects;
mod forms;
mod rig;
mod triggers;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::process::ExitCode;

use effects::Case;
use forms::{Effect, FORMS, Form};
use libtest_mimic::{Arguments, Failed};
use rig::Rig;
use triggers::{Pair, Step, Trigger};
use vhost_blk_api::control::Command;
use vhost_blk_api::op::Op;
use vhost_blk_api::plan::words;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    libtest_mimic::run(&arguments, trials()).exit_code()
}

/// What a trial does.
type Work = Box<dyn FnOnce() + Send>;

thread_local! {
    /// A device from one trial to the next. It ends with the thread that started it, so each thread has its own.
    static RIG: Cell<Option<Rig>> = const { Cell::new(None) };
}

/// Has a device, which the next trial gets if this one comes to its end.
fn with_rig(work: impl FnOnce(&mut Rig)) {
    RIG.with(|idle| {
        let mut rig = idle.take().unwrap_or_else(Rig::start);
        work(&mut rig);
        idle.set(Some(rig));
    });
}

fn trials() -> Vec<libtest_mimic::Trial> {
    let mut works: BTreeMap<String, Work> = BTreeMap::new();
    let mut add = |name: String, work: Work| {
        assert!(
            works.insert(name.clone(), work).is_none(),
            "two trials are named {name}"
        );
    };
    for action in &words::ACTIONS {
        let forms: Vec<Form> = FORMS
            .iter()
            .copied()
            .filter(|form| form.action == action.name)
            .collect();
        for key in action.keys {
            let key = format!("{}=", key.name);
            if !forms.iter().any(|form| form.keys.contains(&key)) {
                add(
                    format!("{} {key}", action.name),
                    missing("no rule of forms.rs has this key"),
                );
            }
        }
        if forms.is_empty() {
            add(action.name.to_owned(), missing("no rule of forms.rs has this action"));
        }
        for form in forms {
            for (name, work) in of_form(form) {
                add(name, work);
            }
        }
    }
    let trial = |(name, work): (String, Work)| {
        libtest_mimic::Trial::test(name, move || {
            work();
            Ok::<(), Failed>(())
        })
    };
    works.into_iter().map(trial).collect()
}

/// A word that nobody has written a trial for.
fn missing(what: &'static str) -> Work {
    Box::new(move || panic!("{what}"))
}

/// A form's trials, by name.
fn of_form(form: Form) -> Vec<(String, Work)> {
    let mut trials = Vec::new();
    let mut add = |trigger: &Trigger| {
        let trigger = trigger.clone();
        let rule = rule(form, &trigger.text, trigger.repeats);
        let name = rule.clone();
        let work: Work = Box::new(move || with_rig(|rig| run(rig, form, rule, &trigger)));
        trials.push((name, work));
    };
    let mut refusals = Vec::new();
    let main = form.mains[0];
    add(&triggers::of_op("any", main));
    for op in Op::MATCHABLE {
        if form.refuses.contains(&op) {
            refusals.push((op.name().to_owned(), "does not go with"));
        } else {
            add(&triggers::of_op(op.name(), main));
        }
    }
    let mut unknown = Vec::new();
    for op in form.mains {
        for key in words::MATCHER_KEYS.iter().chain(&words::RULE_KEYS) {
            match triggers::of_key(key.name, *op) {
                Some(Pair::Trials(triggers)) => triggers.iter().for_each(&mut add),
                Some(Pair::Refused(trigger, words)) => refusals.push((trigger, words)),
                None => unknown.push(key.name),
            }
        }
    }
    for (trigger, words) in refusals {
        let rule = rule(form, &trigger, true);
        let name = format!("refused: {rule}");
        trials.push((name, Box::new(move || with_rig(|rig| refused(rig, rule, words)))));
    }
    for key in unknown {
        let name = format!("{} {} {key}=", form.action, form.keys);
        trials.push((name, missing("triggers.rs does not know this key")));
    }
    trials
}

/// The rule's text. What waits for others to come must not wait for the trial's machine.
fn rule(form: Form, trigger: &str, repeats: bool) -> String {
    let Form { action, keys, .. } = form;
    let mut text = format!("{action} {trigger} {keys}");
    match form.effect {
        Effect::Reorders(_) if !repeats => text += " max=5ms",
        Effect::Reorders(_) | Effect::ReordersEpoch => text += " max=60s",
        // The request that is waited for must not wait itself.
        Effect::Waits(forms::Until::Discard(_)) if !trigger.contains("limit=") => text += " limit=1",
        _ => {}
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn refused(rig: &mut Rig, rule: String, words: &str) {
    let plan = Command::Plan {
        seed: 0,
        rules: vec![rule],
    };
    let error = rig.control.call(&plan).expect_err("no such rule").to_string();
    assert!(error.contains(words), "{error}");
}

fn run(rig: &mut Rig, form: Form, rule: String, trigger: &Trigger) {
    let name = if rule.contains("name=") { "chosen" } else { "r1" };
    let case = Case {
        effect: form.effect,
        name,
        seed: trigger.seed,
        repeats: trigger.repeats,
        any: trigger.text.starts_with("any"),
    };
    let mut rules = vec![rule];
    rules.extend(trigger.others.iter().map(|rule| (*rule).to_owned()));
    rig.begin(trigger.seed, rules);
    let mut hits = 0;
    let mut flushed = false;
    for step in &trigger.steps {
        match step {
            Step::Miss(ask) => rig.usual(ask),
            Step::Fails(ask) => {
                rig.send(ask);
                let (found, used) = rig.take(ask.queue);
                assert_eq!((&found, used.status), (ask, common::IOERR));
            }
            Step::Mark(name) => {
                rig.tell(&Command::Mark {
                    name: (*name).to_owned(),
                });
            }
            Step::Set(var) => {
                rig.tell(&Command::Set { var: (*var).to_owned() });
            }
            Step::Hit(ask) => {
                if ask.op == Op::Flush {
                    // So that there is something for it to make durable.
                    rig.dirty();
                    flushed = true;
                }
                hits += case.hit(rig, ask);
            }
        }
        let rule = rig.rule();
        assert_eq!(
            (rule.name.as_str(), rule.hits),
            (name, hits),
            "after {step:?}: {rule:?}"
        );
    }
    rig.end(flushed);
}
