//! The words of `inject`, the same in a terminal of the host and inside a guest: those of [`vhost_blk_api::ctl`], of
//! which a guest may not say all.

mod serve;

use vhost_blk_api::control::Command;
pub use vhost_blk_api::ctl::{parse, say};

pub use serve::serve;

use evidence::parts::{ARM_MARK, BEGIN_MARK, DISARM_MARK, END_MARK};

/// Reads the same inside a guest, which may do to its disk what it likes and nothing to its host.
///
/// # Errors
/// What is wrong with it, or why a guest must not say it.
pub(crate) fn parse_in_guest<S: AsRef<str>>(words: &[S]) -> Result<Command, String> {
    let first = words.iter().flat_map(|word| word.as_ref().split_whitespace()).next();
    if let Some(word @ ("export" | "log")) = first {
        return Err(format!(
            "a guest cannot write files of its host: run `cargo xtask inject {word} FILE` there"
        ));
    }
    if first == Some("subscribe") {
        return Err("what a guest says is answered and done with, and `subscribe` goes on: run `cargo xtask inject subscribe` on the host".to_owned());
    }
    if first == Some("quit") {
        return Err("a guest cannot end its device; `poweroff` ends guest and device".to_owned());
    }
    match parse(words)? {
        Command::Mark { name }
            if [ARM_MARK, DISARM_MARK].contains(&&*name)
                || [BEGIN_MARK, END_MARK].iter().any(|mark| name.starts_with(mark)) =>
        {
            Err(format!(
                "the mark `{name}` is the harness's own, it tells where a case's faults begin and end: choose another name"
            ))
        }
        command => Ok(command),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(words: &[&str]) -> String {
        parse_in_guest(words).expect_err("a refusal")
    }

    #[test]
    fn a_guest_says_what_a_terminal_says() {
        for words in [
            &["fail write nth=1"][..],
            &["add", "fail write nth=1"],
            &["add fail", "write", "nth=1"],
        ] {
            let rule = "fail write nth=1".to_owned();
            assert_eq!(parse_in_guest(words), Ok(Command::Add { rule }));
        }
        for words in [
            "list",
            "remove r1",
            "clear",
            "release r1",
            "mark here",
            "set phase:2",
            "cut now lose=some torn=4k seed=7",
            "power",
            "rollback here",
            "resize 1G",
            "disconnect now",
            "stats",
        ] {
            let command = parse(&[words]).expect(words);
            assert!(!matches!(command, Command::Add { .. }), "{words}");
            assert_eq!(parse_in_guest(&[words]), Ok(command));
        }
    }

    #[test]
    fn a_guest_does_nothing_to_its_host() {
        insta::assert_snapshot!(
            refused(&["export", "/etc/passwd"]),
            @"a guest cannot write files of its host: run `cargo xtask inject export FILE` there"
        );
        insta::assert_snapshot!(
            refused(&["log", "/tmp/log"]),
            @"a guest cannot write files of its host: run `cargo xtask inject log FILE` there"
        );
        insta::assert_snapshot!(
            refused(&["subscribe"]),
            @"what a guest says is answered and done with, and `subscribe` goes on: run `cargo xtask inject subscribe` on the host"
        );
        insta::assert_snapshot!(refused(&["quit"]), @"a guest cannot end its device; `poweroff` ends guest and device");
        assert!(refused(&["mark", "begin-overlap"]).contains("choose another name"));
        insta::assert_snapshot!(
            refused(&["mark", "arm"]),
            @"the mark `arm` is the harness's own, it tells where a case's faults begin and end: choose another name"
        );
    }
}
