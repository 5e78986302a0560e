//! What a working copy names and does not hold: links that lead out of it, and repositories within it.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// What is odd in a working copy.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Oddities {
    /// The first link to something outside, with what it leads to.
    pub(super) link: Option<(String, PathBuf)>,
    /// Directories of which git takes no file, as they are repositories of their own.
    pub(super) repositories: Vec<String>,
}

impl Oddities {
    /// Those of a working copy, of which `listed` is what `git ls-files -s -z` says.
    pub(super) fn of(listed: &[u8], top: &Path) -> Oddities {
        let text = String::from_utf8_lossy(listed);
        let mut oddities = Oddities::default();
        for (head, path) in text.split('\0').filter_map(|entry| entry.split_once('\t')) {
            if head.starts_with("160000 ") {
                oddities.repositories.push(path.to_owned());
            } else if head.starts_with("120000 ") && oddities.link.is_none() && may_be_built(path) {
                oddities.link = outside(path, top).map(|target| (path.to_owned(), target));
            }
        }
        oddities
    }
}

/// Whether a build may come by a path. At the top lie links to build directories and to what editors read, and make
/// enters no directory there that its own makefiles do not name.
fn may_be_built(path: &str) -> bool {
    path.contains('/') && !path.starts_with(['.']) && !path.starts_with("Documentation/")
}

/// What a link leads to, if that is there and lies outside, or is named from outside.
fn outside(path: &str, top: &Path) -> Option<PathBuf> {
    let link = top.join(path);
    let target = fs::read_link(&link).ok()?;
    let mut depth = Path::new(path).components().count() - 1;
    let mut leads_out = target.is_absolute();
    for part in target.components() {
        match part {
            Component::ParentDir => match depth.checked_sub(1) {
                Some(above) => depth = above,
                None => leads_out = true,
            },
            Component::Normal(_) => depth += 1,
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    (leads_out && fs::metadata(&link).is_ok()).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_within_is_seen() {
        let listed = b"100644 1 0\tKconfig\x00160000 2 0\tdrivers/mine\x00120000 3 0\tdrivers/none\x00";
        let oddities = Oddities::of(listed, Path::new("/nowhere"));
        assert_eq!(
            (oddities.repositories, oddities.link),
            (vec!["drivers/mine".to_owned()], None)
        );
    }
}
