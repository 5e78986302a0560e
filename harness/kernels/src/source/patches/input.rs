//! Files and directories that hold patches: what is to be read of them, and in which order.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::super::super::decompress;
use super::super::error::SourceError;
use super::decode;
use super::mail::Mail;
use super::mbox;
use host::words::counted;

/// Most that a mailbox may hold.
const BYTES_MAX: u64 = 1 << 30;
/// Bytes of a path, at most.
const NAME_MAX: usize = 4096;
/// How files with patches and mails end, without that of a compression.
const ENDINGS: [&str; 8] = ["patch", "diff", "mbox", "mbx", "eml", "mail", "msg", "cover"];
const COMPRESSIONS: [&str; 4] = ["gz", "xz", "zst", "lzma"];
/// Formats of which the first bytes tell, and what to do with them.
const OTHERS: [(&[u8], &str); 5] = [
    (b"PK\x03\x04", "it is a zip archive; unpack it and name the directory"),
    (b"BZh", "it is compressed by bzip2; unpack it"),
    (
        b"\xd0\xcf\x11\xe0",
        "it is a message of Outlook's own format; save it as .eml",
    ),
    (
        b"\xff\xfe",
        "it is UTF-16; `iconv -f utf-16 -t utf-8` makes UTF-8 of it",
    ),
    (
        b"\xfe\xff",
        "it is UTF-16; `iconv -f utf-16 -t utf-8` makes UTF-8 of it",
    ),
];

/// What is in a file or directory.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) entries: Vec<Entry>,
    /// Whether a list says what is applied, and in which order.
    pub(super) is_listed: bool,
    /// What was not read.
    pub(super) notes: Vec<String>,
}

/// A file with patches.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    pub(super) mails: Vec<Mail>,
    /// How many parts of its paths are taken off, if a list says so.
    pub(super) strip: Option<usize>,
    pub(super) is_reversed: bool,
}

/// Reads a file, or what is in a directory.
///
/// # Errors
/// It cannot be read, or holds what is no patch.
pub(super) fn read(path: &Path) -> Result<Input, SourceError> {
    if path.is_dir() {
        return directory(path);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let bytes = bytes(path)?;
    if name == "series" && !mbox::is_mail(&bytes) {
        return listed(path, &bytes);
    }
    let entry = entry(path, &bytes)?;
    // A directory may hold a README, and a mailbox mails without a diff; a file that was named is a patch.
    if entry
        .mails
        .iter()
        .all(|mail| mail.subject.is_none() && mail.diffs.is_empty())
    {
        return Err(no_patch(path, "expected a unified diff, a mail or a mailbox"));
    }
    Ok(Input {
        entries: vec![entry],
        ..Input::default()
    })
}

fn no_patch(path: &Path, reason: &str) -> SourceError {
    SourceError::NoPatch {
        patch: path.to_owned(),
        reason: reason.to_owned(),
    }
}

/// A file's content, unpacked.
fn bytes(path: &Path) -> Result<Vec<u8>, SourceError> {
    let cannot = |source| SourceError::Read {
        path: path.to_owned(),
        source,
    };
    // A FIFO would be waited for, a device read for ever.
    if !std::fs::metadata(path).map_err(cannot)?.is_file() {
        let reason = "it is no regular file; write what it gives into one, and name that";
        return Err(no_patch(path, reason));
    }
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    let stream = decompress::stream(std::io::BufReader::new(file)).map_err(cannot)?;
    stream.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(no_patch(path, "it holds more than 1 GiB"));
    }
    let other = OTHERS.iter().find(|(magic, _)| bytes.starts_with(magic));
    if let Some((_, reason)) = other {
        return Err(no_patch(path, reason));
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return Err(no_patch(path, "it is a tar archive; unpack it and name the directory"));
    }
    Ok(bytes)
}

fn entry(path: &Path, bytes: &[u8]) -> Result<Entry, SourceError> {
    let mails = decode::read(bytes, &path.display().to_string(), &stem(path));
    let mails = mails.map_err(|reason| no_patch(path, &reason))?;
    let mut diffs = mails.iter().flat_map(|mail| &mail.diffs);
    if let Some(len) = diffs.find_map(|titled| titled.diff.longest_name(NAME_MAX)) {
        let reason = format!("it names a file with a path of {len} bytes; the system allows {NAME_MAX}");
        return Err(no_patch(path, &reason));
    }
    Ok(Entry {
        path: path.to_owned(),
        mails,
        strip: None,
        is_reversed: false,
    })
}

/// A file's name without its ending, and without that of a compression.
pub(super) fn stem(path: &Path) -> String {
    let is_packed = path
        .extension()
        .is_some_and(|ending| COMPRESSIONS.iter().any(|known| ending == *known));
    let path = if is_packed {
        path.with_extension("")
    } else {
        path.to_owned()
    };
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// A directory: of quilt's, a maildir, or files with patches and mails by name.
fn directory(path: &Path) -> Result<Input, SourceError> {
    let series = path.join("series");
    if series.is_file() {
        return listed(&series, &bytes(&series)?);
    }
    let boxes: Vec<PathBuf> = ["cur", "new"]
        .iter()
        .map(|name| path.join(name))
        .filter(|path| path.is_dir())
        .collect();
    let mut input = Input::default();
    if !boxes.is_empty() {
        for folder in boxes {
            for file in files(&folder)? {
                input.entries.push(entry(&file, &bytes(&file)?)?);
            }
        }
    }
    let mut unknown = Vec::new();
    for file in files(path)? {
        if is_named(&file) {
            input.entries.push(entry(&file, &bytes(&file)?)?);
        } else {
            unknown.push(file);
        }
    }
    unnamed(unknown, &mut input);
    let below = below(path, &mut input.notes)?;
    if input.entries.is_empty() {
        let list = below
            .iter()
            .map(|below| below.join("series"))
            .find(|list| list.is_file());
        let list = list.map(|list| format!("{} is such a file", list.display()));
        let hints: String = list
            .into_iter()
            .chain(input.notes)
            .map(|hint| format!("; {hint}"))
            .collect();
        let endings: Vec<String> = ENDINGS.iter().map(|ending| format!("*.{ending}")).collect();
        let reason = format!(
            "expected a file `series`, a maildir, or {} in the directory{hints}",
            endings.join(", ")
        );
        return Err(no_patch(path, &reason));
    }
    Ok(input)
}

/// Takes files whose names do not end like a patch's or a mail's: mails of a folder of MH's. Others that hold a patch
/// are named.
fn unnamed(unknown: Vec<PathBuf>, input: &mut Input) {
    let named = input.entries.len();
    for file in unknown {
        // A folder of MH's has a number for each mail.
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
        let entry_of = |bytes: &[u8]| entry(&file, bytes);
        let read = bytes(&file).and_then(|bytes| Ok((entry_of(&bytes)?, bytes)));
        let (entry, bytes) = match read {
            Ok(read) => read,
            // `0002-x.patch.bz2`: its name says that it is one of them.
            Err(error) if is_named(&file.with_extension("")) => {
                input.notes.push(format!("left out: {error}"));
                continue;
            }
            Err(_) => continue,
        };
        if is_number && mbox::is_mail(&bytes) {
            input.entries.push(entry);
        } else if entry.mails.iter().any(|mail| !mail.diffs.is_empty()) {
            input.notes.push(format!(
                "left out: {}, as its name does not end like a patch's or a mail's",
                file.display()
            ));
        }
    }
    if input.entries.len() > named {
        input.entries[named..].sort_by_key(|entry| {
            let name = entry.path.file_name().unwrap_or_default().to_string_lossy();
            name.parse::<u64>().unwrap_or_default()
        });
    }
}

/// The directories in one that are not read; a note names those that hold patches.
fn below(path: &Path, notes: &mut Vec<String>) -> Result<Vec<PathBuf>, SourceError> {
    let below: Vec<PathBuf> = entries(path)?
        .into_iter()
        .filter(|below| below.is_dir() && !["cur", "new", "tmp"].iter().any(|name| below.ends_with(name)))
        .collect();
    for below in &below {
        let named = files(below)?.iter().filter(|file| is_named(file)).count();
        if named > 0 {
            notes.push(format!(
                "left out: {} in the directory {}, which has to be named itself",
                counted(named, "file"),
                below.display()
            ));
        }
    }
    Ok(below)
}

/// The files of a directory in the order in which people number them.
fn files(path: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let mut files = entries(path)?;
    files.retain(|path| path.is_file());
    Ok(files)
}

/// What is in a directory and not hidden, in the same order.
fn entries(path: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let entries = std::fs::read_dir(path).map_err(|source| SourceError::Read {
        path: path.to_owned(),
        source,
    })?;
    let is_hidden = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = paths.filter(|path| !is_hidden(path)).collect();
    paths.sort_by_cached_key(|path| numbered(&path.file_name().unwrap_or_default().to_string_lossy()));
    Ok(paths)
}

/// A name in parts, so that 10 comes after 9: what stands before a number, and the number by its length and digits.
fn numbered(name: &str) -> (Vec<(String, usize, String)>, String) {
    let mut parts = Vec::new();
    let mut rest = name;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let len = rest[start..].bytes().take_while(u8::is_ascii_digit).count();
        let digits = rest[start..start + len].trim_start_matches('0');
        parts.push((rest[..start].to_owned(), digits.len(), digits.to_owned()));
        rest = &rest[start + len..];
    }
    parts.push((rest.to_owned(), 0, String::new()));
    (parts, name.to_owned())
}

/// Whether a file's name ends like that of a patch or of mails.
fn is_named(path: &Path) -> bool {
    let ending = |path: &Path| {
        path.extension()
            .unwrap_or_default()
            .to_string_lossy()
            .to_ascii_lowercase()
    };
    let mut last = ending(path);
    if COMPRESSIONS.contains(&last.as_str()) {
        last = ending(&path.with_extension(""));
    }
    ENDINGS.contains(&last.as_str())
}

/// What a file `series` of quilt's lists, below its own directory.
fn listed(series: &Path, bytes: &[u8]) -> Result<Input, SourceError> {
    let folder = series.parent().unwrap_or(Path::new("."));
    let text = String::from_utf8_lossy(bytes).into_owned();
    let mut input = Input {
        is_listed: true,
        ..Input::default()
    };
    for (number, line) in text.lines().enumerate() {
        let is_comment = |word: &&str| word.starts_with('#');
        let mut words = line
            .trim_start_matches('\u{feff}')
            .split_whitespace()
            .take_while(|word| !is_comment(word));
        let Some(name) = words.next() else { continue };
        let path = folder.join(name);
        let bytes = self::bytes(&path).map_err(|error| match error {
            SourceError::Read { source, .. } => SourceError::Listed {
                series: series.to_owned(),
                line: number + 1,
                name: name.to_owned(),
                source,
            },
            other => other,
        })?;
        let mut entry = entry(&path, &bytes)?;
        for option in words {
            let strip = option
                .strip_prefix("-p")
                .map(|level| if level == "ab" { Ok(1) } else { level.parse() });
            match (option, strip) {
                (_, Some(Ok(level))) => entry.strip = Some(level),
                ("-R", _) => entry.is_reversed = true,
                _ => {
                    let reason = format!(
                        "line {}: expected -pN or -R after a patch's name, found `{option}`",
                        number + 1
                    );
                    return Err(no_patch(series, &reason));
                }
            }
        }
        input.entries.push(entry);
    }
    if input.entries.is_empty() {
        return Err(no_patch(series, "it lists none"));
    }
    Ok(input)
}
