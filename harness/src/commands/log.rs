//! `cargo xtask log`: the reports in a kernel log.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use exit::{Exit, Failure};
use host::words::counted;
use klog::{KernelReport, OF_A_KIND_MAX, Reader};

/// Bytes that are read at a time.
const PIECE: usize = 64 << 10;
/// Bytes that tell what a file is.
const HEAD: u64 = 512;

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
            host::note!("reading a log from the terminal; Ctrl-D ends it");
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
    host::print::text(&text);
    if reader.left_out() > 0 {
        let more = counted(usize::try_from(reader.left_out()).unwrap_or(usize::MAX), "report");
        host::note!("{more} left out: the first {OF_A_KIND_MAX} of each kind are listed");
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

/// Beginnings of files that hold no text, or none that is a log: what they are, and what makes a log of them.
const NO_LOGS: [(&[u8], &str, &str); 9] = [
    (b"\x1f\x8b", "compressed by gzip", "`zcat FILE | cargo xtask log -`"),
    (b"\xfd7zXZ\0", "compressed by xz", "`xzcat FILE | cargo xtask log -`"),
    (
        b"\x28\xb5\x2f\xfd",
        "compressed by zstd",
        "`zstdcat FILE | cargo xtask log -`",
    ),
    (
        b"\x04\x22\x4d\x18",
        "compressed by lz4",
        "`lz4cat FILE | cargo xtask log -`",
    ),
    (b"BZh", "compressed by bzip2", "`bzcat FILE | cargo xtask log -`"),
    (b"PK\x03\x04", "a zip archive", "`unzip -p FILE | cargo xtask log -`"),
    (
        b"LPKSHHRH",
        "a journal of systemd",
        "`journalctl -k --file FILE | cargo xtask log -`",
    ),
    (
        b"KDUMP   ",
        "a dump of a kernel",
        "the log that `crash` or `makedumpfile --dump-dmesg` gets from it",
    ),
    (
        b"\x7fELF",
        "a program or a dump of a kernel",
        "the log that `crash` gets from a dump",
    ),
];

/// Fields of a journal's entries, as `journalctl -o export` and `-o verbose` begin with some of them.
const JOURNAL_FIELDS: [&str; 5] = ["__CURSOR=", "PRIORITY=", "_BOOT_ID=", "_MACHINE_ID=", "_TRANSPORT="];

/// Whether a text begins as JSON does: an object, a list of them, or a stream of them in which each has a mark before
/// it (`journalctl -o json-seq`, `-o json-sse`).
fn is_json(head: &[u8]) -> bool {
    let head = head.strip_prefix("\u{feff}".as_bytes()).unwrap_or(head);
    let head = head
        .strip_prefix(b"\x1e")
        .or(head.strip_prefix(b"data: "))
        .unwrap_or(head);
    let mut text = head.iter().filter(|byte| !byte.is_ascii_whitespace()).copied();
    match (text.next(), text.next(), text.next()) {
        (Some(b'{'), Some(b'"'), _) | (Some(b'['), Some(b'{'), Some(b'"')) => true,
        // A list of nothing.
        (Some(b'['), Some(b']'), None) => true,
        _ => false,
    }
}

/// Whether a journal's fields are at least half of the lines. One of them may stand in a log.
fn has_fields(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head);
    let lines = text.lines().map(str::trim_start).filter(|line| !line.is_empty());
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let is_field = |line: &&str| line.split_once('=').is_some_and(|(name, _)| is_name(name));
    let fields: Vec<&str> = lines.clone().filter(is_field).collect();
    let is_of_journal = |line: &&str| JOURNAL_FIELDS.iter().any(|field| line.starts_with(field));
    fields.iter().any(is_of_journal) && fields.len() * 2 >= lines.count()
}

/// What is no log must not read as a log without reports.
fn refuse_no_log(head: &[u8], name: &str) -> Result<(), Failure> {
    let known = NO_LOGS.iter().find(|(magic, ..)| head.starts_with(magic));
    let (what, instead) = match known {
        Some((_, what, instead)) => (*what, *instead),
        None if is_json(head) => ("JSON", "the text that `dmesg` or `journalctl -k` prints without it"),
        None if has_fields(head) => (
            "a list of a journal's fields",
            "what `journalctl -k` prints without `-o`",
        ),
        None if is_binary(head) => ("no text", "what `dmesg` or a console printed"),
        None => return Ok(()),
    };
    let why = format!("{name} is {what}, expected the text of a kernel log; give {instead}");
    Err(Failure::new(Exit::NoInput, why))
}

/// Whether more than a third of some bytes stand in no text. A serial line may have lost bytes, which are then zero,
/// and begin with noise.
fn is_binary(head: &[u8]) -> bool {
    let is_of_text = |byte: &u8| (b' '..=b'~').contains(byte) || b"\0\t\n\r\x1b\x08".contains(byte);
    let in_ascii = head.iter().filter(|byte| is_of_text(byte)).count();
    let in_utf8: usize = head
        .utf8_chunks()
        .map(|chunk| chunk.valid().bytes().filter(|byte| !byte.is_ascii()).count())
        .sum();
    let zeros = head.iter().filter(|byte| **byte == 0).count();
    (head.len() - in_ascii - in_utf8) * 3 > head.len() - zeros
}

fn feed(reader: &mut Reader, mut log: impl Read, name: &str) -> Result<(), Failure> {
    let mut piece = Vec::with_capacity(PIECE);
    log.by_ref()
        .take(HEAD)
        .read_to_end(&mut piece)
        .map_err(|error| Failure::new(Exit::NoInput, format!("cannot read {name}: {error}")))?;
    refuse_no_log(&piece, name)?;
    if piece.is_empty() {
        host::note!("{name} is empty");
    }
    reader.feed(&piece);
    piece.resize(PIECE, 0);
    loop {
        match log.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => reader.feed(piece.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::new(Exit::NoInput, format!("cannot read {name}: {error}"))),
        }
    }
}

/// The reports for people. On a terminal that is too narrow for it, a title stands below its line and not beside it.
fn listing(reports: &[KernelReport], width: Option<u16>) -> String {
    if reports.is_empty() {
        return "no report in this log\n".to_owned();
    }
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(["line", "kind", "place", "cpu", "task"]);
    for report in reports {
        table.add_row([
            report.line.to_string(),
            report.kind.to_string(),
            report.place.clone().unwrap_or_default(),
            report.cpu.map(|cpu| cpu.to_string()).unwrap_or_default(),
            report.task.clone().unwrap_or_default(),
        ]);
    }
    let titles = reports.iter().map(|report| {
        let cut = if report.truncated { " (cut)" } else { "" };
        format!("{}{cut}", report.title)
    });
    let beside: Vec<String> = table
        .lines()
        .zip(std::iter::once("title".to_owned()).chain(titles.clone()))
        .map(|(line, title)| format!("{line} {title}"))
        .collect();
    let widest = beside.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let lines = if width.is_none_or(|width| widest <= usize::from(width)) {
        beside
    } else {
        let below = std::iter::once(String::new()).chain(titles.map(|title| format!("\n    {title}")));
        let lines = table.lines().zip(below);
        lines
            .map(|(line, title)| format!("{}{title}", line.trim_end()))
            .collect()
    };
    format!("{}\n{}\n", lines.join("\n"), counted(reports.len(), "report"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_that_does_not_fit_beside_stands_below() {
        let log = b"[    5.3] EXT4-fs error (device vda): ext4_lookup:1855: inode #2: comm ls: bad entry\n";
        let mut reader = Reader::new();
        reader.feed(log);
        let reports = reader.finish();
        let title = "EXT4-fs error (device vda): ext4_lookup:1855: inode #2: comm ls: bad entry";
        let narrow = listing(&reports, Some(80));
        let head = " line  kind        place        cpu  task\n 1     ext4-error  ext4_lookup\n";
        assert_eq!(narrow, format!("{head}    {title}\n1 report\n"));
        let wide = listing(&reports, Some(200));
        assert!(wide.lines().nth(1).is_some_and(|line| line.ends_with(title)), "{wide}");
        assert_eq!(wide, listing(&reports, None));
    }
}
