//! A guest that does to its disk what a test says, and the device behind it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use harness::commands::prepare;
use harness::device::{Config, Device};
use harness::host::Places;
use harness::kernels::{Manifest, Options};
use harness::vm::args::{Accel, Disk, DiskShape, MEMORY_MIB, Memory, Serial, Spec, Start, test_cmdline};
use harness::vm::process::{Vm, VmEnd};
use harness::vm::qmp::{Qmp, Waiting};
use harness::{initramfs, modules, scratch};
use vhost_blk::control::{Command, Reply, Stats};
use vhost_blk::op::Op;
use vhost_blk::trace::{self, RequestLine, Status};

use crate::bed::KERNEL;

/// How long anything may take that has to happen, on a busy machine.
const WITHIN: Duration = Duration::from_secs(180);
/// Size of the disk that a test gets unless it brings one.
pub const DISK_BYTES: u64 = 64 * MIB;
/// Every byte of that disk.
pub const FILL: u8 = 0x5a;

/// Bytes of a mebibyte.
pub const MIB: u64 = 1 << 20;

/// What a test wants.
pub struct Setup<'a> {
    /// The device's queues.
    pub shape: DiskShape,
    /// Further options of the device.
    pub options: &'a [&'a str],
    /// The disk's content instead of [`FILL`].
    pub image: Option<&'a Path>,
    /// Modules besides those of the disk.
    pub modules: &'a [&'a str],
    /// Virtual CPUs.
    pub cpus: u32,
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Setup {
            shape: DiskShape::ORDINARY,
            options: &[],
            image: None,
            modules: &[],
            cpus: 1,
        }
    }
}

/// A running guest with its device.
pub struct Guest {
    pub device: Device,
    pub qmp: Qmp,
    vm: Vm,
    line: BufReader<UnixStream>,
    answers: BTreeMap<u32, String>,
    asked: u32,
    console: PathBuf,
    dir: tempfile::TempDir,
}

impl Guest {
    /// Boots and waits until the guest has found its disk.
    pub fn boot(setup: &Setup<'_>) -> Guest {
        let places = Places::find();
        let dir = scratch::make().expect("a directory");
        let own = dir.path().join("disk.raw");
        let image = setup.image.unwrap_or(&own);
        if setup.image.is_none() {
            std::fs::write(&own, vec![FILL; DISK_BYTES as usize]).expect("an image");
        }
        let manifest_path = places.root.join("kernels.toml");
        let manifest = Manifest::load(&manifest_path).expect("kernels.toml");
        let selected = manifest.select(&[KERNEL]).expect("the kernel");
        let offline = Options {
            offline: true,
            ..Options::default()
        };
        let artifacts = prepare::kernels(&manifest_path, &selected, &offline).expect("the kernel in the store");
        let drivers = [&["virtio_pci", "virtio_blk"], setup.modules].concat();
        let drivers = modules::closure(&artifacts[0], &drivers).expect("modules");
        let initramfs = dir.path().join("initramfs.cpio");
        let entries = initramfs::spec(&places.guest_bins.join("disk-shell"), &[], &drivers);
        initramfs::write(&initramfs, &entries).expect("the initramfs");
        let device = Device::start(&Config {
            program: &places.vhost_blk,
            image,
            sockets: dir.path(),
            dir: dir.path(),
            disk: setup.shape,
            options: setup.options,
        })
        .expect("the device");
        let (agent, monitor) = (dir.path().join("agent.sock"), dir.path().join("monitor.sock"));
        let listener = UnixListener::bind(&agent).expect("a socket");
        let waiting = Waiting::listen(&monitor).expect("a socket");
        let console = dir.path().join("console.log");
        let spec = Spec {
            accel: Accel::Tcg,
            kernel: artifacts[0].kernel.clone(),
            pvh: artifacts[0].is_elf(),
            initramfs,
            cmdline: test_cmdline(),
            memory_mib: MEMORY_MIB,
            cpus: setup.cpus,
            console: Serial::File(console.clone()),
            agent: Some(agent),
            disk: Disk::Present {
                socket: device.socket.clone(),
                shape: setup.shape,
            },
            memory: Memory::Anonymous,
            start: Start::PowerOn,
            monitor: Some(monitor),
        };
        let vm = Vm::start(&spec, &dir.path().join("qemu.log")).expect("QEMU");
        // QEMU connects to all of its sockets before it answers on its monitor.
        let qmp = waiting.accept(vm.pid()).expect("QEMU's monitor");
        let (stream, _) = listener.accept().expect("the guest's line");
        stream.set_read_timeout(Some(WITHIN)).expect("a time limit");
        let mut guest = Guest {
            device,
            qmp,
            vm,
            line: BufReader::new(stream),
            answers: BTreeMap::new(),
            asked: 0,
            console,
            dir,
        };
        guest.until_ready();
        guest
    }

    /// Waits until the guest has found its disk.
    pub fn until_ready(&mut self) {
        while self.next_line() != "ready" {}
    }

    /// The guest's next line; a guest that says nothing is the test's failure.
    fn next_line(&mut self) -> String {
        let mut line = String::new();
        match self.line.read_line(&mut line) {
            Ok(read) if read > 0 => line.trim_end().to_owned(),
            other => {
                let console = std::fs::read(&self.console).unwrap_or_default();
                let console = String::from_utf8_lossy(&console);
                let tail: Vec<&str> = console.lines().rev().take(40).collect();
                let tail: Vec<&str> = tail.into_iter().rev().collect();
                panic!("the guest says nothing ({other:?}); its console:\n{}", tail.join("\n"));
            }
        }
    }

    /// Has the guest begin something; [`answer`](Self::answer) waits for its end.
    pub fn begin(&mut self, command: &str) -> u32 {
        self.asked += 1;
        let line = format!("{} {command}\n", self.asked);
        self.line
            .get_mut()
            .write_all(line.as_bytes())
            .expect("the guest's line");
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

    /// Asserts a file of sysfs below the disk's folder.
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

    /// The device's counters.
    pub fn stats(&mut self) -> Stats {
        match self.device.call("stats", &Command::Stats) {
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

    /// Adds a rule to the device's.
    pub fn rule(&mut self, text: &str) {
        let rule = text.to_owned();
        self.device.call("add", &Command::Add { rule }).expect("the rule");
    }

    /// All requests so far.
    pub fn requests(&mut self) -> Vec<RequestLine> {
        self.device
            .call("flush-trace", &Command::FlushTrace)
            .expect("the trace");
        trace::requests(&trace::read(&self.device.trace).expect("the trace"))
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
        self.device
            .call("export", &Command::Export { path: path.clone() })
            .expect("the export");
        std::fs::read(path).expect("the exported disk")
    }

    /// Powers the guest off and waits for QEMU's end.
    pub fn end(mut self) {
        self.begin("power-off");
        // QEMU closes the line as it exits; a guest that does not power off runs into the line's time limit.
        let mut line = String::new();
        while self.line.read_line(&mut line).expect("the guest powers off") > 0 {}
        assert_eq!(self.vm.wait().expect("QEMU's end"), VmEnd::Exited(0));
    }
}

/// What the guest was told of a request, if it was told.
pub fn status(request: &RequestLine) -> Option<Status> {
    request.complete.as_ref().map(|complete| complete.status)
}
