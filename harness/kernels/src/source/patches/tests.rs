//! What no input may do.

use super::thread::Selected;
use super::*;

const FROM: &str = "From git@z Thu Jan  1 00:00:00 1970\n";

/// A thread with a bit of everything.
fn thread() -> Vec<u8> {
    let diff = |n: u32| {
        format!(
            "diff --git a/f{n} b/f{n}\nindex 0..1 100644\n--- a/f{n}\n+++ b/f{n}\n@@ -1 +1 @@\n-a\n+b\n-- \n2.40.1\n\n"
        )
    };
    let mail = |n: u32, subject: &str, headers: &str, body: &str| {
        format!("{FROM}Message-Id: <{n}@x>\nFrom: J <j@x>\nSubject: {subject}\n{headers}\n{body}\n")
    };
    let parts = format!(
        "--b\nContent-Type: text/plain\n\n{}\n--b\nContent-Type: text/x-patch; name=p.patch\n\n{}\n--b--\n",
        diff(3),
        diff(4)
    );
    let mixed = "In-Reply-To: <0@x>\nContent-Type: multipart/mixed; boundary=b\n";
    let encoded = "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n";
    let quoted = "Content-Transfer-Encoding: quoted-printable\n";
    let mails = [
        mail(0, "[PATCH 0/3] cover", "", "Hi.\n\nbase-commit: 0123456789ab\n"),
        mail(1, "[PATCH 1/3] one", "References: <0@x>\n", &diff(1)),
        mail(2, "=?UTF-8?q?=5BPATCH_2/3=5D?= two", quoted, &diff(2)),
        mail(3, "[PATCH 3/3] three", mixed, &parts),
        mail(4, "Re: [PATCH 3/3] three", "In-Reply-To: <3@x>\n", &diff(5)),
        mail(5, "[PATCH v2 1/1] one", "", &diff(6)),
        mail(
            6,
            "[PATCH] packed",
            encoded,
            "LS0tIGEveAorKysgYi94CkBAIC0xICsxIEBACi1hCitiCg==\n",
        ),
    ];
    mails.concat().into_bytes()
}

/// How many diffs were read, and what became of them.
fn chosen(text: &[u8]) -> Option<(usize, Result<Selected, String>)> {
    let mails = decode::read(text, "m.mbox", "m").ok()?;
    let read = mails.iter().map(|mail| mail.diffs.len()).sum();
    Some((read, thread::select(mails, &|_, _| false)))
}

fn diffs(selected: &Selected) -> usize {
    selected.mails.iter().map(|mail| mail.diffs.len()).sum()
}

#[test]
fn no_diff_is_left_out_without_a_word_however_the_text_is_damaged() {
    let text = thread();
    let (read, selected) = chosen(&text).unwrap();
    let selected = selected.unwrap();
    assert_eq!((read, diffs(&selected)), (7, 2), "{:?}", selected.notes);
    let mut seed = 1_u32;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as usize % below
    };
    let (mut lost, mut whole) = (0, 0);
    for round in 0..3000 {
        let mut text = text.clone();
        match round % 4 {
            0 => text.truncate(next(text.len())),
            1 => drop(text.drain(..next(1000))),
            2 => {
                let (from, len) = (next(text.len() - 200), next(200));
                drop(text.drain(from..from + len));
            }
            _ => {}
        }
        for _ in 0..next(4) {
            let at = next(thread().len());
            if let Some(byte) = text.get_mut(at) {
                *byte = b"\n\r :[]/=<>-+@0\xff"[next(15)];
            }
        }
        if let Some((read, Ok(selected))) = chosen(&text) {
            let is_less = diffs(&selected) < read;
            assert!(
                !is_less || !selected.notes.is_empty(),
                "{}",
                String::from_utf8_lossy(&text)
            );
            lost += usize::from(is_less);
            whole += 1;
        }
    }
    assert!(lost > 100 && whole > 1000, "{lost} of {whole}: nothing was tried");
}
