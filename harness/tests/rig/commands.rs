//! The device told from inside the guest: in a cell, and at a shell's prompt.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use vhost_blk_api::plan::words;

use host::places::Places;

use crate::bed::{KERNEL, Rig, chaos, stored_kernel, text};

/// How long anything may take that has to happen, on a busy machine.
const WITHIN: Duration = Duration::from_secs(100);
/// What the shell prints when it waits for a command.
const PROMPT: &str = "/mnt # ";

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_program_in_a_cell_tells_the_device() {
    let rig = Rig::new();
    let output = rig.test(&["--kernel", KERNEL, "--fs", "ext4", "--exec", &chaos("inject")]);
    let cells = rig.cells();
    // Nothing of what the program did to its own disk is the kernel's fault.
    assert_eq!(
        cells[0].verdict().word(),
        "pass",
        "{}\n{}",
        cells[0].detail(),
        text(&output)
    );
    let output = std::fs::read_to_string(cells[0].dir.join("output.log")).expect("its output");
    let lines: Vec<&str> = output.lines().collect();
    let (said, stats) = lines.split_at(lines.iter().position(|line| *line == "{").expect("stats"));
    assert!(
        stats.iter().any(|line| line.starts_with(r#"  "errors": 2,"#)),
        "{stats:#?}"
    );
    let actions: Vec<&str> = words::action_names().collect();
    insta::assert_snapshot!(said.join("\n").replace(&actions.join(", "), "[actions]"), @"
        rule once is in force
        code 0 of add fail read sectors=0..8 limit=1 name=once
        read: EIO
        once            1 hits   0 held  fail read sectors=0..8 limit=1 name=once
        code 0 of list
        read
        done
        code 0 of mark between
        read
        rule r2 is in force
        code 0 of fail read sectors=0..8 after=mark(later)
        read
        done
        code 0 of mark later
        read: EIO
        let go 0 held requests
        code 0 of clear
        read
        inject: a guest cannot write files of its host: run `cargo xtask inject export FILE` there
        code 64 of export /tmp/disk.raw
        read
        inject: the mark `disarm` is the harness's own, it tells where a case's faults begin and end: choose another \
        name
        code 64 of mark disarm
        read
        inject: bad rule: column 1: unknown action `fial`: expected one of [actions]; did you mean `fail`?
         |
         | fial read
         | ^^^^
        code 64 of fial read
        read
        ");
    rig.assert_nothing_left();
}

/// A shell's terminal, as far as the test has read it.
struct Terminal {
    bytes: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    /// Waits until this is on the terminal; gives back what came before it.
    #[track_caller]
    fn until(&mut self, words: &str) -> String {
        let deadline = Instant::now() + WITHIN;
        loop {
            if let Some(at) = self.seen.find(words) {
                let rest = self.seen.split_off(at + words.len());
                let mut before = std::mem::replace(&mut self.seen, rest);
                before.truncate(at);
                return before;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.bytes.recv_timeout(left) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) => panic!("{words:?} never came ({error}):\n{}", self.seen),
            }
        }
    }
}

impl Terminal {
    /// Waits until the shell is gone.
    #[track_caller]
    fn until_end(&mut self) {
        let deadline = Instant::now() + WITHIN;
        loop {
            match self
                .bytes
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => panic!("the shell never ended:\n{}", self.seen),
            }
        }
    }
}

/// A shell that was started as a person would, and what is typed into it.
struct Shell {
    process: Child,
    keys: ChildStdin,
    terminal: Terminal,
}

impl Shell {
    /// Starts a shell, and waits for its prompt.
    fn start(rig: &Rig, kernel: &[&str]) -> Shell {
        let args = ["shell", "--fs", "ext4", "--offline", "--accel", "tcg"];
        let mut process = rig
            .bioscope(&[&args[..], kernel].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // What keeps it from coming up stands there.
            .stderr(Stdio::inherit())
            .spawn()
            .expect("a shell");
        let keys = process.stdin.take().expect("its keyboard");
        let mut screen = process.stdout.take().expect("its screen");
        let (sender, bytes) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = screen.read(&mut buffer) {
                if sender.send(buffer[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut terminal = Terminal {
            bytes,
            seen: String::new(),
        };
        terminal.until(PROMPT);
        Shell {
            process,
            keys,
            terminal,
        }
    }

    /// Types a line in; what it prints, and the exit code.
    #[track_caller]
    fn type_in(&mut self, line: &str) -> String {
        // What is typed is echoed, and wrapped where it is long; what is said stands between numbers that the shell
        // works out.
        self.keys
            .write_all(format!("echo from $((6 * 7)); {line}; echo to $((6 * 7)): $?\n").as_bytes())
            .expect("keys");
        self.terminal.until("from 42\r\n");
        let said = self.terminal.until("to 42: ").replace('\r', "");
        let code = self.terminal.until(PROMPT);
        format!("{said}code {}", code.lines().next().unwrap_or_default())
    }

    /// Turns the guest off, and waits until the shell has ended; what it still prints.
    fn power_off(mut self) -> String {
        self.keys.write_all(b"poweroff\n").expect("keys");
        self.terminal.until_end();
        assert!(self.process.wait().expect("the shell's end").success());
        self.terminal.seen
    }
}

/// Rules from both sides of the machine, many commands at once, and what a guest may not do.
fn rules_are_told(rig: &Rig, shell: &mut Shell) {
    let read = "dd if=/dev/vda of=/dev/null bs=4k count=1 iflag=direct 2>&1 | grep -o 'Input/output error'";
    assert_eq!(
        shell.type_in("inject 'fail read sectors=0..8 limit=1'"),
        "rule r1 is in force\ncode 0"
    );
    assert!(shell.type_in(read).ends_with("Input/output error\ncode 0"));
    let list = "r1              1 hits   0 held  fail read sectors=0..8 limit=1";
    assert_eq!(shell.type_in("inject list"), format!("{list}\ncode 0"));
    // One device, from both sides.
    let outside = rig.bioscope(&["inject", "list"]).output().expect("bioscope runs");
    assert_eq!(String::from_utf8_lossy(&outside.stdout).trim_end(), list);
    // Many at once: each gets its own answer.
    let many = shell.type_in("for n in 1 2 3 4 5 6; do inject mark m$n & inject release nobody & done; wait");
    assert_eq!(many.matches("done\n").count(), 6, "{many}");
    assert_eq!(many.matches("known rules: r1").count(), 6, "{many}");
    assert_eq!(
        shell.type_in("inject log here"),
        "inject: a guest cannot write files of its host: run `cargo xtask inject log FILE` there\ncode 64"
    );
    assert_eq!(
        shell.type_in("inject subscribe"),
        "inject: what a guest says is answered and done with, and `subscribe` goes on: run `cargo xtask inject \
        subscribe` on the host\ncode 64"
    );
}

/// The guest gives itself a larger disk, and finds it.
fn disk_grows(shell: &mut Shell) {
    let size = "cat /sys/block/vda/size";
    let sectors: u64 = shell
        .type_in(size)
        .split('\n')
        .next()
        .and_then(|line| line.parse().ok())
        .expect("a size");
    let bytes = (sectors << 9) + (1 << 20);
    let resized = shell.type_in(&format!("inject resize {bytes}"));
    assert!(resized.ends_with("; the front end was told\ncode 0"), "{resized}");
    let larger = format!("until [ $({size}) = {} ]; do sleep 0.1; done; {size}", bytes >> 9);
    assert!(shell.type_in(&larger).ends_with(&format!("{}\ncode 0", bytes >> 9)));
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_shells_guest_tells_the_device() {
    let rig = Rig::new();
    let mut shell = Shell::start(&rig, &["--kernel", KERNEL]);
    rules_are_told(&rig, &mut shell);
    let mut listener = rig
        .bioscope(&["inject", "subscribe"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a listener");
    let mut heard = BufReader::new(listener.stdout.take().expect("its output")).lines();
    let mut next = || heard.next().expect("a line").expect("a line");
    assert!(next().contains("latency  rules"));
    assert_eq!(shell.type_in("inject mark heard"), "done\ncode 0");
    while !next().ends_with("-- mark heard") {}
    disk_grows(&mut shell);
    // The disk's file system goes on over a hang-up.
    assert_eq!(shell.type_in("inject disconnect now"), "done\ncode 0");
    assert_eq!(
        shell.type_in("dd if=/dev/zero of=f bs=64k count=1 oflag=direct 2>/dev/null"),
        "code 0"
    );
    shell.power_off();
    let heard: Vec<String> = heard.map(|line| line.expect("a line")).collect();
    assert!(heard.iter().any(|line| line.contains("-- the disk has ")), "{heard:#?}");
    assert!(
        heard
            .iter()
            .any(|line| line.contains(" write ") && line.contains(" ok ")),
        "{heard:#?}"
    );
    let listener = listener.wait_with_output().expect("the listener's end");
    assert_eq!(
        (listener.status.code(), String::from_utf8_lossy(&listener.stderr).trim()),
        (Some(0), "the device has ended")
    );
    rig.assert_nothing_left();
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_shell_boots_an_image_and_leaves_its_file_system_alone() {
    let rig = Rig::new();
    let kernel = stored_kernel(&Places::find());
    let (image, modules) = (kernel.bzimage.to_string_lossy(), kernel.dir.to_string_lossy());
    let image = ["--image", &image, "--modules", &modules];
    let mut shell = Shell::start(&rig, &image);
    // The kernel says when a file system is unmounted, to those who want to hear it.
    shell.type_in("dmesg -n 8");
    assert_eq!(shell.type_in("umount /mnt 2>/dev/null"), "code 1");
    let unmounted = shell.type_in("cd /; umount /mnt; r=$?; mount -t ext4 /dev/vda /mnt; cd /mnt; (exit $r)");
    assert!(
        unmounted.contains("unmounting filesystem") && unmounted.ends_with("code 0"),
        "{unmounted}"
    );
    // What still uses it is in nobody's way.
    assert_eq!(
        shell.type_in("echo x >f; { sleep 1000 <f >/dev/null 2>&1 & }"),
        "code 0"
    );
    let last = shell.power_off();
    assert!(
        last.contains("unmounting filesystem") && last.contains("Power down"),
        "{last}"
    );
    assert!(!last.contains("stays mounted"), "{last}");
    rig.assert_nothing_left();
}
