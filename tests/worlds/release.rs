//! The files of a release: `.github/release` and `.github/krew-manifest`. The tests do not run what
//! needs GitHub or a registry.

use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const DIGEST: &str = "sha256:89d78f1df8ef80be7a5cb38d0ed5b1a4bf1a4d9dbe4a1b7f5f1c7a3f2f6f4a10";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn run(program: &str, args: &[&str]) -> Output {
    let output = Command::new(root().join(program)).args(args).output().unwrap();
    assert!(output.status.code().is_some_and(|code| code < 2), "{output:?}");
    output
}

fn text(output: Output) -> String {
    String::from_utf8(output.stdout).unwrap()
}

/// The value of the first line of YAML with this key.
fn value<'a>(yaml: &'a str, key: &str) -> Option<&'a str> {
    yaml.lines().find_map(|line| line.trim_start().strip_prefix(key)?.strip_prefix(": "))
}

/// A copy of the files that name a version. Its changelog has a dated section of this version.
fn copied(version: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["docs", "examples", "charts/keyturn"] {
        fs::create_dir_all(dir.path().join(folder)).unwrap();
    }
    let docs =
        fs::read_dir(root().join("docs")).unwrap().map(|entry| Path::new("docs").join(entry.unwrap().file_name()));
    let others = ["Cargo.toml", "Cargo.lock", "README.md", "charts/keyturn/Chart.yaml", "charts/keyturn/README.md"];
    let all = docs.chain(others.into_iter().chain(["charts/keyturn/README.md.gotmpl"]).map(PathBuf::from));
    for path in all.filter(|path| path.extension().is_some()) {
        fs::copy(root().join(&path), dir.path().join(&path)).unwrap();
    }
    fs::write(dir.path().join("CHANGELOG.md"), format!("# Changelog\n\n## [{version}] - 2026-12-01\n")).unwrap();
    dir
}

#[test]
fn the_files_of_the_repository_name_one_version() {
    let output = run(".github/release", &["versions"]);
    assert!(output.status.success(), "{}", text(output));
}

#[test]
fn a_file_with_another_version_is_named_in_one_line() {
    let version = env!("CARGO_PKG_VERSION");
    let tag = format!("v{version}");
    // The file, what is replaced in it, by what, and the line without the version of Cargo.toml.
    let cases = [
        (
            "Cargo.lock",
            format!("name = \"keyturn\"\nversion = \"{version}\""),
            "name = \"keyturn\"\nversion = \"9.9.9\"",
            "Cargo.lock: the version is 9.9.9",
        ),
        (
            "charts/keyturn/Chart.yaml",
            format!("\nversion: {version}"),
            "\nversion: 9.9.9",
            "charts/keyturn/Chart.yaml: version is 9.9.9",
        ),
        (
            "charts/keyturn/Chart.yaml",
            format!("\nappVersion: \"{version}\""),
            "\n",
            "charts/keyturn/Chart.yaml: appVersion is missing",
        ),
        (
            "README.md",
            format!("push registry.example.com/keyturn:{version}"),
            "push registry.example.com/keyturn:9.9.9",
            "a snippet names 9.9.9",
        ),
        ("docs/install.md", format!("image.tag={version}"), "image.tag=9.9.9", "a snippet names 9.9.9"),
        ("docs/verify.md", format!("VERSION={version}"), "VERSION=9.9.9", "a snippet names 9.9.9"),
        (
            "CHANGELOG.md",
            format!("[{version}]"),
            "[9.9.9]",
            "CHANGELOG.md: the newest heading is '## [9.9.9] - 2026-12-01'",
        ),
        ("CHANGELOG.md", " - 2026-12-01".to_owned(), "", "has no date"),
        (
            "CHANGELOG.md",
            "# Changelog\n".to_owned(),
            "# Changelog\n\n## Unreleased\n",
            "CHANGELOG.md: the newest heading is '## Unreleased'",
        ),
    ];
    for (path, present, other, line) in cases {
        let tree = copied(version);
        let check = || run(".github/release", &["--root", tree.path().to_str().unwrap(), "versions", "--tag", &tag]);
        let before = check();
        assert!(before.status.success(), "{}", text(before));
        let file = tree.path().join(path);
        let content = fs::read_to_string(&file).unwrap();
        assert!(content.contains(&present), "{path} lacks {present:?}");
        fs::write(&file, content.replacen(&present, other, 1)).unwrap();
        let after = check();
        assert_eq!(after.status.code(), Some(1), "{path}: {line}");
        let said = text(after);
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.starts_with(path) && said.contains(line), "{said}");
    }
}

#[test]
fn a_tag_of_another_version_is_refused() {
    let tree = copied(env!("CARGO_PKG_VERSION"));
    let output = run(".github/release", &["--root", tree.path().to_str().unwrap(), "versions", "--tag", "v9.9.9"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(output).starts_with("the tag is v9.9.9"));
}

#[test]
fn the_chart_of_a_release_names_its_image_and_its_home() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(".github/release", &["chart", "Example-Org/keyturn", DIGEST, dir.path().to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    let read = |path: &str| fs::read_to_string(dir.path().join("keyturn").join(path)).unwrap();
    let values = read("values.yaml");
    let image = values.split("\nimage:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    assert_eq!(value(image, "repository"), Some("ghcr.io/example-org/keyturn"));
    assert_eq!(value(image, "digest"), Some(DIGEST));
    assert!(!image.contains("no public image"), "{image}");

    // The script adds JSON, and the annotations that hold lists are JSON, too.
    let chart = read("Chart.yaml");
    let json = |name: &str| serde_json::from_str::<Value>(value(&chart, name).unwrap()).unwrap();
    let list = |name: &str| {
        let text = json(&format!("artifacthub.io/{name}"));
        serde_json::from_str::<Vec<Value>>(text.as_str().unwrap()).unwrap()
    };
    assert_eq!(json("home"), "https://github.com/Example-Org/keyturn");
    assert_eq!(json("sources")[0], json("home"));
    assert_eq!(json("maintainers")[0]["name"], "Example-Org");
    let (_, icon) = json("icon").as_str().unwrap().split_once("/docs/").map(|(a, b)| (a.len(), b.to_owned())).unwrap();
    assert!(root().join("docs").join(&icon).exists(), "{icon}");
    assert!(list("images")[0]["image"].as_str().unwrap().ends_with(DIGEST));
    let kinds: Vec<Value> = list("crds").into_iter().map(|kind| kind["kind"].clone()).collect();
    assert_eq!(kinds, ["AwsConfig", "AwsRoleGrant", "AwsRole", "DataRobotInstance", "DssInstance"]);
    for kind in list("crds") {
        assert_eq!(kind["version"], "v1alpha1");
        assert!(kind["description"].as_str().unwrap().ends_with('.'), "{kind}");
    }
    assert!(list("changes").len() > 10);
    for change in list("changes") {
        assert!(["added", "changed", "fixed", "security"].contains(&change["kind"].as_str().unwrap()), "{change}");
        assert!(!change["description"].as_str().unwrap().contains("]("), "{change}");
    }
}

#[test]
fn the_notes_of_a_release_link_to_its_files() {
    let notes = text(run(".github/release", &["notes", "example-org/keyturn"]));
    let tag = concat!("https://github.com/example-org/keyturn/blob/v", env!("CARGO_PKG_VERSION"), "/");
    assert!(notes.starts_with("The ") || notes.starts_with("### "), "{notes}");
    assert!(notes.contains(&format!("]({tag}docs/")), "{notes}");
    for target in notes.split("](").skip(1) {
        assert!(target.starts_with("https://") || target.starts_with('#'), "{target}");
    }
}

#[test]
fn the_manifest_for_krew_names_each_archive_and_its_digest() {
    let dir = tempfile::tempdir().unwrap();
    for platform in ["linux-arm64", "windows-amd64"] {
        fs::write(dir.path().join(format!("kubectl-keyturn-{platform}.tar.gz")), platform).unwrap();
    }
    let args = ["example-org/keyturn", "v1.2.3", dir.path().to_str().unwrap()];
    let manifest = text(run(".github/krew-manifest", &args));
    let release = "https://github.com/example-org/keyturn/releases/download/v1.2.3";
    // printf linux-arm64 | sha256sum, and the same for the other one.
    let platforms = [
        ("linux", "arm64", "", "17d46d4991b2edd5e445342a72ba0cb7cf09e4849b5e98c16408ce11e05c7388"),
        ("windows", "amd64", ".exe", "b5c168db719e3a66397ce14e1907340ebdb78b910c98df897c665a1a74804190"),
    ];
    let mut expected = String::new();
    for (os, arch, extension, digest) in platforms {
        expected += &format!(
            "    - selector: {{matchLabels: {{os: {os}, arch: {arch}}}}}\n      \
             uri: {release}/kubectl-keyturn-{os}-{arch}.tar.gz\n      \
             sha256: {digest}\n      bin: kubectl-keyturn{extension}\n"
        );
    }
    assert_eq!(manifest.split("  platforms:\n").nth(1), Some(expected.as_str()));
    assert_eq!(value(&manifest, "name"), Some("keyturn"));
    assert_eq!(value(&manifest, "version"), Some("v1.2.3"));
}
