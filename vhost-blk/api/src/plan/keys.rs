//! The keys of the rule language: what each takes, and what it means. One that only some actions have is a constant,
//! which those actions list; one that a single action has can as well stand beside it, in `action.rs`.

use super::word::KeyWord;

pub(super) const STATUS: KeyWord = KeyWord {
    name: "status",
    value: "ioerr | unsupp",
    about: "the error: EIO (the default) or EOPNOTSUPP in the guest (for a discard Linux then reports success)",
};

pub(super) const FOR: KeyWord = KeyWord {
    name: "for",
    value: "TIME | A..B",
    about: "how long; a time out of the range is chosen by the seed",
};

pub(super) const SPREAD: KeyWord = KeyWord {
    name: "spread",
    value: "uniform | bell | exponential",
    about: "which times of the range are likely: all (the default), those in the middle, or the short ones",
};

pub(super) const OVER: KeyWord = KeyWord {
    name: "over",
    value: "N",
    about: "how many requests lie between the shortest and the longest time",
};

pub(super) const UNTIL: KeyWord = KeyWord {
    name: "until",
    value: "next(TRIGGER) | done(TRIGGER) | mark(NAME) | release | TIME",
    about: "what is waited for: another request submitted or completed, a mark, the command `release`, or a time",
};

pub(super) const MAX: KeyWord = KeyWord {
    name: "max",
    value: "TIME",
    about: "the longest wait: 10s for hold; for reorder that of a window's first request, 50ms: then the window is let go, full or not",
};

pub(super) const WINDOW: KeyWord = KeyWord {
    name: "window",
    value: "N | epoch",
    about: "how many requests are collected, 2 to 1024, or all up to the next flush",
};

pub(super) const ORDER: KeyWord = KeyWord {
    name: "order",
    value: "reverse | shuffle | rotate",
    about: "the order in which they complete",
};

pub(super) const BYTES: KeyWord = KeyWord {
    name: "bytes",
    value: "BYTES",
    about: "how many are moved, at most those of the request",
};

pub(super) const THEN: KeyWord = KeyWord {
    name: "then",
    value: "ioerr | ok",
    about: "what the guest is told: an error, or success (silent)",
};

pub(super) const FLIP: KeyWord = KeyWord {
    name: "flip",
    value: "Nbit",
    about: "inverts N bits, at places chosen by the seed; all, if the request has fewer",
};

pub(super) const ZERO: KeyWord = KeyWord {
    name: "zero",
    value: "N | all",
    about: "makes a row of N sectors, at a place chosen by the seed, zeros",
};

pub(super) const STALE: KeyWord = KeyWord {
    name: "stale",
    value: "N | all",
    about: "leaves N sectors as they were: in the golden image for a read, before the write for a write",
};

pub(super) const MISDIRECT: KeyWord = KeyWord {
    name: "misdirect",
    value: "N | -N",
    about: "moves the data N sectors further on, or back; beyond the disk it is lost, or read as zeros",
};

pub(super) const LOSE: KeyWord = KeyWord {
    name: "lose",
    value: "all | some | none",
    about: "what of the volatile write cache is lost: all (the default), about half of the requests, chosen by the seed, or nothing",
};

pub(super) const TORN: KeyWord = KeyWord {
    name: "torn",
    value: "512 | 4k",
    about: "the last write gets to the disk up to a multiple of this many bytes, chosen by the seed",
};

/// The keys with which a trigger, and what `next(…)` and `done(…)` wait for, say what a request looks like.
pub const MATCHER_KEYS: [KeyWord; 5] = [
    KeyWord {
        name: "sectors",
        value: "A..B",
        about: "touches these sectors of 512 bytes (B not included)",
    },
    KeyWord {
        name: "len",
        value: "BYTES | A..B",
        about: "is this long (B not included)",
    },
    KeyWord {
        name: "align",
        value: "BYTES | not(BYTES)",
        about: "begins and ends at multiples of a power of two, or does not",
    },
    KeyWord {
        name: "queue",
        value: "N",
        about: "came through this virtqueue",
    },
    KeyWord {
        name: "payload",
        value: "tag:T | tag:T.P | hex:BYTES",
        about: "is a write whose data begins with a page tagged T (page P), or with these bytes (at most 32)",
    },
];

/// The keys of every rule beside what a request looks like.
pub const RULE_KEYS: [KeyWord; 11] = [
    KeyWord {
        name: "nth",
        value: "N",
        about: "only the Nth such request; what `first-after`, `covers`, `after`, `before` or `when` rules out does not count",
    },
    KeyWord {
        name: "every",
        value: "N",
        about: "only every Nth, counted likewise",
    },
    KeyWord {
        name: "p",
        value: "P",
        about: "only with the probability P, from 0 to 1, by the seed",
    },
    KeyWord {
        name: "limit",
        value: "N",
        about: "only N times",
    },
    KeyWord {
        name: "first-after",
        value: "OP",
        about: "only the first after each request of this operation",
    },
    KeyWord {
        name: "covers",
        value: "A..B",
        about: "only the one that completes a row of requests of one operation, each beginning where the last ended, \
                over these sectors; with `any` each operation has its own row, a flush is in none, and several ranges \
                of one request count one by one",
    },
    KeyWord {
        name: "after",
        value: "rule(NAME) | mark(NAME)",
        about: "only once that rule was applied, or that mark was made",
    },
    KeyWord {
        name: "before",
        value: "rule(NAME) | mark(NAME)",
        about: "only until then",
    },
    KeyWord {
        name: "when",
        value: "VAR:N",
        about: "only while this state variable has this value (0 until it is set)",
    },
    KeyWord {
        name: "set",
        value: "VAR:N",
        about: "sets a state variable each time the rule is applied",
    },
    KeyWord {
        name: "name",
        value: "NAME",
        about: "the rule's name, for `after`, `release`, hit counts and the trace; r1, r2, … if it has none",
    },
];
