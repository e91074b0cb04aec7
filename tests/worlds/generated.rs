//! Generated files agree with the code. `make generate` writes them.

use keyturn::api::{
    PROFILE_KEY_PATTERN, SECRET_KEYS,
    names::{ANNOTATIONS, CREATED_FROM, EXCLUDE_FROM_BACKUP, LABELS, SOURCE},
};
use std::{fs, path::Path, process::Command};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_charts_crds_are_those_of_the_code() {
    let chart = root().join("charts/keyturn/files/crds");
    let dir = tempfile::tempdir().unwrap();
    let keyturn = env!("CARGO_BIN_EXE_keyturn");
    assert!(Command::new(keyturn).args(["crds", "--dir"]).arg(dir.path()).status().unwrap().success());
    let mut names = Vec::new();
    for entry in fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        let expected = fs::read_to_string(entry.path()).unwrap();
        let path = chart.join(entry.file_name());
        let present = fs::read_to_string(&path).unwrap_or_default();
        assert!(present == expected, "{} is out of date: run make generate", path.display());
        names.push(entry.file_name());
    }
    let count = fs::read_dir(&chart).unwrap().count();
    assert_eq!(count, names.len(), "{} holds a file that the code does not know", chart.display());
}

#[test]
fn crds_is_a_link_to_the_charts_crds() {
    let link = fs::read_link(root().join("crds")).unwrap();
    assert_eq!(link, Path::new("charts/keyturn/files/crds"));
}

#[test]
fn the_crds_are_printed_as_one_stream_of_yaml_documents() {
    let output = Command::new(env!("CARGO_BIN_EXE_keyturn")).arg("crds").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.matches("---\n").count(), 5, "{text}");
    assert!(text.starts_with("---\napiVersion: apiextensions.k8s.io/v1\n"));
}

#[test]
fn the_committed_reference_matches_the_code() {
    let output = Command::new(env!("CARGO_BIN_EXE_keyturn")).arg("reference").output().unwrap();
    assert!(output.status.success());
    let expected = String::from_utf8(output.stdout).unwrap();
    let present = fs::read_to_string(root().join("docs/reference.md")).unwrap();
    let differing = expected.lines().zip(present.lines()).find(|(expected, present)| expected != present);
    assert!(present == expected, "docs/reference.md is out of date: run make generate; first at {differing:?}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a setting of the tests and not of the operator")]
fn the_page_of_samples_is_that_of_the_table() {
    let (path, expected) = (root().join("docs/samples.md"), crate::samples::page());
    if std::env::var_os("KEYTURN_WRITE_PAGES").is_some() {
        fs::write(&path, &expected).unwrap();
    }
    let present = fs::read_to_string(path).unwrap_or_default();
    let differing = expected.lines().zip(present.lines()).find(|(expected, present)| expected != present);
    assert!(present == expected, "docs/samples.md is out of date: run make samples-docs; first at {differing:?}");
    for sample in crate::samples::SECTIONS.iter().flat_map(|section| section.samples) {
        assert!(root().join("tests/samples").join(sample.file).exists(), "there is no {}", sample.file);
    }
}

#[test]
fn the_documents_promise_the_versions_of_kubernetes_that_are_tested() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let pinned = |path: &str| {
        let text = read(path);
        let words = text.split_once("k8s.io/kubernetes v1.").unwrap_or_else(|| panic!("{path} pins no Kubernetes")).1;
        words.split('.').next().unwrap().parse::<u32>().unwrap()
    };
    let folders = fs::read_dir(root().join("tests/cluster/versions")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut minors = vec![pinned("tests/cluster/go.mod")];
    for folder in folders {
        let folder = folder.into_string().unwrap();
        let minor = pinned(&format!("tests/cluster/versions/{folder}/go.mod"));
        assert_eq!(folder, format!("1.{minor}"), "the folder has the name of its version");
        minors.push(minor);
    }
    minors.sort_unstable();
    let (oldest, newest) = (minors[0], *minors.last().unwrap());
    assert_eq!(minors, (oldest..=newest).collect::<Vec<_>>(), "a version between is missing");
    let named: Vec<String> = minors.iter().map(|minor| format!("1.{minor}")).collect();
    let tested = format!("tested on Kubernetes {} and 1.{newest}", named[..named.len() - 1].join(", "));
    let needed = format!("Kubernetes 1.{oldest} or newer");
    for (path, words) in [
        ("charts/keyturn/Chart.yaml", format!("kubeVersion: \">=1.{oldest}.0-0\"")),
        ("charts/keyturn/README.md", needed.clone()),
        ("README.md", needed.clone()),
        ("docs/install.md", needed),
        ("docs/install.md", tested),
        ("docs/install.md", format!("The tests of pods run on 1.{newest} alone")),
    ] {
        assert!(read(path).contains(&words), "{path} lacks {words:?}");
    }
}

#[test]
fn every_snippet_names_the_tag_under_which_the_image_was_pushed() {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = docs.chain([root().join("README.md"), root().join("charts/keyturn/README.md")]);
    let tag = env!("CARGO_PKG_VERSION");
    let mut seen = 0;
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for block in text.split("```").skip(1).step_by(2) {
            let is_about_it = |word: &str| block.contains(word);
            if is_about_it("image.repository=") || is_about_it("image: {repository") {
                seen += 1;
                let wanted = [format!("image.tag={tag}"), format!(", tag: {tag}}}")];
                let is_named = wanted.iter().any(|wanted| block.contains(wanted));
                assert!(is_named, "{}: a snippet names an image without the tag {tag}: {block}", page.display());
            }
            if is_about_it("make image IMAGE=") {
                seen += 1;
                let image = format!("registry.example.com/keyturn:{tag}\n");
                assert_eq!(block.matches(&image).count(), 2, "{}: {block}", page.display());
            }
        }
    }
    assert_eq!(seen, 5, "snippets about the image");
}

#[test]
fn the_recorded_scenes_are_those_of_the_demo() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let (picture, recording, demo) = (read("docs/demo.svg"), read("tests/recording"), read("examples/demo"));
    let titles: Vec<&str> = recording.split("Scene(\"").skip(1).map(|scene| scene.split('"').next().unwrap()).collect();
    assert!(titles.len() > 2, "{titles:?}");
    for title in titles {
        assert!(demo.contains(&format!("say \"{title}")), "examples/demo has no scene {title:?}");
        // The picture wraps a title that is long.
        let beginning: String = title.chars().take(60).collect();
        assert!(picture.contains(&beginning), "docs/demo.svg lacks {title:?}: run make recording");
    }
}

#[test]
fn every_line_about_a_failed_start_is_one_of_the_code() {
    let page = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let section = page.split_once("\n## It does not start\n").unwrap().1.split("\n## ").next().unwrap();
    let cells = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let beginnings: Vec<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert!(beginnings.len() > 10, "{beginnings:?}");
    let code: Vec<String> =
        crate::architecture::sources(&root().join("src")).into_iter().map(|(_, text)| text).collect();
    for beginning in beginnings {
        let words = beginning.split('…').next().unwrap_or_default();
        assert!(
            code.iter().any(|text| text.contains(words)),
            "docs/operations.md explains a line that begins with {words:?}; keyturn prints no such line"
        );
    }
}

#[test]
fn the_charts_lists_of_names_are_those_of_the_code() {
    let text = fs::read_to_string(root().join("charts/keyturn/templates/_names.tpl")).unwrap();
    let list = |template: &str| -> Vec<String> {
        let from = text.split_once(&format!("define \"{template}\" -}}}}\n")).unwrap().1;
        let rows = from.split_once("\n{{- end").unwrap().0.lines();
        rows.map(|row| row.strip_prefix("- ").unwrap().to_owned()).collect()
    };
    let labels = LABELS
        .iter()
        .map(|label| label.name)
        .filter(|label| ![SOURCE, CREATED_FROM, EXCLUDE_FROM_BACKUP].contains(label));
    assert_eq!(list("keyturn.secretKeys"), SECRET_KEYS.map(|key| key.name));
    let pattern = text.split_once("define \"keyturn.profileKeys\" -}}\n").unwrap().1.lines().next();
    assert_eq!(pattern, Some(PROFILE_KEY_PATTERN));
    assert_eq!(list("keyturn.secretLabels"), labels.collect::<Vec<_>>());
    assert_eq!(list("keyturn.secretAnnotations"), ANNOTATIONS.iter().map(|name| name.name).collect::<Vec<_>>());
}

#[test]
fn an_example_that_sets_the_config_file_keeps_other_keys_out() {
    let mut seen = 0;
    for folder in
        fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
    {
        for file in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let text = fs::read_to_string(&file).unwrap();
            let sets = |name: &str| text.matches(&format!("name: {name}")).count();
            seen += sets("AWS_CONFIG_FILE");
            assert_eq!(
                sets("AWS_CONFIG_FILE"),
                sets("AWS_SHARED_CREDENTIALS_FILE"),
                "{}: a key that somebody types into aws configure would win",
                file.display()
            );
        }
    }
    assert!(seen > 2, "{seen} were found");
}
