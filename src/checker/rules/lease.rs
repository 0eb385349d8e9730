//! No user code starts without a launcher: when the lease has lapsed, or says that the run is over. Runs without a lease are
//! passed by.

use crate::{
    Expectations, Finding, LeaseTimes, Promise,
    picture::{LeaseState, Picture, Run, UserProcess},
};

pub(super) fn check(picture: &Picture<'_>, expectations: &Expectations) -> Vec<Finding> {
    let runs = picture.runs.values();
    runs.flat_map(|run| {
        let users = run.users();
        users.filter_map(|user| late(run, user, expectations.lease))
    })
    .collect()
}

fn late(run: &Run<'_>, user: &UserProcess<'_>, times: LeaseTimes) -> Option<Finding> {
    let (line, lease, _) = run
        .leases
        .iter()
        .rfind(|(line, ..)| line.number < user.begun.number)?;
    let age = user.begun.at - line.at;
    let (allowed, why) = match lease.state {
        LeaseState::Running => (times.lapse + times.cadence, "was last renewed"),
        LeaseState::Cancelled => (times.cadence, "was cancelled"),
        LeaseState::Finished => (times.cadence, "was finished"),
    };
    (age > allowed.as_millis() as i64).then(|| Finding {
        promise: Promise::Lease,
        text: format!(
            "attempt {} was started {} s after the lease of its run {why}",
            user.place.attempt_path(),
            age / 1000
        ),
        lines: vec![line.number, user.begun.number],
    })
}
