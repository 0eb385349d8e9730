//! docs/failures.md has a row for each class, which tells truly how it is repeated.

use super::{Class, RetryAdvice};

const DOCUMENT: &str = include_str!("../../../docs/failures.md");

/// Cells of the table of classes: name and how it is repeated.
fn documented() -> Vec<(String, String)> {
    let (_, table) = DOCUMENT.split_once("|---|---|---|---|---|\n").unwrap();
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    cells
        .map(|cells| {
            assert_eq!(cells.len(), 7, "{cells:?}");
            (cells[1].to_owned(), cells[4].to_owned())
        })
        .collect()
}

fn in_words(advice: RetryAdvice) -> String {
    let RetryAdvice::Free { times, pause } = advice else {
        let words = match advice {
            RetryAdvice::ByRetry => "by `@retry`",
            _ => "no",
        };
        return words.to_owned();
    };
    let times = match times {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        more => format!("{more} times"),
    };
    match pause {
        0 => format!("by itself, {times}"),
        seconds => format!("by itself, {times}, {seconds} s later"),
    }
}

#[test]
fn the_document_tells_of_each_class_how_it_is_repeated() {
    let told = Class::ALL.map(|class| (class.to_string(), in_words(class.advice())));
    assert_eq!(documented(), told);
}
