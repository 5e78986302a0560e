//! The device behind the guest's disk: what it is told, what it counts, and what it wrote down.

use std::time::{Duration, Instant};

use vhost_blk_api::control::{Command, Reply, Stats};
use vhost_blk_api::op::Op;
use vhost_blk_api::trace::{self, RequestLine, Status};

use super::{Guest, WITHIN};

impl Guest {
    /// The device's counters.
    pub fn stats(&mut self) -> Stats {
        match self.device().call("stats", &Command::Stats) {
            Ok(Reply::Stats(stats)) => stats,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until rules keep this many requests waiting.
    pub fn until_held(&mut self, count: u64) {
        let deadline = Instant::now() + WITHIN;
        while self.stats().held < count {
            assert!(Instant::now() < deadline, "{count} requests were never held");
            // The device tells when it is asked.
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the only rule in force was applied; `rule` is for the message.
    pub fn until_hit(&mut self, rule: &str) {
        let deadline = Instant::now() + WITHIN;
        while self.hits() == [0] {
            assert!(Instant::now() < deadline, "no request met {rule}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until a rule has cut the power.
    pub fn until_dark(&mut self) {
        let deadline = Instant::now() + WITHIN;
        while !self.stats().dark {
            assert!(Instant::now() < deadline, "the power was never cut");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Cuts the power while nothing is outstanding, and gives it back: what was not durable is lost, and the guest goes
    /// on.
    pub fn lose_power(&mut self) {
        let cut = Command::Cut {
            lose: None,
            torn: None,
            seed: 0,
        };
        self.device().call("cut", &cut).expect("a power cut");
        self.device().call("power", &Command::Power).expect("power");
    }

    /// How often each rule in force was applied.
    pub fn hits(&mut self) -> Vec<u64> {
        match self.device().call("list", &Command::List) {
            Ok(Reply::Rules { rules }) => rules.iter().map(|rule| rule.hits).collect(),
            other => panic!("{other:?}"),
        }
    }

    /// Adds a rule to the device's.
    pub fn rule(&mut self, text: &str) {
        let rule = text.to_owned();
        self.device().call("add", &Command::Add { rule }).expect("the rule");
    }

    /// All requests so far.
    pub fn requests(&mut self) -> Vec<RequestLine> {
        self.device()
            .call("flush-trace", &Command::FlushTrace)
            .expect("the trace");
        trace::requests(&trace::read(&self.device().trace).expect("the trace"))
    }

    /// The requests of one kind that `work` makes.
    pub fn requests_of(&mut self, op: Op, work: impl FnOnce(&mut Guest)) -> Vec<RequestLine> {
        let before = self.requests().len();
        work(self);
        let all = self.requests().split_off(before);
        all.into_iter().filter(|request| request.submit.op == op).collect()
    }

    /// The disk as the device has it.
    pub fn disk(&mut self) -> Vec<u8> {
        let path = self.dir.path().join("export.raw");
        self.device()
            .call("export", &Command::export(path.clone()))
            .expect("the export");
        std::fs::read(path).expect("the exported disk")
    }
}

/// What the guest was told of a request, if it was told.
pub fn status(request: &RequestLine) -> Option<Status> {
    request.complete.as_ref().map(|complete| complete.status)
}
