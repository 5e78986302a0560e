//! The Debian archive that this machine's apt already uses.
//!
//! No mirror's address is written in this program: other suites are asked of the machine's own mirror, with the keys
//! that its entry names.

use std::path::PathBuf;
use std::time::Duration;

use super::AptError;
use host::tool::{self, ToolError};

const ASK_DEADLINE: Duration = Duration::from_secs(20);

/// Keys used when the machine's entry names none.
const ARCHIVE_KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Suites by which a Debian entry is recognised, whatever the mirror is called.
const RELEASES: [&str; 10] = [
    "buster", "bullseye", "bookworm", "trixie", "forky", "duke", "sid", "stable", "testing", "unstable",
];

/// One archive: where it is and who signs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Archive {
    /// Its address, as the machine's apt configuration has it.
    pub(crate) uri: String,
    /// Path of a keyring, or fingerprints, as apt takes them.
    pub(crate) signed_by: String,
}

/// The archives that Debian's suites are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Archives {
    /// Releases, updates, backports.
    pub(crate) main: Archive,
    /// `…-security`.
    pub(crate) security: Archive,
}

impl Archives {
    /// The archive that holds a suite.
    #[must_use]
    pub(crate) fn of_suite(&self, suite: &str) -> &Archive {
        if suite.ends_with("-security") {
            &self.security
        } else {
            &self.main
        }
    }

    /// Reads this machine's apt configuration.
    ///
    /// # Errors
    /// It names no Debian archive, or apt cannot be asked where it is.
    pub(crate) fn of_host() -> Result<Self, AptError> {
        let files = host_files()?;
        let entries: Vec<Entry> = files
            .iter()
            .filter_map(|file| Some((file, std::fs::read_to_string(file).ok()?)))
            .flat_map(|(file, text)| {
                let deb822 = file.extension().is_some_and(|extension| extension == "sources");
                if deb822 {
                    parse_deb822(&text)
                } else {
                    parse_one_line(&text)
                }
            })
            .collect();
        choose(&entries).ok_or(AptError::NoMirror { looked_in: files })
    }
}

/// The files that apt reads its sources from: apt itself says where they are, as its configuration may move them.
fn host_files() -> Result<Vec<PathBuf>, ToolError> {
    let wanted = ["FILE", "Dir::Etc::sourcelist/f", "FOLDER", "Dir::Etc::sourceparts/d"];
    let said = tool::run_ok(
        tool::command("apt-config", "apt")?.arg("shell").args(wanted),
        ASK_DEADLINE,
    )?;
    let said = String::from_utf8_lossy(&said.stdout);
    let mut parts: Vec<PathBuf> = shell_value(&said, "FOLDER")
        .map(std::fs::read_dir)
        .into_iter()
        .flatten()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "list" || extension == "sources")
        })
        .collect();
    parts.sort();
    Ok(shell_value(&said, "FILE").into_iter().chain(parts).collect())
}

/// The path that `apt-config shell` gives a name: `NAME='/path'`.
fn shell_value(text: &str, name: &str) -> Option<PathBuf> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix("='")?.strip_suffix('\''))?;
    Some(PathBuf::from(value.replace(r"'\''", "'")))
}

/// One entry of a sources file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Entry {
    binary: bool,
    uris: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
    signed_by: Option<String>,
}

/// `deb [options] URI SUITE COMPONENT…`
fn parse_one_line(text: &str) -> Vec<Entry> {
    text.lines()
        .filter_map(|line| one_line(line.split('#').next().unwrap_or_default()))
        .collect()
}

fn one_line(line: &str) -> Option<Entry> {
    let rest = line.trim().strip_prefix("deb")?;
    let (binary, rest) = match rest.strip_prefix("-src") {
        Some(rest) => (false, rest),
        None => (true, rest),
    };
    let rest = rest.strip_prefix([' ', '\t'])?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(inside) => inside.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace().map(str::to_owned);
    let signed_by = options
        .split_whitespace()
        .find_map(|option| option.strip_prefix("signed-by="))
        .map(str::to_owned);
    Some(Entry {
        binary,
        uris: vec![words.next()?],
        suites: vec![words.next()?],
        components: words.collect(),
        signed_by,
    })
}

/// Stanzas of `Types:`, `URIs:`, `Suites:`, …
fn parse_deb822(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            entries.extend(stanza(&std::mem::take(&mut fields)));
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    entries
}

fn stanza(fields: &[(String, String)]) -> Option<Entry> {
    let get = |name: &str| {
        fields
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    };
    let words = |name: &str| -> Vec<String> {
        get(name)
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect()
    };
    if get("enabled").is_some_and(|enabled| matches!(enabled, "no" | "false" | "0")) {
        return None;
    }
    Some(Entry {
        binary: words("types").iter().any(|kind| kind == "deb"),
        uris: words("uris"),
        suites: words("suites"),
        components: words("components"),
        // A key written into the file itself cannot be handed on in one line; the archive's keyring stands in.
        signed_by: get("signed-by")
            .filter(|by| !by.contains("BEGIN PGP"))
            .map(|by| by.trim().to_owned()),
    })
}

/// The first Debian entry, and the first for security; without one the security archive is looked for beside the main
/// one.
fn choose(entries: &[Entry]) -> Option<Archives> {
    let debian = |entry: &&Entry| entry.binary && entry.components.iter().any(|component| component == "main");
    let with = |security: bool| {
        entries.iter().filter(debian).find_map(|entry| {
            let suits = entry
                .suites
                .iter()
                .any(|suite| is_debian(suite) && is_security(suite) == security);
            let uri = entry.uris.first().filter(|_| suits)?;
            Some(Archive {
                uri: uri.clone(),
                signed_by: entry.signed_by.clone().unwrap_or_else(|| ARCHIVE_KEYRING.to_owned()),
            })
        })
    };
    let main = with(false)?;
    let security = with(true).unwrap_or_else(|| Archive {
        uri: format!("{}-security", main.uri.trim_end_matches('/')),
        signed_by: main.signed_by.clone(),
    });
    Some(Archives { main, security })
}

fn is_debian(suite: &str) -> bool {
    RELEASES.iter().any(|name| {
        suite
            .strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '/']))
    })
}

fn is_security(suite: &str) -> bool {
    suite.ends_with("-security") || suite.ends_with("/updates")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(uri: &str, signed_by: &str) -> Archive {
        Archive {
            uri: uri.to_owned(),
            signed_by: signed_by.to_owned(),
        }
    }

    const DEB822: &str = "\
Types: deb deb-src
# a comment inside
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
 contrib
Signed-By: /usr/share/keyrings/k.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 xyz
";

    #[test]
    fn apts_answer_is_read() {
        let said = "FILE='/etc/apt/sources.list'\nFOLDER='/it'\\''s/here/'\n";
        assert_eq!(shell_value(said, "FILE"), Some(PathBuf::from("/etc/apt/sources.list")));
        assert_eq!(shell_value(said, "FOLDER"), Some(PathBuf::from("/it's/here/")));
        assert_eq!(shell_value("", "FILE"), None);
    }

    #[test]
    fn deb822_files_are_read() {
        assert_eq!(
            choose(&parse_deb822(DEB822)).unwrap(),
            Archives {
                main: archive("http://mirror.example/debian", "/usr/share/keyrings/k.gpg"),
                security: archive("http://mirror.example/debian-security", ARCHIVE_KEYRING),
            }
        );
    }

    #[test]
    fn one_line_files_are_read_and_others_archives_are_passed_over() {
        let text = "\
deb https://packages.example/apt tool-bookworm main
# deb http://off.example/debian bookworm main
deb-src http://source.example/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian/ bookworm main contrib # trailing
";
        let archives = choose(&parse_one_line(text)).unwrap();
        assert_eq!(archives.main, archive("http://mirror.example/debian/", "/k.gpg"));
        assert_eq!(
            archives.security,
            archive("http://mirror.example/debian-security", "/k.gpg")
        );
        assert_eq!(archives.of_suite("bullseye-security"), &archives.security);
        assert_eq!(archives.of_suite("trixie-backports"), &archives.main);
    }

    #[test]
    fn disabled_entries_and_machines_without_debian_give_nothing() {
        assert_eq!(
            choose(&parse_deb822(&format!(
                "Enabled: no\n{}",
                DEB822.split("\n\n").next().unwrap()
            ))),
            None
        );
        assert_eq!(
            choose(&parse_one_line("deb http://mirror.example/ubuntu noble main\n")),
            None
        );
        assert_eq!(choose(&[]), None);
    }
}
