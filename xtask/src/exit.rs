//! Exit codes, as the harness has them.

/// Bad usage (`EX_USAGE`).
pub(crate) const USAGE: u8 = 64;
/// The host lacks a tool (`EX_UNAVAILABLE`).
pub(crate) const UNAVAILABLE: u8 = 69;
/// Something failed that should not have (`EX_SOFTWARE`).
pub(crate) const INTERNAL: u8 = 70;
