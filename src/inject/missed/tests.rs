use super::*;
use serde_json::{from_value, json};

fn config(name: &str, selects: Option<&str>) -> Arc<AwsConfig> {
    let mut spec = json!({"person": name});
    if let Some(app) = selects {
        spec["inject"] = json!({"podSelector": {"matchLabels": {"app": app}}});
    }
    Arc::new(AwsConfig::new(name, from_value(spec).unwrap()))
}

fn named(name: &str, config: &str) -> ObjectMeta {
    from_value(json!({"name": name, "annotations": {"keyturn.dev/aws-config": config}})).unwrap()
}

fn labelled(name: &str, app: &str) -> ObjectMeta {
    from_value(json!({"name": name, "labels": {"app": app}})).unwrap()
}

fn count(configs: &[Arc<AwsConfig>], pods: &[ObjectMeta]) -> Vec<(String, usize, Vec<String>)> {
    let mut count = Count::among(configs);
    for pod in pods {
        count.saw(pod);
    }
    let missed = count.missed().into_iter();
    missed.map(|(config, missed)| (config, missed.unseen.count, missed.unseen.names.into_iter().collect())).collect()
}

#[test]
fn an_unmarked_pod_that_asks_counts_for_the_config_that_would_be_chosen() {
    let configs = [created("alice", "scorer", 1), created("bob", "scorer", 2)];
    let both = ObjectMeta { labels: labelled("", "scorer").labels, ..named("c", "bob") };
    let seen = count(&configs, &[labelled("a", "scorer"), named("b", "bob"), both, labelled("d", "web")]);
    let expected = [("alice", vec!["a"]), ("bob", vec!["b", "c"])];
    assert_eq!(
        seen,
        expected.map(|(name, pods)| { (name.to_owned(), pods.len(), pods.into_iter().map(str::to_owned).collect()) })
    );
}

#[test]
fn pods_that_do_not_count_as_missed() {
    let with_annotation = |key: &str, value: &str| {
        let mut pod = named("p", "alice");
        pod.annotations.as_mut().unwrap().insert(key.to_owned(), value.to_owned());
        pod
    };
    let mut kept_out = named("p", "alice");
    kept_out.labels = Some([("keyturn.dev/inject".to_owned(), "false".to_owned())].into());
    let deleted = json!({"name": "p", "deletionTimestamp": "2026-11-22T00:00:00Z", "labels": {"app": "scorer"}});
    let configs = [config("alice", Some("scorer"))];
    for (case, pod) in [
        ("names a config that does not exist", named("p", "carol")),
        ("names no valid config", named("p", "no name")),
        ("does not ask", labelled("p", "web")),
        ("is marked", with_annotation("keyturn.dev/injected", "alice")),
        ("mirrors a static pod", with_annotation("kubernetes.io/config.mirror", "x")),
        ("is kept out by its label", kept_out),
        ("is being deleted", from_value(deleted).unwrap()),
    ] {
        assert_eq!(count(&configs, &[pod]), [("alice".to_owned(), 0, vec![])], "a pod that {case}");
    }
}

#[test]
fn missed_pods_are_counted_and_the_first_five_by_name_are_kept() {
    let pods: Vec<ObjectMeta> = (0..40).map(|n| named(&format!("p-{:02}", n * 7 % 40), "alice")).collect();
    let first = (0..5).map(|n| format!("p-{n:02}")).collect();
    assert_eq!(count(&[config("alice", None)], &pods), [("alice".to_owned(), 40, first)]);
}

#[test]
fn namespaces_that_the_webhook_is_not_asked_about_are_left_out() {
    let off = BTreeMap::from([("keyturn.dev/inject".to_owned(), "false".to_owned())]);
    let on = BTreeMap::from([("keyturn.dev/inject".to_owned(), "true".to_owned())]);
    assert!(is_sent_to_the_webhook("scoring", &on, "keyturn-system"));
    assert!(!is_sent_to_the_webhook("scoring", &off, "keyturn-system"));
    assert!(!is_sent_to_the_webhook("keyturn-system", &on, "keyturn-system"));
    assert!(!is_sent_to_the_webhook("kube-system", &on, "keyturn-system"));
}

#[test]
fn the_chart_asks_the_webhook_about_the_same_namespaces() {
    let chart = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/charts/keyturn/templates/_webhook.tpl"));
    let left_out = chart.lines().find_map(|line| line.trim().strip_prefix("values: [kube-")).expect("a list");
    let left_out = format!("kube-{}", left_out.trim_end_matches(']'));
    let of_the_chart: BTreeSet<&str> = left_out.split(", ").collect();
    let ours: BTreeSet<&str> = NEVER.into_iter().chain(["{{ .root.Release.Namespace }}"]).collect();
    assert_eq!(of_the_chart, ours);
}

#[test]
fn a_pod_with_a_container_that_cannot_have_the_secret_is_missed() {
    for (case, marks, missed) in [
        ("none has it", json!({"keyturn.dev/aws-config": "alice", "keyturn.dev/not-injected": "app"}), 1),
        ("one has it not", json!({"keyturn.dev/injected": "alice", "keyturn.dev/not-injected": "side"}), 1),
        ("all have it", json!({"keyturn.dev/injected": "alice", "keyturn.dev/not-injected": ""}), 0),
    ] {
        let configs = [config("alice", None)];
        let mut count = Count::among(&configs);
        count.saw(&from_value(json!({"name": "p", "annotations": marks})).unwrap());
        let found = count.missed().remove("alice").unwrap();
        assert_eq!((found.count(), found.closed.count), (missed, missed), "{case}");
        let said = found.statement().map(|statement| statement.message);
        assert_eq!(said.is_some(), missed == 1, "{case}");
        assert!(said.is_none_or(|said| said.contains("1 pod has containers") && said.contains("\"p\"")), "{case}");
    }
}

#[test]
fn a_pod_that_came_before_its_config_and_guessed_is_missed() {
    let mut renamed = AwsConfig::clone(&config("carol", None));
    renamed.spec.target = from_value(json!({"name": "custom"})).unwrap();
    for (case, configs, marks, elsewhere, orphans) in [
        (
            "another target",
            vec![Arc::new(renamed.clone())],
            json!({"keyturn.dev/injected-secret": "carol-aws"}),
            1,
            false,
        ),
        ("the same target", vec![config("carol", None)], json!({"keyturn.dev/injected-secret": "carol-aws"}), 0, false),
        ("an earlier release", vec![Arc::new(renamed)], json!({}), 0, false),
        ("no config", vec![config("alice", None)], json!({"keyturn.dev/injected-secret": "carol-aws"}), 0, true),
    ] {
        let mut count = Count::among(&configs);
        let mut pod: ObjectMeta = from_value(json!({"name": "early", "annotations": marks})).unwrap();
        let annotations = pod.annotations.as_mut().unwrap();
        for name in ["keyturn.dev/aws-config", "keyturn.dev/injected"] {
            annotations.insert(name.to_owned(), "carol".to_owned());
        }
        count.saw(&pod);
        let said = count.orphans();
        assert_eq!(said.is_some(), orphans, "{case}");
        assert!(said.is_none_or(|said| said == "1 pod asks for an AwsConfig that does not exist: \"early\""), "{case}");
        let missed = count.missed().remove("carol").unwrap_or_default();
        assert_eq!((missed.count(), missed.elsewhere.count), (elsewhere, elsewhere), "{case}");
        let message = missed.statement().map(|statement| statement.message).unwrap_or_default();
        assert_eq!(message.contains("another Secret than that of this AwsConfig: \"early\""), elsewhere == 1, "{case}");
    }
}

/// A config that selects these pods, created in this second.
fn created(name: &str, app: &str, second: u32) -> Arc<AwsConfig> {
    let mut config = AwsConfig::clone(&config(name, Some(app)));
    config.metadata.creation_timestamp = Some(from_value(json!(format!("2026-11-22T00:00:{second:02}Z"))).unwrap());
    Arc::new(config)
}

#[test]
fn pods_of_two_selectors_are_said_on_the_config_that_has_them_not() {
    let old = || created("zoe", "scorer", 1);
    let young = || created("alice", "scorer", 2);
    let mark =
        |config: &str| json!({"keyturn.dev/injected": config, "keyturn.dev/injected-secret": format!("{config}-aws")});
    for (case, configs, marks, told) in [
        ("the older one has it", vec![young(), old()], mark("zoe"), &[("alice", "zoe")][..]),
        ("the name decided when it was created", vec![young(), old()], mark("alice"), &[("zoe", "alice")][..]),
        ("the other selector has gone", vec![young(), created("zoe", "web", 1)], mark("zoe"), &[][..]),
        ("the other config has gone", vec![young()], mark("zoe"), &[][..]),
        ("the pod names one", vec![young(), old()], json!({"keyturn.dev/aws-config": "zoe"}), &[][..]),
    ] {
        let mut count = Count::among(&configs);
        count.saw(&from_value(json!({"name": "p", "labels": {"app": "scorer"}, "annotations": marks})).unwrap());
        let missed = count.missed();
        let said = |name: &str| {
            missed.get(name).and_then(Missed::statement).filter(|it| it.reason == Reason::SelectorOverlaps)
        };
        for name in ["alice", "zoe"] {
            let other = told.iter().find(|(on, _)| *on == name).map(|(_, other)| *other);
            let said = said(name).map(|statement| statement.message);
            assert_eq!(said.is_some(), other.is_some(), "{case}: {name}: {said:?}");
            let starts = |said: String, other: &str| {
                said.starts_with(&format!(
                    "1 pod that podSelector matches has the Secret of AwsConfig \"{other}\", whose"
                ))
            };
            assert!(said.zip(other).is_none_or(|(said, other)| starts(said, other)), "{case}");
        }
        assert!(
            missed.values().all(|missed| missed.taken.count == 0 || missed.count() == 0),
            "{case}: it is counted once"
        );
    }
}

#[test]
fn the_statement_says_how_many_which_and_what_to_do() {
    let pods =
        |count: usize, names: &[&str]| Pods { count, names: names.iter().map(|&name| name.to_owned()).collect() };
    let unseen = |count, names| Missed { unseen: pods(count, names), ..Missed::default() }.statement();
    let one = unseen(1, &["a"]).unwrap().message;
    assert!(one.starts_with("1 pod asks for the Secret and has not got it: \"a\". Either"), "{one}");
    assert!(one.ends_with("Delete it, or roll its workload: kubectl rollout restart deployment/NAME"), "{one}");
    let many = unseen(9, &["b", "a"]).unwrap().message;
    assert!(many.starts_with("9 pods ask for the Secret and have not got it: \"a\", \"b\" and 7 more. "), "{many}");
    let both = Missed { closed: pods(2, &["c", "d"]), unseen: pods(1, &["a"]), ..Missed::default() }
        .statement()
        .unwrap()
        .message;
    assert!(
        both.contains("deployment/NAME. 2 pods have containers that cannot have the Secret: \"c\", \"d\". "),
        "{both}"
    );
    assert_eq!(unseen(0, &[]), None);
}
