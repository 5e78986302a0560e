//! Files, by landlock. Sockets and signals, too, where the kernel's landlock is new enough; seccomp has an eye on those
//! in any case.

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope, make_bitflags,
};

use super::allowed::{Allowed, SandboxError};

/// The landlock of which everything is used: the newest that this was tried with, but for what v7 adds about logs.
const NEWEST: ABI = ABI::V6;
/// What an export takes: a file beside its place, which is emptied if a killed device left it there, and renamed.
const EXPORT: BitFlags<AccessFs> = make_bitflags!(AccessFs::{WriteFile | Truncate | MakeReg | RemoveFile});

/// What came of it.
pub(super) struct Landlock {
    /// Version of the kernel's landlock, if it is in force.
    pub(crate) version: Option<String>,
    /// What it cannot do.
    pub(crate) gap: Option<String>,
}

/// Restricts this thread, and those that it starts later.
pub(super) fn restrict(allowed: &Allowed) -> Result<Landlock, SandboxError> {
    let wrong = |error| SandboxError::landlock(&error);
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(NEWEST)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(NEWEST)))
        .and_then(Ruleset::create);
    let mut ruleset = ruleset.map_err(wrong)?;
    for dir in &allowed.exports {
        ruleset = allow(ruleset, dir, EXPORT)?;
    }
    for dir in &allowed.removals {
        ruleset = allow(ruleset, dir, AccessFs::RemoveFile.into())?;
    }
    // A panic's backtrace finds its names there. Who has no such file does without.
    if let Ok(program) = std::env::current_exe()
        && program.exists()
    {
        ruleset = allow(ruleset, &program, AccessFs::ReadFile.into())?;
    }
    let status = ruleset.restrict_self().map_err(wrong)?;
    let version = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } if status.ruleset != RulesetStatus::NotEnforced => {
            Some(effective_abi)
        }
        _ => None,
    };
    let gap = match version {
        None => Some("this kernel has no landlock: what files the device opens is up to its user's rights".to_owned()),
        Some(version) if version < NEWEST => Some(format!(
            "this kernel's landlock is v{version}, and only from v{NEWEST} on knows all of TCP, abstract sockets and signals: seccomp alone keeps the device from them, but for abstract sockets of which the kernel chose the name"
        )),
        Some(_) => None,
    };
    Ok(Landlock {
        version: version.map(|version| version.to_string()),
        gap,
    })
}

fn allow(ruleset: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated, SandboxError> {
    let opened = PathFd::new(path).map_err(|error| SandboxError::landlock(&error))?;
    ruleset
        .add_rule(PathBeneath::new(opened, access))
        .map_err(|error| SandboxError::landlock(&error))
}
