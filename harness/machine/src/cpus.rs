//! Where the CPUs of a guest are, found out without the guest's help.

use std::time::Duration;

use crate::registers;
use crate::symbols::Symbols;
use crate::vm::qmp::Qmp;

/// How long the monitor may take to show the CPUs; it takes a few milliseconds.
const LOOK_WITHIN: Duration = Duration::from_secs(2);
/// Words of a CPU's stack that are looked at, and how many frames are made of them at most.
const STACK_WORDS: usize = 128;
const FRAMES_MAX: usize = 24;

/// A virtual CPU, as the host finds it without the guest's help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuView {
    /// Whether it is in the kernel.
    pub is_kernel: bool,
    /// Whether it waits for an interrupt.
    pub is_halted: bool,
    /// In the kernel: the function that it is in, then those that the words on its stack may return to. The first is an
    /// address if nothing is known there.
    pub frames: Vec<String>,
}

/// Looks at each CPU by QEMU's monitor.
pub(crate) fn look(monitor: &mut Qmp, symbols: &Symbols) -> Vec<CpuView> {
    let text = monitor.human("info registers -a", LOOK_WITHIN).unwrap_or_default();
    let mut views = Vec::new();
    for found in registers::read(&text) {
        let is_kernel = found.cpl == 0;
        let mut frames = Vec::new();
        if is_kernel && !found.is_halted {
            let stack = monitor.human(&format!("x /{STACK_WORDS}gx {:#x}", found.rsp), LOOK_WITHIN);
            frames = frames_of(symbols, found.rip, &registers::words(&stack.unwrap_or_default()));
        }
        views.push(CpuView {
            is_kernel,
            is_halted: found.is_halted,
            frames,
        });
    }
    views
}

/// The function that a CPU is in, then those that words on its stack may return to.
fn frames_of(symbols: &Symbols, rip: u64, stack: &[u64]) -> Vec<String> {
    let here = symbols.function(rip).map_or_else(|| format!("{rip:#x}"), str::to_owned);
    let mut frames = vec![here];
    for caller in stack.iter().filter_map(|word| symbols.caller(*word)) {
        if frames.last().is_none_or(|last| last != caller) {
            frames.push(caller.to_owned());
        }
    }
    frames.truncate(FRAMES_MAX);
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_the_function_and_what_the_stack_may_return_to() {
        let symbols = Symbols::read("ffffffff81000000 _stext\nffffffff81000100 loops\nffffffff81000200 caller\n");
        let stack = [
            7,
            0xffff_ffff_8100_0110,
            0xffff_8880_03d4_c000,
            0xffff_ffff_8100_0207,
            0xffff_ffff_8100_0207,
        ];
        assert_eq!(
            frames_of(&symbols, 0xffff_ffff_8100_0004, &stack),
            ["_stext", "loops", "caller"]
        );
        assert_eq!(frames_of(&symbols, 0x40_1000, &[]), ["0x401000"]);
    }
}
