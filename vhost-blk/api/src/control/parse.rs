//! Reads commands. What is not known is refused, never passed over: a misspelt field would have its command do
//! something else, and say ok.

use serde_json::{Map, Value};

use super::protocol::{Command, VERSION};
use crate::plan::hint;

/// The commands' words, in their order, and the fields that each can have.
pub(super) const COMMANDS: [(&str, &[&str]); 21] = [
    ("add", &["rule"]),
    ("plan", &["seed", "rules"]),
    ("list", &[]),
    ("remove", &["rule"]),
    ("clear", &[]),
    ("release", &["rule"]),
    ("set", &["var"]),
    ("mark", &["name"]),
    ("rollback", &["to"]),
    ("present", &["at", "lose", "order", "torn", "seed"]),
    ("undecided", &["at"]),
    ("resize", &["bytes"]),
    ("cut", &["lose", "torn", "seed"]),
    ("power", &[]),
    ("disconnect", &[]),
    ("export", &["path", "at", "lose", "torn", "seed"]),
    ("export-log", &["path"]),
    ("stats", &[]),
    ("subscribe", &[]),
    ("flush-trace", &[]),
    ("quit", &[]),
];

/// The command of a line, or why it is none.
///
/// # Errors
/// It is no command, or one with a field that it does not have.
pub fn parse(line: &[u8]) -> Result<Command, String> {
    let value = serde_json::from_slice(line).map_err(|error| format!("not a command: {error}"))?;
    let Value::Object(mut fields) = value else {
        return Err(r#"not a command: expected an object, like {"cmd":"list"}"#.to_owned());
    };
    // The version is looked at first: a newer protocol's commands need not look like ours.
    if let Some(v) = fields.remove("v")
        && v.as_u64() != Some(u64::from(VERSION))
    {
        return Err(format!("protocol version {v}: this device speaks {VERSION}"));
    }
    known(&fields)?;
    serde_json::from_value(Value::Object(fields)).map_err(|error| format!("not a command: {error}"))
}

/// Whether the command is one, and all its fields are.
fn known(fields: &Map<String, Value>) -> Result<(), String> {
    let words = COMMANDS.map(|(word, _)| word);
    let Some(Value::String(word)) = fields.get("cmd") else {
        return Err(format!(
            "not a command: expected `cmd` to be one of {}",
            words.join(", ")
        ));
    };
    let Some((word, known)) = COMMANDS.iter().find(|(known, _)| known == word) else {
        return Err(format!(
            "unknown command `{word}`: expected one of {}{}",
            words.join(", "),
            hint(word, words)
        ));
    };
    let is_known = |field: &&String| *field == "cmd" || known.contains(&field.as_str());
    match fields.keys().find(|field| !is_known(field)) {
        None => Ok(()),
        Some(field) if known.is_empty() => Err(format!("unknown field `{field}` for `{word}`: it takes none")),
        Some(field) => Err(format!(
            "unknown field `{field}` for `{word}`: known fields: {}{}",
            known.join(", "),
            hint(field, known.iter().copied())
        )),
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a panic here is the test's failure")]
mod tests {
    use super::*;

    /// What serde says that it knows, when it is asked for what it does not.
    fn known_to_serde(line: &str) -> Vec<String> {
        let error = serde_json::from_str::<Command>(line).expect_err(line).to_string();
        assert!(error.contains("unknown"), "{error}");
        let words = error.split('`').skip(3).step_by(2);
        words.map(str::to_owned).collect()
    }

    #[test]
    fn the_words_and_fields_are_those_of_the_commands() {
        assert_eq!(known_to_serde(r#"{"cmd":"?"}"#), COMMANDS.map(|(word, _)| word));
        for (word, fields) in COMMANDS.iter().filter(|(_, fields)| !fields.is_empty()) {
            assert_eq!(
                known_to_serde(&format!(r#"{{"cmd":"{word}","?":0}}"#)),
                *fields,
                "{word}"
            );
        }
        for (word, _) in COMMANDS.iter().filter(|(_, fields)| fields.is_empty()) {
            // One that needs a field would say so.
            parse(format!(r#"{{"cmd":"{word}"}}"#).as_bytes()).expect(word);
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let refused = |line: &str| parse(line.as_bytes()).expect_err(line);
        insta::assert_snapshot!(
            refused(r#"{"cmd":"rollback","mark":"m"}"#),
            @"unknown field `mark` for `rollback`: known fields: to"
        );
        insta::assert_snapshot!(
            refused(r#"{"v":1,"cmd":"cut","loose":"none"}"#),
            @"unknown field `loose` for `cut`: known fields: lose, torn, seed; did you mean `lose`?"
        );
        insta::assert_snapshot!(
            refused(r#"{"cmd":"release","rulle":"x"}"#),
            @"unknown field `rulle` for `release`: known fields: rule; did you mean `rule`?"
        );
        insta::assert_snapshot!(
            refused(r#"{"cmd":"clear","rule":"x"}"#),
            @"unknown field `rule` for `clear`: it takes none"
        );
        insta::assert_snapshot!(
            refused(r#"{"cmd":"lsit"}"#),
            @"unknown command `lsit`: expected one of add, plan, list, remove, clear, release, set, mark, rollback, present, undecided, resize, cut, power, disconnect, export, export-log, stats, subscribe, flush-trace, quit; did you mean `list`?"
        );
        insta::assert_snapshot!(refused("{}"), @"not a command: expected `cmd` to be one of add, plan, list, remove, clear, release, set, mark, rollback, present, undecided, resize, cut, power, disconnect, export, export-log, stats, subscribe, flush-trace, quit");
        insta::assert_snapshot!(refused("[1]"), @r#"not a command: expected an object, like {"cmd":"list"}"#);
        insta::assert_snapshot!(refused(r#"{"v":"1","cmd":"list"}"#), @r#"protocol version "1": this device speaks 1"#);
        insta::assert_snapshot!(refused(r#"{"cmd":"add"}"#), @"not a command: missing field `rule`");
    }
}
