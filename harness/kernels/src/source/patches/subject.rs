//! What a mail's subject says of a patch: `[PATCH v2 3/5] btrfs: …`.

/// Words before the colon of a subject that answers another mail,
const REPLY: [&str; 8] = ["re", "aw", "fw", "fwd", "sv", "antw", "odp", "wg"];
/// and those of them with which a mail is passed on as it is.
const FORWARD: [&str; 3] = ["fw", "fwd", "wg"];
/// Projects whose patches are sent to the kernel's lists.
const PROJECTS: [&str; 14] = [
    "blktests",
    "btrfs-progs",
    "e2fsprogs",
    "f2fs-tools",
    "fio",
    "fstests",
    "iproute2",
    "ltp",
    "man-pages",
    "nfs-utils",
    "qemu",
    "util-linux",
    "xfsprogs",
    "xfstests",
];

/// A version as `v2` or `v2.1`; 1 where none is named.
pub(super) type Version = (u32, u32);

/// A subject, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tag {
    /// Whether it answers or passes on another mail,
    pub(super) is_reply: bool,
    /// and that only passes it on.
    pub(super) is_forward: bool,
    pub(super) is_resend: bool,
    pub(super) version: Version,
    /// Its place in the series and how many there are; a cover letter is number 0.
    pub(super) number: Option<(u32, u32)>,
    /// Whether it says that it is a patch.
    pub(super) is_patch: bool,
    /// Whether it names a project other than the kernel.
    pub(super) names_project: bool,
    /// The subject without what stands before it in brackets; may be empty.
    pub(super) title: String,
}

impl Default for Tag {
    fn default() -> Self {
        Tag::of("")
    }
}

impl Tag {
    pub(super) fn of(subject: &str) -> Tag {
        let mut tag = Tag {
            is_reply: false,
            is_forward: false,
            is_resend: false,
            version: (1, 0),
            number: None,
            is_patch: false,
            names_project: false,
            title: String::new(),
        };
        let mut rest = subject.trim();
        loop {
            if let Some((is_forward, after)) = answered(rest) {
                tag.is_forward = is_forward && (tag.is_forward || !tag.is_reply);
                tag.is_reply = true;
                rest = after.trim_start();
            } else if let Some((words, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                words
                    .split([' ', '\t', ',', ';'])
                    .filter(|word| !word.is_empty())
                    .for_each(|word| tag.take(word));
                rest = after.trim_start();
            } else {
                break;
            }
        }
        tag.names_project |= rest.split_once(':').is_some_and(|(first, _)| is_project(first));
        rest.trim_end().clone_into(&mut tag.title);
        tag
    }

    /// A word in brackets.
    fn take(&mut self, word: &str) {
        let lower = word.to_ascii_lowercase();
        let rest = match lower.find("patch") {
            Some(at) => {
                self.is_patch = true;
                // `PATCHv2`, `PATCH-v2`, `PATCH01/15`.
                lower[at + "patch".len()..]
                    .trim_start_matches(['-', '_', '='])
                    .to_owned()
            }
            None => lower.trim_start_matches("rfc").to_owned(),
        };
        match lower.as_str() {
            "resend" | "repost" => self.is_resend = true,
            "rfc" => self.is_patch = true,
            _ if is_project(&lower) => self.names_project = true,
            _ => {}
        }
        if let Some(version) = rest.strip_prefix('v').and_then(version) {
            self.version = version;
        } else if let Some((number, total)) = rest.split_once('/')
            && let (Ok(number), Ok(total)) = (number.parse(), total.parse())
        {
            self.number = Some((number, total));
            self.is_patch = true;
        }
    }

    /// What a person knows it by among others: `v2 3/5`.
    pub(super) fn place(&self) -> String {
        let (number, total) = self.number.unwrap_or((1, 1));
        format!("{number}/{total}")
    }
}

/// `v2`, `v2.1`.
pub(super) fn shown(version: Version) -> String {
    match version {
        (major, 0) => format!("v{major}"),
        (major, minor) => format!("v{major}.{minor}"),
    }
}

fn version(text: &str) -> Option<Version> {
    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Whether a mail is passed on, and what follows `Re:`, `Re[2]:` or `Fwd:`.
fn answered(subject: &str) -> Option<(bool, &str)> {
    let (word, after) = subject.split_once(':')?;
    let word = word.trim_end().to_ascii_lowercase();
    let word = word.split_once('[').map_or(word.as_str(), |(word, _)| word);
    REPLY.contains(&word).then(|| (FORWARD.contains(&word), after))
}

fn is_project(word: &str) -> bool {
    PROJECTS.contains(&word.trim().to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_as_people_write_them() {
        let of = |subject: &str| {
            let tag = Tag::of(subject);
            (tag.version, tag.number, tag.is_reply, tag.title)
        };
        let is = |version, number, is_reply, title: &str| (version, number, is_reply, title.to_owned());
        for (subject, wanted) in [
            ("[PATCH] a: b", is((1, 0), None, false, "a: b")),
            ("[PATCH v2 03/12] a: b", is((2, 0), Some((3, 12)), false, "a: b")),
            ("[RFC PATCH v10 0/5] a", is((10, 0), Some((0, 5)), false, "a")),
            ("[PATCHv3 1/2] a", is((3, 0), Some((1, 2)), false, "a")),
            ("[RFCv2 1/2] a", is((2, 0), Some((1, 2)), false, "a")),
            ("[PATCH-v3] a", is((3, 0), None, false, "a")),
            ("[PATCH v2.1 2/4] a", is((2, 1), Some((2, 4)), false, "a")),
            ("[PATCH 6.1.y,v2,1/2] a", is((2, 0), Some((1, 2)), false, "a")),
            ("[patch 11/22] mm: b", is((1, 0), Some((11, 22)), false, "mm: b")),
            ("Re: [PATCH v2 2/4] a", is((2, 0), Some((2, 4)), true, "a")),
            ("AW: RE[2]: [PATCH] a", is((1, 0), None, true, "a")),
            ("[stable] Re: [PATCH 1/1] a", is((1, 0), Some((1, 1)), true, "a")),
            ("[BUG] it hangs: help", is((1, 0), None, false, "it hangs: help")),
            ("a: v2 of 1/2", is((1, 0), None, false, "a: v2 of 1/2")),
            ("[PATCH 1/2]", is((1, 0), Some((1, 2)), false, "")),
            ("", is((1, 0), None, false, "")),
        ] {
            assert_eq!(of(subject), wanted, "{subject}");
        }
        assert!(Tag::of("[PATCH xfstests v2] a").names_project && Tag::of("[PATCH] fstests: a").names_project);
        assert!(!Tag::of("[PATCH] btrfs: a").names_project && Tag::of("[RESEND PATCH] a").is_resend);
        assert!(Tag::of("Fwd: [PATCH 1/2] a").is_forward && !Tag::of("Re: Fwd: [PATCH 1/2] a").is_forward);
        assert!(!Tag::of("[BUG] a").is_patch && Tag::of("[1/2] a").is_patch);
    }
}
