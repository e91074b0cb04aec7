//! The samples that users come from, in one table: what is run, in which pod, and what is right.
//!
//! `real::samples` runs each [`Sample`] with the real client. The programs are in `tests/samples`.
//! [`page`] is docs/samples.md; a test of [`crate::generated`] holds the file to it, and
//! `make samples-docs` writes it. A new origin is another [`Section`] in [`SECTIONS`].

mod aws;
mod dataiku;
mod datarobot;

use std::fmt::Write as _;

/// The origins, in the order of the page.
pub const SECTIONS: &[Section] = &[
    aws::AWS_CLI,
    aws::BOTO3,
    dataiku::DATAIKU_AWS,
    dataiku::DATAIKU_IDENTITY,
    dataiku::DATAIKU_SETTINGS,
    datarobot::DATAROBOT,
    aws::OWN_KEY,
    aws::OPERATOR,
];

/// The session of Alice's pods.
const ALICE: &str = "assumed-role/ds-tutorial/alice";

/// An origin: the tutorials of one product.
pub struct Section {
    /// The name of the origin.
    pub origin: &'static str,
    /// What its tutorials are about.
    pub about: &'static str,
    /// The programs that are run.
    pub samples: &'static [Sample],
    /// The tests that are no program of a user.
    pub held: &'static [Held],
    /// What a reader has to know, one sentence or two each.
    pub notes: &'static [&'static str],
}

/// A program, and what is right. A program of the folder `aws-cli-2` has version 2 of the AWS CLI,
/// and the others have version 1.
///
/// Arguments and words may have the names of things that only the run knows: `{bucket}`, `{other}`
/// (a bucket that the role does not allow), `{account}`, `{instance}` (a machine), `{cookie}` (of
/// a visitor, Bob) and `{mount}` (the folder of the Secret).
pub struct Sample {
    /// What is run.
    pub title: &'static str,
    /// The path of the program below `tests/samples`.
    pub file: &'static str,
    /// The arguments of the program.
    pub arguments: &'static [&'static str],
    /// The pod in which it runs.
    pub pod: Pod,
    /// What is right.
    pub right: Right,
    /// What the page says of the result.
    pub result: &'static str,
}

/// A test that plays a story of the origin.
pub struct Held {
    /// What is shown.
    pub title: &'static str,
    /// The path of the test.
    pub test: &'static str,
    /// What the page says of the result.
    pub result: &'static str,
}

/// The pods. All but [`Pod::Scoped`] and [`Pod::Admin`] are Alice's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pod {
    /// A pod that keyturn's webhook has injected.
    Injected,
    /// The same, with the delivery `Endpoint`.
    Endpoint,
    /// A login in the injected pod, with the home folder that keyturn mounts and none of the
    /// variables.
    Terminal,
    /// The pod of examples/single-user/04-pod.yaml, whose author mounts the Secret.
    ByHand,
    /// An injected pod whose session has `scope: Buckets`.
    Scoped,
    /// An injected pod of an administrator of DSS, whom `adminKeys` allows an API key.
    Admin,
}

impl Pod {
    /// Every pod, with what the page says of it.
    pub const ALL: [(Self, &'static str, &'static str); 6] = [
        (Self::Injected, "injected", "a pod that keyturn's webhook has injected"),
        (Self::Endpoint, "with an endpoint", "the same, with the delivery [`Endpoint`](pods.md#an-endpoint)"),
        (
            Self::Terminal,
            "a login",
            "a login in the injected pod, without the variables of the container, with [`inject.home`](pods.md#a-home-folder)",
        ),
        (
            Self::ByHand,
            "by hand",
            "the pod of [this example](../examples/single-user/04-pod.yaml), whose author mounts the Secret",
        ),
        (Self::Scoped, "scoped", "an injected pod; its AwsConfig has `session.scope: Buckets`"),
        (
            Self::Admin,
            "an administrator's",
            "an injected pod of an administrator of DSS, for whom the DssInstance sets `adminKeys`",
        ),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(pod, ..)| *pod == self).map_or("", |(_, name, _)| name)
    }
}

/// The end of a program, and the words in its output.
#[derive(Clone, Copy, Debug)]
pub enum Right {
    /// It succeeds and says all of this.
    Works(&'static [&'static str]),
    /// It fails and says all of this.
    Refused(&'static [&'static str]),
}

impl Right {
    /// Compares the end of a program. `known` fills in the names. An error is what is wrong.
    pub fn check(self, succeeded: bool, said: &str, known: impl Fn(&str) -> String) -> Result<(), String> {
        let (success, words) = match self {
            Self::Works(words) => (true, words),
            Self::Refused(words) => (false, words),
        };
        if succeeded != success {
            return Err(format!("it {}", if succeeded { "succeeded" } else { "failed" }));
        }
        let words = words.iter().map(|word| known(word));
        let missing: Vec<String> = words.filter(|word| !said.contains(word.as_str())).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("it did not say {missing:?}")) }
    }
}

/// docs/samples.md.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("| pod | what it is |\n| --- | --- |\n");
    for (_, name, what) in Pod::ALL {
        let _ = writeln!(page, "| {name} | {what} |");
    }
    for section in SECTIONS {
        let _ = write!(page, "\n## {}\n\n{}\n", section.origin, wrapped(section.about, ""));
        if !section.samples.is_empty() {
            page.push_str("| what is run | pod | result |\n| --- | --- | --- |\n");
        }
        for Sample { title, file, pod, result, .. } in section.samples {
            let _ = writeln!(page, "| [{title}](../tests/samples/{file}) | {} | {result} |", pod.name());
        }
        if !section.held.is_empty() {
            let gap = if section.samples.is_empty() { "" } else { "\n" };
            let _ = write!(page, "{gap}| what is shown | test | result |\n| --- | --- | --- |\n");
        }
        for Held { title, test, result } in section.held {
            let _ = writeln!(page, "| {title} | `{test}` | {result} |");
        }
        let gap = if section.notes.is_empty() { "" } else { "\n" };
        page.push_str(gap);
        for note in section.notes {
            page.push_str(&wrapped(&format!("* {note}"), "  "));
        }
    }
    page + DECLINED
}

/// Lines of at most 120 columns, all but the first one with this indent.
fn wrapped(text: &str, indent: &str) -> String {
    let (mut lines, mut line) = (String::new(), String::new());
    for word in text.split(' ') {
        if !line.trim().is_empty() && line.chars().count() + 1 + word.chars().count() > 120 {
            lines += &format!("{line}\n");
            line = format!("{indent}{word}");
        } else if line.is_empty() {
            word.clone_into(&mut line);
        } else {
            line += &format!(" {word}");
        }
    }
    lines + &line + "\n"
}

const HEAD: &str = "\
# Samples

<!-- `make samples-docs` writes this page from tests/worlds/samples. Change it there. -->

People come to keyturn from tutorials. This page lists what such tutorials do, by origin. A test (`real::samples`) runs
each line with the real client and with nothing but what keyturn gives a pod: the mounted Secret and the variables. The
operator and the webhook run with the rights of the chart. AWS and DSS are [stand-ins](testing.md) that check rights as the
real ones do. The programs are ours, and short: open one to see the calls.

";

/// The end of the page.
const DECLINED: &str = "
## What is declined

| what | why |
| --- | --- |
| the user and password of a JDBC connection | keyturn issues credentials of AWS, and such a password is none. In DSS it is the user's own setting, or comes with `get_info()` of the connection |
| an IAM key that keyturn creates | keyturn would need rights in IAM that can make any identity, and such a key never ends. A role's session ends by itself. A key that exists can be [delivered](behaviour.md#a-key-of-ones-own) |
| the settings of other users, from a pod | only administrators of DSS may change them, and the key in a pod is the person's. An administrator's key is delivered only where a cluster admin sets `adminKeys` |
| a credential for each visitor of a webapp | a pod has one identity. keyturn does not see the visitor ([webapps](dataiku.md#webapps)) |
";
