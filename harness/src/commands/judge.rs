//! `cargo xtask judge`: stored cells, judged again.

use std::path::{Path, PathBuf};

use clap::Args;
use exit::{Exit, Failure};
use run::rejudge::{self, Rejudged};
use serde_json::{Value, json};
use verdict::results::Cell;

/// `cargo xtask judge`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask judge target/bioscope/latest\n  cargo xtask judge --json \
    target/bioscope/latest | jq '.cells[] | select(.differs)'\n\nIt boots nothing and writes nothing.\n\nThe exit \
    code is that of `test`: 0 if every cell is as it was expected when it ran, 1 for an\nunexpected failure or pass, 2 \
    for broken or inconclusive cells. It is also 1 if a verdict on\na kernel differs from the stored one, and 66 if a \
    directory or a stored verdict cannot be read."
)]
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
/// A directory or a stored verdict cannot be read, or there is no cell below a directory.
pub(crate) fn run(args: &JudgeArgs) -> Result<Exit, Failure> {
    let mut cells = Vec::new();
    for dir in &args.dirs {
        let shown = dir.display();
        if dir.is_file() {
            let what = format!(
                "{shown} is a file: expected the directory of a cell, which has bundle.json, or one with cells below \
                 it; name {} or a run's, such as target/bioscope/latest",
                dir.parent()
                    .filter(|dir| *dir != Path::new(""))
                    .unwrap_or(Path::new("."))
                    .display()
            );
            return Err(Failure::new(Exit::NoInput, what));
        }
        if !dir.exists() {
            let what =
                format!("there is no {shown}; name a cell's directory or a run's, such as target/bioscope/latest");
            return Err(Failure::new(Exit::NoInput, what));
        }
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
        host::out!("{}", text.map_err(|error| Failure::foreign(Exit::Internal, &error))?);
    } else {
        host::out!("{}", report::rejudged(&cells).trim_end());
    }
    let unread = cells
        .iter()
        .find_map(|cell| Some((&cell.now.dir, cell.unreadable.as_ref()?)));
    if let Some((dir, why)) = unread {
        let what = format!(
            "{}: {why}; remove the file to judge the cell by its evidence alone",
            dir.display()
        );
        return Err(Failure::new(Exit::NoInput, what));
    }
    Ok(rejudge::tally(&cells).exit())
}

fn in_json(cell: &Rejudged) -> serde_json::Result<Value> {
    let mut value = serde_json::to_value(&cell.now)?;
    if cell.now.kernel.is_empty() {
        // Neither the bundle nor the place tells.
        value["kernel"] = Value::Null;
        value["fs"] = Value::Null;
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_verdict_that_cannot_be_read_is_bad_input() {
        let root = tempfile::tempdir().expect("a directory");
        let dir = root.path().join("k/ext4/overlap");
        std::fs::create_dir_all(&dir).expect("a directory");
        std::fs::write(dir.join("cell.json"), "{}").expect("a file");
        let judged = |dirs| run(&JudgeArgs { dirs, json: true });
        let failure = judged(vec![dir]).err().map(|failure| format!("{failure:?}"));
        assert!(
            failure
                .as_ref()
                .is_some_and(|text| text.contains("cannot read cell.json")),
            "{failure:?}"
        );
    }

    #[test]
    fn of_what_is_not_there_it_says_what_to_name() {
        let root = tempfile::tempdir().expect("a directory");
        let judged = run(&JudgeArgs {
            dirs: vec![root.path().join("none")],
            json: false,
        });
        let failure = judged.err().map(|failure| format!("{failure:?}")).unwrap_or_default();
        assert!(
            failure.contains("none; name a cell's directory or a run's"),
            "{failure}"
        );
    }

    #[test]
    fn of_a_file_it_says_what_is_expected() {
        let root = tempfile::tempdir().expect("a directory");
        let file = root.path().join("bundle.json");
        std::fs::write(&file, "{}").expect("a file");
        let judged = run(&JudgeArgs {
            dirs: vec![file],
            json: true,
        });
        let failure = judged.err().map(|failure| format!("{failure:?}")).unwrap_or_default();
        let expected = format!("name {} or a run's", root.path().display());
        assert!(failure.contains("is a file: expected the directory of a cell") && failure.contains(&expected));
        // What no place tells is not made up.
        let cells = rejudge::rejudge(root.path()).expect("a cell");
        let value = cells.first().and_then(|cell| in_json(cell).ok()).unwrap_or_default();
        assert_eq!((&value["kernel"], &value["fs"]), (&Value::Null, &Value::Null));
    }
}
