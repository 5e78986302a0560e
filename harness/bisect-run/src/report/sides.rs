//! Both sides of the change: what each run left, the kernel's configuration and hashes, and how to see it again.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::result::BisectReport;
use crate::bench::Machines;
use crate::files::put;
use crate::maker::Maker;
use bisect::search::RunOutcome;
use evidence::EvidenceBundle;
use exit::Failure;
use host::words::quoted;
use kernels::Artifact;
use kernels::store::hex;
use run::{Run, cell_file};
use verdict::results::Cell;

/// What a side's source has beyond what its command names.
const PATCH: &str = "applied.patch";

/// One side of the change.
pub(crate) struct Side {
    /// The item, for a person.
    pub(crate) name: String,
    /// Its result; none if the run's directory is gone.
    pub(crate) cell: Option<Cell>,
    /// `uname -r`.
    pub(crate) release: String,
    /// Version, or what the source calls itself.
    pub(crate) version: String,
    /// How many runs showed what this side shows, and how many ran.
    pub(crate) runs: (usize, usize),
    /// The command that shows it again, without the patch.
    again: String,
    /// Where in the report is what its source has beyond what the command names.
    patch: Option<String>,
}

impl Side {
    /// Copies what there is of an item into a directory.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub(crate) fn write<M: Maker>(
        report: &BisectReport<'_>,
        bench: &mut Machines<'_, M>,
        item: usize,
        outcome: RunOutcome,
        folder: &Path,
    ) -> Result<Side, Failure> {
        let name = &report.planned.names[item];
        // What its kernel showed as another item is evidence of it, too.
        let of_item: Vec<_> = report.state.shown_by(name).collect();
        let showing: Vec<_> = of_item.iter().filter(|shown| shown.outcome == outcome).collect();
        let shown = showing
            .first()
            .and_then(|shown| Some((shown, Run::load(&shown.dir).ok()?)));
        let mut cell = None;
        let mut seed = report.setting.seed;
        if let Some((shown, run)) = shown {
            seed = run.seed.unwrap_or(seed);
            let dir = cell_dir(&run, &shown.dir);
            if let Some(dir) = &dir {
                for file in EvidenceBundle::FILES
                    .into_iter()
                    .chain([EvidenceBundle::OUTPUT, cell_file::NAME])
                {
                    // A run that ended early has not all of them.
                    if let Ok(bytes) = std::fs::read(dir.join(file)) {
                        put(&folder.join(file), String::from_utf8_lossy(&bytes).as_bytes())?;
                    }
                }
                cell = cell_file::load(dir);
            }
            put(&folder.join("plan.toml"), plan(report, seed).as_bytes())?;
        }
        let (mut release, mut version) = (String::new(), String::new());
        if let Ok(artifact) = bench.artifact(item)? {
            put(&folder.join("kernel.txt"), kernel(&artifact).as_bytes())?;
            if let Some(config) = config(&artifact) {
                put(&folder.join("config"), config.as_bytes())?;
            }
            release = artifact.release;
            version = artifact.version;
        }
        let again = again(report, &bench.maker.again(item), seed);
        let patch = match bench.maker.patch(item)? {
            Some(bytes) => Some(kept(&bytes, folder)?),
            None => None,
        };
        Ok(Side {
            name: report.name(item),
            cell,
            release,
            version,
            runs: (showing.len(), of_item.len()),
            again,
            patch,
        })
    }

    /// The command that shows it again, for who is in the report's directory, or has its place, with a slash, in
    /// `here`.
    pub(crate) fn command(&self, here: &str) -> String {
        match &self.patch {
            Some(folder) => format!("{} --patch {here}{folder}/{PATCH}", self.again),
            None => self.again.clone(),
        }
    }
}

#[cfg(test)]
impl Side {
    /// One of which nothing is kept.
    pub(crate) fn of_test(name: &str) -> Side {
        Side {
            name: name.to_owned(),
            cell: None,
            release: String::new(),
            version: String::new(),
            runs: (0, 0),
            again: String::new(),
            patch: None,
        }
    }
}

/// Writes a side's patch; gives back its directory's name.
fn kept(patch: &[u8], folder: &Path) -> Result<String, Failure> {
    put(&folder.join(PATCH), patch)?;
    Ok(folder.file_name().unwrap_or_default().to_string_lossy().into_owned())
}

/// A shell script that runs both sides.
pub(crate) fn script(bad: &Side, good: &Side) -> String {
    format!(
        "#!/bin/sh\n# Run in a checkout of bioscope. The first fails, the second passes.\n\
        here=$(CDPATH= cd -- \"$(dirname -- \"$0\")\" && pwd)\n{}\n{}\n",
        bad.command("\"$here\"/"),
        good.command("\"$here\"/")
    )
}

/// The command that runs an item again.
fn again(report: &BisectReport<'_>, kernel: &str, seed: u64) -> String {
    let (case, fs) = report.cell.split_once(" on ").unwrap_or((report.cell, "btrfs"));
    let mut command = format!("cargo xtask test {kernel} --fs {fs}");
    match &report.setting.exec {
        None => {
            let _ = write!(command, " --case {}", quoted(case));
        }
        Some(exec) => {
            command.push_str(&run::exec::options(exec));
            let _ = write!(command, " --seed {seed}");
        }
    }
    command
}

/// The fault plan of the run, as a plan file.
fn plan(report: &BisectReport<'_>, seed: u64) -> String {
    let (case, _) = report.cell.split_once(" on ").unwrap_or((report.cell, ""));
    let rules: Vec<String> = match &report.setting.exec {
        Some(exec) => exec.plan.rules.clone(),
        None => run::cases::find(case)
            .map(|case| case.rules.iter().map(|rule| (*rule).to_owned()).collect())
            .unwrap_or_default(),
    };
    let rules: Vec<String> = rules
        .iter()
        .map(|rule| toml::Value::from(rule.as_str()).to_string())
        .collect();
    format!("seed = {seed}\nrules = [{}]\n", rules.join(", "))
}

fn cell_dir(run: &Run, dir: &Path) -> Option<PathBuf> {
    let trial = run.trials.first()?;
    let moved = Run {
        dir: dir.to_owned(),
        ..run.clone()
    };
    Some(moved.cell_dir(&trial.kernel, trial.fs, &trial.cases.first()?.name))
}

/// What identifies a kernel.
fn kernel(artifact: &Artifact) -> String {
    let sum =
        |path: &Path| std::fs::read(path).map_or_else(|_| "gone".to_owned(), |bytes| hex(&Sha256::digest(&bytes)));
    format!(
        "release   {}\nversion   {}\nartifact  {}\nimage     sha256 {}\n",
        artifact.release,
        artifact.version,
        artifact.hash,
        sum(&artifact.bzimage)
    )
}

/// The kernel's configuration, if it came with it.
fn config(artifact: &Artifact) -> Option<String> {
    let release = &artifact.release;
    let places = [
        "config".to_owned(),
        format!("boot/config-{release}"),
        format!("usr/lib/modules/{release}/config"),
        format!("lib/modules/{release}/config"),
    ];
    places
        .iter()
        .find_map(|place| std::fs::read_to_string(artifact.dir.join(place)).ok())
}
