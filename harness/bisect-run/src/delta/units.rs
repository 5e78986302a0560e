//! Which hunks of a difference are tried first, and which ones a failed build blames.

use bisect::delta::Subset;
use bisect::diff::Difference;
use bisect::signature::Reason;

/// Units that are likely to suffice: those of the file system that the case runs on.
pub(super) fn likely(difference: &Difference, fs: &str) -> Subset {
    let top = format!("fs/{fs}/");
    (0..difference.len())
        .filter(|unit| difference.paths(*unit).all(|path| path.starts_with(&top)))
        .collect()
}

/// Units of a set that need some that are not in it: those in the files that did not compile, else in those that the
/// compiler points to besides. So a header that declares a function anew needs the file that still has its own
/// declaration of it.
pub(super) fn blamed(difference: &Difference, subset: &Subset, reason: &Reason) -> Vec<usize> {
    let of = |files: &[String]| -> Vec<usize> {
        let is_one = |unit: &usize| {
            let mut paths = difference.paths(*unit);
            paths.any(|path| files.iter().any(|file| names(file, path)))
        };
        subset.iter().copied().filter(is_one).collect()
    };
    let in_error = of(&reason.files);
    if in_error.is_empty() {
        of(&reason.noted)
    } else {
        in_error
    }
}

/// Whether what a compiler or linker names is this path; a linker may know only a file's own name.
fn names(file: &str, path: &str) -> bool {
    path.strip_suffix(file)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
}
