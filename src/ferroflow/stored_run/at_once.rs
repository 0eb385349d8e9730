//! Many requests, some of them at a time.

use anyhow::{Context, Result};
use tokio::task::{JoinSet, LocalSet};

/// Requests at a time.
const MOST: usize = 24;

/// Does what has many requests to make, on this thread.
pub(crate) fn block_on<T>(doing: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start an event loop")?;
    LocalSet::new().block_on(&runtime, doing)
}

/// Asks for each, within [`block_on`]; the answers are in the order of the questions. The first error ends it.
pub(crate) async fn at_once<Q, A, F>(
    questions: impl IntoIterator<Item = Q>,
    ask: impl Fn(Q) -> F,
) -> Result<Vec<A>>
where
    A: 'static,
    F: Future<Output = Result<A>> + 'static,
{
    let mut asked = JoinSet::new();
    let mut answers = Vec::new();
    for (place, question) in questions.into_iter().enumerate() {
        if asked.len() >= MOST
            && let Some(answer) = asked.join_next().await
        {
            answers.push(answer.context("a request was interrupted")?);
        }
        let asking = ask(question);
        asked.spawn_local(async move { (place, asking.await) });
    }
    while let Some(answer) = asked.join_next().await {
        answers.push(answer.context("a request was interrupted")?);
    }
    answers.sort_by_key(|(place, _)| *place);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn answers_come_in_the_order_of_questions() {
        let slow_first = |number: u64| async move {
            tokio::time::sleep(Duration::from_millis(100 - number)).await;
            Ok(number)
        };
        let answers = block_on(at_once(0..100, slow_first)).unwrap();
        assert_eq!(answers, (0..100).collect::<Vec<_>>());
        let failing = |number| async move {
            anyhow::ensure!(number != 30, "no");
            Ok(number)
        };
        assert!(block_on(at_once(0..100, failing)).is_err());
    }
}
