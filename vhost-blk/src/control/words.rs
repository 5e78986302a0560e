//! Words of commands, and what is said of those that are none.

use vhost_blk_api::control::Reply;
use vhost_blk_api::plan::hint;

/// The one of all that has this name.
pub(super) fn choice<T: Copy, const N: usize>(
    field: &str,
    value: &str,
    all: [T; N],
    name: fn(T) -> &'static str,
    expected: &str,
) -> Result<T, Box<Reply>> {
    let found = all.into_iter().find(|item| name(*item) == value);
    found.ok_or_else(|| {
        let hint = hint(value, all.map(name));
        let value = value.escape_debug();
        Box::new(refusal(format!(
            "bad value `{value}` for `{field}`: expected {expected}{hint}"
        )))
    })
}

/// Says why it was not done.
pub(super) fn refusal(message: String) -> Reply {
    Reply::Error {
        message,
        column: None,
        rule_index: None,
    }
}
