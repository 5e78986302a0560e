//! `cargo xtask log`: the reports in a kernel log.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use exit::{Exit, Failure};
use host::words::counted;
use klog::{KernelReport, Reader};

/// Bytes that are read at a time.
const PIECE: usize = 64 << 10;

/// `cargo xtask log`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask log console.log\n  dmesg | cargo xtask log -\n  cargo xtask log --json \
    console.log | jq '.[].place'\n\nThe exit code is 0 once the log was read, whatever is in it."
)]
pub(crate) struct LogArgs {
    /// The log: a console's or `dmesg`'s output; `-` is the standard input.
    #[arg(value_name = "FILE | -")]
    pub(crate) file: PathBuf,
    /// Print a JSON list: kind, title, place, frames, line, cpu, task, taint and truncated of each report.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Runs the command.
///
/// # Errors
/// The log cannot be read.
pub(crate) fn run(args: &LogArgs) -> Result<Exit, Failure> {
    let mut reader = Reader::new();
    if args.file == Path::new("-") {
        if io::stdin().is_terminal() {
            anstream::eprintln!("reading a log from the terminal; Ctrl-D ends it");
        }
        feed(&mut reader, io::stdin().lock(), "the standard input")?;
    } else {
        let name = args.file.display().to_string();
        feed(&mut reader, open(&args.file)?, &name)?;
    }
    let reports = reader.finish();
    let text = if args.json {
        let list = serde_json::to_string(&reports).map_err(|error| Failure::foreign(Exit::Internal, &error))?;
        format!("{list}\n")
    } else {
        let terminal = io::stdout().is_terminal();
        let size = terminal
            .then(|| rustix::termios::tcgetwinsize(io::stdout()).ok())
            .flatten();
        listing(&reports, size.map(|size| size.ws_col))
    };
    print(&text)?;
    if reader.left_out() > 0 {
        let more = counted(usize::try_from(reader.left_out()).unwrap_or(usize::MAX), "report");
        anstream::eprintln!("{more} left out: kinds of which there are hundreds");
    }
    Ok(Exit::Success)
}

/// A file that can be read as a log.
fn open(path: &Path) -> Result<File, Failure> {
    let name = path.display();
    let refused = |why: String| Failure::new(Exit::NoInput, why);
    if path.is_dir() {
        return Err(refused(format!(
            "{name} is a directory, expected a kernel log; a cell's log is its console.log"
        )));
    }
    File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => refused(format!(
            "there is no {name}; give a kernel log, or `-` for the standard input"
        )),
        _ => refused(format!("cannot read {name}: {error}")),
    })
}

fn feed(reader: &mut Reader, mut log: impl Read, name: &str) -> Result<(), Failure> {
    let mut piece = vec![0; PIECE];
    loop {
        match log.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => reader.feed(piece.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::new(Exit::NoInput, format!("cannot read {name}: {error}"))),
        }
    }
}

/// The reports for people.
fn listing(reports: &[KernelReport], width: Option<u16>) -> String {
    if reports.is_empty() {
        return "no report in this log\n".to_owned();
    }
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(["line", "kind", "place", "cpu", "task", "title"]);
    if let Some(width) = width {
        table.set_width(width);
    }
    for report in reports {
        let cut = if report.truncated { " (cut)" } else { "" };
        table.add_row([
            report.line.to_string(),
            report.kind.to_string(),
            report.place.clone().unwrap_or_default(),
            report.cpu.map(|cpu| cpu.to_string()).unwrap_or_default(),
            report.task.clone().unwrap_or_default(),
            format!("{}{cut}", report.title),
        ]);
    }
    let lines: String = table.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    format!("{lines}{}\n", counted(reports.len(), "report"))
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // A pager was left.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::cannot_create("the standard output", &error)),
        Ok(()) => Ok(()),
    }
}
