//! Names of jobs.
//!
//! Upstream finds the jobs of a flow by `-<flow>-` or `<user>-<flow>-` in their names
//! (metaflow/plugins/aws/batch/batch.py, `_search_jobs`), so these parts are the last to be
//! shortened.

use sha2::{Digest, Sha256};

use crate::{Attempt, FlowName, TaskPath};

/// The longest name that Batch takes (Batch API reference, SubmitJob).
pub const MAX_LENGTH: usize = 128;

/// Digits of the SHA-256 that end a name.
const HASH_DIGITS: usize = 8;

/// What of run, step and task is kept however long user and flow are.
const MIN_MIDDLE: usize = 24;

/// What of the user is kept however long the flow is.
const MIN_USER: usize = 8;

/// What a job's name tells.
#[derive(Debug, Clone, Copy)]
pub struct JobNameParts<'a> {
    /// The user.
    pub user: &'a str,
    /// The flow.
    pub flow: &'a FlowName,
    /// The task, with its run and step.
    pub task: &'a TaskPath,
    /// The attempt.
    pub attempt: Attempt,
    /// Place of the launch record in its chain.
    pub seq: u64,
    /// Root of the datastore: runs of different datastores may share their ids.
    pub root: &'a str,
}

/// `<user>-<flow>-<run>-<step>-<task>-<attempt>-L<seq>-<hash>`. Other characters than
/// `[A-Za-z0-9_-]` become underscores; what is too long is shortened in the middle. The hash is
/// over everything as it was, so that the same parts always make the same name and different
/// ones do not.
pub fn job_name(parts: JobNameParts<'_>) -> String {
    let JobNameParts {
        user,
        flow,
        task,
        attempt,
        seq,
        root,
    } = parts;
    let identity = format!("{root}\n{user}\n{flow}\n{task}\n{attempt}\n{seq}");
    let hash = hex::encode(Sha256::digest(identity));
    let tail = format!("-{attempt}-L{seq}-{}", &hash[..HASH_DIGITS]);
    let user = legal_start(&legal(user));
    let flow = legal(flow.as_str());
    let middle = legal(&format!("{}-{}-{}", task.run, task.step, task.task));

    // Two hyphens: after the user, and after the flow.
    let room = MAX_LENGTH - tail.len() - 2;
    let middle_room = room.saturating_sub(user.len() + flow.len()).max(MIN_MIDDLE);
    let middle = shortened(&middle, middle_room);
    let user_room = room.saturating_sub(flow.len() + middle.len()).max(MIN_USER);
    let user = shortened(&user, user_room);
    let flow = shortened(&flow, room - user.len() - middle.len());
    format!("{user}-{flow}-{middle}{tail}")
}

/// Whether a name can be one of [`job_name`]: it ends in attempt, place in the chain and hash.
pub fn is_job_name(name: &str) -> bool {
    let mut parts = name.rsplit('-');
    let (hash, seq, attempt) = (parts.next(), parts.next(), parts.next());
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    hash.is_some_and(|hash| {
        hash.len() == HASH_DIGITS && hash.bytes().all(|b| b.is_ascii_hexdigit())
    }) && seq
        .and_then(|seq| seq.strip_prefix('L'))
        .is_some_and(is_number)
        && attempt.is_some_and(is_number)
}

fn legal(text: &str) -> String {
    let map = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' {
            c
        } else {
            '_'
        }
    };
    text.chars().map(map).collect()
}

/// Names begin with a letter or digit. One more letter in front leaves upstream's search intact.
fn legal_start(text: &str) -> String {
    if text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        text.to_owned()
    } else {
        format!("u{text}")
    }
}

/// Both ends of an ASCII text, without its middle.
fn shortened(text: &str, room: usize) -> String {
    if text.len() <= room {
        return text.to_owned();
    }
    let front = room.div_ceil(2);
    let back = text.len() - (room - front);
    format!("{}{}", &text[..front], &text[back..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(user: &str, flow: &str, task: &str, attempt: u32, seq: u64) -> String {
        let flow = FlowName::new(flow).unwrap();
        let task: TaskPath = task.parse().unwrap();
        job_name(JobNameParts {
            user,
            flow: &flow,
            task: &task,
            attempt: Attempt(attempt),
            seq,
            root: "s3://b/p",
        })
    }

    fn is_legal(name: &str) -> bool {
        name.len() <= MAX_LENGTH
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    }

    #[test]
    fn names_begin_as_upstreams() {
        let name = name("jane", "HelloFlow", "17/start/23", 1, 4);
        let (front, hash) = name.rsplit_once('-').unwrap();
        assert_eq!(front, "jane-HelloFlow-17-start-23-1-L4");
        assert_eq!(hash.len(), HASH_DIGITS);
        assert!(is_legal(&name) && is_job_name(&name));
        for other in [
            "jane-HelloFlow-17-start-23-1",
            "j",
            "",
            "a-1-L4-0123456",
            "a-1-4-01234567",
        ] {
            assert!(!is_job_name(other), "{other}");
        }
    }

    #[test]
    fn illegal_characters_become_underscores() {
        let jane = name("jane.doe", "F", "1/s/2", 0, 0);
        assert!(jane.starts_with("jane_doe-F-1-s-2-0-L0-"), "{jane}");
        assert_ne!(
            jane,
            name("jane_doe", "F", "1/s/2", 0, 0),
            "the hash tells them apart"
        );
        let odd = name("_x", "Fl\u{fc}ss", "1/s/2", 0, 0);
        assert!(odd.starts_with("u_x-Fl_ss-"), "{odd}");
        assert!(is_legal(&odd));
        let empty = name("", "F", "1/s/2", 0, 0);
        assert!(empty.starts_with("u-F-"), "{empty}");
    }

    #[test]
    fn every_part_counts() {
        let names = [
            name("u", "F", "1/s/2", 0, 0),
            name("v", "F", "1/s/2", 0, 0),
            name("u", "G", "1/s/2", 0, 0),
            name("u", "F", "1/s/3", 0, 0),
            name("u", "F", "1/s/2", 1, 0),
            name("u", "F", "1/s/2", 0, 1),
        ];
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
        assert_eq!(names[0], name("u", "F", "1/s/2", 0, 0));
    }

    #[test]
    fn long_names_stay_legal_distinct_and_findable() {
        let (a, b) = ("a".repeat(300), "b".repeat(300));
        for user in ["u", &"u".repeat(40), &a] {
            for flow in ["F", &"F".repeat(60), &b] {
                for task in [
                    "1/s/2".to_owned(),
                    format!("1234567890123456/{a}/{}", "7".repeat(20)),
                ] {
                    let got = name(user, flow, &task, u32::MAX, u64::MAX);
                    assert!(is_legal(&got), "{got}");
                    assert_ne!(got, name(user, flow, &task, u32::MAX, u64::MAX - 1));
                    // A legal tail takes 42 characters at most, run to task 24 and user 8.
                    if flow.len() <= MAX_LENGTH - 42 - 2 - MIN_MIDDLE - MIN_USER {
                        assert!(got.contains(&format!("-{flow}-")), "{got}");
                    }
                    if user.len() + flow.len() <= MAX_LENGTH - 42 - 2 - MIN_MIDDLE {
                        assert!(got.contains(&format!("{user}-{flow}-")), "{got}");
                    }
                }
            }
        }
    }
}
