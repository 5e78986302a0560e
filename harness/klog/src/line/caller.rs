//! Marks of callers.

use super::figures::digits;

/// Who printed a line, where `CONFIG_PRINTK_CALLER` says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Nothing says who.
    Unknown,
    Task(u32),
    Cpu(u32),
}

/// A caller mark (`[   T12]`, `[    C0]`) and what follows.
pub(super) fn caller(text: &str) -> Option<(Caller, &str)> {
    let (inner, rest) = text.strip_prefix('[')?.split_once(']')?;
    Some((by_name(inner.trim())?, rest))
}

/// `T12` or `C0`.
pub(super) fn by_name(name: &str) -> Option<Caller> {
    let number = |text: &str| digits(text).then(|| text.parse().ok()).flatten();
    let task = name.strip_prefix('T').and_then(number).map(Caller::Task);
    task.or_else(|| name.strip_prefix('C').and_then(number).map(Caller::Cpu))
}
