//! Which objects of a build read which file: from that follows what a build that differs in some files makes anew.
//!
//! Kbuild leaves it in the `.NAME.o.cmd` beside every object, as scripts/basic/fixdep.c writes them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use super::closure::within;

/// The part of a whole build that is spent whatever differs: make looks at every object, the image is linked and
/// packed. Measured with the base, btrfs fragments: 11 s of 366 s.
const FIXED: f64 = 0.04;
/// What every object is looked at with by the build, so that its change makes them all anew (arch/x86 links none
/// without it since 4.5).
const OBJTOOL: &str = "tools/objtool/";

/// Which objects of a build read which file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Uses {
    objects: usize,
    /// Numbers of objects, by the file's path in the source.
    of: BTreeMap<String, Vec<usize>>,
    /// Whether objtool was built.
    objtool: bool,
}

impl Uses {
    /// Reads it from a finished build's directory.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(crate) fn of_build(objects: &Path, source: &Path) -> io::Result<Uses> {
        let mut reading = Reading {
            objects,
            source,
            uses: Uses {
                objtool: objects.join(OBJTOOL).join("objtool").is_file(),
                ..Uses::default()
            },
            seen: HashMap::new(),
        };
        reading.walk(objects)?;
        Ok(reading.uses)
    }

    /// What [`Uses::render`] wrote; none if it is no such text.
    pub(crate) fn parse(text: &str) -> Option<Uses> {
        let mut lines = text.lines();
        let mut head = lines.next()?.split(' ');
        let objects = head.next()?.parse().ok()?;
        let objtool = head.next() == Some("objtool");
        let mut of = BTreeMap::new();
        for line in lines {
            let (numbers, path) = line.split_once('\t')?;
            let mut users = Vec::new();
            for part in numbers.split(' ') {
                let (first, last) = part.split_once('-').unwrap_or((part, part));
                let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
                if last >= objects {
                    return None;
                }
                users.extend(first..=last);
            }
            of.insert(path.to_owned(), users);
        }
        Some(Uses { objects, of, objtool })
    }

    /// As a text: the number of objects, then a line a file with the numbers of those that read it.
    pub(crate) fn render(&self) -> String {
        let mut text = format!("{}{}\n", self.objects, if self.objtool { " objtool" } else { "" });
        for (path, users) in &self.of {
            let mut users = users.iter().copied().peekable();
            let mut separator = "";
            while let Some(first) = users.next() {
                let mut last = first;
                while users.next_if_eq(&(last + 1)).is_some() {
                    last += 1;
                }
                let _ = if first == last {
                    write!(text, "{separator}{first}")
                } else {
                    write!(text, "{separator}{first}-{last}")
                };
                separator = " ";
            }
            let _ = writeln!(text, "\t{path}");
        }
        text
    }

    /// Directories and files that hold all that [`Uses::part`] asks for. Most of a kernel's source is drivers and
    /// architectures, of which a build reads few, so two trees are compared sooner within these.
    #[must_use]
    pub fn folders(&self) -> BTreeSet<&str> {
        const LARGE: [&str; 4] = ["arch/", "drivers/", "sound/", "tools/"];
        let folder = |path: &'_ str| {
            let names = if LARGE.iter().any(|large| path.starts_with(large)) {
                2
            } else {
                1
            };
            let end = path.match_indices('/').nth(names - 1);
            end.map_or(path.len(), |(at, _)| at)
        };
        let read = self.of.keys().map(|path| &path[..folder(path)]);
        let objtool = self.objtool.then_some(OBJTOOL.trim_end_matches('/'));
        read.chain(objtool).collect()
    }

    /// The part of a whole build that one takes in which these files differ, from 0 to 1. What a changed
    /// configuration or makefile makes anew is not foreseen.
    #[must_use]
    pub fn part<'a>(&self, differ: impl IntoIterator<Item = &'a str>) -> f64 {
        let mut anew = vec![false; self.objects];
        for path in differ {
            if self.objtool && path.starts_with(OBJTOOL) {
                return 1.0;
            }
            for user in self.of.get(path).into_iter().flatten() {
                anew[*user] = true;
            }
        }
        let count = anew.iter().filter(|anew| **anew).count();
        FIXED + (1.0 - FIXED) * count as f64 / self.objects.max(1) as f64
    }
}

struct Reading<'a> {
    objects: &'a Path,
    source: &'a Path,
    uses: Uses,
    /// The file that a line names, for lines that were looked at: most name a header that a thousand objects read.
    seen: HashMap<Vec<u8>, Option<String>>,
}

impl Reading<'_> {
    fn walk(&mut self, folder: &Path) -> io::Result<()> {
        let mut entries = std::fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
        // Objects of one directory have much in common, so their numbers follow on each other.
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.walk(&entry.path())?;
            } else if kind.is_file() && entry.file_name().to_string_lossy().ends_with(".o.cmd") {
                self.read(folder, &std::fs::read(entry.path())?);
            }
        }
        Ok(())
    }

    /// Takes in an object, if its file names any source: what is only linked of others has none.
    fn read(&mut self, folder: &Path, text: &[u8]) {
        let number = self.uses.objects;
        let is_source = |line: &&[u8]| line.starts_with(b"source_");
        let mut is_object = false;
        let lines = text.split(|byte| *byte == b'\n');
        let dependencies = lines.clone().skip_while(|line| !line.starts_with(b"deps_"));
        let dependencies = dependencies.take_while(|line| !line.is_empty());
        for line in lines.filter(is_source).chain(dependencies) {
            let Some(path) = self.named(folder, line) else { continue };
            is_object = true;
            let users = self.uses.of.entry(path).or_default();
            if users.last() != Some(&number) {
                users.push(number);
            }
        }
        self.uses.objects += usize::from(is_object);
    }

    /// The file of the source that a line names.
    fn named(&mut self, folder: &Path, line: &[u8]) -> Option<String> {
        if let Some(known) = self.seen.get(line) {
            return known.clone();
        }
        let text = String::from_utf8_lossy(line);
        let text = text.split_once(":=").map_or(&*text, |(_, after)| after);
        let word = text.trim().trim_end_matches('\\').trim();
        let path = (!word.is_empty() && !word.starts_with('$'))
            .then(|| within(word, folder, self.objects, self.source).into_iter().next())
            .flatten();
        self.seen.insert(line.to_vec(), path.clone());
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two objects of fs/btrfs that share a header, one of the kernel, and one that is linked of the others.
    fn build(dir: &Path) -> Uses {
        let (objects, source) = (dir.join("objects"), dir.join("source"));
        let cmd = |name: &str, text: String| {
            let path = objects.join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        };
        let object = |file: &str, headers: &[&str]| {
            let headers: Vec<String> = headers
                .iter()
                .map(|header| format!("  {}/{header} \\\n", source.display()))
                .collect();
            format!(
                "savedcmd_{file}.o := gcc -c {file}.c\n\nsource_{file}.o := ../source/{file}.c\n\n\
                deps_{file}.o := \\\n    $(wildcard include/config/SMP) \\\n{}\n{file}.o: $(deps_{file}.o)\n",
                headers.concat()
            )
        };
        let both = ["include/linux/fs.h", "fs/btrfs/ctree.h"];
        cmd("fs/btrfs/.inode.o.cmd", object("fs/btrfs/inode", &both));
        cmd("fs/btrfs/.super.o.cmd", object("fs/btrfs/super", &both));
        cmd("kernel/.fork.o.cmd", object("kernel/fork", &["include/linux/fs.h"]));
        cmd("kernel/.time.o.cmd", object("kernel/time", &[]));
        cmd(
            "fs/.built-in.o.cmd",
            "cmd_fs/built-in.o := ld -r -o fs/built-in.o fs/a.o\n".to_owned(),
        );
        Uses::of_build(&objects, &source).expect("it can be read")
    }

    #[test]
    fn a_header_counts_by_what_includes_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let uses = build(dir.path());
        let part = |differ: &[&str]| (uses.part(differ.iter().copied()) - FIXED) / (1.0 - FIXED) * 4.0;
        let near = |differ: &[&str], objects: f64| {
            let is = part(differ);
            assert!((is - objects).abs() < 1e-9, "{differ:?}: {is} and not {objects}");
        };
        near(&["README", "fs/xfs/inode.c"], 0.0);
        near(&["kernel/time.c"], 1.0);
        near(&["fs/btrfs/ctree.h"], 2.0);
        // What two of them make anew is made once.
        near(&["fs/btrfs/ctree.h", "fs/btrfs/inode.c", "include/linux/fs.h"], 3.0);
        near(&["fs/btrfs/ctree.h", "kernel/time.c"], 3.0);
    }

    #[test]
    fn all_that_counts_is_in_its_folders() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut uses = build(dir.path());
        for path in [
            "drivers/base/core.c",
            "arch/x86/kernel/cpu/common.c",
            "drivers/Makefile",
            "Makefile",
        ] {
            uses.of.insert(path.to_owned(), vec![0]);
        }
        uses.objtool = true;
        let folders: Vec<&str> = uses.folders().into_iter().collect();
        assert_eq!(
            folders,
            [
                "Makefile",
                "arch/x86",
                "drivers/Makefile",
                "drivers/base",
                "fs",
                "include",
                "kernel",
                "tools/objtool"
            ]
        );
    }

    #[test]
    fn it_is_kept_as_a_text() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut uses = build(dir.path());
        assert!(
            uses.render().contains("\n0-2\tinclude/linux/fs.h\n"),
            "{}",
            uses.render()
        );
        assert_eq!(Uses::parse(&uses.render()).as_ref(), Some(&uses));
        uses.objtool = true;
        assert_eq!(Uses::parse(&uses.render()).as_ref(), Some(&uses));
        assert!((uses.part(["tools/objtool/check.c"]) - 1.0).abs() < 1e-9);
        for text in ["", "x", "2\n0-2\tfs/a.c", "2\nfs/a.c", "2\n1-x\tfs/a.c"] {
            assert_eq!(Uses::parse(text), None, "{text:?}");
        }
    }
}
