//! Rules that are refused: what the message says to write instead, and rules that no request can meet.

use super::tests::message;
use super::*;

#[test]
fn errors_say_what_to_write() {
    let first = |text| message(text).lines().next().unwrap_or_default().to_owned();
    insta::assert_snapshot!(first("fail write nth"), @"column 12: `nth` is not key=value; write `nth=N`");
    insta::assert_snapshot!(first("fail nth"), @"column 6: unknown operation `nth`: expected one of read, write, flush, discard, write-zeroes, any, or key=value; write `nth=N`");
    insta::assert_snapshot!(first("fail write p"), @"column 12: `p` is not key=value; write `p=P`");
    insta::assert_snapshot!(
        first("delay write for"),
        @"column 13: `for` is not key=value; write `for=TIME` or `for=A..B`"
    );
    insta::assert_snapshot!(first("fail write until"), @"column 12: `until` is not key=value");
    insta::assert_snapshot!(
        first("fail until"),
        @"column 6: unknown operation `until`: expected one of read, write, flush, discard, write-zeroes, any, or key=value"
    );
    insta::assert_snapshot!(
        first("hold write until=next(nth)"),
        @"column 23: unknown operation `nth`: expected one of read, write, flush, discard, write-zeroes, any, or key=value; write `nth=N`"
    );
    insta::assert_snapshot!(
        first("fail write op=read"),
        @"column 12: unknown key `op` for fail: known keys: status, sectors, len, align, queue, payload, nth, every, p, limit, first-after, covers, after, before, when, set, name; an operation stands right after the action, by itself"
    );
    insta::assert_snapshot!(
        first("fail write prob=0.1"),
        @"column 12: unknown key `prob` for fail: known keys: status, sectors, len, align, queue, payload, nth, every, p, limit, first-after, covers, after, before, when, set, name; did you mean `p`?"
    );
    insta::assert_snapshot!(
        first("FAIL write"),
        @"column 1: unknown action `FAIL`: expected one of [actions]; did you mean `fail`?"
    );
    insta::assert_snapshot!(
        first("fail Trim"),
        @"column 6: unknown operation `Trim`: expected one of read, write, flush, discard, write-zeroes, any, or key=value; did you mean `discard`?"
    );
    insta::assert_snapshot!(
        first("fail write status=EIO"),
        @"column 19: bad value `EIO` for `status`: expected ioerr or unsupp; did you mean `ioerr`?"
    );
    insta::assert_snapshot!(
        first("delay write for=4000s"),
        @"column 17: bad value `4000s` for `for`: expected a time of at most 3600s like 20ms, or a range like 20ms..80ms"
    );
    insta::assert_snapshot!(
        first("hold write until=4000s"),
        @"column 18: bad value `4000s` for `until`: expected next(TRIGGER), done(TRIGGER), mark(NAME), release or a time of at most 3600s like 500ms"
    );
}

#[test]
fn what_no_request_can_meet_is_refused() {
    insta::assert_snapshot!(message("fail flush len=4k"), @r#"
    column 12: len does not go with `flush`: it needs read, write, discard, write-zeroes or any
     |
     | fail flush len=4k
     |            ^^^^^^
    "#);
    insta::assert_snapshot!(message("fail write name=x after=rule(x)"), @r#"
    column 19: with `name=x` no request ever meets `after=rule(x)`, for a rule is not applied before itself: keep one of them
     |
     | fail write name=x after=rule(x)
     |                   ^^^^^^^^^^^^^
    "#);
    insta::assert_snapshot!(message("fail write after=mark(a) before=mark(a)"), @r#"
    column 26: with `after=mark(a)` no request ever meets `before=mark(a)`, for what has happened stays so: keep one of them
     |
     | fail write after=mark(a) before=mark(a)
     |                          ^^^^^^^^^^^^^^
    "#);
    insta::assert_snapshot!(message("hold write after=mark(a) until=mark(a)"), @r#"
    column 12: with `until=mark(a)` no request ever meets `after=mark(a)`, for nothing is held until a mark that was made: keep one of them
     |
     | hold write after=mark(a) until=mark(a)
     |            ^^^^^^^^^^^^^
    "#);
    for text in [
        "hold write until=next(flush len=0)",
        "early any for=1s sectors=0..8",
        "early for=1s len=4k",
        "early for=1s payload=tag:1",
        "early any for=1s covers=0..8",
    ] {
        assert!(message(text).contains("does not go with `flush`"), "{}", message(text));
    }
    for text in [
        "fail write name=x before=rule(x)",
        "fail write name=x after=mark(x)",
        "fail write after=mark(a) before=mark(b)",
        "fail write after=mark(a) before=rule(a)",
        "hold write until=mark(a) after=mark(b)",
        "hold write until=mark(a) before=mark(a)",
        "fail any len=4k",
    ] {
        text.parse::<Rule>().expect(text);
    }
}
