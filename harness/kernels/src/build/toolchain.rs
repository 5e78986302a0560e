//! Which compiler and linker build a kernel, and what they say of themselves.

use std::time::Duration;

use super::error::BuildError;
use crate::tree::TreeSource;
use host::tool::{self, ToolError};

const DEADLINE: Duration = Duration::from_secs(60);

/// Compiler and linker of a kernel, as make takes them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Toolchain {
    pub(super) compiler: String,
    pub(super) linker: String,
}

impl Toolchain {
    /// As Documentation/kbuild/llvm.rst has it: `LLVM=1` chooses LLVM's tools, `LLVM=-15` those of a version, and
    /// `LLVM=/opt/llvm/bin/` those of a directory. Without it `CROSS_COMPILE` is what the names of GNU's tools begin
    /// with. A compiler or linker that is named counts more.
    pub(super) fn of(source: &TreeSource) -> Toolchain {
        let variable = |name: &str| {
            source
                .make
                .get(name)
                .map(String::as_str)
                .filter(|value| !value.is_empty())
        };
        let llvm = |program: &str| match variable("LLVM")? {
            folder if folder.ends_with('/') => Some(format!("{folder}{program}")),
            version if version.starts_with('-') => Some(format!("{program}{version}")),
            _ => Some(program.to_owned()),
        };
        let gnu = |program: &str| format!("{}{program}", variable("CROSS_COMPILE").unwrap_or_default());
        let compiler = source.cc.clone().or_else(|| llvm("clang"));
        let linker = variable("LD").map(str::to_owned).or_else(|| llvm("ld.lld"));
        Toolchain {
            compiler: compiler.unwrap_or_else(|| gnu("gcc")),
            linker: linker.unwrap_or_else(|| gnu("ld")),
        }
    }

    /// What they say of themselves; part of an artifact's name.
    ///
    /// # Errors
    /// One of them is missing.
    pub(super) fn versions(&self) -> Result<String, BuildError> {
        let version = |words: &str, package: &'static str| {
            let mut words = words.split_whitespace();
            let mut command = tool::command(words.next().unwrap_or_default(), package)?;
            let finished = tool::run(command.args(words).arg("--version"), DEADLINE)?;
            Ok::<_, ToolError>(finished.text().lines().next().unwrap_or_default().to_owned())
        };
        let has = |words: &str, name: &str| words.contains(name);
        let compiler = version(
            &self.compiler,
            if has(&self.compiler, "clang") { "clang" } else { "gcc" },
        )?;
        let linker = version(&self.linker, if has(&self.linker, "lld") { "lld" } else { "binutils" })?;
        Ok(format!("{compiler}; {linker}"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::tree::Origin;

    fn tools(cc: Option<&str>, make: &[(&str, &str)]) -> (String, String) {
        let make = make
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let tools = Toolchain::of(&TreeSource {
            origin: Origin::Git {
                repository: "linux".to_owned(),
                rev: "HEAD".to_owned(),
                dirty: false,
            },
            patches: Vec::new(),
            config: Vec::new(),
            cc: cc.map(str::to_owned),
            make: make.collect::<BTreeMap<_, _>>(),
        });
        (tools.compiler, tools.linker)
    }

    #[test]
    fn llvm_chooses_compiler_and_linker() {
        let both = |compiler: &str, linker: &str| (compiler.to_owned(), linker.to_owned());
        assert_eq!(tools(None, &[]), both("gcc", "ld"));
        assert_eq!(tools(None, &[("LLVM", "")]), both("gcc", "ld"));
        assert_eq!(tools(None, &[("LLVM", "1")]), both("clang", "ld.lld"));
        assert_eq!(tools(None, &[("LLVM", "-15")]), both("clang-15", "ld.lld-15"));
        assert_eq!(
            tools(None, &[("LLVM", "/opt/bin/")]),
            both("/opt/bin/clang", "/opt/bin/ld.lld")
        );
        assert_eq!(tools(Some("gcc-12"), &[("LLVM", "1")]), both("gcc-12", "ld.lld"));
        let prefix = ("CROSS_COMPILE", "/opt/bin/x86_64-linux-");
        assert_eq!(
            tools(None, &[prefix]),
            both("/opt/bin/x86_64-linux-gcc", "/opt/bin/x86_64-linux-ld")
        );
        assert_eq!(
            tools(Some("gcc-12"), &[prefix]),
            both("gcc-12", "/opt/bin/x86_64-linux-ld")
        );
        assert_eq!(tools(None, &[prefix, ("LLVM", "1")]), both("clang", "ld.lld"));
        assert_eq!(tools(None, &[("LLVM", "1"), ("LD", "ld.bfd")]), both("clang", "ld.bfd"));
    }

    #[test]
    fn a_compiler_that_is_missing_is_named_with_its_package() {
        for (compiler, package) in [("clang-of-nobody", "clang"), ("gcc-of-nobody", "gcc")] {
            let tools = Toolchain {
                compiler: compiler.to_owned(),
                linker: "ld".to_owned(),
            };
            let said = tools.versions().expect_err("it is missing").to_string();
            assert!(
                said.contains(&format!("`{compiler}` is not installed (Debian package {package})")),
                "{said}"
            );
        }
    }
}
