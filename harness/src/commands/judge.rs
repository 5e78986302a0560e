//! `cargo xtask judge`: stored cells, judged again.

use std::path::PathBuf;

use clap::Args;
use exit::{Exit, Failure};
use run::rejudge::{self, Rejudged};
use serde_json::{Value, json};
use verdict::results::Cell;

/// `cargo xtask judge`.
#[derive(Debug, Args)]
pub(crate) struct JudgeArgs {
    /// A cell's directory, or one with cells below it, such as that of a run.
    #[arg(value_name = "DIR", required = true)]
    pub(crate) dirs: Vec<PathBuf>,
    /// Print the cells as JSON, each as in results.json and with what was `stored` of it.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Runs the command; the exit code is that of `test`, and 1 if a verdict on a kernel differs from the stored one.
///
/// # Errors
/// A directory cannot be read, or there is no cell below it.
pub(crate) fn run(args: &JudgeArgs) -> Result<Exit, Failure> {
    let mut cells = Vec::new();
    for dir in &args.dirs {
        let shown = dir.display();
        let found = rejudge::rejudge(dir)
            .map_err(|error| Failure::new(Exit::NoInput, format!("cannot read {shown}: {error}")))?;
        if found.is_empty() {
            return Err(Failure::new(
                Exit::NoInput,
                format!(
                    "no cell in {shown} or below it: expected bundle.json or cell.json; name a cell's directory or a \
                     run's, such as target/bioscope/latest"
                ),
            ));
        }
        cells.extend(found);
    }
    if args.json {
        let list: Result<Vec<Value>, _> = cells.iter().map(in_json).collect();
        let text = list.and_then(|cells| serde_json::to_string_pretty(&json!({ "cells": cells })));
        anstream::println!("{}", text.map_err(|error| Failure::foreign(Exit::Internal, &error))?);
    } else {
        anstream::print!("{}", report::rejudged(&cells));
    }
    Ok(rejudge::tally(&cells).exit())
}

fn in_json(cell: &Rejudged) -> serde_json::Result<Value> {
    let mut value = serde_json::to_value(&cell.now)?;
    value["differs"] = cell.differs().into();
    value["stored"] = cell.stored.as_ref().map(stored).transpose()?.unwrap_or_default();
    Ok(value)
}

/// The verdict's fields of a stored cell.
fn stored(cell: &Cell) -> serde_json::Result<Value> {
    let mut value = serde_json::to_value(cell)?;
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|name, _| ["verdict", "cause", "phase", "place", "detail", "armed"].contains(&name.as_str()));
    }
    Ok(value)
}
