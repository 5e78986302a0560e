//! What a person sees at the end of a run: a table of kernels by cases, then a paragraph for every failure.
//!
//! It is made of a [`Run`] and its [`Results`] alone. This crate does no I/O, and it knows nothing of how a cell ran or
//! how its verdict was reached: no machine, no evidence and no command line.

mod rejudged;

use std::fmt::Write as _;

use anstyle::{AnsiColor, Effects, Style};
use comfy_table::{Cell as TableCell, ContentArrangement, LineStyle, Table, TableStyle, presets};

use host::words::{counted, quoted};
use run::cases::Profile;
use run::{KernelOrigin, Run};
use verdict::Verdict;
use verdict::results::{Begun, Cell, Results, Tally};

pub use rejudged::rejudged;

const GOOD: Style = AnsiColor::Green.on_default();
const KNOWN: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default().effects(Effects::BOLD);
const UNKNOWN: Style = AnsiColor::Magenta.on_default().effects(Effects::BOLD);
const DIM: Style = Style::new().effects(Effects::DIMMED);
const BOLD: Style = Style::new().effects(Effects::BOLD);

/// Lines of evidence below a cell.
const EVIDENCE_LINES: usize = 8;
/// The same for a program of the person's own: the end of its output, and what else there is.
const EXEC_EVIDENCE_LINES: usize = 20;

/// The whole report; styled, for a stream that strips styles where they are not wanted.
#[must_use]
pub fn render(run: &Run, results: &Results, width: Option<u16>) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "\n{}", table(results, width));
    let starred = results.cells.iter().any(|cell| cell.expected && !is_good(cell));
    let legend = if starred { "* as kernels.toml expects\n" } else { "" };
    let _ = writeln!(text, "{DIM}{legend}{DIM:#}");
    let mut cells: Vec<&Cell> = results.cells.iter().filter(|cell| !is_good(cell)).collect();
    // What needs a person comes last, where it is seen.
    cells.sort_by_key(|cell| cell.tally() != Tally::AsExpected);
    for cell in cells {
        paragraph(&mut text, run, cell);
    }
    let _ = write!(text, "{}", costs(run, results));
    let _ = writeln!(text, "{}", summary(results));
    let _ = write!(text, "{}", not_restored(run, results));
    let _ = writeln!(text, "evidence: {}", run.dir.display());
    text
}

/// For the kernels with known bugs and the fixes of them: what each makes of one file's extents.
fn costs(run: &Run, results: &Results) -> String {
    let of_interest = |cell: &&Cell| cell.case == COSTS_CASE && *cell.verdict() == Verdict::Pass;
    let known = results
        .cells
        .iter()
        .filter(of_interest)
        .filter_map(|cell| Some((cell, cell.extents?)));
    let lines: Vec<String> = known
        .map(|(cell, extents)| {
            format!(
                "    {:<12} {}, {} bytes allocated for {} of data\n",
                cell.kernel,
                counted(usize::try_from(extents.count).unwrap_or(usize::MAX), "extent"),
                extents.allocated_bytes,
                extents.data_bytes
            )
        })
        .collect();
    if run.profile != Profile::Truth || lines.is_empty() {
        return String::new();
    }
    format!("what {COSTS_CASE} costs on disk where it passes:\n{}\n", lines.concat())
}

/// What is to be said of machines that were to go on from a snapshot and booted instead: they are right, but slow.
fn not_restored(run: &Run, results: &Results) -> String {
    let booted = |cell: &&Cell| cell.machine == Begun::Booted && !matches!(cell.verdict(), Verdict::Broken { .. });
    let number = results.cells.iter().filter(booted).count();
    if run.snapshots.is_none() || number == 0 {
        return String::new();
    }
    format!(
        "{} on machines that had to boot, as no snapshot could be used; why: {}/*/*/*/snapshot.log\n",
        counted(number, "cell"),
        run.dir.display()
    )
}

fn is_good(cell: &Cell) -> bool {
    matches!(cell.verdict(), Verdict::Pass | Verdict::Skipped) && cell.expected
}

/// The case whose file shows what a fix costs: one page fault in one write that allocates.
const COSTS_CASE: &str = "partial-write";

/// Cases down, kernels and file systems across.
fn table(results: &Results, width: Option<u16>) -> Table {
    let mut columns: Vec<(&str, String)> = Vec::new();
    let mut rows: Vec<&str> = Vec::new();
    for cell in &results.cells {
        let column = (cell.kernel.as_str(), cell.fs.to_string());
        if !columns.contains(&column) {
            columns.push(column);
        }
        if !rows.contains(&cell.case.as_str()) {
            rows.push(&cell.case);
        }
    }
    let mut table = Table::new();
    table
        .load_style(style_without_row_lines())
        .set_content_arrangement(ContentArrangement::Disabled);
    if let Some(width) = width {
        table.set_width(width);
    }
    let heading = columns
        .iter()
        .map(|(kernel, fs)| format!("{}\n{fs}", kernel.replacen('-', "\n", 1)));
    table.set_header(std::iter::once(String::from("case")).chain(heading));
    rows.sort_by_key(|case| order(case));
    for case in rows {
        let mut row = vec![TableCell::new(case)];
        for (kernel, fs) in &columns {
            let cell = results
                .cells
                .iter()
                .find(|cell| cell.case == case && cell.kernel == *kernel && cell.fs.to_string() == *fs);
            row.push(TableCell::new(cell.map_or_else(|| format!("{DIM}·{DIM:#}"), word)));
        }
        table.add_row(row);
    }
    table
}

/// A line below the heading and none between the rows: the columns are what is compared.
fn style_without_row_lines() -> TableStyle {
    presets::NOTHING.header_separator(LineStyle::none().fill('─').junction('─'))
}

/// A case's place in the case tables.
fn order(case: &str) -> usize {
    run::cases::all()
        .position(|known| known.name == case)
        .unwrap_or(usize::MAX)
}

/// A cell in one word; `*` marks a failure that is expected.
fn word(cell: &Cell) -> String {
    let style = style(cell);
    let word = match cell.verdict() {
        Verdict::Pass if cell.expected => "ok".to_owned(),
        Verdict::Pass => "PASS?".to_owned(),
        Verdict::Skipped if !cell.expected => "SKIPPED?".to_owned(),
        Verdict::Fail(failure) if cell.expected => format!("{}*", failure.kind.cause()),
        Verdict::Fail(failure) => failure.kind.cause().word().to_uppercase(),
        Verdict::Inconclusive if cell.expected => "inconclusive*".to_owned(),
        verdict => verdict.word().to_owned(),
    };
    format!("{style}{word}{style:#}")
}

fn style(cell: &Cell) -> Style {
    match (cell.tally(), cell.verdict()) {
        (Tally::AsExpected, Verdict::Pass | Verdict::Skipped) => GOOD,
        (Tally::AsExpected, _) => KNOWN,
        (Tally::Unexpected, _) => BAD,
        (Tally::NoVerdict, _) => UNKNOWN,
    }
}

/// What is known of a cell that is no plain pass, and how to see it again.
fn paragraph(text: &mut String, run: &Run, cell: &Cell) {
    let style = style(cell);
    let what = match cell.verdict() {
        Verdict::Pass => "passes although kernels.toml expects a failure",
        Verdict::Skipped if !cell.expected => "is skipped although kernels.toml expects a failure",
        Verdict::Fail(failure) => failure.kind.cause().word(),
        verdict => verdict.word(),
    };
    let detail = cell.detail();
    let expected = if cell.expected { " (expected)" } else { "" };
    let _ = writeln!(
        text,
        "{style}{} {} {}: {what}{expected}{style:#}: {}",
        cell.kernel, cell.fs, cell.case, detail
    );
    if !cell.expected {
        let lines = match run.exec {
            Some(_) => EXEC_EVIDENCE_LINES,
            None => EVIDENCE_LINES,
        };
        for line in cell
            .judgement
            .evidence
            .iter()
            .filter(|line| !detail.ends_with(line.as_str()))
            .take(lines)
        {
            let _ = writeln!(text, "    {line}");
        }
        let _ = writeln!(text, "    {DIM}evidence{DIM:#}  {}", cell.dir.display());
    }
    let _ = writeln!(text, "    {DIM}reproduce{DIM:#} {}", reproduce(run, cell));
}

/// The command that runs this cell again.
fn reproduce(run: &Run, cell: &Cell) -> String {
    let mut command = "cargo xtask test".to_owned();
    let option = |command: &mut String, name: &str, value: &str| {
        let _ = write!(command, " --{name} {}", quoted(value));
    };
    match &run.origin {
        KernelOrigin::Manifest { named, patches } => {
            // The id is quoted as a glob is, whatever is in it.
            let _ = write!(command, " --kernel '{}' --fs {}", cell.kernel, cell.fs);
            for (name, path) in patches
                .iter()
                .map(|path| ("patch", path))
                .chain(named.iter().map(|path| ("manifest", path)))
            {
                let _ = write!(command, " --{name} {}", quoted(&path.to_string_lossy()));
            }
        }
        KernelOrigin::Image { image, modules } => {
            option(&mut command, "image", &image.to_string_lossy());
            option(&mut command, "fs", cell.fs.as_str());
            for modules in modules {
                option(&mut command, "modules", &modules.to_string_lossy());
            }
        }
        KernelOrigin::Tree(given) => {
            option(&mut command, "tree", &given.tree.to_string_lossy());
            option(&mut command, "fs", cell.fs.as_str());
            given.rev.iter().for_each(|rev| option(&mut command, "rev", rev));
            given
                .config
                .iter()
                .for_each(|part| option(&mut command, "config", part));
            given
                .patch
                .iter()
                .for_each(|patch| option(&mut command, "patch", &patch.to_string_lossy()));
            given.cc.iter().for_each(|cc| option(&mut command, "cc", cc));
        }
    }
    match &run.exec {
        Some(exec) => {
            command.push_str(&run::exec::options(exec));
            if exec.plan.seed != 0 {
                let _ = write!(command, " --seed {}", exec.plan.seed);
            }
        }
        None => {
            let _ = write!(command, " --case '{}'", cell.case);
        }
    }
    if run.case_limit != run::CASE_LIMIT {
        let _ = write!(command, " --case-limit {}", run::exec::print_limit(run.case_limit));
    }
    command
}

/// The last line: how many of what.
fn summary(results: &Results) -> String {
    let count = |wanted: &dyn Fn(&Verdict, bool) -> bool| {
        let wanted = |cell: &&Cell| wanted(cell.verdict(), cell.expected);
        results.cells.iter().filter(wanted).count()
    };
    let pass = count(&|verdict, expected| *verdict == Verdict::Pass && expected);
    let known = count(&|verdict, expected| matches!(verdict, Verdict::Fail(_) | Verdict::Inconclusive) && expected);
    let regressions = count(&|verdict, expected| matches!(verdict, Verdict::Fail(_)) && !expected);
    let surprises = count(&|verdict, expected| *verdict == Verdict::Pass && !expected);
    let inconclusive = count(&|verdict, expected| *verdict == Verdict::Inconclusive && !expected);
    let broken = count(&|verdict, _| matches!(verdict, Verdict::Broken { .. }));
    let skipped = count(&|verdict, expected| *verdict == Verdict::Skipped && expected);
    let never_tried = count(&|verdict, expected| *verdict == Verdict::Skipped && !expected);
    let mut parts = vec![
        format!("{GOOD}{pass} pass{GOOD:#}"),
        format!("{KNOWN}{}{KNOWN:#}", counted(known, "expected failure")),
    ];
    for (number, what, style) in [
        (
            regressions,
            if regressions == 1 {
                "unexpected failure"
            } else {
                "unexpected failures"
            },
            BAD,
        ),
        (
            surprises,
            if surprises == 1 {
                "unexpected pass"
            } else {
                "unexpected passes"
            },
            BAD,
        ),
        (never_tried, "unexpectedly skipped", BAD),
        (inconclusive, "inconclusive", UNKNOWN),
        (broken, "broken", UNKNOWN),
        (skipped, "skipped", DIM),
    ] {
        if number > 0 {
            parts.push(format!("{style}{number} {what}{style:#}"));
        }
    }
    let cells = counted(results.cells.len(), "cell");
    format!("{BOLD}{cells}:{BOLD:#} {}", parts.join(", "))
}

#[cfg(test)]
mod tests;
