//! What make and what it runs say of how a build ended.

/// Lines of an error that are shown; the log has all.
const SHOWN_LINES_MAX: usize = 24;

/// Whether a line says that a program of the build was ended from outside, or got no memory: that is not the source's
/// fault. A compiler that crashes by itself is none of these.
pub(super) fn is_killed(line: &str) -> bool {
    const SIGNALS: [&str; 5] = ["Killed", "Terminated", "Hangup", "Interrupt", "Broken pipe"];
    const NO_MEMORY: [&str; 4] = [
        "virtual memory exhausted",
        "memory exhausted",
        "out of memory allocating",
        "Cannot allocate memory",
    ];
    // `gcc: fatal error: Killed signal terminated program cc1`
    // `collect2: fatal error: ld terminated with signal 9 [Killed]`
    let of_compiler = line.contains("fatal error:")
        && SIGNALS.iter().any(|signal| {
            line.contains(&format!("{signal} signal terminated program"))
                || (line.contains(" terminated with signal ") && line.contains(&format!("[{signal}]")))
        });
    // `make[3]: *** [scripts/Makefile.build:250: fs/open.o] Killed`, or the shell's number for it.
    let of_make = line.starts_with("make") && line.contains("*** [") && {
        let end = line.rsplit("] ").next().unwrap_or_default();
        let number = end.strip_prefix("Error ").and_then(|number| number.parse().ok());
        SIGNALS.contains(&end) || number.is_some_and(|number: i32| [129, 130, 137, 141, 143].contains(&number))
    };
    let has_no_memory = NO_MEMORY.iter().any(|words| line.contains(words)) && !is_of_source(line);
    of_compiler || of_make || has_no_memory
}

/// Whether a line is about the source: the compiler quotes it, or warns of a place in it. What stands there may be any
/// words. A fatal error at a place may be the compiler's own, as when it cannot write.
pub(super) fn is_of_source(line: &str) -> bool {
    // `   12 |         pr_err("Cannot allocate memory\n");`
    let is_quoted = line.split_once('|').is_some_and(|(margin, _)| {
        margin
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b" +".contains(&byte))
    });
    // `fs/open.c:12:3: warning: `
    let is_at_place = [": error: ", ": warning: ", ": note: "].iter().any(|kind| {
        let place = line.split_once(kind).and_then(|(place, _)| place.rsplit_once(':'));
        place.is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    });
    is_quoted || is_at_place
}

/// The file in which a line says that Kconfig's language is wrong: `lib/Kconfig:2: syntax error`. Warnings keep nothing
/// from being configured.
#[must_use]
pub fn kconfig_complaint(line: &str) -> Option<&str> {
    let (path, rest) = line.split_once(':')?;
    let (number, what) = rest.split_once(':')?;
    let name = path.rsplit('/').next()?;
    let is_one = name.starts_with("Kconfig") && !path.contains(' ');
    let is_line = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_one && is_line && !what.trim_start().starts_with("warning")).then_some(path)
}

/// The lines that say what went wrong: from the first error on, without make's own farewells.
pub(super) fn telling(said: &[String]) -> Vec<String> {
    let is_error = |line: &String| {
        let is_warning = is_of_source(line) && !line.contains(": error: ");
        let says_so = [
            "error:",
            "undefined reference",
            "multiple definition",
            "No rule to make",
            "not found",
            "*** ",
        ]
        .iter()
        .any(|words| line.contains(words))
            || kconfig_complaint(line).is_some();
        says_so && !is_warning
    };
    let is_farewell = |line: &str| line.starts_with("make[") && line.contains("Waiting for unfinished jobs");
    let at = said.iter().position(is_error).unwrap_or(0);
    // gcc says in which function, or through which headers, on the lines before.
    let context = |line: &String| {
        line.contains(": In function")
            || line.starts_with("In file included")
            || line.starts_with("                 from")
    };
    let start = (0..at)
        .rev()
        .take_while(|index| said.get(*index).is_some_and(context))
        .last()
        .unwrap_or(at);
    said.iter()
        .skip(start)
        .filter(|line| !is_farewell(line))
        .take(SHOWN_LINES_MAX)
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_was_killed_says_nothing_of_the_source() {
        for line in [
            "gcc: fatal error: Killed signal terminated program cc1",
            "x86_64-linux-gnu-gcc-12: fatal error: Terminated signal terminated program as",
            "make[3]: *** [scripts/Makefile.build:250: fs/open.o] Killed",
            "make[1]: *** [/c/source/Makefile:1250: vmlinux] Error 137",
            "cc1: out of memory allocating 65536 bytes after a total of 1 bytes",
            "ld: final link failed: memory exhausted",
            "collect2: fatal error: ld terminated with signal 9 [Killed]",
            "fs/open.c:9:1: fatal error: cannot execute 'as': vfork: Cannot allocate memory",
        ] {
            assert!(is_killed(line), "{line}");
        }
        for line in [
            "make[3]: *** [scripts/Makefile.build:250: fs/open.o] Error 1",
            "make[3]: *** [scripts/Makefile.build:250: fs/open.o] Error 2",
            "fs/open.c:3:1: internal compiler error: Segmentation fault",
            "gcc: fatal error: Segmentation fault signal terminated program cc1",
            "fs/open.c:7:9: error: 'Killed' undeclared",
            "make[2]: *** [Makefile:9: all] Error 127",
            "  120 |         pr_err(\"Cannot allocate memory\\n\");",
            "      |         virtual memory exhausted",
            "  +++ |+#include <memory exhausted>",
            "fs/open.c:120:2: error: #error Cannot allocate memory",
            "fs/open.c:120: warning: memory exhausted",
        ] {
            assert!(!is_killed(line), "{line}");
        }
    }

    #[test]
    fn kconfigs_words_come_before_makes() {
        // As Linux 6.1 says it; the warning is one that a configuration can have for long.
        let said = [
            "  GEN     Makefile",
            "drivers/a/Kconfig:7:warning: config symbol defined without type",
            "lib/Kconfig:2: syntax error",
            "lib/Kconfig:1: unknown statement \"confgi\"",
            "make[4]: *** [source/scripts/kconfig/Makefile:77: allnoconfig] Error 1",
        ]
        .map(str::to_owned);
        let telling = telling(&said);
        assert_eq!(telling.first().map(String::as_str), Some("lib/Kconfig:2: syntax error"));
        assert_eq!(
            kconfig_complaint("fs/btrfs/Kconfig.debug:3: unexpected option"),
            Some("fs/btrfs/Kconfig.debug")
        );
        for other in [
            "source/scripts/kconfig/Makefile:77: x",
            "see Kconfig:12: there",
            "lib/Kconfig: no line",
            "Kconfig",
        ] {
            assert_eq!(kconfig_complaint(other), None, "{other}");
        }
    }

    #[test]
    fn the_compilers_words_come_first() {
        let said = [
            "warning: something",
            "fs/a.c:1:1: warning: unused",
            "    1 | static char text[] = \"error: not found\";",
            "/src/fs/open.c: In function ‘do_open’:",
            "/src/fs/open.c:12:3: error: expected ‘;’ before ‘}’ token",
            "   12 |   return 0",
            "make[3]: *** [scripts/Makefile.build:250: fs/open.o] Error 1",
            "make[3]: *** Waiting for unfinished jobs....",
        ]
        .map(str::to_owned);
        let telling = telling(&said);
        assert_eq!(
            telling.first().map(String::as_str),
            Some("/src/fs/open.c: In function ‘do_open’:")
        );
        assert_eq!(telling.len(), 4);
    }
}
