//! What each command does, for the protocol's reference page.

use super::protocol::Command;

/// What a command does, a paragraph a line.
pub(super) fn about(command: &Command) -> &'static str {
    match command {
        Command::Add { .. } => ADD,
        Command::Plan { .. } => PLAN,
        Command::List => LIST,
        Command::Clear => CLEAR,
        Command::Remove { .. } => REMOVE,
        Command::Release { .. } => "Releases the requests that one rule holds, or, without `rule`, all that are held.",
        Command::Set { .. } => "Sets a state variable, which rules test with `when=`. In a replay no rule tests it.",
        Command::Mark { .. } => MARK,
        Command::Rollback { .. } => ROLLBACK,
        Command::Present { .. } => PRESENT,
        Command::Undecided { .. } => UNDECIDED,
        Command::Resize { .. } => RESIZE,
        Command::Cut { .. } => CUT,
        Command::Power => "Restores power. Requests that were outstanding when it was cut are never answered.",
        Command::Disconnect => DISCONNECT,
        Command::Export { .. } => EXPORT,
        Command::ExportLog { .. } => EXPORT_LOG,
        Command::Stats => STATS,
        Command::Subscribe => SUBSCRIBE,
        Command::FlushTrace => "Hands the trace to the kernel: what happened until now can be read from its file.",
        Command::Quit => QUIT,
    }
}

const ADD: &str = "\
    Adds a rule after those in force; its text is that of [the rule language](rule-language.md). A rule without \
    `name=` gets one. Refused in a replay (`--replay`), where no rule is asked.";

const PLAN: &str = "\
    Replaces all rules and the seed, resets all counters, marks and variables, and releases all requests that wait. \
    With a bad rule nothing changes. Refused in a replay.";

const LIST: &str = "\
    Asks for the rules in force, in their order, each with three counts: how many requests matched its trigger \
    (`seen`), to how many of them it was applied (`hits`; 0 for a rule that never fired), and how many it keeps \
    waiting now (`holding`). In a replay they are the trace's rules, as they were in force when the last request \
    arrived; no trigger is asked, and `seen` equals `hits`.";

const CLEAR: &str = "\
    Removes all rules and releases all requests that wait. In a replay it only releases requests: the decisions are \
    the trace's, including those that are still to come.";

const REMOVE: &str = "\
    Removes one rule and releases the requests that it keeps waiting, as `clear` does for all rules; the other rules \
    go on unchanged. That the rule was applied stays true for `after=rule(…)` and `before=rule(…)`, until a rule of \
    the same name is added. In a replay it only releases requests.";

const MARK: &str = "\
    Makes a mark: a name in the trace, for which rules can wait (`until=mark(…)`, `after=mark(…)`), and to which \
    `rollback` can go back while history is kept. Its name is like that of a rule: at most 64 letters, digits, `_` \
    and `-`, the first a letter or `_`.";

const ROLLBACK: &str = "\
    Resets the disk to the image or, with `to`, to its state at a mark (`--history` keeps what that takes). The disk's \
    size goes back as well, to that of the image or the mark; if it changes, the front end is told, and the answer is \
    that of `resize`. If the power was cut, it is restored. Refused while requests are outstanding.";

const PRESENT: &str = "\
    Makes the disk what a power cut at a mark would have left of it (`--history` keeps what that takes). What was \
    durable at the mark is there. Requests that no flush had made durable, and those in flight, are *undecided*: each \
    may be there or not. `lose` says which are lost: `all` (the default), `some`, chosen by `seed`, `none`, or those \
    with these numbers (`0,3`; `undecided` lists them). They are put upon each other in the order in which they were \
    completed; those in flight come last, in the order of `order` (`5,4`), in one that `seed` chooses with `some`, or \
    in that of their arrival. `torn` tears one: at a multiple of `512` or `4k` bytes of the disk that `seed` chooses, \
    or the one of a number after so many bytes (`3:4096`). What no power cut can leave is refused. \
    [power.md](design/power.md#what-a-power-cut-may-leave) has the rules.\n\n\
    The history stays as it is. What is done to the disk from here on is an excursion, which the next `present` takes \
    back, as often as wanted; so does `rollback`. A mark that is made on an excursion can be presented too. The answer \
    says which requests are there (`kept`) and how many bytes were put on the disk. If the power was cut, it is \
    restored. Refused while requests are outstanding, and if the disk had another size since what was durable then.";

const UNDECIDED: &str = "\
    Asks for the requests that were undecided at a mark, in the order of their numbers: first those that were \
    completed, as they were, then those in flight, as they arrived. `sectors` has the first sector and the number of \
    sectors of each range that the request changes.";

const RESIZE: &str = "\
    Makes the disk larger or smaller while it runs, between two requests. `bytes` is a multiple of the block size, not \
    0 and at most 16 TiB; any other size, and one for which there is no room, is refused and changes nothing. Beyond \
    the image the disk is zeros. What is cut off is lost: if the disk grows again, zeros are there. A request that \
    reaches beyond the end when it is executed fails, even if it arrived before the resize. A power cut does not undo \
    a resize, and a resize makes nothing durable that was not flushed. With `--history`, `rollback` to a mark restores \
    what was cut off.\n\n\
    `front_end` says whether the front end knows of the new size:\n\n\
    - `told`: it was told, and confirmed it (if it can).\n\
    - `refused`: it was told, and says that it cannot.\n\
    - `silent`: it has not answered within 5 s.\n\
    - `later`: it will be told when its first ring starts.\n\
    - `no-channel`: it has not negotiated the protocol feature `BACKEND_REQ` and learns of the size when it asks.\n\
    - `none`: no front end is connected.\n\n\
    QEMU from 7.2 on is told, and so is its guest.";

const CUT: &str = "\
    Cuts the power: nothing is answered until it is restored, and what was not durable is lost: all of it (`lose`: \
    `all`, the default), some of it, chosen by `seed` (`some`), or none of it (`none`). `torn` tears the last write at \
    a multiple of `512` or `4k` bytes.\n\n\
    A write is durable once a flush is completed that came after the write was completed. Without a write cache it is durable once it is \
    completed itself: with `--no-flush`, with a driver that switched the cache off in the configuration, or with one \
    that took neither of the features `FLUSH` and `CONFIG_WCE`. A driver that is gone leaves the cache as it switched \
    it, because the device cannot tell the next driver from the same one connected again.\n\n\
    What is durable is known with `--history`, or from when a rule `cut` or `early` came into force; what was written \
    before counts as durable. Where it is not known, a cut that would lose or tear something is refused. Marks outlive \
    a power cut: `rollback` goes back to those before it, too.";

const DISCONNECT: &str = "\
    Disconnects the front end. One that connects again is served, or one that has waited: the device serves one at a \
    time, and another waits until the first is gone, even while the first sends nothing.";

const EXPORT: &str = "\
    Writes the disk to a sparse file on the device's machine, under a temporary name that is then renamed. By default \
    that is the disk as it is now; with `at`, as it was at a mark; with `lose`, `torn` and `seed`, which mean the same \
    as for `cut`, as it would be if the power had been cut so, then or now. Nothing is cut or changed, and requests \
    that wait count as for `cut`: as not executed.\n\n\
    The disk does not change meanwhile: requests wait for the end of the export, except those of a ring that is \
    stopped, which are dropped after 10 s. Everything but the disk as it is now needs a history (`--history`). `cut` \
    in the answer is the result of the simulated power cut. The sandbox allows the file below the directories of \
    `--export-dir`, or, where that was not given, below the device's current directory and that of this socket.";

const EXPORT_LOG: &str = "\
    Writes the history, from the image to now, as a log of dm-log-writes (`replay-log` and fstests read it) to a file \
    on the device's machine; it is allowed where `export` is. Replay it on a copy of the image, made as large as \
    `disk_bytes`, the largest size that the disk had; what `resize` cut off is a discard in the log.\n\n\
    Changes are whole sectors in the log. A power cut is written as writes of what it left where it took something, \
    and a flush; a flush that was dropped, or answered before its time (`early`), is not written as one. Marks are \
    marks in the log (`replay-log --log writes.log --replay copy.raw --end-mark mounted`), and the last is \
    `dm-log-writes-end`, as in the kernel's own logs.";

const STATS: &str = "\
    Asks for the counters since the start. `outstanding` requests are submitted and not completed, `held` of them by \
    rules; `dropped` ones were outstanding when their ring or connection ended; `trace_lost` lines of the trace found \
    no room on its disk; `diverged_at` is the first request that differed from the trace that is replayed, \
    `replay_left` how many of the trace's requests have not come as they did there; `sandbox` says what confines the \
    device.";

const SUBSCRIBE: &str = "\
    Asks for the trace's lines as they are written. After the answer the connection carries nothing else. A listener \
    that does not keep up misses lines and gets `{\"ev\":\"missed\",\"lines\":N}` in their place.";

const QUIT: &str = "\
    Shuts the device down, in order, after the answer. Rules that never fired are named on its standard error, and, in \
    a replay, the request at which the guest diverged or before which it stopped.";
