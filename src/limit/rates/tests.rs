//! The rates, second by second.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn rates(namespace: (u32, u32), all: (u32, u32)) -> (Rates, Instant) {
    let rate = |(per_second, burst)| Rate { per_second, burst };
    let now = Instant::now();
    (Rates::new(RateLimits { namespace: rate(namespace), all: rate(all) }, now), now)
}

/// The number of requests that a namespace gets at this moment if it asks for all it can get.
fn all_it_gets(rates: &mut Rates, namespace: &str, now: Instant) -> usize {
    std::iter::from_fn(|| rates.take(namespace, 1, now).ok()).count()
}

#[test]
fn a_namespace_gets_its_burst_and_then_its_rate() {
    let (mut rates, start) = rates((10, 50), (1000, 10_000));
    let got = |rates: &mut Rates, seconds: u32| all_it_gets(rates, "a", start + SECOND * seconds);
    assert_eq!([0, 1, 2, 3].map(|seconds| got(&mut rates, seconds)), [50, 10, 10, 10]);
    assert_eq!(got(&mut rates, 60), 50, "a quiet minute fills it again, and no more than that");
}

#[test]
fn one_namespace_takes_nothing_from_the_rate_of_another() {
    let (mut rates, now) = rates((10, 50), (1000, 10_000));
    assert_eq!(all_it_gets(&mut rates, "a", now), 50);
    assert_eq!(all_it_gets(&mut rates, "b", now), 50);
}

#[test]
fn all_namespaces_together_get_the_rate_of_all() {
    let (mut rates, start) = rates((100, 1000), (20, 40));
    let mut total = 0;
    for tenth in 0..600_u32 {
        let now = start + SECOND / 10 * tenth;
        total += (0..10).map(|n| all_it_gets(&mut rates, &format!("n{n}"), now)).sum::<usize>();
    }
    assert!((1180..=40 + 20 * 60).contains(&total), "{total} in a minute");
}

#[test]
fn a_refused_request_has_its_turn_when_it_was_told() {
    for (row, namespace, all, used_up) in
        [("a namespace", (10, 20), (1000, 1000), UsedUp::Namespace), ("all", (1000, 1000), (10, 20), UsedUp::All)]
    {
        let (mut rates, start) = rates(namespace, all);
        all_it_gets(&mut rates, "a", start);
        let refused = [(); 3].map(|()| rates.take("a", 1, start).unwrap_err());
        assert!(refused.iter().all(|refused| refused.used_up == used_up), "{row}: {refused:?}");
        let waits = refused.map(|refused| refused.wait);
        assert!(waits[0] < waits[1] && waits[1] < waits[2], "{row}: one after the other: {waits:?}");
        for wait in waits {
            assert_eq!(rates.take("a", 1, start + wait), Ok(()), "{row}: after {wait:?}");
        }
    }
}

#[test]
fn a_wait_is_never_longer_than_half_a_minute() {
    let (mut rates, now) = rates((1, 2), (100, 200));
    all_it_gets(&mut rates, "a", now);
    let longest = (0..1000).map(|_| rates.take("a", 1, now).unwrap_err().wait).max();
    assert_eq!(longest, Some(LONGEST_WAIT));
}

#[test]
fn a_namespace_that_asks_little_finds_room_beside_twenty_that_ask_for_all() {
    let (mut rates, start) = rates((10, 1000), (100, 200));
    let mut asks_at = start;
    let mut waits = vec![];
    for hundredth in 0..3000_u32 {
        let now = start + SECOND / 100 * hundredth;
        for n in 0..20 {
            all_it_gets(&mut rates, &format!("n{n}"), now);
        }
        if asks_at <= now {
            match rates.take("quiet", 1, now) {
                Ok(()) => {
                    waits.push(now.duration_since(start).as_millis() % 1000);
                    asks_at = start + SECOND * u32::try_from(waits.len()).unwrap();
                }
                Err(refused) => asks_at = now + refused.wait,
            }
        }
    }
    assert_eq!(waits.len(), 30, "one in each second, after these ms: {waits:?}");
    assert!(waits[1..].iter().all(|wait| *wait < 100), "at once, but in the first rush: {waits:?}");
}

#[test]
fn a_namespace_alone_has_all_but_a_quarter_of_the_burst_of_all() {
    let (mut rates, start) = rates((10, 1000), (100, 200));
    assert_eq!(all_it_gets(&mut rates, "a", start), 151, "the last one finds 50 of 200 free");
    let minute: usize = (1..=60).map(|second| all_it_gets(&mut rates, "a", start + SECOND * second)).sum();
    assert!((1400..=1000 + 10 * 60).contains(&(151 + minute)), "{minute} in a minute, as its own rate allows");
}

#[test]
fn a_route_longer_than_a_burst_has_its_turn_too() {
    let (mut rates, start) = rates((10, 2), (10, 2));
    assert_eq!(rates.take("a", 5, start), Ok(()));
    let wait = rates.take("a", 5, start).unwrap_err().wait;
    assert!(wait <= LONGEST_WAIT && rates.take("a", 5, start + wait).is_ok(), "{wait:?}");
}

#[test]
fn only_namespaces_that_asked_a_short_time_ago_are_remembered() {
    let (mut rates, start) = rates((10, 50), (5000, 1_000_000));
    for n in 0..2000 {
        assert_eq!(rates.take(&format!("n{n}"), 1, start), Ok(()));
    }
    assert_eq!(rates.namespaces.len(), 2000);
    assert_eq!(rates.take("a", 1, start + SECOND), Ok(()));
    assert_eq!(rates.namespaces.len(), 1);
}
