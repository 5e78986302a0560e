//! What each command does to the device.

use std::path::Path;

use vhost_blk_api::control::{Command, Cut, Reply};
use vhost_blk_api::plan::{Lose, RuleError, Torn, Var, is_name};

use super::wanted::{described, said, wanted};
use super::words::{choice, refusal};
use crate::device::Device;
use crate::device::resize::Resized;
use crate::disk::export::Exported;
use crate::power::picture::StateRequest;
use crate::power::survivors::PowerCut;
use crate::rulebook::UnknownRule;

/// Does what a command says.
pub(super) fn obey(device: &Device, command: Command) -> Reply {
    match command {
        Command::Add { .. } | Command::Plan { .. } if device.is_replay() => refusal(
            "this device makes the decisions of a trace again (--replay) and asks no rules: start one without --replay to add some".to_owned(),
        ),
        Command::Add { rule } => match device.add_rule(&rule) {
            Ok(name) => Reply::Added { name },
            Err(error) => rule_refusal(&error, None),
        },
        Command::Plan { seed, rules } => match device.set_plan(seed, &rules) {
            Ok(()) => Reply::Done,
            Err((index, error)) => rule_refusal(&error, Some(index)),
        },
        Command::List => Reply::Rules { rules: device.rules() },
        Command::Remove { rule } => released(device.remove_rule(&rule)),
        Command::Clear => Reply::Released {
            requests: device.clear_rules(),
        },
        Command::Release { rule } => released(device.release(rule.as_deref())),
        Command::Set { var } => set(device, &var),
        Command::Mark { name } => mark(device, &name),
        Command::Cut { lose, torn, seed } => cut(device, lose.as_deref(), torn.as_deref(), seed),
        Command::Power => Reply::Released {
            requests: device.power_on(),
        },
        Command::Disconnect => {
            if device.front_end().hang_up() {
                Reply::Done
            } else {
                refusal("no front end is connected".to_owned())
            }
        }
        Command::Rollback { to } => match device.rollback(to.as_deref()) {
            Ok(None) => Reply::Done,
            Ok(Some(resized)) => told(resized),
            Err(error) => refusal(format!("cannot roll back: {error}")),
        },
        Command::Present { .. } | Command::Undecided { .. } => states(device, command),
        Command::Resize { bytes } => match device.resize(bytes) {
            Ok(resized) => told(resized),
            Err(error) => refusal(format!("cannot resize: {error}")),
        },
        Command::Export {
            path,
            at,
            lose,
            torn,
            seed,
        } => match power_cut_at_export(lose.as_deref(), torn.as_deref(), seed) {
            Ok(power_cut) => {
                let at = at.as_deref();
                export(device, &path, &StateRequest { at, power_cut })
            }
            Err(refusal) => *refusal,
        },
        Command::ExportLog { path } => match device.export_log(&path) {
            Ok((entries, disk_bytes)) => Reply::Logged { entries, disk_bytes },
            Err(error) => refusal(device.why_unwritten(&path, &error.to_string(), error.io_error())),
        },
        Command::Stats => Reply::Stats(device.stats()),
        // It takes the connection over before it comes here.
        Command::Subscribe => refusal("a subscription is answered by the connection itself".to_owned()),
        Command::FlushTrace => {
            device.trace().flush();
            Reply::Done
        }
        Command::Quit => Reply::Done,
    }
}

/// Does what a command says that is about the states of a mark.
fn states(device: &Device, command: Command) -> Reply {
    match command {
        Command::Present {
            at,
            lose,
            order,
            torn,
            seed,
        } => match wanted(lose.as_deref(), order.as_deref(), torn.as_deref(), seed) {
            Ok(wanted) => match device.present(&at, &wanted) {
                Ok(state) => said(state),
                Err(error) => refusal(format!("cannot present this state: {error}")),
            },
            Err(refusal) => *refusal,
        },
        Command::Undecided { at } => match device.undecided(&at) {
            Ok(requests) => Reply::Undecided {
                requests: requests.iter().map(described).collect(),
            },
            Err(error) => refusal(format!("cannot say what was undecided: {error}")),
        },
        _ => refusal("this is about no state of a mark".to_owned()),
    }
}

fn set(device: &Device, var: &str) -> Reply {
    match Var::read(var) {
        Some(var) => {
            device.set_var(&var);
            Reply::Done
        }
        None => refusal(format!(
            "bad variable `{var}`: expected a name and a number, like phase:2"
        )),
    }
}

fn mark(device: &Device, name: &str) -> Reply {
    if is_name(name) {
        device.mark(name);
        return Reply::Done;
    }
    refusal(format!(
        "bad mark name `{}`: expected a name as rules have them: at most 64 letters, digits, `_` and `-`, the first a letter or `_`",
        name.escape_debug()
    ))
}

fn cut(device: &Device, lose: Option<&str>, torn: Option<&str>, seed: u64) -> Reply {
    let PowerCut { lose, torn, seed } = match power_cut(lose, torn, seed) {
        Ok(power_cut) => power_cut,
        Err(refusal) => return *refusal,
    };
    match device.cut(lose, torn, seed) {
        Ok(Cut {
            volatile,
            lost,
            torn_bytes,
        }) => Reply::Cut {
            volatile,
            lost,
            torn_bytes,
        },
        Err(error) => refusal(format!("cannot cut the power: {error}")),
    }
}

fn export(device: &Device, path: &Path, wanted: &StateRequest<'_>) -> Reply {
    match device.export(path, wanted) {
        Ok(Exported { data_bytes, cut }) => Reply::Exported { data_bytes, cut },
        Err(error) => refusal(device.why_unwritten(path, &error.to_string(), error.io_error())),
    }
}

/// The simulated power cut whose result an export is to hold, if it asks for one.
fn power_cut_at_export(
    lose: Option<&str>,
    torn: Option<&str>,
    seed: Option<u64>,
) -> Result<Option<PowerCut>, Box<Reply>> {
    match (lose, torn, seed) {
        (None, None, None) => Ok(None),
        (None, None, Some(_)) => Err(Box::new(refusal(
            "a seed chooses what a power cut loses: say that one is meant, by `lose` or `torn`".to_owned(),
        ))),
        (lose, torn, seed) => power_cut(lose, torn, seed.unwrap_or(0)).map(Some),
    }
}

/// How the power is to be cut; the words are those of the rule, and nothing of a rule goes with them.
fn power_cut(lose: Option<&str>, torn: Option<&str>, seed: u64) -> Result<PowerCut, Box<Reply>> {
    let lose = lose.map_or(Ok(Lose::All), |lose| {
        choice("lose", lose, Lose::ALL, Lose::name, "all, some or none")
    })?;
    let torn = torn.map(|torn| choice("torn", torn, Torn::ALL, Torn::name, "512 or 4k"));
    Ok(PowerCut {
        lose,
        torn: torn.transpose()?,
        seed,
    })
}

fn released(done: Result<usize, UnknownRule>) -> Reply {
    match done {
        Ok(requests) => Reply::Released { requests },
        Err(error) => refusal(error.to_string()),
    }
}

fn told(resized: Resized) -> Reply {
    let Resized { from, bytes, front_end } = resized;
    Reply::Resized { from, bytes, front_end }
}

fn rule_refusal(error: &RuleError, rule_index: Option<usize>) -> Reply {
    Reply::Error {
        message: error.render(),
        column: Some(error.column),
        rule_index,
    }
}
