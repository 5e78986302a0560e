//! `cargo xtask tidy`: what must hold of the form of the source.
//!
//! Each check is a file of its own and pure over given texts. What is looked at is what git tracks, and what it would
//! not ignore. The checks know nothing of what the code does.

mod arrows;
mod barred;
mod circles;
mod crates;
mod dead;
mod drawing;
mod finding;
mod functions;
mod lengths;
mod links;
mod mentions;
mod modules;
mod prose;
mod sources;
mod style;
mod targets;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use exit::Exit;

use crate::tool::ToolError;
use crate::workspace::{self, Member, Unreadable};
use finding::{Finding, Kind};
use modules::Parsed;
use sources::Sources;

/// What `--help` adds.
pub(crate) const HELP: &str = "\
What is checked, of files that git tracks or would not ignore:
  - Markdown lines of at most 100 columns (but code, tables, link definitions, and lines for one long word), Rust lines
    of 120, comments among them; README.md of at most 6 KiB, ARCHITECTURE.md of 12
  - Rust functions of at most 70 lines, Rust files of 500
  - no mod.rs but for modules that several tests share; no #[path] or include! of a literal name in src/, nor into
    another package; in src/ no module within a file that has files of its own, and no `extern crate self`;
    no .rs file that is no crate's root and that no `mod` names
  - crates depend on each other as ARCHITECTURE.md draws it in a block ```crates, with lines `name -> name name`;
    a dependency of tests only is a line `dev name -> name`; io-uring, landlock and seccompiler are not the harness's
  - no circles between the files of a crate, nor of a parent and its child; its top-level modules name only those that
    a block ```layers in the head of lib.rs or main.rs has in an earlier line; more than six modules need the block
  - links in Markdown to files and headings that exist, and links of doc comments to files that do; files that prose
    and comments from // on name in backticks exist: words with a / that end with .rs, .md, .toml, .sh or .lock, like
    `docs/control.md`, and those with any ending in a directory of the root, like `kernels/configs/base.config`

Each finding is a line `file:line: what, what to do`. The exit code is 0 without findings, 1 with some.";

/// Prints the findings for the repository at this root. Those are unexpected, as a failure in the matrix is.
///
/// # Errors
/// git cannot be asked.
pub(crate) fn run(root: &Path) -> Result<Exit, ToolError> {
    let sources = Sources::read(root)?;
    let mut findings = check(&sources);
    findings.sort();
    let mut text = String::new();
    for finding in &findings {
        let _ = writeln!(text, "{finding}");
    }
    let _ = writeln!(text, "{}", summary(&findings));
    let mut out = std::io::stdout().lock();
    exit::printed(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
    Ok(if findings.is_empty() {
        Exit::Success
    } else {
        Exit::Unexpected
    })
}

fn check(sources: &Sources) -> Vec<Finding> {
    let mut findings = sources.unreadable.clone();
    for (file, text) in sources.with_ending(".md") {
        findings.extend(prose::check(file, text));
        findings.extend(links::check(file, text, sources));
    }
    for (file, text) in sources.with_ending(".rs") {
        findings.extend(lengths::check(file, text));
        findings.extend(style::check(file, sources));
    }
    let parsed = modules::parse(sources, &mut findings);
    for (file, syntax) in &parsed {
        findings.extend(functions::check(file, syntax));
    }
    let members = match workspace::members_of(&|file| sources.text(file)) {
        Ok(members) => members,
        Err(error) => {
            findings.push(error.into());
            return findings;
        }
    };
    findings.extend(crates::check(&members, sources));
    findings.extend(barred::check(&members));
    for (file, text) in sources.with_ending(".md") {
        findings.extend(mentions::in_page(file, text, &members, sources));
    }
    for (file, text) in sources.with_ending(".rs") {
        findings.extend(mentions::in_comments(file, text, &members, sources));
    }
    findings.extend(of_packages(members, sources, &parsed));
    findings
}

/// What holds of each package, also of those that are not in the workspace.
fn of_packages(members: Vec<Member>, sources: &Sources, parsed: &Parsed<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut packages = members;
    match workspace::others(sources.with_ending(".toml"), &packages) {
        Ok(others) => packages.extend(others),
        Err(error) => findings.push(error.into()),
    }
    for (file, text) in sources.with_ending(".rs") {
        if let Some(package) = workspace::home(file, &packages) {
            findings.extend(style::check_paths(package, &packages, file, text));
            let is_source = file.starts_with(&format!("{}/src/", package.folder.display()));
            if let (true, Some(syntax)) = (is_source, parsed.get(file)) {
                findings.extend(style::check_hidden(file, syntax));
            }
        }
    }
    let mut named = BTreeSet::new();
    for package in &packages {
        let crates = targets::of(package, sources, parsed);
        findings.extend(arrows::check(package, &crates, sources));
        named.extend(crates.into_iter().flat_map(|target| target.modules.files));
    }
    findings.extend(dead::check(&named, sources));
    findings
}

impl From<Unreadable> for Finding {
    fn from(error: Unreadable) -> Finding {
        Finding::new(&error.file.display().to_string(), 1, Kind::Unreadable, error.why)
    }
}

/// How many findings there are, and of what kinds.
fn summary(findings: &[Finding]) -> String {
    let kinds: Vec<String> = Kind::ALL
        .iter()
        .map(|kind| (kind, findings.iter().filter(|finding| finding.kind == *kind).count()))
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| format!("{} {count}", kind.name()))
        .collect();
    match findings.len() {
        0 => "no findings".to_owned(),
        1 => format!("1 finding: {}", kinds.join(", ")),
        count => format!("{count} findings: {}", kinds.join(", ")),
    }
}

#[cfg(test)]
mod tests;
