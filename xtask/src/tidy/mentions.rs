//! Files that prose and comments name as code, like `docs/design/testing.md`, and that do not exist.
//!
//! A word between backticks is taken for a file if it has a `/` and a known ending, or any ending and begins with a
//! directory of the root, and for a directory if it ends with `/` and begins so. In ARCHITECTURE.md code blocks count
//! too, a known ending is enough, and so is a directory of the root at the beginning: a contributor starts there.
//!
//! A path is relative to the root, to the file that names it, to its module's directory, or to its package or the
//! package's src/. A page outside of all packages may leave out any of them.

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use super::drawing;
use super::finding::{Finding, Kind};
use super::sources::Sources;
use crate::paths;
use crate::workspace::{self, Member, line_at};

mod comments;

/// Endings by which a word is known to be a file's name.
const ENDINGS: [&str; 5] = [".rs", ".md", ".toml", ".sh", ".lock"];
/// The page in which more words are taken for files.
const MAP: &str = drawing::FILE;
/// The page that also tells of files that are gone.
const PAST: &str = "CHANGELOG.md";

/// What a page of Markdown names.
pub(crate) fn in_page(file: &str, text: &str, members: &[Member], sources: &Sources) -> Vec<Finding> {
    if file == PAST {
        return Vec::new();
    }
    let places = Places::of(file, members, sources);
    let mut findings = Vec::new();
    let mut is_in_block = false;
    for (event, range) in Parser::new(text).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(_)) => is_in_block = true,
            Event::End(TagEnd::CodeBlock) => is_in_block = false,
            Event::Code(code) => findings.extend(places.missing(&code, line_at(text, range.start))),
            Event::Text(block) if is_in_block && file == MAP => {
                let numbered = block.lines().zip(line_at(text, range.start)..);
                findings.extend(numbered.flat_map(|(code, line)| places.missing(code, line)));
            }
            _ => {}
        }
    }
    findings
}

/// What the comments of a file of Rust name, and what the links in its docs lead to.
pub(crate) fn in_comments(file: &str, text: &str, members: &[Member], sources: &Sources) -> Vec<Finding> {
    let places = Places::of(file, members, sources);
    let mut findings = Vec::new();
    for comment in comments::of(text) {
        let words = comment.code.iter().flat_map(|code| places.missing(code, comment.line));
        findings.extend(words);
        let broken = comment
            .links
            .iter()
            .filter(|target| is_link_to_file(target) && !places.is_there(target));
        findings.extend(broken.map(|target| {
            let message = format!("a link to `{target}`, which is not in the repository, correct it");
            Finding::new(file, comment.line, Kind::Link, message)
        }));
    }
    findings
}

/// Where the paths in a file may begin.
struct Places<'a> {
    file: &'a str,
    folders: Vec<String>,
    sources: &'a Sources,
}

impl Places<'_> {
    fn of<'a>(file: &'a str, members: &[Member], sources: &'a Sources) -> Places<'a> {
        let mut folders = vec![String::new(), paths::folder(file).to_owned()];
        folders.extend(file.strip_suffix(".rs").map(str::to_owned));
        let packages = workspace::home(file, members).map_or(members, std::slice::from_ref);
        for package in packages {
            let folder = package.folder.display().to_string();
            folders.push(format!("{folder}/src"));
            folders.push(folder);
        }
        Places { file, folders, sources }
    }

    fn is_there(&self, path: &str) -> bool {
        let path = path.split_once('#').map_or(path, |(path, _)| path);
        let at = |folder: &String| paths::join(folder, path).is_some_and(|name| self.sources.is_there(&name));
        self.folders.iter().any(at)
    }

    /// Paths in a piece of code that lead nowhere.
    fn missing(&self, code: &str, line: usize) -> Vec<Finding> {
        let words = code.split_whitespace().map(without_line);
        let missing = words.filter(|word| self.is_path(word) && !self.is_there(word));
        let finding = |word: &str| {
            let message = format!("`{word}` is not in the repository, correct it");
            Finding::new(self.file, line, Kind::Mention, message)
        };
        missing.map(finding).collect()
    }

    fn is_path(&self, word: &str) -> bool {
        let first = word.split_once('/').map(|(first, _)| first);
        let is_from_root = first.is_some_and(|first| !first.is_empty() && self.sources.is_there(first));
        let is_map = self.file == MAP;
        let word = word.split_once('#').map_or(word, |(path, _)| path);
        let is_known = ENDINGS.iter().any(|ending| word.ends_with(ending)) && (is_map || first.is_some());
        let has_ending = paths::file_name(word).find('.').is_some_and(|dot| dot > 0);
        let is_file = is_known || is_from_root && has_ending;
        let is_folder = is_from_root && (is_map || word.ends_with('/'));
        (is_file || is_folder) && is_literal(word)
    }
}

/// Whether the target of a link in a doc comment is a file rather than an item.
fn is_link_to_file(target: &str) -> bool {
    let path = target.split_once('#').map_or(target, |(path, _)| path);
    let is_relative = path.starts_with("./") || path.starts_with("../");
    is_relative || ENDINGS.iter().any(|ending| path.ends_with(ending))
}

/// `a.rs:12` names `a.rs`.
fn without_line(word: &str) -> &str {
    match word.rsplit_once(':') {
        Some((path, line)) if !line.is_empty() && line.bytes().all(|c| c.is_ascii_digit()) => path,
        _ => word,
    }
}

/// Whether a word can only mean itself: no pattern, no name to be filled in, no place outside of the repository.
fn is_literal(word: &str) -> bool {
    let is_elsewhere = word.starts_with('/') || word.contains("://") || word.contains("...");
    let is_pattern = word.contains(['*', '?', '<', '>', '{', '}', '[', '~', '$', '…', '\\', '"', '\'', '=']);
    // Pages have names in capitals too.
    let is_to_fill_in = |part: &str| {
        let stem = part.split_once('.').map_or(part, |(stem, _)| stem);
        let is_page = part.ends_with(".md");
        !is_page && !stem.is_empty() && stem.bytes().all(|c| c.is_ascii_uppercase() || c == b'_' || c == b'-')
    };
    !is_elsewhere && !is_pattern && !word.split('/').any(is_to_fill_in)
}

#[cfg(test)]
mod tests;
