//! QEMU's monitor protocol, as far as it is needed to keep and restore a machine's state, to pause and reset a machine,
//! and to look at its CPUs.
//!
//! One JSON object a line each way (QEMU's `docs/interop/qmp-spec`). The crate `qapi` has all of QEMU's eight hundred
//! types; building them took longer than the rest of the harness, for the dozen commands that are sent here.

use std::fs::File;
use std::io::{BufRead, BufReader, IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde::Deserialize;
use serde_json::{Value, json};

/// How long QEMU may take to answer. It takes no time; the limit only exists so that a broken QEMU ends in an error.
const WITHIN: Duration = Duration::from_secs(120);

/// QEMU's name of the file that the state goes to or comes from.
const STATE: &str = "state";

/// Why QEMU could not be told.
#[derive(Debug, thiserror::Error)]
pub enum QmpError {
    /// The connection broke or is silent.
    #[error("QEMU's monitor: {0}")]
    Io(#[from] std::io::Error),
    /// What came is not the protocol.
    #[error("QEMU's monitor says what is not QMP: {0}")]
    Protocol(#[from] serde_json::Error),
    /// QEMU refused the command.
    #[error("QEMU refuses {command}: {reason}")]
    Refused {
        /// Name of the QMP command: `stop`.
        command: &'static str,
        /// QEMU's words.
        reason: String,
    },
    /// The state could not be written or read.
    #[error("QEMU could not {0} the machine's state")]
    Migration(&'static str),
}

/// A line from QEMU.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Line {
    Return {
        #[serde(rename = "return")]
        value: Value,
        id: Option<u64>,
    },
    Error {
        error: Reason,
        id: Option<u64>,
    },
    Event {
        event: String,
        #[serde(default)]
        data: Value,
    },
    Greeting {
        #[serde(rename = "QMP")]
        _version: Value,
    },
}

#[derive(Debug, Deserialize)]
struct Reason {
    desc: String,
}

/// A connection to the monitor of one QEMU.
pub struct Qmp {
    reader: BufReader<UnixStream>,
    /// What came of a line before the time ran out.
    begun: Vec<u8>,
    /// Number of the last command; its answer repeats it, so that one that comes too late is known.
    last_id: u64,
    /// What happened while an answer was waited for: statuses of migrations, oldest first.
    statuses: Vec<String>,
}

impl Qmp {
    /// Takes the connection of a QEMU, and asks to be told of a migration's progress and to leave memory in its file.
    pub(crate) fn begin(stream: UnixStream) -> Result<Qmp, QmpError> {
        stream.set_read_timeout(Some(WITHIN))?;
        stream.set_write_timeout(Some(WITHIN))?;
        let mut qmp = Qmp {
            reader: BufReader::new(stream),
            begun: Vec::new(),
            last_id: 0,
            statuses: Vec::new(),
        };
        qmp.execute("qmp_capabilities", &json!({}))?;
        let on = |name| json!({"capability": name, "state": true});
        // Memory is in a file that we keep ourselves; only the devices' state goes through QEMU.
        let wanted = json!({"capabilities": [on("events"), on("x-ignore-shared")]});
        qmp.execute("migrate-set-capabilities", &wanted)?;
        Ok(qmp)
    }

    /// Stops the guest and writes the state of its devices to `file`.
    pub(crate) fn save_state(&mut self, file: &File) -> Result<(), QmpError> {
        self.pass(file)?;
        self.execute("migrate", &json!({"uri": format!("fd:{STATE}")}))?;
        self.migrated("write")
    }

    /// Takes over the state of another machine's devices from `file`.
    pub(crate) fn load_state(&mut self, file: &File) -> Result<(), QmpError> {
        self.pass(file)?;
        self.execute("migrate-incoming", &json!({"uri": format!("fd:{STATE}")}))?;
        self.migrated("read")
    }

    /// Gives QEMU a descriptor of its own for `file`, by the name [`STATE`].
    fn pass(&mut self, file: &File) -> Result<(), QmpError> {
        let line = self.line_of("getfd", &json!({"fdname": STATE}));
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = [file.as_fd()];
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        let sent = sendmsg(
            self.reader.get_ref(),
            &[IoSlice::new(line.as_bytes())],
            &mut control,
            SendFlags::NOSIGNAL,
        )
        .map_err(std::io::Error::from)?;
        // The descriptor went with the first byte; what is left of the line, if anything, may follow without it.
        self.reader
            .get_mut()
            .write_all(line.as_bytes().get(sent..).unwrap_or_default())?;
        self.answer("getfd").map(|_| ())
    }

    /// Plugs a device in.
    pub(crate) fn plug(&mut self, driver: &str, properties: &[(&str, String)]) -> Result<(), QmpError> {
        let mut arguments = serde_json::Map::from_iter([("driver".to_owned(), json!(driver))]);
        for (name, value) in properties {
            // QEMU wants numbers as numbers here, unlike on its command line.
            let value = value
                .parse::<u64>()
                .map_or_else(|_| json!(value), |number| json!(number));
            arguments.insert((*name).to_owned(), value);
        }
        self.execute("device_add", &Value::Object(arguments)).map(|_| ())
    }

    /// Thread ids of the virtual CPUs, in the order of their numbers.
    pub(crate) fn cpu_threads(&mut self) -> Result<Vec<u32>, QmpError> {
        let cpus = self.execute("query-cpus-fast", &json!({}))?;
        let thread = |cpu: &Value| u32::try_from(cpu["thread-id"].as_u64()?).ok();
        Ok(cpus.as_array().into_iter().flatten().filter_map(thread).collect())
    }

    /// A command of the monitor for people, such as `info registers`, and what it prints. An answer that does not come
    /// in time is forgotten when it comes.
    pub(crate) fn human(&mut self, line: &str, within: Duration) -> Result<String, QmpError> {
        self.reader.get_ref().set_read_timeout(Some(within))?;
        let answer = self.execute("human-monitor-command", &json!({"command-line": line}));
        self.reader.get_ref().set_read_timeout(Some(WITHIN))?;
        Ok(answer?.as_str().unwrap_or_default().to_owned())
    }

    /// Stops the guest where it is; its devices come to rest before this returns.
    ///
    /// # Errors
    /// QEMU refuses.
    pub fn pause(&mut self) -> Result<(), QmpError> {
        self.execute("stop", &json!({})).map(|_| ())
    }

    /// Presses the reset button. The machine begins anew, although the arguments say that a
    /// reset ends it.
    ///
    /// # Errors
    /// QEMU refuses.
    pub fn reset(&mut self) -> Result<(), QmpError> {
        self.execute("set-action", &json!({"reboot": "reset"}))?;
        self.execute("system_reset", &json!({})).map(|_| ())
    }

    /// Lets the guest run.
    ///
    /// # Errors
    /// QEMU refuses.
    pub fn resume(&mut self) -> Result<(), QmpError> {
        self.execute("cont", &json!({})).map(|_| ())
    }

    fn execute(&mut self, command: &'static str, arguments: &Value) -> Result<Value, QmpError> {
        let line = self.line_of(command, arguments);
        self.reader.get_mut().write_all(line.as_bytes())?;
        self.answer(command)
    }

    fn answer(&mut self, command: &'static str) -> Result<Value, QmpError> {
        loop {
            match self.next()? {
                // To a command whose answer nobody waits for any more.
                Line::Return { id: Some(id), .. } | Line::Error { id: Some(id), .. } if id != self.last_id => {}
                Line::Return { value, .. } => return Ok(value),
                Line::Error { error, .. } => {
                    return Err(QmpError::Refused {
                        command,
                        reason: error.desc,
                    });
                }
                Line::Event { event, data } => self.note(&event, &data),
                Line::Greeting { .. } => {}
            }
        }
    }

    fn migrated(&mut self, what: &'static str) -> Result<(), QmpError> {
        loop {
            for status in self.statuses.drain(..) {
                match status.as_str() {
                    "completed" => return Ok(()),
                    "failed" => return Err(QmpError::Migration(what)),
                    _ => {}
                }
            }
            if let Line::Event { event, data } = self.next()? {
                self.note(&event, &data);
            }
        }
    }

    fn note(&mut self, event: &str, data: &Value) {
        if event == "MIGRATION" {
            self.statuses.extend(data["status"].as_str().map(str::to_owned));
        }
    }

    fn next(&mut self) -> Result<Line, QmpError> {
        if self.reader.read_until(b'\n', &mut self.begun)? == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        Ok(serde_json::from_slice(&std::mem::take(&mut self.begun))?)
    }

    fn line_of(&mut self, command: &str, arguments: &Value) -> String {
        self.last_id += 1;
        let mut line = json!({"execute": command, "arguments": arguments, "id": self.last_id}).to_string();
        line.push('\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Speaks QEMU's part as it was recorded from QEMU 7.2.
    fn qemu(answers: &'static [&'static str]) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(theirs.try_clone().unwrap());
            let mut theirs = theirs;
            theirs
                .write_all(
                    b"{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}}, \
                      \"capabilities\": [\"oob\"]}}\n",
                )
                .unwrap();
            for answer in answers {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                theirs.write_all(answer.as_bytes()).unwrap();
            }
        });
        ours
    }

    const OK: &str = "{\"return\": {}}\n";

    #[test]
    fn a_state_that_is_written() {
        // The answer to `migrate` comes between two events, and the rest after it.
        let stream = qemu(&[
            OK,
            OK,
            OK,
            "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"MIGRATION\", \
              \"data\": {\"status\": \"setup\"}}\n\
             {\"return\": {}}\n\
             {\"event\": \"STOP\"}\n\
             {\"event\": \"MIGRATION_PASS\", \"data\": {\"pass\": 2}}\n\
             {\"event\": \"MIGRATION\", \"data\": {\"status\": \"completed\"}}\n",
        ]);
        Qmp::begin(stream)
            .unwrap()
            .save_state(&tempfile::tempfile().unwrap())
            .unwrap();
    }

    #[test]
    fn a_state_that_is_not() {
        const FAILED: &str = "{\"return\": {}}\n{\"event\": \"MIGRATION\", \"data\": {\"status\": \"failed\"}}\n";
        let error = Qmp::begin(qemu(&[OK, OK, OK, FAILED]))
            .unwrap()
            .load_state(&tempfile::tempfile().unwrap())
            .unwrap_err();
        insta::assert_snapshot!(error, @"QEMU could not read the machine's state");
    }

    #[test]
    fn an_answer_that_comes_too_late_is_not_taken_for_the_next_one() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut qmp = Qmp {
            reader: BufReader::new(ours),
            begun: Vec::new(),
            last_id: 0,
            statuses: Vec::new(),
        };
        let error = qmp.human("info registers -a", Duration::from_millis(1)).unwrap_err();
        assert!(matches!(error, QmpError::Io(_)), "{error}");
        // The first half had come when the time ran out.
        (&theirs).write_all(b"{\"return\": \"too").unwrap();
        assert!(qmp.human("info registers -a", Duration::from_millis(1)).is_err());
        (&theirs)
            .write_all(b" late\", \"id\": 1}\n{\"return\": \"late\", \"id\": 2}\n{\"return\": \"CPU#0\", \"id\": 3}\n")
            .unwrap();
        assert_eq!(qmp.human("info registers -a", WITHIN).unwrap(), "CPU#0");
    }

    #[test]
    fn threads_of_the_cpus() {
        const ANSWER: &str = "{\"return\": [{\"thread-id\": 25627, \"cpu-index\": 0, \"target\": \"x86_64\"}]}\n";
        let mut qmp = Qmp::begin(qemu(&[OK, OK, ANSWER])).unwrap();
        assert_eq!(qmp.cpu_threads().unwrap(), [25627]);
    }

    #[test]
    fn a_refusal_and_a_death() {
        const REFUSAL: &str =
            "{\"error\": {\"class\": \"GenericError\", \"desc\": \"Bus 'pci.0' does not support hotplugging\"}}\n";
        let mut qmp = Qmp::begin(qemu(&[OK, OK, REFUSAL])).unwrap();
        let error = qmp
            .plug("vhost-user-blk-pci", &[("queue-size", "128".into())])
            .unwrap_err();
        insta::assert_snapshot!(error, @"QEMU refuses device_add: Bus 'pci.0' does not support hotplugging");
        let error = qmp.resume().unwrap_err();
        assert!(matches!(error, QmpError::Io(_)), "{error}");
    }
}
