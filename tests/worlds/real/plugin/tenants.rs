//! A user who may not read grants: the answers come from keyturn itself.

use super::{Install, Plugin, WRITERS, operator_with_alice};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn a_tenant_asks_keyturn_about_a_role_and_leaves_nothing_behind() {
    let install = Install::scoped().await;
    let operator = operator_with_alice(&install).await;
    let plugin = Plugin::of(&install);
    let alice = |arguments: &[&str]| tokio::task::block_in_place(|| plugin.says(Some("alice"), &[WRITERS], arguments));

    let (granted, other) = (install.role("ds-other"), install.role("admin"));
    let rows: [(&str, &[&str], i32, &str); 4] = [
        (
            "a role that a grant names",
            &["can", "--person", "alice", "--role", &granted],
            0,
            "yes: keyturn says of AwsConfig",
        ),
        (
            "a role that none names",
            &["can", "--person", "alice", "--role", &other],
            1,
            "no AwsRoleGrant allows namespace",
        ),
        ("the roles of the namespace", &["roles", "--person", "alice"], 0, "You may not list AwsRoleGrants."),
        ("the verdict", &["why", "alice"], 0, "What you may read does not decide it."),
    ];
    for (row, arguments, code, part) in rows {
        let (ended, out, err) = alice(arguments);
        assert!(ended == Some(code) && out.contains(part), "{row}: {ended:?}\n{out}{err}");
    }
    let (ended, _, err) = alice(&["can", "--person", "bob", "--role", &granted]);
    assert!(ended == Some(1) && err.contains("has no AwsConfig of person \"bob\""), "{ended:?} {err}");
    let (ended, _, err) = alice(&["who-can", &granted]);
    assert!(ended == Some(1) && err.contains("a cluster admin can give you this right"), "{ended:?} {err}");
    let left = install.roles().list(&kube::api::ListParams::default()).await.unwrap().items;
    assert_eq!(left.len(), 1, "the question is deleted: {left:?}");
    operator.stop().await;
}
