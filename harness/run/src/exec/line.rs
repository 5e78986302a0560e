//! The program with its arguments, in a line as a shell takes it: read, and written again.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use exit::{Exit, Failure};
use guest_wire::WhenOver;
use host::words::quoted;
use vhost_blk_api::plan::units::print_time;

use crate::Exec;

/// Takes a line apart as a POSIX shell does, which does nothing else with it: no variable, no pattern, no redirection.
///
/// # Errors
/// A quote is not closed, a part of the line would be a comment, or there is no word in it.
pub(super) fn words(line: &str) -> Result<(PathBuf, Vec<String>), Failure> {
    let usage = |what: &str| Err(Failure::new(Exit::Usage, format!("--exec {}: {what}", quoted(line))));
    let Some(words) = shlex::split(line) else {
        return usage(
            "a quote is not closed, or nothing follows the last backslash; arguments are quoted as in a shell: \
            --exec \"./repro 'two words' it\\\\'s\"",
        );
    };
    // A comment ends with its line, where no quote is open.
    let ends = line.match_indices('\n').map(|(at, _)| at).chain([line.len()]);
    if ends.into_iter().any(|end| ends_in_comment(&line[..end])) {
        return usage("what follows the `#` is a comment; quote the word that begins with it: '#1'");
    }
    if words.iter().any(|word| word.contains('\0')) {
        return usage("a NUL byte, which no argument can have");
    }
    let mut words = words.into_iter();
    match words.next().filter(|program| !program.is_empty()) {
        Some(program) => Ok((PathBuf::from(program), words.collect())),
        None => Err(Failure::new(
            Exit::Usage,
            "--exec names no program; expected 'PROGRAM ARG…'",
        )),
    }
}

/// Whether a word after this one would be part of a comment.
fn ends_in_comment(line: &str) -> bool {
    shlex::split(line).is_some_and(|words| {
        let more = shlex::split(&format!("{line} ''"));
        more.is_none_or(|more| more.len() != words.len() + 1)
    })
}

/// What to do about a program that cannot be read: its path may have blanks in it.
pub(super) fn hint(line: &str) -> Option<String> {
    let ends = line.match_indices(' ').map(|(at, _)| at).chain([line.len()]);
    let mut paths: Vec<&str> = ends.map(|end| &line[..end]).collect();
    paths.retain(|path| path.contains(' ') && Path::new(path).is_file());
    let path = paths.pop()?;
    Some(format!(
        "; `{path}` is a file: a path with blanks is quoted, --exec {}",
        around(&[&quoted(path), &line[path.len()..]].concat())
    ))
}

/// Quotes words that have single quotes in them so that a person can read them: by double quotes, if nothing in them
/// means anything to a shell there.
fn around(words: &str) -> String {
    if words.contains(['"', '$', '`', '\\', '!']) {
        quoted(words)
    } else {
        format!("\"{words}\"")
    }
}

/// The options of the command line that ask for this program again, in any directory, each with a blank in front; all
/// but the seed of its plan.
#[must_use]
pub fn options(exec: &Exec) -> String {
    let program = exec.program.to_string_lossy();
    let words = std::iter::once(&*program).chain(exec.args.iter().map(String::as_str));
    let line: Vec<String> = words.map(quoted).collect();
    let mut options = format!(" --exec {}", quoted(&line.join(" ")));
    if let Some(time) = exec.time {
        let limit = print_time(std::time::Duration::from_millis(time.limit_ms));
        let _ = write!(options, " --exec-time {limit}");
        if time.then == WhenOver::Error {
            options.push_str(" --exec-time-is fail");
        }
    }
    for rule in &exec.plan.rules {
        let _ = write!(options, " --rule {}", quoted(rule));
    }
    options
}

#[cfg(test)]
mod tests {
    use guest_wire::ExecTime;

    use super::*;
    use crate::FaultPlan;

    fn exec(program: &str, args: &[&str]) -> Exec {
        Exec {
            program: program.into(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            time: None,
            plan: FaultPlan::default(),
        }
    }

    fn refused(line: &str) -> String {
        words(line).expect_err("a refusal").to_string()
    }

    #[test]
    fn arguments_are_quoted_as_in_a_shell() {
        let (program, args) = words(r#""/a b/args" 'a b' c\ d "e f" '' x#y"#).unwrap();
        assert_eq!(program, Path::new("/a b/args"));
        assert_eq!(args, ["a b", "c d", "e f", "", "x#y"]);
        let (_, args) = words("args 'a\n#b\n' \"\n#c\" \\#d e\n\nf").unwrap();
        assert_eq!(args, ["a\n#b\n", "\n#c", "#d", "e", "f"]);
        let (_, args) = words("args $HOME * | > ~ a;b").unwrap();
        assert_eq!(args, ["$HOME", "*", "|", ">", "~", "a;b"]);
    }

    #[test]
    fn a_line_that_is_none_is_refused() {
        for line in ["args 'a", "args \"a", "args a\\"] {
            assert!(refused(line).contains("a quote is not closed"), "{}", refused(line));
        }
        for line in [
            "args #1 2",
            "args a #b c\nd",
            "#it's\nargs",
            "args 'a' \\\n #b\nc",
            "args\t#\n",
        ] {
            let said = refused(line);
            assert!(said.contains("quote the word that begins with it"), "{line}: {said}");
        }
        for line in ["", " ", "'' a"] {
            assert!(refused(line).contains("names no program"), "{}", refused(line));
        }
    }

    #[test]
    fn what_a_hint_says_is_what_was_meant() {
        for (words, said) in [
            ("'my dir/args' x", "\"'my dir/args' x\""),
            ("'my dir/args' $x", "''\\''my dir/args'\\'' $x'"),
            ("'a b' \"x\"", "''\\''a b'\\'' \"x\"'"),
        ] {
            assert_eq!(around(words), said);
            assert_eq!(shlex::split(said).unwrap(), [words]);
        }
    }

    #[test]
    fn what_is_asked_for_again_is_the_same_and_does_not_grow() {
        for args in [
            &[][..],
            &["a b", "c'd", "\"e\" f", "", "\\", "'\\''"],
            &["#x", "$HOME", "*", "é\n", "--rule", "~"],
        ] {
            let mut exec = exec("/tmp/my dir/it's", args);
            exec.time = Some(ExecTime {
                limit_ms: 1500,
                then: WhenOver::Error,
            });
            exec.plan.rules.push("fail write limit=1".to_owned());
            let asked = options(&exec);
            let given = shlex::split(&asked).unwrap();
            let [flag, line, rest @ ..] = given.as_slice() else {
                panic!("{given:?}")
            };
            assert_eq!(flag, "--exec");
            assert_eq!(
                rest,
                [
                    "--exec-time",
                    "1500ms",
                    "--exec-time-is",
                    "fail",
                    "--rule",
                    "fail write limit=1"
                ]
            );
            let (program, args) = words(line).unwrap();
            assert_eq!((&program, &args), (&exec.program, &exec.args));
            assert_eq!(options(&Exec { program, args, ..exec }), asked);
        }
    }
}
