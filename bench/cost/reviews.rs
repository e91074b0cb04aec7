//! What the API server says of the webhooks that it asked: how often, and how long each admission took by its own clock,
//! from the making of the request until the patch was applied.

use crate::{Result, report::mean};
use http::Request;
use kube::Client;
use std::time::Duration;

/// `apiserver_admission_webhook_admission_duration_seconds`, a histogram.
const ADMISSION: &str = "apiserver_admission_webhook_admission_duration_seconds";

/// The reviews that one webhook was sent.
#[derive(Clone, Copy, Debug)]
pub struct Reviews {
    /// How many there were.
    pub count: usize,
    /// How long all of them took together.
    pub took: Duration,
}

impl Reviews {
    /// Those since the API server started.
    pub async fn of(client: &Client, webhook: &str) -> Result<Self> {
        let metrics = client.request_text(Request::get("/metrics").body(vec![])?).await?;
        let values = |kind: &str| {
            let (start, name) = (format!("{ADMISSION}_{kind}{{"), format!("name=\"{webhook}\""));
            let of_webhook = metrics.lines().filter(move |line| line.starts_with(&start) && line.contains(&name));
            of_webhook.filter_map(|line| line.rsplit_once(' ')).map(|(_, value)| value.to_owned()).collect::<Vec<_>>()
        };
        let mut all = Self { count: 0, took: Duration::ZERO };
        for count in values("count") {
            all.count += count.parse::<usize>()?;
        }
        for seconds in values("sum") {
            all.took += Duration::try_from_secs_f64(seconds.parse()?)?;
        }
        Ok(all)
    }

    /// Those after `before`.
    pub fn since(self, before: Self) -> Self {
        Self { count: self.count - before.count, took: self.took.saturating_sub(before.took) }
    }

    /// How long one took.
    pub fn mean(self) -> Duration {
        mean(self.took, self.count)
    }
}
