//! A program of a person's own: what it is given, what is kept of what it says, and what its end means.

use verdict::Cause;
use verdict::results::Cell;

use crate::bed::{KERNEL, Rig, chaos, text};

/// Runs `chaos WHAT`; the exit code, the cell, and what was on the terminal.
fn run(rig: &Rig, what: &str, flags: &[&str]) -> (i32, Cell, String) {
    let args = ["--kernel", KERNEL, "--fs", "ext4", "--exec", &chaos(what)];
    let output = rig.test(&[&args[..], flags].concat());
    let cells = rig.cells();
    assert_eq!(cells.len(), 1, "{}", text(&output));
    rig.assert_nothing_left();
    (
        output.status.code().expect("an exit code"),
        cells[0].clone(),
        text(&output),
    )
}

fn output_of(cell: &Cell) -> String {
    std::fs::read_to_string(cell.dir.join("output.log")).expect("output.log")
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_program_gets_its_arguments_and_what_the_help_promises() {
    let rig = Rig::new();
    let (code, cell, _) = run(&rig, r#"args 'a b' c\ d "e f" '' $HOME"#, &[]);
    assert_eq!((code, cell.verdict().word()), (0, "pass"), "{}", cell.detail());
    let output = output_of(&cell);
    let (_, number) = output.split_once("BIOSCOPE_FD=").expect("the variable");
    let number: String = number.chars().take_while(char::is_ascii_digit).collect();
    insta::assert_snapshot!(output.replace(&format!("FD={number}"), "FD=[number]"), @r"
    arg 0: [/bin/chaos]
    arg 1: [args]
    arg 2: [a b]
    arg 3: [c d]
    arg 4: [e f]
    arg 5: []
    arg 6: [$HOME]
    cwd /mnt
    variables BIOSCOPE_FD=[number] HOME=/ PATH=/bin
    ");
}

/// The printed command is run as it stands, by a shell, in another directory.
#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn the_command_that_is_printed_shows_the_same_again() {
    let rig = Rig::new();
    let (code, cell, terminal) = run(&rig, "args 'a b' '' then 'lines 3 then exit 7'", &[]);
    // `args` takes all of it.
    assert_eq!((code, cell.verdict().word()), (0, "pass"), "{}", cell.detail());
    assert!(output_of(&cell).contains("arg 5: [lines 3 then exit 7]"));
    assert!(!terminal.contains("reproduce"), "{terminal}");

    let what = "lines 2000 then exit 7";
    let (code, first, terminal) = run(&rig, what, &["--rule", "delay write for=1ms", "--exec-time", "60s"]);
    assert_eq!((code, first.detail().as_str()), (1, "the program exited with code 7"));
    let command = |terminal: &str| {
        let line = terminal.lines().find_map(|line| line.split_once("reproduce "));
        line.expect("how to see it again").1.to_owned()
    };
    let printed = command(&terminal);
    let words = printed.strip_prefix("cargo xtask test ").expect("a command");
    let elsewhere = tempfile::tempdir().expect("a directory");
    let output = std::process::Command::new("sh")
        .args([
            "-c",
            &format!("exec \"$0\" test --offline --accel tcg {words}"),
            &crate::clone::bioscope().to_string_lossy(),
        ])
        .env("BIOSCOPE_RUNS", rig.dir.path())
        .current_dir(elsewhere.path())
        .output()
        .expect("a shell");
    let again = &rig.cells()[0];
    assert_eq!(again.detail(), first.detail(), "{}", text(&output));
    assert_eq!(output_of(again), output_of(&first));
    assert_eq!(command(&text(&output)), printed);
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn output_is_kept_whole_and_its_end_is_shown() {
    let rig = Rig::new();
    let (code, cell, terminal) = run(&rig, "lines 2000 then exit 1", &[]);
    assert_eq!((code, cell.verdict().cause()), (1, Some(Cause::Error)));
    let output = output_of(&cell);
    assert_eq!(output.lines().count(), 2000);
    assert!(output.starts_with("line 1 of 2000\n") && output.ends_with("line 2000 of 2000\n"));
    let evidence = &cell.judgement.evidence;
    let heading = "the output ends with these lines; output.log has 2000 lines:";
    let at = evidence.iter().position(|line| line == heading).expect("a heading");
    assert_eq!(evidence[at + 1], "line 1993 of 2000");
    assert_eq!(evidence[at + 8], "line 2000 of 2000");
    assert!(
        terminal.contains("line 2000 of 2000") && !terminal.contains("line 1992"),
        "{terminal}"
    );

    // More than is kept.
    let (code, cell, terminal) = run(&rig, "lines 200000 then exit 1", &[]);
    assert_eq!(
        (code, cell.verdict().cause()),
        (1, Some(Cause::Error)),
        "{}",
        cell.detail()
    );
    let output = output_of(&cell);
    let kept_bytes: usize = 2 << 20;
    assert!(output.len().abs_diff(kept_bytes) < 100, "{}", output.len());
    assert!(output.starts_with("line 1 of 200000\n") && output.ends_with("\nline 200000 of 200000\n"));
    let left_out = output
        .lines()
        .find(|line| line.starts_with("[bioscope: ") && line.ends_with(" bytes are left out here]"));
    assert!(left_out.is_some(), "nothing says so");
    assert!(terminal.contains("bytes of its middle"), "{terminal}");
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn the_end_of_a_program_means_what_the_help_says() {
    let rig = Rig::new();
    let (code, cell, _) = run(&rig, "exit 77", &[]);
    assert_eq!((code, cell.verdict().word()), (0, "skipped"), "{}", cell.detail());
    let (code, cell, _) = run(&rig, "exit 125", &[]);
    assert_eq!((code, cell.verdict().word()), (2, "inconclusive"), "{}", cell.detail());
    // The kernel says something of it, and that is no report of a bug of its own.
    let (code, cell, _) = run(&rig, "fault", &[]);
    assert_eq!(
        (code, cell.verdict().word(), cell.detail().as_str()),
        (1, "fail", "the program was ended by signal 11")
    );
    let console = std::fs::read_to_string(cell.dir.join("console.log")).expect("a console");
    assert!(console.contains("general protection"), "{console}");
    let (code, cell, _) = run(
        &rig,
        "lines 3 then writes",
        &["--exec-time", "2s", "--exec-time-is", "fail"],
    );
    assert_eq!(
        (code, cell.detail().as_str()),
        (1, "the program did not end within 2 s")
    );
    assert_eq!(output_of(&cell), "line 1 of 3\nline 2 of 3\nline 3 of 3\n");
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_case_may_be_given_less_time_or_more() {
    let rig = Rig::new();
    let (code, cell, terminal) = run(&rig, "sleep 300", &["--case-limit", "5s"]);
    assert_eq!((code, cell.verdict().word()), (2, "broken"), "{}", cell.detail());
    let detail = cell.detail();
    assert!(
        detail.contains("within 5 s, in run") && detail.contains("--exec-time") && detail.contains("--case-limit"),
        "{detail}"
    );
    assert!(terminal.contains(" --case-limit 5s"), "{terminal}");
}

/// On the guest's one CPU, and with its agent as one process among many.
#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_storm_of_forks_that_a_program_leaves_is_ended() {
    let rig = Rig::new();
    let limit = ["--case-limit", "60s"];
    let (code, cell, _) = run(&rig, "storm", &limit);
    assert_eq!((code, cell.verdict().word()), (0, "pass"), "{}", cell.detail());
    let (code, cell, _) = run(
        &rig,
        "storm then stop",
        &[&limit[..], &["--exec-time", "3s", "--exec-time-is", "fail"]].concat(),
    );
    assert_eq!(
        (code, cell.detail().as_str()),
        (1, "the program did not end within 3 s")
    );
}
