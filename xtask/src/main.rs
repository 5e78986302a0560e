//! The user interface.
fn main() {}
