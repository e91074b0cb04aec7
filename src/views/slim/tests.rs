use super::*;
use crate::api::{AwsRoleStatus, Reason, Statement, condition};
use jiff::Timestamp;
use proptest::{collection::btree_map, prelude::*};
use serde_json::{Value, from_value, json};

/// The metadata of an object with foreign labels, annotations and owners of a large size.
fn large() -> ObjectMeta {
    let entries = |count: usize, value: &str| -> BTreeMap<String, String> {
        (0..count).map(|at| (format!("corp.example/{at}"), value.to_owned())).collect()
    };
    let owner = |kind: &str, name: String, controller: bool| OwnerReference {
        api_version: "keyturn.dev/v1alpha1".to_owned(),
        kind: kind.to_owned(),
        name,
        uid: "u".to_owned(),
        controller: controller.then_some(true),
        block_owner_deletion: None,
    };
    let mut owners: Vec<_> = (0..4_000).map(|at| owner("ConfigMap", format!("foreign-{at}"), false)).collect();
    owners.extend((0..100).map(|at| owner("AwsConfig", format!("{at}-{}", "x".repeat(9_000)), false)));
    owners.push(owner("AwsConfig", "alice".to_owned(), true));
    ObjectMeta {
        name: Some("alice".to_owned()),
        namespace: Some("scoring".to_owned()),
        uid: Some("1".to_owned()),
        resource_version: Some("7".to_owned()),
        generation: Some(3),
        finalizers: Some(vec!["example.com/hold".to_owned(), "keyturn.dev/dss.design".to_owned()]),
        labels: Some(entries(4_000, &"x".repeat(63))),
        annotations: Some(entries(100, &"x".repeat(2_000))),
        owner_references: Some(owners),
        managed_fields: Some(vec![]),
        ..ObjectMeta::default()
    }
}

fn labelled(mut metadata: ObjectMeta, labels: &[(&str, &str)]) -> ObjectMeta {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    metadata.labels.get_or_insert_default().extend(labels);
    metadata
}

/// Labels, annotations and owners of what is kept, by key and name. Everything else has to be as it
/// was.
fn kept(metadata: &ObjectMeta) -> (Vec<&str>, Vec<&str>, Vec<usize>) {
    assert_eq!(
        (&metadata.name, &metadata.uid, &metadata.resource_version, metadata.generation, &metadata.finalizers),
        (&large().name, &large().uid, &large().resource_version, Some(3), &large().finalizers),
    );
    assert_eq!(metadata.managed_fields, None);
    let labels = metadata.labels.iter().flatten().map(|(key, _)| key.as_str()).collect();
    let annotations = metadata.annotations.iter().flatten().map(|(key, _)| key.as_str()).collect();
    (labels, annotations, metadata.owner_references.iter().flatten().map(|owner| owner.name.len()).collect())
}

/// The controller, and seven of the others with shortened names.
const OWNERS_KEPT: [usize; 8] = [5, 254, 254, 254, 254, 254, 254, 254];
const NONE: [&str; 0] = [];

#[test]
fn an_aws_config_keeps_its_confirmation_and_cuts_a_long_one() {
    for (case, text, kept) in [
        ("a time", "2026-01-01T00:00:00Z".to_owned(), "2026-01-01T00:00:00Z".to_owned()),
        ("a long text", "ä".repeat(4_000), "ä".repeat(TIME)),
    ] {
        let mut it = AwsConfig::new("alice", from_value(json!({"person": "alice"})).unwrap());
        it.metadata = large();
        it.metadata.annotations.get_or_insert_default().insert(names::CONFIRMED.to_owned(), text);
        config(&mut it);
        assert_eq!(it.metadata.annotations, Some([(names::CONFIRMED.to_owned(), kept)].into()), "{case}");
        assert_eq!(it.metadata.labels, None, "{case}");
    }
}

#[test]
fn an_aws_config_keeps_the_request_for_a_session_and_cuts_a_long_one() {
    let mut it = AwsConfig::new("alice", from_value(json!({"person": "alice"})).unwrap());
    it.metadata.annotations = Some([(names::RENEW.to_owned(), "ä".repeat(4_000))].into());
    let asked = it.renewal_request();
    config(&mut it);
    assert_eq!(it.metadata.annotations, Some([(names::RENEW.to_owned(), "ä".repeat(64))].into()));
    assert_eq!(it.renewal_request(), asked, "the cut changes no request");
}

#[test]
fn an_aws_config_keeps_neither_labels_nor_annotations() {
    let mut it = AwsConfig::new("alice", from_value(json!({"person": "alice"})).unwrap());
    it.metadata = large();
    config(&mut it);
    assert_eq!(kept(&it.metadata), (NONE.to_vec(), NONE.to_vec(), OWNERS_KEPT.to_vec()));
}

#[test]
fn an_aws_role_keeps_keyturns_own_labels() {
    let spec = json!({"awsConfigRef": {"name": "alice"}, "person": "alice", "role": "r"});
    let mut it = AwsRole::new("alice", from_value(spec).unwrap());
    let own = [(names::MANAGED_BY, "keyturn"), (names::AWS_CONFIG_LABEL, "alice"), (names::CREATED_FROM, "Config")];
    it.metadata = labelled(large(), &own);
    role(&mut it);
    assert_eq!(kept(&it.metadata), (own.map(|(key, _)| key).to_vec(), NONE.to_vec(), OWNERS_KEPT.to_vec()));
}

/// A condition with a message that names a role of 640 characters.
fn long(type_: ConditionType, end: &str) -> Condition {
    let message = format!("{}{end}", "r".repeat(640));
    condition(type_, false, &Statement::new(Reason::NotGranted, message), Some(1), Timestamp::UNIX_EPOCH)
}

#[test]
fn a_long_message_that_is_only_compared_becomes_a_digest_of_it() {
    let whole = [
        ConditionType::PodsMissed,
        ConditionType::RestartFailing,
        ConditionType::AwsRoleFailing,
        ConditionType::DssKeysFailing,
        ConditionType::ConfirmationDue,
        ConditionType::Verified,
        ConditionType::Pushed,
    ];
    for type_ in ConditionType::ALL {
        let shown = |end: &str| {
            let mut shown = [long(type_, end)];
            brief(&mut shown);
            let [shown] = shown;
            shown
        };
        if whole.contains(&type_) {
            assert_eq!(shown("a"), long(type_, "a"), "{type_:?} is read again");
        } else if ["Reachable", "Authorized"].contains(&type_.as_str()) {
            assert_eq!(shown("a"), long(type_, "a"), "{type_:?} is of a DssInstance");
        } else {
            assert!(shown("a").message.len() <= MESSAGE, "{type_:?}: {}", shown("a").message);
            assert_ne!(shown("a").message, shown("b").message, "{type_:?}");
        }
        let mut again = [shown("a")];
        brief(&mut again);
        assert_eq!(again, [shown("a")], "{type_:?} twice");
        let mut short = [condition(type_, true, &Statement::new(Reason::Issued, "m"), Some(1), Timestamp::UNIX_EPOCH)];
        brief(&mut short);
        assert_eq!(short[0].message, "m", "{type_:?}");
    }
}

#[test]
fn a_view_keeps_the_long_messages_of_a_config_and_a_role_as_digests() {
    let mut it = AwsConfig::new("alice", from_value(json!({"person": "alice"})).unwrap());
    let conditions =
        [ConditionType::Accepted, ConditionType::Issued, ConditionType::Ready].map(|type_| long(type_, ""));
    let profile = |name: &str, message: &str| json!({"name": name, "reason": "NotGranted", "message": message});
    let profiles = from_value(json!([profile("a", &"r".repeat(900)), profile("b", "short")])).unwrap();
    it.status = Some(AwsConfigStatus { conditions: conditions.to_vec(), profiles, ..AwsConfigStatus::default() });
    config(&mut it);
    let status = it.status.unwrap();
    let messages: Vec<&str> = status.profiles.iter().flatten().filter_map(|it| it.message.as_deref()).collect();
    assert!(messages.len() == 2 && messages[0].len() <= MESSAGE && messages[1] == "short", "{messages:?}");
    let kept = status.conditions;
    assert!(kept.len() == 3 && kept.iter().all(|condition| condition.message.len() <= MESSAGE), "{kept:?}");

    let spec = json!({"awsConfigRef": {"name": "alice"}, "person": "alice", "role": "r"});
    let mut it = AwsRole::new("alice", from_value(spec).unwrap());
    let conditions = vec![long(ConditionType::Usable, "")];
    it.status = Some(AwsRoleStatus { active: Some(true), conditions, observed_generation: None });
    role(&mut it);
    let kept = it.status.unwrap().conditions;
    assert!(kept.len() == 1 && kept[0].message.len() <= MESSAGE, "{kept:?}");
}

#[test]
fn grants_and_instances_keep_neither_labels_nor_annotations() {
    let mut it = AwsRoleGrant::new("a", from_value(json!({})).unwrap());
    it.metadata = large();
    grant(&mut it);
    assert_eq!(kept(&it.metadata), (NONE.to_vec(), NONE.to_vec(), OWNERS_KEPT.to_vec()));
    let spec = json!({"url": "https://dss", "apiKeySecretRef": {"namespace": "k", "name": "a"}, "allow": []});
    let mut it = DssInstance::new("a", from_value(spec).unwrap());
    it.metadata = large();
    instance(&mut it);
    assert_eq!(kept(&it.metadata), (NONE.to_vec(), NONE.to_vec(), OWNERS_KEPT.to_vec()));
}

#[test]
fn a_namespace_keeps_its_labels() {
    let mut it = PartialObjectMeta { metadata: large(), ..PartialObjectMeta::default() };
    namespace(&mut it);
    assert_eq!((it.metadata.labels, it.metadata.annotations), (large().labels, None));
}

#[test]
fn an_offered_secret_keeps_the_label_that_offers_it() {
    let offered = labelled(large(), &[(names::SOURCE, "true"), (names::AWS_CONFIG_LABEL, "alice")]);
    let mut it = PartialObjectMeta { metadata: offered, ..PartialObjectMeta::default() };
    source(&mut it);
    assert_eq!(kept(&it.metadata), (vec![names::SOURCE], NONE.to_vec(), OWNERS_KEPT.to_vec()));
}

fn secret_of(labels: &Value, annotations: &Value) -> ObjectMeta {
    let metadata = json!({"labels": labels, "annotations": annotations});
    let mut it = PartialObjectMeta { metadata: from_value(metadata).unwrap(), ..PartialObjectMeta::default() };
    secret(&mut it);
    it.metadata
}

#[test]
fn a_secret_keeps_what_a_target_may_ask_for() {
    let (own, asked, long) = ("x".repeat(OWN_VALUE), "x".repeat(ASKED_VALUE), "x".repeat(ASKED_VALUE + 1));
    let labels = json!({names::AWS_CONFIG_LABEL: "alice", "team": "ds", "keyturn.dev/x": "y", "kubernetes.io/x": "y"});
    let annotations = json!({names::ROLE: own, names::PERSON: format!("{own}x"), "note": asked, "umlauts": "ä".repeat(1024),
        "kubectl.kubernetes.io/last-applied-configuration": long, "keyturn.dev/x": "y", ABRIDGED: ""});
    let kept = secret_of(&labels, &annotations);
    assert_eq!(kept.labels.unwrap().into_keys().collect::<Vec<_>>(), [names::AWS_CONFIG_LABEL, "team"]);
    assert_eq!(kept.annotations.unwrap().into_keys().collect::<Vec<_>>(), [names::ROLE, "note", "umlauts"]);
}

#[test]
fn a_secret_with_much_foreign_metadata_says_that_it_lacks_it() {
    let mut it =
        PartialObjectMeta { metadata: labelled(large(), &[("keyturn.dev/aws-config", "alice")]), ..<_>::default() };
    it.metadata.annotations.get_or_insert_default().insert(names::PERSON.to_owned(), "alice".to_owned());
    secret(&mut it);
    let wanted = (vec![names::AWS_CONFIG_LABEL], vec![ABRIDGED, names::PERSON], OWNERS_KEPT.to_vec());
    assert_eq!(kept(&it.metadata), wanted);
    assert!(is_abridged(&it.metadata));
}

/// Entries with keys and values of any length around the bounds, reserved and not.
fn entries() -> impl Strategy<Value = BTreeMap<String, String>> {
    let key =
        prop_oneof!["[a-c]", "kubernetes.io/[ab]", "keyturn.dev/[ab]", "(keyturn.dev/aws-config|keyturn.dev/role)"];
    let length = prop_oneof![0_usize..3, 62_usize..66, 1_022_usize..1_028, 4_094_usize..4_100];
    btree_map(key, ("[xä]", length).prop_map(|(letter, length)| letter.repeat(length)), 0..12)
}

proptest! {
    /// What `spec.target` may ask for is there after the slimming exactly if it was there before.
    #[test]
    fn a_slimmed_secret_has_drifted_exactly_if_the_secret_has(present in entries(), more in entries(), wanted in entries()) {
        let metadata = ObjectMeta { labels: Some(present), annotations: Some(more), ..ObjectMeta::default() };
        let mut it = PartialObjectMeta { metadata: metadata.clone(), ..PartialObjectMeta::default() };
        secret(&mut it);
        let slimmed = it.metadata;
        let may_ask = |key: &str| !is_reserved(key, &[]);
        for (key, value) in wanted.iter().filter(|(key, _)| may_ask(key)) {
            let holds = |map: &Option<BTreeMap<String, String>>| map.as_ref().and_then(|map| map.get(key)) == Some(value);
            if value.chars().count() <= LABEL_VALUE {
                prop_assert!(is_abridged(&slimmed) || holds(&slimmed.labels) == holds(&metadata.labels), "label {key}");
            }
            if value.chars().count() <= ASKED_VALUE {
                let same = holds(&slimmed.annotations) == holds(&metadata.annotations);
                prop_assert!(is_abridged(&slimmed) || same, "annotation {key}");
            }
        }
    }
}

#[test]
fn the_webhook_keeps_of_a_config_what_it_reads() {
    let spec = json!({"person": "alice", "inject": {"podSelector": {"matchLabels": {"app": "scorer"}}}});
    let mut config = AwsConfig::new("alice", from_value(spec).unwrap());
    config.metadata = large();
    let condition = |type_: &str| json!({"type": type_, "status": "True", "reason": "Issued", "message": "m".repeat(900), "lastTransitionTime": "2026-11-22T15:04:05Z"});
    let conditions = [condition("Accepted"), condition("Ready")];
    config.status = Some(from_value(json!({"conditions": conditions, "target": {"name": "alice-aws"}})).unwrap());
    let whole = config.clone();
    config_of_pods(&mut config);
    assert_eq!(config.spec, whole.spec);
    let status = config.status.unwrap();
    let [ready] = &status.conditions[..] else { panic!("{status:?}") };
    assert_eq!((ready.type_.as_str(), ready.reason.as_str(), ready.message.as_str()), ("Ready", "Issued", ""));
    assert_eq!(status.target, None);
    let ObjectMeta { name, namespace, uid, resource_version, generation, .. } = large();
    let kept = ObjectMeta { name, namespace, uid, resource_version, generation, ..ObjectMeta::default() };
    assert_eq!(config.metadata, kept);
}

/// Shows an object in a view that packs it, and compares what the view then returns with the object
/// that the view was to keep.
fn comes_back<K: crate::cluster::Object>(text: &str, slim: fn(&mut K)) {
    let mut object: K = serde_json::from_str(text).unwrap();
    let watched = crate::cluster::Watched::new("objects", crate::cluster::Kept::Packed, |_| vec![], slim);
    watched.show([object.clone()]);
    slim(&mut object);
    let meta = object.meta().clone();
    let found = watched.get(&meta.namespace.unwrap_or_default(), &meta.name.unwrap_or_default());
    assert_eq!(format!("{:?}", found.unwrap()), format!("{object:?}"));
}

#[test]
fn an_object_comes_back_from_a_view_as_it_was_kept() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/worlds/gitops");
    let mut kinds = BTreeMap::<String, usize>::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let kind = serde_json::from_str::<Value>(&text).unwrap()["kind"].as_str().unwrap().to_owned();
        match kind.as_str() {
            "AwsConfig" => {
                comes_back::<AwsConfig>(&text, config);
                comes_back::<AwsConfig>(&text, config_of_pods);
            }
            "AwsRole" => comes_back::<AwsRole>(&text, role),
            "Secret" => comes_back::<PartialObjectMeta<Secret>>(&text, secret),
            _ => {}
        }
        *kinds.entry(kind).or_default() += 1;
    }
    assert!(kinds["AwsConfig"] > 3 && kinds["AwsRole"] > 1, "{kinds:?}");
    let empty = json!({"metadata": {"name": "a", "namespace": "n", "labels": {}, "annotations": {}}});
    comes_back::<PartialObjectMeta<Secret>>(&empty.to_string(), secret);
}
