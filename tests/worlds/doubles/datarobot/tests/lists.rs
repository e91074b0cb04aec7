//! Lists and their pages.

use serde_json::{Value, json};

use super::{Asking, datarobot};
use crate::doubles::datarobot::{Behaviour, DataRobot, Pages};

/// Names of credentials in a page.
fn names(page: &Value) -> Vec<&str> {
    page["data"].as_array().unwrap().iter().map(|credential| credential["name"].as_str().unwrap()).collect()
}

/// A DataRobot with credentials `a` to `e`, of which `b` is a password.
fn five() -> (DataRobot, Asking) {
    let (datarobot, svc) = datarobot();
    for name in ["a", "b", "c", "d", "e"] {
        let kind = if name == "b" { "basic" } else { "s3" };
        datarobot.add_credential("svc", name, kind, &[]);
    }
    (datarobot, svc)
}

#[tokio::test(start_paused = true)]
async fn a_list_has_pages_with_absolute_addresses() {
    let (datarobot, svc) = five();
    let whole = svc.get("/credentials/").await.json();
    assert_eq!((&whole["count"], &whole["totalCount"], &whole["next"]), (&json!(5), &json!(5), &json!(null)));
    datarobot.set_page(2);
    let mut url = "https://datarobot.example/api/v2/credentials/".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = svc.get(&url).await.json();
        assert_eq!(page["totalCount"], 5);
        seen.extend(names(&page).into_iter().map(str::to_owned));
        let Some(next) = page["next"].as_str() else {
            let previous = "https://datarobot.example/api/v2/credentials/?offset=2&limit=2";
            assert_eq!((&page["count"], &page["previous"]), (&json!(1), &json!(previous)));
            break;
        };
        assert!(next.starts_with("https://datarobot.example/api/v2/credentials/?"), "{next}");
        next.clone_into(&mut url);
    }
    assert_eq!(seen, ["a", "b", "c", "d", "e"]);
    assert_eq!(datarobot.count(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_caller_chooses_the_page_the_types_and_the_order() {
    let (_, svc) = five();
    let rows: [(&str, &[&str]); 5] = [
        ("offset=1&limit=2", &["b", "c"]),
        ("types=basic", &["b"]),
        ("types=basic&types=s3&limit=3", &["a", "b", "c"]),
        ("orderBy=-creationDate&limit=1", &["e"]),
        ("offset=9", &[]),
    ];
    for (query, expected) in rows {
        let page = svc.get(&format!("/credentials/?{query}")).await.json();
        assert_eq!(names(&page), expected, "{query}");
    }
    for query in ["limit=0", "limit=x", "offset=-1", "page=2"] {
        assert_eq!(svc.get(&format!("/credentials/?{query}")).await.status, 422, "{query}");
    }
    let next = svc.get("/credentials/?types=s3&limit=1").await.json()["next"].as_str().unwrap().to_owned();
    assert_eq!(names(&svc.get(&next).await.json()), ["c"], "the next page keeps the types");
}

#[tokio::test(start_paused = true)]
async fn a_list_can_mislead_its_reader() {
    let (datarobot, svc) = five();
    datarobot.once(Behaviour::MissingFromListing(vec!["c".to_owned()]));
    assert_eq!(names(&svc.get("/credentials/").await.json()), ["a", "b", "d", "e"]);
    datarobot.once(Behaviour::EmptyListing);
    assert_eq!(svc.get("/credentials/").await.json()["totalCount"], 0);
    datarobot.set_pages(Pages::At("https://elsewhere.test".to_owned()));
    let page = svc.get("/credentials/?limit=2").await.json();
    assert_eq!(page["next"], "https://elsewhere.test/api/v2/credentials/?offset=2&limit=2");
    datarobot.set_pages(Pages::Endless);
    let next = svc.get("/credentials/").await.json()["next"].as_str().unwrap().to_owned();
    assert_eq!(svc.get(&next).await.json()["next"], json!(next));
}
