//! What runs inside the guest, and the wire types with which it talks to the host.
//!
//! The binaries are static and small; each test is a binary of its own, and `init` is both pid 1 and the agent that
//! mounts, runs the test's phases, watches them and answers for them. Nothing here knows QEMU or the device.

pub mod wire;
