//! What a cell is, known before its job begins, and what is needed to read its times.

use guest_wire::Fs;
use serde::{Deserialize, Serialize};
use verdict::results::Expected;

/// What a cell is, known before its job begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellContext {
    /// The kernel under test.
    pub kernel: KernelIdentity,
    /// File system.
    pub fs: Fs,
    /// Full name of the case: `test` or `test.variant`.
    pub case: String,
    /// The faults that the device was to inject.
    pub plan: Plan,
    /// What kernels.toml expects, if not a pass.
    pub expectation: Option<Expected>,
    /// The kernel's command line.
    pub command_line: String,
    /// What made and judged the cell.
    pub tools: Tools,
}

/// The kernel under test.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelIdentity {
    /// Its id in kernels.toml, or that of a kernel given on the command line.
    pub id: String,
    /// `uname -r`.
    pub release: String,
    /// Hash of what its artifact was made of.
    pub artifact: String,
}

/// The faults that the device was to inject.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Seed of every random choice.
    pub seed: u64,
    /// Rules in the device's language.
    pub rules: Vec<String>,
}

/// Versions of what made and judged a cell, each as the tool says it; empty where it was not asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tools {
    /// This harness.
    pub bioscope: String,
    /// The virtual machine.
    pub qemu: String,
    /// What made the file system.
    pub mkfs: String,
    /// What checked it in the end.
    pub fsck: String,
}

/// What makes a time of one of a cell's clocks a time of the host: microseconds since the job was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clocks {
    /// The guest's uptime.
    pub guest: Option<Offset>,
    /// The clock of the kernel's log.
    pub log: Option<Offset>,
    /// The device's clock, that of the trace.
    pub device: Option<Offset>,
}

/// A clock that runs like the host's.
const HOST_RATE_PPM: u64 = 1_000_000;

/// What makes a clock's time the host's, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offset {
    /// Microseconds of the clock in a second of the host. A guest that booted on a busy host may have measured its
    /// TSC wrongly, and its time then runs many times too fast.
    #[serde(default = "host_rate", skip_serializing_if = "is_host_rate")]
    pub rate_ppm: u64,
    /// To be added to the clock's time once it runs like the host's.
    pub add_us: i64,
    /// By how much that may be wrong.
    pub within_us: u64,
}

impl Offset {
    /// The host's time at a clock's time.
    #[must_use]
    pub fn host_us(self, clock_us: u64) -> i64 {
        self.scaled(clock_us).saturating_add(self.add_us)
    }

    /// A duration of the clock as the host would have measured it.
    pub(crate) fn scaled(self, clock_us: u64) -> i64 {
        let scaled = u128::from(clock_us) * u128::from(HOST_RATE_PPM) / u128::from(self.rate_ppm.max(1));
        i64::try_from(scaled).unwrap_or(i64::MAX)
    }

    /// The offset of a clock with this rate that shows `clock_us` when the host's shows `host_us`.
    #[must_use]
    pub fn at(rate_ppm: Option<u64>, clock_us: u64, host_us: u64, within_us: u64) -> Offset {
        let offset = Offset {
            rate_ppm: rate_ppm.unwrap_or(HOST_RATE_PPM),
            add_us: 0,
            within_us,
        };
        Offset {
            add_us: i64::try_from(host_us).unwrap_or(i64::MAX) - offset.scaled(clock_us),
            ..offset
        }
    }
}

fn host_rate() -> u64 {
    HOST_RATE_PPM
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_host_rate(rate_ppm: &u64) -> bool {
    *rate_ppm == HOST_RATE_PPM
}

impl CellContext {
    /// A cell of this kernel without faults and expectations, and of tools of which nothing is known.
    #[must_use]
    pub fn new(kernel: KernelIdentity, fs: Fs, case: &str) -> CellContext {
        CellContext {
            kernel,
            fs,
            case: case.to_owned(),
            plan: Plan::default(),
            expectation: None,
            command_line: String::new(),
            tools: Tools::default(),
        }
    }
}
