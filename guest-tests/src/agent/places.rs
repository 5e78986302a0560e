//! Where things are in the guest.

/// Where the binary lies in the initramfs; processes of the same binary are started by this name.
pub(crate) const INIT: &str = "/init";
/// Where the file system under test is mounted.
pub const MOUNT_POINT: &str = "/mnt";
