//! A guest whose agent does not get to run, because the kernel keeps the CPU.
//!
//! No sample comes then. The host looks at the CPUs by itself: where they are, and whether in the kernel.

use guest_wire::Phase;

use super::place;
use super::stall::{Stall, StallKind};

/// CPU time that the guest's CPUs must have used since the agent's last word, in milliseconds.
const CPU_MS: u64 = 30_000;
/// Looks that a row must have at least.
const LOOKS_MIN: usize = 20;
/// Share of the looks that must find a CPU in the kernel, in percent.
const KERNEL_PERCENT_MIN: usize = 95;

/// The host's look at the guest's CPUs while nothing comes from the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// CPU time that the guest's CPUs have used, in milliseconds.
    pub vcpu_ms: u64,
    /// Requests that the device has and has not completed.
    pub outstanding: u64,
    /// Requests that ever reached the device.
    pub submitted: u64,
    /// How often the host has stopped the guest so far.
    pub pauses: u64,
    /// Each CPU, by its number.
    pub cpus: Vec<CpuLook>,
}

/// A CPU as the host finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuLook {
    /// Whether it is in the kernel.
    pub is_kernel: bool,
    /// Whether it waits for an interrupt.
    pub is_halted: bool,
    /// The function that it is in, then what on its stack looks like return addresses.
    pub frames: Vec<String>,
}

impl CpuLook {
    fn spins(&self) -> bool {
        self.is_kernel && !self.is_halted
    }
}

/// Judges the looks since the agent's last word, which said that this phase goes on.
#[must_use]
pub fn starved(row: &[Look], phase: Phase) -> Option<Stall> {
    let last = row.last()?;
    let tail: Vec<&Look> = row
        .iter()
        .rev()
        .take_while(|look| look.outstanding == 0 && look.submitted == last.submitted && look.pauses == last.pauses)
        .collect();
    let first = tail.last()?;
    let burnt_ms = last.vcpu_ms.saturating_sub(first.vcpu_ms);
    if tail.len() < LOOKS_MIN || burnt_ms < CPU_MS {
        return None;
    }
    let spinning = |cpu: usize| {
        let looks = tail.iter().filter_map(move |look| look.cpus.get(cpu));
        looks.filter(|look| look.spins())
    };
    let enough = |cpu: &usize| spinning(*cpu).count() * 100 >= tail.len() * KERNEL_PERCENT_MIN;
    let cpu = (0..last.cpus.len()).find(enough)?;
    let stacks: Vec<&[String]> = spinning(cpu).map(|look| look.frames.as_slice()).collect();
    Some(Stall {
        phase,
        how: StallKind::Starved,
        comm: format!("CPU {cpu}"),
        stack: place::common(&stacks),
        span_ms: burnt_ms,
        samples: tail.len(),
        behind: Vec::new(),
    })
}
