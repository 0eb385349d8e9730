//! What `at_most_per_subject` counts by.

/// The task of a job of Ferroflow's, whose names end in `-<attempt>-L<seq>-<hash>`: that job's name without its end. Other
/// names stand for themselves.
pub(super) fn task_of(name: &str) -> &str {
    let without_end = || {
        let (rest, hash) = name.rsplit_once('-')?;
        let (rest, seq) = rest.rsplit_once('-')?;
        let (task, attempt) = rest.rsplit_once('-')?;
        let are_digits =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_end = hash.len() == 8
            && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
            && are_digits(seq.strip_prefix('L')?)
            && are_digits(attempt);
        is_end.then_some(task)
    };
    without_end().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_and_launches_of_a_task_are_one() {
        assert_eq!(task_of("ada-F-17-work-3-0-L2-0a1b2c3d"), "ada-F-17-work-3");
        assert_eq!(
            task_of("ada-F-17-work-3-4-L117-0a1b2c3d"),
            "ada-F-17-work-3"
        );
        for other in [
            "ada-F-17-work-3-0",
            "job",
            "",
            "a-1-L2-short",
            "a-x-L2-0a1b2c3d",
        ] {
            assert_eq!(task_of(other), other);
        }
    }
}
