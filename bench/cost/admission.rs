//! The cost of the webhook in the creation of a pod, compared with a webhook that does nothing and
//! with no webhook.
//!
//! Each of the three has a namespace. The bench creates the same pod in all of them, a few at a
//! time in each, because any other work of the machine then slows down all three. The bench checks
//! each pod that comes back: it has the Secret, or has none. The API server counts the reviews, and
//! the bench compares their number with the number of pods, because the API server creates a pod
//! without the webhook if the webhook does not answer.

use crate::{
    Bench, Result, answers,
    cell::Cell,
    nothing::{AT_MOST, MARKED, Nothing},
    numbers::{each, fine_milliseconds, mean, per_second, percentile},
    operator::Operator,
    pods::{Place, pod},
    report::{Report, progress},
    reviews::Reviews,
    stage::{self, CROWD, KEYTURN, KEYTURN_WEBHOOK, MARKING, MARKING_WEBHOOK, NAMED, NOBODY, NOTHING, NOTHING_WEBHOOK},
};
use kube::{Client, ResourceExt as _};
use std::{collections::BTreeMap, time::Duration};

/// The webhooks that a [`Comparison`] compares.
const COMPARED: [&str; 2] = [KEYTURN_WEBHOOK, NOTHING_WEBHOOK];
/// How many pods a turn creates in each namespace, one after the other.
const TURN: usize = 10;
/// How many requests are in flight at once.
const IN_FLIGHT: usize = 200;
/// How many pods a turn creates in each namespace with [`IN_FLIGHT`] in flight.
const CROWDED_TURN: usize = 2 * IN_FLIGHT;

/// One pod in three namespaces: the API server asks keyturn, the webhook that does nothing, or
/// nobody.
struct Comparison<'a> {
    client: &'a Client,
    webhook: &'a Operator,
    nothing: &'a Nothing,
    places: [Place; 3],
}

/// What the two webhooks have done so far, or did between two readings.
struct Work {
    /// Their reviews, timed by the API server's clock.
    reviews: [Reviews; 2],
    /// The CPU time of the two processes.
    cpu: [Duration; 2],
    /// How long keyturn worked on reviews, by its own clock.
    own: Duration,
}

/// Measures pods that get a Secret, and pods that get none in a namespace with many selectors.
pub async fn admission(bench: &mut Bench) -> Result {
    progress("pods");
    let client = bench.ground.client.clone();
    let mut webhook = bench.launcher.start_webhook().await?;
    webhook.ready().await?;
    let nothing = Nothing::start().await?;
    stage::set(&client, bench.launcher.webhook, &nothing.at).await?;
    let cases = [
        ("injected pod", KEYTURN, stage::asking(), Some(format!("{NAMED}-aws"))),
        ("other pod", CROWD, BTreeMap::new(), None),
    ];
    for (what, namespace, annotations, secret) in cases {
        let pod = pod(annotations)?;
        let place = |namespace, secret| Place::new(client.clone(), namespace, pod.clone(), secret);
        let places = [place(namespace, secret.as_deref()), place(NOTHING, None), place(NOBODY, None)];
        let comparison = Comparison { client: &client, webhook: &webhook, nothing: &nothing, places };
        // The future is large.
        Box::pin(comparison.run(what, bench.options.pods, &mut bench.report)).await?;
    }
    smallest_patch(&client, bench.options.pods, &mut bench.report).await?;
    bench.report.row("the webhook: memory", Cell::Bytes(webhook.memory()?.resident), "–", None, "–");
    webhook.stop().await
}

/// Measures how long the API server takes for any patch at all. A webhook that reads nothing and
/// adds one annotation is compared with the webhook that does nothing.
async fn smallest_patch(client: &Client, count: usize, report: &mut Report) -> Result {
    let pod = pod(stage::asking())?;
    let mut places = [MARKING, NOTHING].map(|namespace| Place::new(client.clone(), namespace, pod.clone(), None));
    stage::until_served(client, &places).await?;
    if !places[0].created().await?.annotations().contains_key(MARKED) {
        return Err("the webhook that adds an annotation does not add it".into());
    }
    let webhooks = [MARKING_WEBHOOK, NOTHING_WEBHOOK];
    warm_up(&mut places, count).await?;
    let before = Reviews::of(client, webhooks).await?;
    one_by_one(&mut places, count).await?;
    let after = Reviews::of(client, webhooks).await?;
    let [marking, nothing] = Reviews::since(after, before).map(Reviews::mean);
    report.note(format!(
        "a webhook that adds one annotation: admission, mean {}, {:.2} times that by one that does nothing",
        fine_milliseconds(marking),
        marking.div_duration_f64(nothing)
    ));
    Ok(())
}

impl Comparison<'_> {
    async fn run(mut self, what: &str, count: usize, report: &mut Report) -> Result {
        stage::until_served(self.client, &self.places).await?;
        let [asked, _, nowhere] = &self.places;
        answers::compare(self.client, what, [asked, nowhere], count, IN_FLIGHT, report).await?;
        warm_up(&mut self.places, count).await?;
        let before = self.work().await?;
        one_by_one(&mut self.places, count).await?;
        let between = self.work().await?;
        for turn in 0..count.div_ceil(CROWDED_TURN) {
            for place in in_turn(&mut self.places, turn) {
                place.at_once(CROWDED_TURN, IN_FLIGHT).await?;
            }
        }
        let after = self.work().await?;

        let (alone, crowded) = (between.since(&before), after.since(&between));
        self.promise(what, [&alone, &crowded], report);
        self.report_alone(what, &alone, report);
        self.report_crowded(what, &crowded, report);
        let [keyturn, _, nobody] = &mut self.places;
        report.note(format!(
            "{what}, no webhook: p50 {}, p99 {}, {:.0}/s; keyturn itself works on a review for {:.2} ms, {:.2} ms \
             with {IN_FLIGHT} in flight",
            fine_milliseconds(percentile(&mut nobody.alone, 50)),
            fine_milliseconds(percentile(&mut nobody.alone, 99)),
            per_second(nobody.crowded, nobody.crowded_took),
            each(keyturn.alone.len(), alone.own),
            each(keyturn.crowded, crowded.own),
        ));
        Ok(())
    }

    /// What the two webhooks have done so far.
    async fn work(&self) -> Result<Work> {
        Ok(Work {
            reviews: Reviews::of(self.client, COMPARED).await?,
            cpu: [self.webhook.cpu()?, self.nothing.cpu()?],
            own: self.webhook.reviewing().await?,
        })
    }

    fn promise(&self, what: &str, [alone, crowded]: [&Work; 2], report: &mut Report) {
        let [keyturn, nothing, nobody] = &self.places;
        report.promise(
            &format!("{what}: came back otherwise than it should"),
            0,
            keyturn.wrong + nothing.wrong + nobody.wrong,
        );
        for (webhook, place) in [keyturn, nothing].into_iter().enumerate() {
            let asked = alone.reviews[webhook].count + crowded.reviews[webhook].count;
            let name = COMPARED[webhook];
            report.promise(&format!("{what}: reviews by {name}"), place.alone.len() + place.crowded, asked);
        }
    }

    fn report_alone(&mut self, what: &str, alone: &Work, report: &mut Report) {
        let [keyturn, nothing, _] = &mut self.places;
        report.median_and_p99(&format!("{what}: created"), [&mut keyturn.alone, &mut nothing.alone], AT_MOST);
        report.times_row(&format!("{what}: admission, mean"), alone.reviews.map(Reviews::mean));
    }

    /// The mean of the creations stands for the time of all of them, because the number of pods in
    /// flight is the same in each namespace.
    fn report_crowded(&self, what: &str, crowded: &Work, report: &mut Report) {
        let [keyturn, nothing, _] = &self.places;
        let created = [keyturn, nothing].map(|place| mean(place.crowded_took, place.crowded));
        report.promised_row(&format!("{what}: created, each of {IN_FLIGHT} at once"), created, AT_MOST);
        let means = crowded.reviews.map(Reviews::mean);
        report.times_row(&format!("{what}: admission, mean of {IN_FLIGHT} at once"), means);
        let cpu = [0, 1].map(|webhook| mean(crowded.cpu[webhook], crowded.reviews[webhook].count));
        report.times_row(&format!("{what}: CPU of the webhook for each"), cpu);
    }
}

impl Work {
    /// The work after `before`.
    fn since(&self, before: &Self) -> Self {
        Self {
            reviews: Reviews::since(self.reviews, before.reviews),
            cpu: [0, 1].map(|webhook| self.cpu[webhook].saturating_sub(before.cpu[webhook])),
            own: self.own.saturating_sub(before.own),
        }
    }
}

/// Creates a tenth of `count` in each place, and forgets their times.
async fn warm_up(places: &mut [Place], count: usize) -> Result {
    one_by_one(places, count.div_ceil(10)).await?;
    for place in places {
        place.alone.clear();
    }
    Ok(())
}

/// Creates at least `count` in each place, one after the other, in turns.
async fn one_by_one(places: &mut [Place], count: usize) -> Result {
    for turn in 0..count.div_ceil(TURN) {
        for place in in_turn(places, turn) {
            place.one_by_one(TURN).await?;
        }
    }
    Ok(())
}

/// The places, of which another one is the first in each turn.
fn in_turn(places: &mut [Place], turn: usize) -> impl Iterator<Item = &mut Place> {
    let (last, first) = places.split_at_mut(turn % places.len());
    first.iter_mut().chain(last)
}
