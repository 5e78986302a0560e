use super::*;

fn refused(words: &[&str]) -> String {
    parse(words).expect_err("a refusal")
}

#[test]
fn a_state_to_be_exported_is_told_in_words() {
    let parsed = parse(&["export", "/f", "at=mounted", "lose=some seed=7", "torn=4k"]);
    let expected = Command::Export {
        path: "/f".into(),
        at: Some("mounted".to_owned()),
        lose: Some("some".to_owned()),
        torn: Some("4k".to_owned()),
        seed: Some(7),
    };
    assert_eq!(parsed, Ok(expected));
    assert_eq!(parse(&["export /f"]), Ok(Command::export("/f".into())));
}

#[test]
fn a_file_may_have_blanks_in_its_name() {
    let file = "/a  b.img";
    assert_eq!(parse(&["export", file]), Ok(Command::export(file.into())));
    assert_eq!(parse(&["log", file]), Ok(Command::ExportLog { path: file.into() }));
    assert_eq!(parse(&["log /f"]), Ok(Command::ExportLog { path: "/f".into() }));
    let parsed = parse(&["export", "/a=1 b", "seed=7 lose=some"]);
    assert!(
        matches!(&parsed, Ok(Command::Export { path, seed: Some(7), lose: Some(lose), .. })
            if path.as_os_str() == "/a=1 b" && lose == "some"),
        "{parsed:?}"
    );
    // One word is taken apart.
    assert!(refused(&["export /a b"]).contains("quoted as one word"));
    assert!(refused(&["log /a b"]).contains("quoted as one word"));
    for blank in ["", " "] {
        assert!(refused(&["export", blank]).contains("`export` a file"));
        assert!(refused(&["log", blank]).contains("`log` a file"));
    }
}

#[test]
fn what_is_done_at_once_is_no_rule() {
    insta::assert_snapshot!(
        refused(&["cut"]),
        @"`cut` alone can mean two things: `cut now` does it at once, `add cut` adds a rule that does it at the next request"
    );
    assert!(refused(&["disconnect"]).contains("`disconnect now`"));
    assert_eq!(parse(&["add cut"]), Ok(Command::Add { rule: "cut".to_owned() }));
    assert!(matches!(parse(&["cut", "write"]), Ok(Command::Add { .. })));
    assert_eq!(parse(&["disconnect now"]), Ok(Command::Disconnect));
    let joint = refused(&["disconnect", "now", "please"]);
    assert!(joint.contains("`power` and `disconnect now` neither") && joint.contains("`cut now` how"));
}

#[test]
fn what_is_wrong_is_said() {
    insta::assert_snapshot!(refused(&[]), @"nothing is said; expected a rule, or one of list, remove RULE-NAME, clear, release [RULE-NAME], mark NAME, set NAME:VALUE, cut now [lose=…] [torn=…] [seed=N], power, rollback [MARK], rollback at=MARK [lose=…] [order=N,N] [torn=…] [seed=N], undecided MARK, resize BYTES, disconnect now, export FILE [at=MARK] [lose=…] [torn=…] [seed=N], log FILE, stats, subscribe, quit");
    insta::assert_snapshot!(
        refused(&["resize", "1T"]),
        @"bad size `1T`: `resize` takes the disk's new size in bytes, like 67108864, 65536k, 64M or 1G"
    );
    insta::assert_snapshot!(
        refused(&["cut", "now", "lots"]),
        @"`cut now` takes lose=all|some|none, torn=512|4k and seed=N, not `lots`"
    );
    insta::assert_snapshot!(
        refused(&["cut now lose=all lose=none"]),
        @"`cut now` takes lose=all|some|none, torn=512|4k and seed=N, not `lose=none`"
    );
    insta::assert_snapshot!(refused(&["cut now seed=x"]), @"bad value `x` for `seed`: expected a number");
    let export = |words: &str| parse(&[words]).expect_err("a refusal");
    insta::assert_snapshot!(
        export("export f at=x loose=all"),
        @"`export` takes a file (quoted as one word if there are blanks in its name), and at=MARK, lose=all|some|none, torn=512|4k and seed=N, not `loose=all`"
    );
    assert!(export("export at=x").contains("`export` a file and how"));
    assert!(refused(&["fial write"]).contains("did you mean `fail`?"));
    assert!(refused(&["remove"]).contains("`remove` and `release` a rule's name"));
    assert!(refused(&["list", "more"]).contains("take nothing more"));
}

#[test]
fn replies_in_words() {
    let said = |reply| say(&Command::Clear, &reply);
    assert_eq!(said(Reply::Done), "done");
    assert_eq!(said(Reply::Rules { rules: Vec::new() }), "no rules");
    assert_eq!(said(Reply::Released { requests: 2 }), "let go 2 held requests");
    let rule = "r1".to_owned();
    assert_eq!(
        say(&Command::Remove { rule }, &Reply::Released { requests: 2 }),
        "rule r1 is off; let go 2 held requests"
    );
    assert_eq!(
        say(&Command::Power, &Reply::Released { requests: 2 }),
        "the power is on; 2 requests are never answered"
    );
    let resized = |front_end| {
        said(Reply::Resized {
            from: 64 << 20,
            bytes: 1 << 30,
            front_end,
        })
    };
    assert_eq!(
        resized(FrontEnd::Told),
        "the disk has 1G now, it had 64M; the front end was told"
    );
    assert_eq!(
        resized(FrontEnd::None),
        "the disk has 1G now, it had 64M; no front end is connected"
    );
    assert!(said(Reply::Stats(crate::control::Stats::default())).contains("\"submitted\": 0"));
}
