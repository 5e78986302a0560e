//! A history across releases, each of which comes in by a merge window.

use std::path::PathBuf;

use kernels::source::Tree;

use crate::repository::History;
use crate::{Failed, Options};

/// Lines of a Makefile that say which kernel it is.
const NUMBERS: [&str; 4] = ["VERSION", "PATCHLEVEL", "SUBLEVEL", "EXTRAVERSION"];

/// Makes the commits; gives back how many.
pub fn make(history: &History, trees: &[Tree], options: &Options) -> Result<usize, Failed> {
    let mut line = Line {
        history,
        options,
        last: None,
        commits: 0,
        is_buggy: false,
    };
    let mut before: Option<String> = None;
    for (at, tree) in trees.iter().enumerate() {
        history.read(tree)?;
        let own = history.file("Makefile")?;
        if let Some(before) = &before {
            line.merge_window(tree, before, at)?;
            let release = release(&own);
            history.write("Makefile", &own)?;
            line.commit(&format!("Linux {release}-rc1\n"))?;
        } else {
            line.commit(&format!("Linux {}\n\n{}\n", release(&own), tree.name))?;
            history.git(&["tag", "old", line.last.as_deref().unwrap_or_default()])?;
        }
        line.touch("after")?;
        before = Some(own);
    }
    history.end(line.last.as_deref().unwrap_or_default())?;
    Ok(line.commits - 1)
}

struct Line<'a> {
    history: &'a History,
    options: &'a Options,
    last: Option<String>,
    commits: usize,
    is_buggy: bool,
}

impl Line<'_> {
    /// All of a tree, but for the release that it calls itself; then smaller changes, a bug among them.
    fn merge_window(&mut self, tree: &Tree, before: &str, at: usize) -> Result<(), Failed> {
        let makefile = called_as(&self.history.file("Makefile")?, before);
        self.history.write("Makefile", &makefile)?;
        if self.is_buggy {
            self.plant()?;
        }
        self.commit(&format!("Merge: all of {}\n", tree.name))?;
        if at == self.options.bug_at && !self.options.bugs.is_empty() {
            self.plant()?;
            self.is_buggy = true;
            self.commit("put in: a bug\n")?;
            println!("the bug is {}", self.last.as_deref().unwrap_or_default());
        }
        self.touch("before")
    }

    /// Applies the first of the patches that this tree takes.
    fn plant(&self) -> Result<(), Failed> {
        let applies = |patch: &&PathBuf| {
            let path = patch.to_string_lossy();
            self.history.git(&["apply", "--cached", &path]).is_ok()
        };
        match self.options.bugs.iter().find(applies) {
            Some(_) => Ok(()),
            None => Err("no --bug applies; give one for this release, too".into()),
        }
    }

    /// A commit for each file that is to be touched and is there.
    fn touch(&mut self, when: &str) -> Result<(), Failed> {
        for path in &self.options.touch {
            let Ok(text) = self.history.file(path) else { continue };
            let number = self.commits;
            self.history.write(path, &format!("{text}\n/* change {number} */"))?;
            self.commit(&format!("{path}: a change {when} -rc1\n"))?;
        }
        Ok(())
    }

    fn commit(&mut self, message: &str) -> Result<(), Failed> {
        self.last = Some(self.history.commit(message, self.last.as_deref())?);
        self.commits += 1;
        Ok(())
    }
}

/// The first two numbers of a Makefile's release.
fn release(makefile: &str) -> String {
    format!("{}.{}", number(makefile, "VERSION"), number(makefile, "PATCHLEVEL"))
}

fn number<'a>(makefile: &'a str, name: &str) -> &'a str {
    let mut values = makefile
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='));
    values.next().map_or("", str::trim)
}

/// A Makefile that calls its tree by the release of another one, as a commit of a merge window does.
fn called_as(makefile: &str, other: &str) -> String {
    let line = |line: &str| {
        let name = NUMBERS
            .iter()
            .find(|name| line.strip_prefix(**name).is_some_and(|rest| rest.starts_with(" =")));
        match name {
            Some(&"SUBLEVEL") => "SUBLEVEL = 0".to_owned(),
            Some(&"EXTRAVERSION") => "EXTRAVERSION =".to_owned(),
            Some(name) => format!("{name} = {}", number(other, name)),
            None => line.to_owned(),
        }
    };
    makefile.lines().map(line).collect::<Vec<_>>().join("\n")
}
