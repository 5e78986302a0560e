//! The parameters of every test, typed: what a case table says, what the host sends, and what the test binary takes.
//!
//! A table is `const`, so a misspelt parameter, a word that the parameter does not have or a size that is no whole
//! number of pages does not compile. What a type cannot rule out, [`TestParams::validate`] refuses: a unit test of the
//! harness calls it for every case, and a test binary before it starts.
//!
//! To add a test: a struct with [`Parameters`] and a `PLAIN` constant in a file below, a variant of [`TestParams`], and
//! its name in the list of `variants!`; the compiler asks for the last if it is forgotten.

mod check;
mod control;
mod file;
mod own_mapping;
mod pages;
mod write;

use serde::{Deserialize, Serialize};

pub use check::{Parameters, ParamsError};
pub use control::RwVerify;
pub use file::{DataLayout, FillOrder, Layout, Target, WriteSync};
pub use own_mapping::{Overlap, ReadOwnMapping, ReadShift, SelfDeadlock};
pub use pages::{PAGE_BYTES, Pages};
pub use write::{FaultMidway, FirstPage, IoerrLeak, PartialWrite, SourceBuffer, ZeroProgress};

/// A test by its parameters: the variant is the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TestParams {
    /// Control: what is written is read back.
    RwVerify(RwVerify),
    /// A direct write whose buffer is only partly in memory.
    PartialWrite(PartialWrite),
    /// A direct write whose first page cannot be read.
    ZeroProgress(ZeroProgress),
    /// A direct write whose buffer becomes unreadable part-way.
    FaultMidway(FaultMidway),
    /// A direct write of a file's own mapping onto itself.
    SelfDeadlock(SelfDeadlock),
    /// A direct write that overlaps the part of the file it is written from.
    Overlap(Overlap),
    /// A direct read of a file into a mapping of that same file.
    ReadOwnMapping(ReadOwnMapping),
    /// A direct write whose device fails.
    IoerrLeak(IoerrLeak),
}

macro_rules! variants {
    ($($variant:ident),+ $(,)?) => {
        impl TestParams {
            /// Name of the test, which is the name of its binary.
            #[must_use]
            pub const fn test_name(&self) -> &'static str {
                match self {
                    $(TestParams::$variant(_) => <$variant as Parameters>::TEST,)+
                }
            }

            /// Refuses what the types allow and the test cannot do.
            ///
            /// # Errors
            /// The first parameter that is not usable.
            pub fn validate(&self) -> Result<(), ParamsError> {
                match self {
                    $(TestParams::$variant(params) => params.validate(),)+
                }
            }
        }

        $(
            impl TryFrom<TestParams> for $variant {
                /// The parameters of another test, as they were.
                type Error = TestParams;

                fn try_from(params: TestParams) -> Result<$variant, TestParams> {
                    match params {
                        TestParams::$variant(params) => Ok(params),
                        other => Err(other),
                    }
                }
            }
        )+

        #[cfg(test)]
        const PLAIN: &[TestParams] = &[$(TestParams::$variant($variant::PLAIN)),+];
    };
}

variants!(
    RwVerify,
    PartialWrite,
    ZeroProgress,
    FaultMidway,
    SelfDeadlock,
    Overlap,
    ReadOwnMapping,
    IoerrLeak,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_parameters_are_usable_and_keep_their_test_over_the_line() {
        for params in PLAIN {
            assert_eq!(params.validate(), Ok(()), "{params:?}");
            let json = serde_json::to_string(params).unwrap();
            assert!(json.starts_with(&format!("{{\"{}\":{{", params.test_name())), "{json}");
            assert_eq!(serde_json::from_str::<TestParams>(&json).unwrap(), *params);
        }
    }

    #[test]
    fn json_has_every_parameter() {
        let params = TestParams::PartialWrite(PartialWrite {
            target: Target::APPEND,
            sync: WriteSync::Dsync,
            ..PartialWrite::PLAIN
        });
        assert_eq!(
            serde_json::to_string(&params).unwrap(),
            concat!(
                r#"{"partial-write":{"size":64,"present":1,"target":{"append":{"prefix":4}},"#,
                r#""sync":"dsync","expect_error":false}}"#
            )
        );
    }

    #[test]
    fn json_of_another_form_is_refused() {
        let error = |json: &str| serde_json::from_str::<TestParams>(json).unwrap_err().to_string();
        let rw = |rest: &str| error(&format!("{{\"rw-verify\":{{\"size\":64{rest}}}}}"));
        assert!(
            rw(",\"sync\":\"dsink\"").starts_with("unknown variant `dsink`, expected one of `none`, `dsync`, `sync`")
        );
        assert!(
            rw(",\"sync\":\"none\",\"prezent\":1").starts_with("unknown field `prezent`, expected `size` or `sync`")
        );
        assert!(rw("").starts_with("missing field `sync`"));
        assert!(error("{\"rw-verfy\":{}}").starts_with("unknown variant `rw-verfy`"));
    }

    #[test]
    fn a_test_takes_its_own_parameters_only() {
        let params = TestParams::RwVerify(RwVerify::PLAIN);
        assert_eq!(RwVerify::try_from(params), Ok(RwVerify::PLAIN));
        assert_eq!(Overlap::try_from(params), Err(params));
    }
}
