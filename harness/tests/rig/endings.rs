//! What each ending of a guest becomes (`docs/design/endings.md`), on real kernels: stock ones where they do it, else
//! one from source with the speaker in it.

mod boot;
mod checks;
mod crashes;
mod errors;
mod planted;
mod speaker;
mod stalls;

use verdict::Cause;
use verdict::results::Cell;

use crate::bed::{KERNEL, Rig, chaos, text};

/// Runs bioscope with these flags, which select one cell; the exit code and the cell.
fn run(rig: &Rig, flags: &[&str]) -> (i32, Cell) {
    let output = rig.test(flags);
    let cells = rig.cells();
    assert_eq!(cells.len(), 1, "{}", text(&output));
    rig.assert_nothing_left();
    (output.status.code().expect("an exit code"), cells[0].clone())
}

/// Runs `chaos WHAT` on a stock kernel.
fn on_stock(rig: &Rig, fs: &str, what: &str, flags: &[&str]) -> (i32, Cell) {
    let program = chaos(what);
    let args = ["--kernel", KERNEL, "--fs", fs, "--exec", &program];
    run(rig, &[&args[..], flags].concat())
}

/// Asserts a failure, its cause, its place and what its headline says.
#[track_caller]
fn assert_fails((code, cell): &(i32, Cell), cause: Cause, place: &str, says: &str) {
    let detail = cell.detail();
    assert_eq!(
        (
            *code,
            cell.verdict().word(),
            cell.verdict().cause(),
            cell.verdict().failure().and_then(|failure| failure.place.as_deref())
        ),
        (1, "fail", Some(cause), Some(place)),
        "{detail}"
    );
    assert!(detail.contains(says), "{detail}");
}

/// Asserts that the rig is to blame, and what is said of it.
#[track_caller]
fn assert_broken((code, cell): &(i32, Cell), stage: &str, says: &str) {
    let detail = cell.detail();
    assert_eq!(
        (*code, cell.verdict().word(), cell.verdict().cause()),
        (2, "broken", None),
        "{detail}"
    );
    assert!(detail.starts_with(stage) && detail.contains(says), "{detail}");
}

#[track_caller]
fn assert_passes((code, cell): &(i32, Cell)) {
    assert_eq!((*code, cell.verdict().word()), (0, "pass"), "{}", cell.detail());
}
