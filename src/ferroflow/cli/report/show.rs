//! A report as text.

use std::{fmt::Write as _, time::Duration};

use model::{failure::grouped, run_record::RunState};

use super::document::{BatchReport, Range, Report, Spread, StepReport};
use crate::{cli::say::columns, report::in_words};

const NOTHING: &str = "-";

const HEAD: [&str; 10] = [
    "STEP",
    "TASKS",
    "ATTEMPTS",
    "FAILED",
    "VCPU",
    "CORES",
    "MEMORY MB",
    "PEAK MB",
    "QUEUED",
    "RAN",
];
const GPU_HEAD: [&str; 2] = ["GPU", "GPU MB"];

/// The whole report.
pub(super) fn text(report: &Report) -> String {
    let mut text = format!("{}/{}: {}\n\n", report.flow, report.run, state(report));
    let batches = || report.steps.iter().filter_map(|step| step.batch.as_ref());
    let has_gpus = batches().any(|batch| {
        batch.gpu_memory_mb.is_some() || batch.asked.gpus.is_some_and(|gpus| gpus.max > 0.0)
    });
    let head = HEAD.iter().chain(GPU_HEAD.iter().filter(|_| has_gpus));
    let head = head.chain(&["WALL"]).map(|name| (*name).to_owned());
    let rows = report.steps.iter().map(|step| row(step, has_gpus));
    text.push_str(&columns(
        &[head.collect()].into_iter().chain(rows).collect::<Vec<_>>(),
        "",
    ));
    text.push_str(&failures(report));
    text.push_str(&total(report));
    text
}

fn state(report: &Report) -> String {
    let elapsed = report.written_at.0.saturating_sub(report.began_at.0);
    let elapsed = in_words(Duration::from_millis(elapsed.max(0).cast_unsigned()));
    match report.state {
        RunState::Running => format!("running, {elapsed} to its last word"),
        RunState::Done => format!("done, took {elapsed}"),
        RunState::Failed => format!("failed, took {elapsed}"),
        RunState::Interrupted => format!("interrupted, took {elapsed}"),
    }
}

fn row(step: &StepReport, has_gpus: bool) -> Vec<String> {
    let counts = step.counts;
    let mut row = vec![step.step.to_string()];
    row.extend([counts.tasks, counts.attempts, counts.failed].map(grouped));
    let Some(batch) = &step.batch else {
        let cells = HEAD.len() + 1 + if has_gpus { GPU_HEAD.len() } else { 0 };
        row.resize(cells, NOTHING.to_owned());
        return row;
    };
    row.extend([
        range(batch.asked.vcpus),
        or_nothing(batch.cores_used.map(|cores| format!("{cores:.2}"))),
        range(batch.asked.memory_mb),
        spread(batch.peak_memory_mb, whole),
        spread(batch.queue_seconds, seconds),
        spread(batch.run_seconds, seconds),
    ]);
    if has_gpus {
        row.extend([range(batch.asked.gpus), spread(batch.gpu_memory_mb, whole)]);
    }
    row.push(or_nothing(batch.wall_seconds.map(seconds)));
    row
}

fn failures(report: &Report) -> String {
    if report.failures.is_empty() {
        return String::new();
    }
    let mut text =
        "\nfailed attempts on AWS Batch, and what was said of the last of each sort:\n".to_owned();
    for failure in &report.failures {
        let (count, step, class) = (failure.count, &failure.step, &failure.class);
        let _ = writeln!(
            text,
            "  {} {step}, {class}: {}",
            grouped(count),
            failure.text
        );
    }
    text
}

fn total(report: &Report) -> String {
    let batches = || report.steps.iter().filter_map(|step| step.batch.as_ref());
    if batches().next().is_none() {
        return "\nno job on AWS Batch: of tasks on the launcher's machine only the counts are known\n".to_owned();
    }
    let total = report.total;
    let mut text = format!(
        "\non AWS Batch: {:.3} vCPU-hours and {:.3} GB-hours from claims to ends, {:.3} CPU-hours used\n",
        total.vcpu_hours, total.gb_hours, total.cpu_hours
    );
    let launches: u64 = batches().map(|batch: &BatchReport| batch.launches).sum();
    let without_end: u64 = batches().map(|batch| batch.without_end).sum();
    if without_end > 0 {
        let _ = writeln!(
            text,
            "not counted: {} of {} containers, which run, were lost, or never began their step",
            grouped(without_end),
            grouped(launches)
        );
    }
    text
}

fn or_nothing(text: Option<String>) -> String {
    text.unwrap_or_else(|| NOTHING.to_owned())
}

/// One number where all are the same.
fn range(range: Option<Range>) -> String {
    or_nothing(range.map(|Range { min, max }| {
        if min < max {
            format!("{}-{}", number(min), number(max))
        } else {
            number(max)
        }
    }))
}

/// The highest, and the median if there is more to tell.
fn spread(spread: Option<Spread>, shown: fn(f64) -> String) -> String {
    or_nothing(spread.map(|Spread { median, max }| {
        let (median, max) = (shown(median), shown(max));
        if median == max {
            max
        } else {
            format!("{max} ({median})")
        }
    }))
}

/// Whole numbers are grouped; Fargate has quarters of vCPUs.
fn number(number: f64) -> String {
    if number.fract() == 0.0 {
        whole(number)
    } else {
        number.to_string()
    }
}

fn whole(number: f64) -> String {
    grouped(number.round() as u64)
}

fn seconds(seconds: f64) -> String {
    in_words(Duration::try_from_secs_f64(seconds.round()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{super::tally::tests::example, *};

    #[test]
    fn a_report_is_a_table_and_sums() {
        let expected = "\
F/7: done, took 2h01m

STEP   TASKS  ATTEMPTS  FAILED  VCPU  CORES  MEMORY MB    PEAK MB        QUEUED     RAN     GPU  GPU MB  WALL
start  1      1         0       -     -      -            -              -          -       -    -       -
work   2      3         1       2     1.00   4,096-6,144  3,000 (2,000)  30s (20s)  59m59s  0    -       1h00m
train  1      1         0       0.5   1.94   1,024        500            1m00s      30s     1    3,072   1m31s

failed attempts on AWS Batch, and what was said of the last of each sort:
  1 work, host lost: The host of the task was lost (Host EC2 (instance i-1) terminated): nothing.

on AWS Batch: 4.004 vCPU-hours and 8.009 GB-hours from claims to ends, 2.017 CPU-hours used
not counted: 1 of 4 containers, which run, were lost, or never began their step
";
        assert_eq!(text(&example()), expected);
    }

    #[test]
    fn without_batch_there_are_counts() {
        let mut report = example();
        report.steps.truncate(1);
        report.failures.clear();
        report.state = RunState::Running;
        let expected = "\
F/7: running, 2h01m to its last word

STEP   TASKS  ATTEMPTS  FAILED  VCPU  CORES  MEMORY MB  PEAK MB  QUEUED  RAN  WALL
start  1      1         0       -     -      -          -        -       -    -

no job on AWS Batch: of tasks on the launcher's machine only the counts are known
";
        assert_eq!(text(&report), expected);
    }

    #[test]
    fn json_has_the_same() {
        let value = serde_json::to_value(example()).unwrap();
        assert_eq!(value["state"], "done");
        let work = &value["steps"][1];
        assert_eq!((&work["tasks"], &work["failed"]), (&2.into(), &1.into()));
        assert_eq!(work["batch"]["asked"]["memory_mb"]["max"], 6_144.0);
        assert_eq!(work["batch"]["peak_memory_mb"]["median"], 2_000.0);
        assert_eq!(work["batch"]["vcpu_hours"], 4.0);
        assert_eq!(value["failures"][0]["class"], "host lost");
        assert!(value["total"]["gb_hours"].is_number());
    }
}
