//! Plan files: TOML with a `seed` and a list of `rules`.
//!
//! ```toml
//! seed = 7
//! rules = [
//!     "fail write payload=tag:7 nth=1",
//!     "delay any for=20ms..80ms p=0.1",
//! ]
//! ```

use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::error::{PlanError, Problem, RuleError, hint};
use super::rule::{Plan, Rule};

const KEYS: [&str; 2] = ["seed", "rules"];

/// The file as TOML sees it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    rules: Vec<Spanned<String>>,
}

/// Reads and checks a plan file.
///
/// # Errors
/// The file cannot be read, is no TOML, has other keys, or holds a rule that cannot be read.
pub fn read(path: &Path) -> Result<Plan, PlanError> {
    let text = std::fs::read_to_string(path).map_err(|source| PlanError::Read {
        path: path.to_owned(),
        source,
    })?;
    parse(&text, &path.display().to_string())
}

/// Checks the text of a plan file; `origin` names it in errors.
///
/// # Errors
/// As [`read`], without the reading.
pub fn parse(text: &str, origin: &str) -> Result<Plan, PlanError> {
    let file: File = toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        let unknown = text
            .get(span.clone())
            .map(|key| hint(key.trim(), KEYS))
            .unwrap_or_default();
        let hint = if error.message().starts_with("unknown field") {
            unknown
        } else {
            String::new()
        };
        at(
            text,
            origin,
            span.start,
            span.len(),
            &format!("{}{hint}", error.message()),
        )
    })?;
    let mut plan = Plan {
        seed: file.seed,
        rules: Vec::with_capacity(file.rules.len()),
    };
    for spanned in &file.rules {
        let rule = parse_in_plan(spanned.get_ref(), &plan)
            .map_err(|error| rule_error(text, origin, spanned.span(), spanned.get_ref(), &error))?;
        plan.rules.push(rule);
    }
    Ok(plan)
}

/// Reads one more rule of a plan: its name must be its own.
///
/// # Errors
/// The rule cannot be read, or an earlier one has its name.
pub fn parse_in_plan(text: &str, plan: &Plan) -> Result<Rule, RuleError> {
    let rule: Rule = text.parse()?;
    match &rule.name {
        Some(name) if plan.rules.iter().any(|other| other.name.as_ref() == Some(name)) => Err(name_taken(text, name)),
        _ => Ok(rule),
    }
}

/// The error for a rule whose name another rule of the plan has. It points at `name=…` in the rule's text.
#[must_use]
pub fn name_taken(text: &str, name: &str) -> RuleError {
    let byte = text.find(&format!("name={name}")).unwrap_or(0);
    RuleError {
        text: text.to_owned(),
        column: text[..byte].chars().count() + 1,
        width: "name=".len() + name.chars().count(),
        problem: Box::new(Problem::NameTaken { name: name.to_owned() }),
    }
}

/// Reads a rule given on the command line.
///
/// # Errors
/// As [`parse_in_plan`], told with its place.
pub fn parse_option(text: &str, plan: &Plan) -> Result<Rule, PlanError> {
    parse_in_plan(text, plan).map_err(|error| PlanError::Text {
        origin: "--rule".to_owned(),
        line: 1,
        column: error.column,
        width: error.width,
        message: error.problem.to_string(),
        text: text.to_owned(),
    })
}

/// Carries a place in a rule over to the file that holds it.
fn rule_error(text: &str, origin: &str, span: std::ops::Range<usize>, rule: &str, error: &RuleError) -> PlanError {
    let raw = text.get(span.clone()).unwrap_or_default();
    let quotes = raw.chars().take_while(|c| *c == '"' || *c == '\'').count().min(3);
    // Only where the file shows the rule letter by letter (no escapes) is there a place to point at within it.
    let verbatim = raw.get(quotes..).is_some_and(|inner| inner.starts_with(rule)) && !rule.contains('\n');
    let (start, width) = if verbatim {
        let offset: usize = rule.chars().take(error.column - 1).map(char::len_utf8).sum();
        (span.start + quotes + offset, error.width)
    } else {
        (span.start, raw.chars().take_while(|c| *c != '\n').count())
    };
    at(text, origin, start, width, &error.problem.to_string())
}

/// The error for a byte offset of the file.
fn at(text: &str, origin: &str, start: usize, width: usize, message: &str) -> PlanError {
    let before = text.get(..start).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line_text = text[line_start..].lines().next().unwrap_or_default();
    let column = text[line_start..before.len()].chars().count() + 1;
    PlanError::Text {
        origin: origin.to_owned(),
        line: before.matches('\n').count() + 1,
        column,
        width: width.min(line_text.chars().count().saturating_sub(column - 1)),
        message: message.trim_end().replace('\n', ": "),
        text: line_text.to_owned(),
    }
}
