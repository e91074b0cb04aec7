//! The API server's own figures about the webhooks that it calls: the number of calls, and how long
//! the admissions took by its clock. An admission lasts from the making of the request until the
//! patch is applied.

use crate::{Result, numbers::mean};
use http::Request;
use kube::Client;
use std::time::Duration;

/// `apiserver_admission_webhook_admission_duration_seconds`, a histogram.
const ADMISSION: &str = "apiserver_admission_webhook_admission_duration_seconds";

/// The reviews that the API server sent to one webhook.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reviews {
    /// The number of reviews.
    pub count: usize,
    /// How long all of them took together.
    pub took: Duration,
}

impl Reviews {
    /// The reviews of each of these webhooks since the API server started.
    pub async fn of<const WEBHOOKS: usize>(client: &Client, webhooks: [&str; WEBHOOKS]) -> Result<[Self; WEBHOOKS]> {
        let metrics = client.request_text(Request::get("/metrics").body(vec![])?).await?;
        let mut all = [Self::default(); WEBHOOKS];
        for (reviews, webhook) in all.iter_mut().zip(webhooks) {
            *reviews = Self::parse(&metrics, webhook)?;
        }
        Ok(all)
    }

    /// Adds up the lines about this webhook, one for each operation.
    fn parse(metrics: &str, webhook: &str) -> Result<Self> {
        let values = |kind: &str| {
            let (start, name) = (format!("{ADMISSION}_{kind}{{"), format!("name=\"{webhook}\""));
            let of_webhook = metrics.lines().filter(move |line| line.starts_with(&start) && line.contains(&name));
            of_webhook.filter_map(|line| line.rsplit_once(' ')).map(|(_, value)| value)
        };
        let mut all = Self::default();
        for count in values("count") {
            all.count += count.parse::<usize>()?;
        }
        for seconds in values("sum") {
            all.took += Duration::try_from_secs_f64(seconds.parse()?)?;
        }
        Ok(all)
    }

    /// The reviews of each webhook after `before`.
    pub fn since<const WEBHOOKS: usize>(all: [Self; WEBHOOKS], before: [Self; WEBHOOKS]) -> [Self; WEBHOOKS] {
        std::array::from_fn(|webhook| Self {
            count: all[webhook].count - before[webhook].count,
            took: all[webhook].took.saturating_sub(before[webhook].took),
        })
    }

    /// How long one review took on average.
    pub fn mean(self) -> Duration {
        mean(self.took, self.count)
    }
}
