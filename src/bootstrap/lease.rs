//! The lease of the run, as one answer of the store shows it (docs/launch-protocol.md, "Lease").

use std::time::{Duration, Instant};

use model::lease::{LEASE_VERSION, Lease, LeaseState, LeaseTerms};
use serde::Deserialize;
use ureq::http::{
    HeaderMap,
    header::{DATE, ETAG, HeaderName, LAST_MODIFIED},
};

use crate::{
    clock,
    order::Order,
    s3::Patience,
    s3_error::S3Error,
    store::{Object, Store},
};

/// Two looks at a lapsed lease need not be further apart.
const LONGEST_PROOF: Duration = Duration::from_mins(1);

/// A lease that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sight {
    state: LeaseState,
    /// Since it was last renewed, by the store's clock; not known from a store that does not tell both times.
    age: Option<Duration>,
    /// Each renewal has another one.
    etag: Option<String>,
}

/// Nothing is known of the lease: that is no sign of a launcher that is gone.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unknown {
    /// There is none.
    #[error("there is no `{0}`")]
    Missing(String),
    /// It could not be read.
    #[error(transparent)]
    Store(#[from] S3Error),
    /// It is no lease.
    #[error("it is not what a launcher writes")]
    Json(#[from] serde_json::Error),
    /// A newer launcher has written it.
    #[error("it is of version {found}, and this bootstrap knows {LEASE_VERSION}")]
    Version {
        /// Of the lease.
        found: u32,
    },
}

/// A lapsed lease that was seen once.
#[derive(Debug)]
struct Seen {
    etag: String,
    at: Instant,
}

/// Remembers what looks at the lease have shown: one alone never ends a task.
#[derive(Debug, Default)]
pub(crate) struct Lapse(Option<Seen>);

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// Reads the lease.
pub(crate) fn read(store: &Store, key: &str, patience: Patience) -> Result<Sight, Unknown> {
    match store.get_with_headers(key, patience)? {
        Some(object) => Sight::of(&object),
        None => Err(Unknown::Missing(key.to_owned())),
    }
}

impl Sight {
    fn of(object: &Object) -> Result<Self, Unknown> {
        let Versioned { version } = serde_json::from_slice(&object.body)?;
        if version != LEASE_VERSION {
            return Err(Unknown::Version { found: version });
        }
        let lease: Lease = serde_json::from_slice(&object.body)?;
        Ok(Self {
            state: lease.state,
            age: age(&object.headers),
            etag: text(&object.headers, ETAG).map(str::to_owned),
        })
    }

    /// Why user code must not start, if so.
    pub(crate) fn against_a_start(&self, run: &str, terms: &LeaseTerms) -> Option<Order> {
        self.end(run)
            .or_else(|| self.older_than(run, terms.gate_seconds))
    }

    /// The run has no use for its tasks any more.
    fn end(&self, run: &str) -> Option<Order> {
        let run = run.to_owned();
        match self.state {
            LeaseState::Running => None,
            LeaseState::Cancelled => Some(Order::Cancelled { run }),
            LeaseState::Finished => Some(Order::Finished { run }),
        }
    }

    fn older_than(&self, run: &str, seconds: u64) -> Option<Order> {
        let age = self.age?.as_secs();
        (age > seconds).then(|| Order::LauncherLost {
            run: run.to_owned(),
            age,
        })
    }
}

impl Lapse {
    /// Why a running step must end, if so, after another look `at` this time.
    pub(crate) fn look(
        &mut self,
        sight: &Sight,
        run: &str,
        terms: &LeaseTerms,
        at: Instant,
    ) -> Option<Order> {
        if let Some(order) = sight.end(run) {
            return Some(order);
        }
        let lapsed = sight.older_than(run, terms.grace_seconds);
        let (Some(order), Some(etag)) = (lapsed, &sight.etag) else {
            self.0 = None;
            return None;
        };
        match &self.0 {
            Some(first) if first.etag == *etag => {
                let proof = Duration::from_secs(terms.cadence_seconds).min(LONGEST_PROOF);
                (at.saturating_duration_since(first.at) >= proof).then_some(order)
            }
            _ => {
                self.0 = Some(Seen {
                    etag: etag.clone(),
                    at,
                });
                None
            }
        }
    }
}

/// By one clock, that of the store.
fn age(headers: &HeaderMap) -> Option<Duration> {
    let time = |name| clock::parse_http_date(text(headers, name)?);
    let (now, renewed) = (time(DATE)?, time(LAST_MODIFIED)?);
    Some(Duration::from_secs(now.saturating_sub(renewed)))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "F/7";

    fn terms() -> LeaseTerms {
        LeaseTerms {
            key: "lease".into(),
            gate_seconds: 900,
            grace_seconds: 86_400,
            cadence_seconds: 180,
        }
    }

    fn sight(state: LeaseState, age: Option<u64>, etag: Option<&str>) -> Sight {
        Sight {
            state,
            age: age.map(Duration::from_secs),
            etag: etag.map(str::to_owned),
        }
    }

    fn running(age: u64, etag: &str) -> Sight {
        sight(LeaseState::Running, Some(age), Some(etag))
    }

    fn object(body: &str, headers: &[(HeaderName, &str)]) -> Object {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()));
        Object {
            headers: headers.collect(),
            body: body.into(),
        }
    }

    const LEASE: &str = r#"{"version": 1, "holder": "h", "host": "m", "pid": 1, "state": "running", "renewed_at": 5,
        "interval_seconds": 30, "more": "of a later version"}"#;

    #[test]
    fn its_age_is_that_of_the_answer() {
        let date = |date| (DATE, date);
        let modified = (LAST_MODIFIED, "Thu, 26 Nov 2026 23:59:00 GMT");
        let etag = (ETAG, "\"e\"");
        let read = |headers: &[_]| Sight::of(&object(LEASE, headers)).unwrap();
        let later = date("Fri, 27 Nov 2026 00:01:30 GMT");
        assert_eq!(
            read(&[later.clone(), modified.clone(), etag.clone()]),
            running(150, "\"e\"")
        );
        // Times are cut to seconds.
        let earlier = date("Thu, 26 Nov 2026 23:58:59 GMT");
        assert_eq!(
            read(&[earlier, modified.clone(), etag.clone()]),
            running(0, "\"e\"")
        );
        for headers in [
            vec![modified.clone()],
            vec![later],
            vec![date("yesterday"), modified],
        ] {
            assert_eq!(read(&headers), sight(LeaseState::Running, None, None));
        }
    }

    #[test]
    fn what_is_no_lease_is_unknown() {
        for body in ["", "{}", "[1]", r#"{"version": 1}"#] {
            let seen = Sight::of(&object(body, &[]));
            assert!(matches!(seen, Err(Unknown::Json(_))), "{body}: {seen:?}");
        }
        let newer = Sight::of(&object(r#"{"version": 2, "state": "paused"}"#, &[]));
        assert!(matches!(newer, Err(Unknown::Version { found: 2 })));
        let unknown = LEASE.replace("running", "paused");
        assert!(Sight::of(&object(&unknown, &[])).is_err());
    }

    #[test]
    fn the_gate_closes_after_its_time() {
        let against = |sight: Sight| sight.against_a_start(RUN, &terms());
        assert_eq!(against(running(900, "e")), None);
        let run = RUN.to_owned();
        let lost = Order::LauncherLost {
            run: run.clone(),
            age: 901,
        };
        assert_eq!(against(running(901, "e")), Some(lost));
        assert_eq!(against(sight(LeaseState::Running, None, None)), None);
        // These need no clock.
        let cancelled = Order::Cancelled { run: run.clone() };
        assert_eq!(
            against(sight(LeaseState::Cancelled, None, None)),
            Some(cancelled)
        );
        let finished = Order::Finished { run };
        assert_eq!(
            against(sight(LeaseState::Finished, Some(0), None)),
            Some(finished)
        );
    }

    #[test]
    fn two_looks_apart_end_a_task() {
        let start = Instant::now();
        let looks = |looks: &[(u64, u64, &str)]| {
            let mut lapse = Lapse::default();
            let orders = looks.iter().map(|(second, age, etag)| {
                let at = start + Duration::from_secs(*second);
                lapse.look(&running(*age, etag), RUN, &terms(), at)
            });
            orders.map(|order| order.is_some()).collect::<Vec<_>>()
        };
        let (young, old) = (86_400, 90_000);
        assert_eq!(looks(&[(0, old, "a"), (60, old, "a")]), [false, true]);
        // Too close.
        assert_eq!(
            looks(&[(0, old, "a"), (59, old, "a"), (61, old, "a")]),
            [false, false, true]
        );
        // Renewed in between, by a launcher that has gone again.
        assert_eq!(
            looks(&[(0, old, "a"), (90, old, "b"), (120, old, "b")]),
            [false; 3]
        );
        assert_eq!(
            looks(&[(0, old, "a"), (90, young, "a"), (180, old, "a")]),
            [false; 3]
        );
    }

    #[test]
    fn what_is_not_known_ends_no_task_and_proves_nothing() {
        let mut lapse = Lapse::default();
        let later = Instant::now() + Duration::from_hours(1);
        for _ in 0..3 {
            let without_etag = sight(LeaseState::Running, Some(90_000), None);
            assert_eq!(lapse.look(&without_etag, RUN, &terms(), later), None);
            let without_age = sight(LeaseState::Running, None, Some("a"));
            assert_eq!(lapse.look(&without_age, RUN, &terms(), later), None);
        }
    }

    #[test]
    fn one_look_shows_that_the_run_is_over() {
        for state in [LeaseState::Cancelled, LeaseState::Finished] {
            let order =
                Lapse::default().look(&sight(state, None, None), RUN, &terms(), Instant::now());
            assert!(order.is_some());
        }
    }
}
