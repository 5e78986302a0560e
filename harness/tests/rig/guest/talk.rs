//! What is said to the guest's `disk-shell` and what it answers, and what its kernel says.

use std::time::{Duration, Instant};

use machine::Arrival;

use super::{Guest, MIB, WITHIN};

impl Guest {
    /// Waits until the guest has found its disk.
    pub fn until_ready(&mut self) {
        while self.next_line() != "ready" {}
    }

    /// The guest's next line; a guest that says nothing is the test's failure.
    fn next_line(&mut self) -> String {
        match self.machine.line().next_text(Instant::now() + WITHIN) {
            Some(Arrival::Text(line)) => line.trim_end().to_owned(),
            other => {
                let console = self.console();
                panic!(
                    "the guest says nothing ({other:?}); its console:\n{}",
                    last_lines(&console)
                );
            }
        }
    }

    /// Has the guest begin something; [`answer`](Self::answer) waits for its end.
    pub fn begin(&mut self, command: &str) -> u32 {
        self.asked += 1;
        let line = format!("{} {command}\n", self.asked);
        self.machine.line().send_text(&line).expect("the guest's line");
        self.asked
    }

    /// Waits for the end of what was begun.
    pub fn answer(&mut self, id: u32) -> String {
        loop {
            if let Some(answer) = self.answers.remove(&id) {
                return answer;
            }
            let line = self.next_line();
            let (id, answer) = line.split_once(' ').expect("an answer");
            let id = id.parse().expect("the answer's number");
            self.answers.insert(id, answer.to_owned());
        }
    }

    /// Has the guest do something that works; gives back what it has to say.
    pub fn ask(&mut self, command: &str) -> String {
        let answer = self.tell(command);
        match answer.split_once("ok") {
            Some(("", rest)) => rest.trim().to_owned(),
            _ => panic!("{command}: {answer}"),
        }
    }

    /// Has the guest try something; gives back its whole answer, which is an error's name if it was refused.
    pub fn tell(&mut self, command: &str) -> String {
        let id = self.begin(command);
        self.answer(id)
    }

    /// Asserts what the disk holds, as the guest reads it.
    #[track_caller]
    pub fn assert_reads(&mut self, offset: u64, len: u64, runs: &str) {
        assert_eq!(
            self.ask(&format!("read {offset} {len}")),
            runs,
            "{len} bytes at {offset}"
        );
    }

    /// Asserts a file of sysfs below the disk's directory.
    #[track_caller]
    pub fn assert_sys(&mut self, path: &str, value: &str) {
        assert_eq!(self.ask(&format!("get {path}")), value, "{path}");
    }

    /// Writes from many threads at once, and reads all of it back.
    pub fn assert_works(&mut self) {
        let parts: Vec<u64> = (0..16).collect();
        let offset = |part: u64| 32 * MIB + part * 256 * 1024;
        let writes: Vec<u32> = parts
            .iter()
            .map(|part| self.begin(&format!("write {} 262144 {:02x}", offset(*part), part + 1)))
            .collect();
        for id in writes {
            assert_eq!(self.answer(id), "ok");
        }
        for part in parts {
            self.assert_reads(offset(part), 262_144, &format!("262144x{:02x}", part + 1));
        }
    }

    /// Whether the driver and the device agreed on a feature.
    pub fn has_feature(&mut self, bit: u32) -> bool {
        self.ask("get device/features").as_bytes().get(bit as usize) == Some(&b'1')
    }

    /// Asserts that what was begun waits in uninterruptible sleep, and has not ended; gives back its kernel stack.
    #[track_caller]
    pub fn assert_sleeps(&mut self, id: u32) -> String {
        let deadline = Instant::now() + WITHIN;
        loop {
            let task = self.ask(&format!("task {id}"));
            if let Some(stack) = task.strip_prefix("D ") {
                assert!(!self.answers.contains_key(&id), "{:?}", self.answers);
                return stack.to_owned();
            }
            assert!(
                Instant::now() < deadline,
                "the task is not in uninterruptible sleep: {task}"
            );
        }
    }

    /// Has the guest trace its block layer's requests from now on, in the order in which it makes them.
    pub fn watch(&mut self) {
        // The queue's own scheduler would sort them.
        self.ask("put queue/scheduler none");
        self.ask("watch");
    }

    /// What the guest's block layer was told since [`watch`](Self::watch).
    pub fn watched(&mut self) -> Vec<BlockEvent> {
        self.ask("watched")
            .split('\t')
            .filter(|line| !line.is_empty())
            .map(|line| BlockEvent::read(line).unwrap_or_else(|| panic!("no event of the block layer: {line}")))
            .collect()
    }

    /// The whole console so far.
    pub fn console(&self) -> String {
        self.machine.console()
    }

    /// What the kernel said since the last look.
    pub fn kernel_log(&mut self) -> String {
        self.asked += 1;
        let end = format!("looked at {}", self.asked);
        self.ask(&format!("log {end}"));
        self.kernel_says(&end)
    }

    /// Waits until the kernel says this; gives back all that it said since the last look.
    #[track_caller]
    pub fn kernel_says(&mut self, words: &str) -> String {
        let deadline = Instant::now() + WITHIN;
        loop {
            let console = self.console();
            let new = console.get(self.console_seen..).unwrap_or_default();
            if new.contains(words) {
                let new = new.to_owned();
                self.console_seen = console.len();
                return new;
            }
            assert!(
                Instant::now() < deadline,
                "the kernel never said {words:?}:\n{}",
                last_lines(new)
            );
            // A file that QEMU writes cannot be awaited, only looked at.
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The last lines of a console.
fn last_lines(console: &str) -> String {
    let lines: Vec<&str> = console.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// What the guest's block layer was told of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockEvent {
    /// Whether it was ended; else it went to the driver.
    pub done: bool,
    /// Whether it writes data; else it reads, discards or flushes.
    pub write: bool,
    /// First sector of 512 bytes.
    pub sector: u64,
    /// Error number, negative; 0 is success, and what a request that begins has.
    pub error: i32,
}

impl BlockEvent {
    /// Reads a line of `/sys/kernel/tracing/trace`: `… block_rq_complete: 254,0 WS () 8 + 8 [-5]`.
    fn read(line: &str) -> Option<BlockEvent> {
        let (_, rest) = line.split_once(": block_rq_")?;
        let (what, rest) = rest.split_once(": ")?;
        let (before, after) = rest.split_once(" + ")?;
        let flags = before.split(' ').nth(1)?;
        let done = what == "complete";
        let error = after.split_once('[')?.1.split_once(']')?.0;
        Some(BlockEvent {
            done,
            write: flags.starts_with('W'),
            sector: before.rsplit(' ').next()?.parse().ok()?,
            // In an event of a request that begins, the task's name stands there.
            error: if done { error.parse().ok()? } else { 0 },
        })
    }
}
