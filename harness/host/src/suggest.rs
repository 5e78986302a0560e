//! Names that a person mistyped, and globs that match nothing: both are answered with what exists.

use exit::{Exit, ExitError};
use globset::{GlobBuilder, GlobMatcher};

/// The known word nearest to `word`, if one is near enough to be what was meant.
#[must_use]
pub fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters may be wrong: `sutie` finds `suite`, `foo` finds nothing.
    let allowed = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `did you mean …? known …: …`, with the parts that apply.
#[must_use]
pub fn hint(word: &str, what: &str, known: &[&str]) -> String {
    let all = if known.is_empty() {
        "none".to_owned()
    } else {
        known.join(", ")
    };
    match closest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? known {what}: {all}"),
        None => format!("known {what}: {all}"),
    }
}

/// Why a pattern selects nothing.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// The pattern does not parse as a glob.
    #[error("`{pattern}` is not a valid glob for {what}: {reason}")]
    Syntax {
        /// What was typed.
        pattern: String,
        /// Plural of what it selects.
        what: String,
        /// The glob library's answer.
        reason: globset::ErrorKind,
    },
    /// Nothing has such a name.
    #[error("no {what} match `{pattern}`; {hint}")]
    NoMatch {
        /// What was typed.
        pattern: String,
        /// Plural of what it selects.
        what: String,
        /// "did you mean" with the nearest name, and all names that there are.
        hint: String,
    },
}

impl ExitError for PatternError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

/// Compiles a glob; `*` matches everything, dots and slashes too.
///
/// # Errors
/// It is no valid glob.
pub fn glob(pattern: &str) -> Result<GlobMatcher, globset::ErrorKind> {
    GlobBuilder::new(pattern)
        .empty_alternates(true)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|error| error.kind().clone())
}

/// Indices of the names that any of the patterns matches, in the names' order.
///
/// # Errors
/// A pattern is no glob, or one of them matches none of the names.
pub fn select(what: &str, patterns: &[impl AsRef<str>], names: &[&str]) -> Result<Vec<usize>, PatternError> {
    let mut chosen = vec![false; names.len()];
    for pattern in patterns.iter().map(AsRef::as_ref) {
        let matcher = glob(pattern).map_err(|reason| PatternError::Syntax {
            pattern: pattern.to_owned(),
            what: what.to_owned(),
            reason,
        })?;
        let mut any = false;
        for (name, chosen) in names.iter().zip(&mut chosen) {
            if matcher.is_match(name) {
                (*chosen, any) = (true, true);
            }
        }
        if !any {
            let hint = hint(pattern, what, names);
            return Err(PatternError::NoMatch {
                pattern: pattern.to_owned(),
                what: what.to_owned(),
                hint,
            });
        }
    }
    Ok(chosen
        .iter()
        .enumerate()
        .filter_map(|(index, chosen)| chosen.then_some(index))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 3] = ["debian-5.10.218", "debian-6.1.176", "debian-6.12"];

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        assert_eq!(closest("sutie", ["id", "suite", "version"]), Some("suite"));
        assert_eq!(closest("zebra", ["id", "suite", "version"]), None);
        assert_eq!(closest("ib", ["id", "fs"]), Some("id"));
    }

    #[test]
    fn globs_select_in_the_order_of_the_names() {
        assert_eq!(
            select("kernels", &["debian-6.12", "debian-5*"], &NAMES).unwrap(),
            [0, 2]
        );
        assert_eq!(select("kernels", &["*"], &NAMES).unwrap(), [0, 1, 2]);
    }

    #[test]
    fn a_pattern_without_a_match_lists_what_exists() {
        insta::assert_snapshot!(
            select("kernels", &["debian-6.1.177"], &NAMES).unwrap_err(),
            @"no kernels match `debian-6.1.177`; did you mean `debian-6.1.176`? known kernels: debian-5.10.218, \
            debian-6.1.176, debian-6.12"
        );
        insta::assert_snapshot!(
            select("kernels", &["[6"], &NAMES).unwrap_err(),
            @"`[6` is not a valid glob for kernels: unclosed character class; missing ']'"
        );
    }
}
