//! From an archive's index to the packages that are pinned.
#![allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]

use exit::ExitError;
use kernels::apt::index::Index;
use kernels::package::{PackageSource, VersionRequest};
use kernels::resolve::{missing, resolve};

fn stanza(name: &str, version: &str, kib: u32, depends: &str) -> String {
    let sum = format!("{:064x}", name.len() * 1000 + version.len());
    format!(
        "Package: {name}\nVersion: {version}\nInstalled-Size: {kib}\nDepends: {depends}\nSize: 9\nSHA256: {sum}\n\n"
    )
}

fn index() -> Index {
    let text = [
        stanza("bash", "5.2-1", 9000, "base-files"),
        stanza(
            "linux-image-6.1.0-47-cloud-amd64-unsigned",
            "6.1.170-3",
            90_000,
            "kmod, linux-base (>= 4.3~)",
        ),
        stanza("linux-image-6.1.0-50-cloud-amd64-unsigned", "6.1.176-1", 90_000, "kmod"),
        stanza("linux-image-6.1.0-50-cloud-amd64-unsigned", "6.1.176-2", 90_000, "kmod"),
        stanza("linux-image-6.1.0-50-amd64-unsigned", "6.1.176-1", 400_000, "kmod"),
        stanza(
            "linux-image-cloud-amd64",
            "7.3.4-1",
            13,
            "linux-image-7.3.4-cloud-amd64 (= 7.3.4-1)",
        ),
        stanza(
            "linux-image-7.3.4-cloud-amd64",
            "7.3.4-1",
            15,
            "dracut | linux-initramfs-tool, linux-base-7.3.4-cloud-amd64 (= 7.3.4-1), linux-binary-7.3.4-cloud-amd64 \
            (= 7.3.4-1), linux-modules-7.3.4-cloud-amd64 (= 7.3.4-1)",
        ),
        stanza("linux-base-7.3.4-cloud-amd64", "7.3.4-1", 1247, ""),
        stanza("linux-binary-7.3.4-cloud-amd64", "7.3.4-1", 13_000, ""),
        stanza("linux-modules-7.3.4-cloud-amd64", "7.3.4-1", 24_000, ""),
        stanza("linux-image-7.3.10-cloud-amd64", "7.3.10-1", 15, ""),
    ];
    Index::parse("bookworm", &text.concat())
}

fn source(package: &str, version: &str) -> PackageSource {
    let version = if version == "latest" {
        VersionRequest::Latest
    } else {
        VersionRequest::Exactly(version.to_owned())
    };
    PackageSource {
        suite: "bookworm".to_owned(),
        packages: vec![package.to_owned()],
        version,
    }
}

fn debs(package: &str, version: &str) -> Vec<String> {
    let pinned = resolve("k", &source(package, version), &index()).unwrap();
    pinned
        .debs
        .into_iter()
        .map(|deb| format!("{} {}", deb.name, deb.version))
        .collect()
}

#[test]
fn a_kernel_in_one_package_is_that_package() {
    let package = "linux-image-6.1.0-50-cloud-amd64-unsigned";
    assert_eq!(debs(package, "6.1.176-1"), [format!("{package} 6.1.176-1")]);
    assert_eq!(debs(package, "latest"), [format!("{package} 6.1.176-2")]);
    assert_eq!(
        debs("linux-image-6.1.0-*-cloud-amd64-unsigned", "6.1.170-3"),
        ["linux-image-6.1.0-47-cloud-amd64-unsigned 6.1.170-3"]
    );
}

#[test]
fn metapackages_and_split_kernels_are_followed_and_only_what_holds_files_is_pinned() {
    let parts = [
        "linux-base-7.3.4-cloud-amd64 7.3.4-1",
        "linux-binary-7.3.4-cloud-amd64 7.3.4-1",
        "linux-modules-7.3.4-cloud-amd64 7.3.4-1",
    ];
    assert_eq!(debs("linux-image-cloud-amd64", "latest"), parts);
    assert_eq!(debs("linux-image-7.3.4-cloud-amd64", "7.3.4-1"), parts);
}

#[test]
fn what_is_gone_names_what_there_is() {
    let gone = |package: &str, version: &str| {
        let error = resolve("k", &source(package, version), &index()).unwrap_err();
        assert_eq!(error.exit().code(), 66);
        error.to_string()
    };
    insta::assert_snapshot!(
        gone("linux-image-6.1.0-50-cloud-amd64-unsigned", "6.1.175-1"),
        @"bookworm does not hold linux-image-6.1.0-50-cloud-amd64-unsigned 6.1.175-1; it holds 6.1.176-1, 6.1.176-2; \
        put one of these (or \"latest\") into kernels.toml, then `cargo xtask update k`"
    );
    insta::assert_snapshot!(
        gone("linux-image-6.1.0-49-cloud-amd64-unsigned", "6.1.174-1"),
        @"bookworm holds no package linux-image-6.1.0-49-cloud-amd64-unsigned; nearest on offer: \
        linux-image-6.1.0-47-cloud-amd64-unsigned 6.1.170-3, linux-image-6.1.0-50-cloud-amd64-unsigned 6.1.176-1, \
        linux-image-6.1.0-50-cloud-amd64-unsigned 6.1.176-2; name one of these in kernels.toml, then `cargo xtask \
        update k`"
    );
    insta::assert_snapshot!(
        gone("linux-image-7.3.10-cloud-amd64", "latest"),
        @"linux-image-7.3.10-cloud-amd64 7.3.10-1 of bookworm holds no kernel, nor does a package that it depends on; \
        name a linux-image-… package"
    );
    let pinned = resolve(
        "k",
        &source("linux-image-6.1.0-50-cloud-amd64-unsigned", "6.1.176-1"),
        &index(),
    )
    .unwrap();
    let later = Index::parse(
        "bookworm",
        &stanza("linux-image-6.1.0-50-cloud-amd64-unsigned", "6.1.176-2", 90_000, ""),
    );
    assert!(
        missing(
            &pinned,
            &source("linux-image-6.1.0-50-cloud-amd64-unsigned", "latest"),
            &index()
        )
        .is_none()
    );
    let error = missing(
        &pinned,
        &source("linux-image-6.1.0-50-cloud-amd64-unsigned", "latest"),
        &later,
    )
    .unwrap();
    insta::assert_snapshot!(
        error,
        @"bookworm does not hold linux-image-6.1.0-50-cloud-amd64-unsigned 6.1.176-1; it holds 6.1.176-2; `cargo \
        xtask update k` takes it"
    );
}
