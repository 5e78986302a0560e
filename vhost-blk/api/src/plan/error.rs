//! What can be wrong with a rule or a plan, always with the place.

use std::path::PathBuf;

use thiserror::Error;

/// A rule that cannot be read: what is wrong, and where in its text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("column {column}: {problem}")]
pub struct RuleError {
    /// The rule as it was given.
    pub(crate) text: String,
    /// Where the trouble begins, in characters from 1.
    pub column: usize,
    /// How many characters are meant.
    pub(crate) width: usize,
    /// What is wrong.
    pub(crate) problem: Box<Problem>,
}

impl RuleError {
    /// The message with the rule's text and a caret under the place.
    #[must_use]
    pub fn render(&self) -> String {
        format!(
            "column {}: {}\n{}",
            self.column,
            self.problem,
            excerpt(&self.text, self.column, self.width, "")
        )
    }
}

/// The ways in which a rule can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Problem {
    /// Nothing there.
    #[error("empty rule: expected an action: {expected}")]
    Empty { expected: String },
    /// The first word is no action.
    #[error("unknown action `{found}`: expected one of {expected}{hint}")]
    UnknownAction {
        found: String,
        expected: String,
        /// "; did you mean …?", or empty.
        hint: String,
    },
    /// A word where an operation may stand is none.
    #[error("unknown operation `{found}`: expected one of {expected}, or key=value{hint}")]
    UnknownOp {
        found: String,
        expected: String,
        /// "; did you mean …?", or empty.
        hint: String,
    },
    /// A later word is not `key=value`.
    #[error("`{found}` is not key=value{hint}")]
    NotKeyValue {
        found: String,
        /// A hint where the word would be right, or empty.
        hint: String,
    },
    /// The action has no such key.
    #[error("unknown key `{found}` for {what}: known keys: {expected}{hint}")]
    UnknownKey {
        found: String,
        /// The action, or `next(…)`.
        what: String,
        expected: String,
        /// "; did you mean …?", or empty.
        hint: String,
    },
    /// A key stands twice.
    #[error("`{key}` is given twice: the first is at column {first}")]
    Twice { key: String, first: usize },
    /// The action cannot do without a key.
    #[error("{action} needs `{key}`: for example `{example}`")]
    Missing {
        action: String,
        key: &'static str,
        example: &'static str,
    },
    /// A value is not what its key takes.
    #[error("bad value `{value}` for `{key}`: expected {expected}{hint}")]
    BadValue {
        key: String,
        value: String,
        expected: &'static str,
        /// "; did you mean …?", or empty.
        hint: String,
    },
    /// Two keys exclude each other.
    #[error("`{key}` and `{other}` exclude each other: keep one of them")]
    Exclude {
        /// The later key.
        key: &'static str,
        other: &'static str,
    },
    /// Something does not go with the operation.
    #[error("{what} does not go with `{op}`: it needs {expected}")]
    WrongOp {
        /// The action or key.
        what: &'static str,
        /// The operation given.
        op: &'static str,
        /// The operations that it goes with.
        expected: String,
    },
    /// Two words that no request can meet together.
    #[error("with `{other}` no request ever meets `{word}`, for {why}: keep one of them")]
    Never {
        /// The word that the message points at.
        word: String,
        other: String,
        /// Why they exclude each other.
        why: &'static str,
    },
    /// A parenthesis without its counterpart.
    #[error("`{found}` has no counterpart: parentheses stand as in until=next(write payload=tag:7)")]
    Parenthesis { found: char },
    /// A name that another rule of the plan has.
    #[error("rule name `{name}` is taken: give another with name=…")]
    NameTaken { name: String },
}

/// A plan that cannot be read.
#[derive(Debug, Error)]
pub enum PlanError {
    /// The file cannot be read.
    #[error("cannot read the plan {}: {source}", path.display())]
    Read {
        /// The plan as it was named to the command.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Something in the text is wrong.
    #[error("{origin}:{line}:{column}: {message}\n{}", excerpt(text, *column, *width, &line.to_string()))]
    Text {
        /// The file's name, or the command line's option.
        origin: String,
        /// Line of the text, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// How many characters are meant.
        width: usize,
        /// What is wrong there, without the place.
        message: String,
        /// The source line.
        text: String,
    },
}

/// A source line with a caret under the place.
fn excerpt(line: &str, column: usize, width: usize, number: &str) -> String {
    let gutter = " ".repeat(number.len());
    let before: String = line
        .chars()
        .take(column.saturating_sub(1))
        .map(|c| if c == '\t' { '\t' } else { ' ' })
        .collect();
    // An empty line must not leave a blank at its end.
    let shown = format!("{number} | {line}");
    let shown = shown.trim_end();
    format!("{gutter} |\n{shown}\n{gutter} | {before}{}", "^".repeat(width.max(1)))
}

/// What others call ours.
const OTHER_NAMES: [(&str, &str); 12] = [
    ("trim", "discard"),
    ("unmap", "discard"),
    ("sync", "flush"),
    ("fsync", "flush"),
    ("zero", "write-zeroes"),
    ("zeroes", "write-zeroes"),
    ("prob", "p"),
    ("probability", "p"),
    ("eio", "ioerr"),
    ("error", "ioerr"),
    ("error", "fail"),
    ("eopnotsupp", "unsupp"),
];

/// "; did you mean `x`?" for the candidate that is meant by this name elsewhere, or nearest to what was found, or
/// nothing when none is near. Upper and lower case are alike.
#[must_use]
pub fn hint<'a>(found: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let found = found.to_lowercase();
    let distance = |candidate: &str| match OTHER_NAMES.contains(&(&found, candidate)) {
        true => 0,
        false => strsim::damerau_levenshtein(&found, candidate),
    };
    let near = candidates
        .into_iter()
        .map(|candidate| (distance(candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 2 && *distance < candidate.len())
        .min();
    match near {
        Some((_, candidate)) => format!("; did you mean `{candidate}`?"),
        None => String::new(),
    }
}
