//! The arithmetic of a report.

use std::collections::BTreeMap;

use model::{
    StepName, Timestamp,
    batch::Resources,
    run_record::{RunRecord, StepRecord},
    spec::{TaskOutcome, Usage},
};

use super::document::{Asked, BatchReport, Counts, Range, Report, Spread, StepReport, Total};

const MS_PER_SECOND: f64 = 1_000.0;
const SECONDS_PER_HOUR: f64 = 3_600.0;
const MB_PER_GB: f64 = 1_024.0;

/// A launch as the chain has it.
#[derive(Debug, Clone)]
pub(super) struct Launched {
    pub(super) step: StepName,
    /// When it was written down, which is before it was submitted.
    pub(super) at: Timestamp,
    /// What it asked for, where the record says so.
    pub(super) resources: Option<Resources>,
}

/// The sums so far: some numbers for each container.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<StepName, Step>);

#[derive(Debug, Default)]
struct Step {
    launches: u64,
    ended: u64,
    vcpus: Option<Range>,
    memory: Option<Range>,
    gpus: Option<Range>,
    peaks: Vec<f64>,
    gpu_peaks: Vec<f64>,
    queued: Vec<f64>,
    ran: Vec<f64>,
    /// From claims to ends.
    held_seconds: f64,
    cpu_seconds: f64,
    first: Option<i64>,
    last: Option<i64>,
    total: Total,
}

impl Tally {
    /// Counts a launch, and what its container said at its end.
    pub(super) fn count(&mut self, launched: &Launched, outcome: Option<&TaskOutcome>) {
        let step = self.0.entry(launched.step.clone()).or_default();
        step.launch(launched);
        if let Some(outcome) = outcome {
            step.end(launched, &outcome.usage);
        }
    }

    /// The report of the run whose record this is.
    pub(super) fn report(mut self, record: RunRecord) -> Report {
        let mut steps: Vec<_> = record
            .steps
            .iter()
            .map(|step| StepReport {
                step: step.step.clone(),
                counts: counts(step),
                batch: self.0.remove(&step.step).map(Step::report),
            })
            .collect();
        // Of a record that is older than they are.
        steps.extend(self.0.into_iter().map(|(step, told)| StepReport {
            step,
            counts: Counts::default(),
            batch: Some(told.report()),
        }));
        let batch = steps.iter().filter_map(|step| step.batch.as_ref());
        let total = batch.fold(Total::default(), |sum, batch| sum.with(batch.total));
        Report {
            flow: record.flow,
            run: record.run,
            state: record.state,
            began_at: record.began_at,
            written_at: record.written_at,
            steps,
            failures: record.failures,
            total,
        }
    }
}

fn counts(step: &StepRecord) -> Counts {
    Counts {
        tasks: step.tasks,
        attempts: step.started,
        succeeded: step.succeeded,
        failed: step.failed,
    }
}

impl Step {
    fn launch(&mut self, launched: &Launched) {
        self.launches += 1;
        let at = launched.at.0;
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        if let Some(asked) = &launched.resources {
            widen(&mut self.vcpus, number(&asked.vcpu));
            widen(&mut self.memory, number(&asked.memory));
            let gpus = asked.gpu.as_deref().map_or(Some(0.0), number);
            widen(&mut self.gpus, gpus);
        }
    }

    fn end(&mut self, launched: &Launched, usage: &Usage) {
        self.queued.push(seconds(launched.at.0, usage.claimed_at));
        if usage.ended_at == 0 {
            // The step never started, so nobody wrote down when that was.
            return;
        }
        self.ended += 1;
        let megabytes = |bytes: u64| (bytes >> 20) as f64;
        if usage.peak_memory > 0 {
            self.peaks.push(megabytes(usage.peak_memory));
        }
        let gpu = usage.gpu.map(|gpu| megabytes(gpu.peak_memory));
        self.gpu_peaks.extend(gpu);
        self.ran.push(seconds(usage.started_at, usage.ended_at));
        self.last = self.last.max(Some(usage.ended_at));
        let held = seconds(usage.claimed_at, usage.ended_at);
        self.held_seconds += held;
        self.cpu_seconds += usage.cpu_seconds;
        let asked = |of: fn(&Resources) -> &String| {
            let asked = launched.resources.as_ref();
            asked.and_then(|asked| number(of(asked))).unwrap_or(0.0)
        };
        let hours = held / SECONDS_PER_HOUR;
        self.total = self.total.with(Total {
            vcpu_hours: asked(|asked| &asked.vcpu) * hours,
            gb_hours: asked(|asked| &asked.memory) / MB_PER_GB * hours,
            cpu_hours: usage.cpu_seconds / SECONDS_PER_HOUR,
        });
    }

    fn report(self) -> BatchReport {
        let wall = self.first.zip(self.last);
        let is_told = self.ended > 0;
        BatchReport {
            launches: self.launches,
            without_end: self.launches - self.ended,
            asked: Asked {
                vcpus: self.vcpus,
                memory_mb: self.memory,
                gpus: self.gpus,
            },
            peak_memory_mb: spread(self.peaks),
            gpu_memory_mb: spread(self.gpu_peaks),
            mean_cpu_seconds: is_told.then(|| self.cpu_seconds / self.ended as f64),
            cores_used: (self.held_seconds > 0.0).then(|| self.cpu_seconds / self.held_seconds),
            queue_seconds: spread(self.queued),
            run_seconds: spread(self.ran),
            wall_seconds: wall.map(|(first, last)| seconds(first, last)),
            total: self.total,
        }
    }
}

/// Clocks of launcher and container may differ: no time is less than nothing.
fn seconds(from: i64, to: i64) -> f64 {
    to.saturating_sub(from).max(0) as f64 / MS_PER_SECOND
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

fn widen(range: &mut Option<Range>, by: Option<f64>) {
    if let Some(number) = by {
        let range = range.get_or_insert(Range {
            min: number,
            max: number,
        });
        range.min = range.min.min(number);
        range.max = range.max.max(number);
    }
}

/// The median of an even number is the mean of the two in the middle.
fn spread(mut all: Vec<f64>) -> Option<Spread> {
    all.sort_by(f64::total_cmp);
    let max = *all.last()?;
    let middle = all.len() / 2;
    let median = if all.len().is_multiple_of(2) {
        f64::midpoint(all[middle - 1], all[middle])
    } else {
        all[middle]
    };
    Some(Spread { median, max })
}

#[cfg(test)]
pub(super) mod tests {
    use model::{
        Attempt, FlowName, RunId,
        run_record::{Launcher, RunState},
        spec::{Ended, GpuUsage, SPEC_VERSION},
    };

    use super::*;

    fn launched(step: &str, at: i64, resources: Option<(&str, &str)>) -> Launched {
        Launched {
            step: StepName::new(step).unwrap(),
            at: Timestamp(at),
            resources: resources.map(|(vcpu, memory)| Resources {
                vcpu: vcpu.to_owned(),
                memory: memory.to_owned(),
                gpu: None,
            }),
        }
    }

    fn ended(usage: Usage) -> TaskOutcome {
        TaskOutcome {
            version: SPEC_VERSION,
            attempt: Attempt(0),
            launch: 0,
            nonce: String::new(),
            job: String::new(),
            ended: Ended::Exited {
                code: 0,
                stopped: None,
            },
            oom_kills: 0,
            usage,
            data_json_sha256: None,
            logs: None,
        }
    }

    fn usage(peak_mb: u64, cpu_seconds: f64, times: [i64; 3]) -> Usage {
        Usage {
            peak_memory: peak_mb << 20,
            memory_limit: 0,
            cpu_seconds,
            gpu: None,
            claimed_at: times[0],
            started_at: times[1],
            ended_at: times[2],
        }
    }

    fn record(steps: &[(&str, [u64; 4])]) -> RunRecord {
        let launcher = Launcher {
            host: String::new(),
            pid: 1,
            ferroflow: String::new(),
            metaflow: String::new(),
            python: String::new(),
        };
        let (flow, run) = (FlowName::new("F").unwrap(), RunId::new("7").unwrap());
        let mut record = RunRecord::begun(flow, run, launcher, Timestamp(0));
        record.state = RunState::Done;
        record.written_at = Timestamp(7_300_000);
        record.steps = steps
            .iter()
            .map(|(step, [tasks, started, succeeded, failed])| StepRecord {
                step: StepName::new(step).unwrap(),
                tasks: *tasks,
                started: *started,
                succeeded: *succeeded,
                failed: *failed,
            })
            .collect();
        record
    }

    /// A step on this machine; one with three containers of which one was lost, and one more that used a GPU.
    pub(in super::super) fn example() -> Report {
        let mut tally = Tally::default();
        let asked = Some(("2", "4096"));
        let one = usage(1_000, 1_800.0, [10_000, 11_000, 3_610_000]);
        tally.count(&launched("work", 0, asked), Some(&ended(one)));
        let other = usage(3_000, 5_400.0, [30_000, 31_000, 3_630_000]);
        tally.count(&launched("work", 0, asked), Some(&ended(other)));
        tally.count(&launched("work", 5_000, Some(("2", "6144"))), None);
        let with_gpu = Usage {
            gpu: Some(GpuUsage {
                peak_memory: 3 << 30,
                memory: 16 << 30,
            }),
            ..usage(500, 60.0, [3_700_000, 3_701_000, 3_731_000])
        };
        let mut launch = launched("train", 3_640_000, Some(("0.5", "1024")));
        if let Some(asked) = &mut launch.resources {
            asked.gpu = Some("1".to_owned());
        }
        tally.count(&launch, Some(&ended(with_gpu)));
        let mut record = record(&[
            ("start", [1, 1, 1, 0]),
            ("work", [2, 3, 2, 1]),
            ("train", [1, 1, 1, 0]),
        ]);
        let step = StepName::new("work").unwrap();
        let text = "The host of the task was lost (Host EC2 (instance i-1) terminated): nothing.";
        record.count_failure(&step, model::failure::Class::HostLost, text);
        tally.report(record)
    }

    #[test]
    fn a_step_is_summed_up() {
        let report = example();
        assert_eq!(report.steps[0].batch, None);
        let expected = BatchReport {
            launches: 3,
            without_end: 1,
            asked: Asked {
                vcpus: Some(Range { min: 2.0, max: 2.0 }),
                memory_mb: Some(Range {
                    min: 4_096.0,
                    max: 6_144.0,
                }),
                gpus: Some(Range { min: 0.0, max: 0.0 }),
            },
            peak_memory_mb: Some(Spread {
                median: 2_000.0,
                max: 3_000.0,
            }),
            gpu_memory_mb: None,
            mean_cpu_seconds: Some(3_600.0),
            cores_used: Some(1.0),
            queue_seconds: Some(Spread {
                median: 20.0,
                max: 30.0,
            }),
            run_seconds: Some(Spread {
                median: 3_599.0,
                max: 3_599.0,
            }),
            wall_seconds: Some(3_630.0),
            // Two hours of two vCPUs and of 4 GB.
            total: Total {
                vcpu_hours: 4.0,
                gb_hours: 8.0,
                cpu_hours: 2.0,
            },
        };
        assert_eq!(report.steps[1].batch, Some(expected));
        let Some(train) = &report.steps[2].batch else {
            panic!("no train");
        };
        let gpu = train.gpu_memory_mb.map(|spread| spread.max);
        assert_eq!(
            (gpu, train.cores_used.map(f64::round)),
            (Some(3_072.0), Some(2.0))
        );
        assert!((report.total.vcpu_hours - 4.0 - 0.5 * 31.0 / 3_600.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let mut tally = Tally::default();
        // A clock that goes wrong, a step that never started, a record without resources.
        let early = usage(0, 0.0, [500, 0, 0]);
        tally.count(&launched("lost", 1_000, None), Some(&ended(early)));
        let report = tally.report(record(&[]));
        let expected = BatchReport {
            launches: 1,
            without_end: 1,
            asked: Asked {
                vcpus: None,
                memory_mb: None,
                gpus: None,
            },
            peak_memory_mb: None,
            gpu_memory_mb: None,
            mean_cpu_seconds: None,
            cores_used: None,
            queue_seconds: Some(Spread {
                median: 0.0,
                max: 0.0,
            }),
            run_seconds: None,
            wall_seconds: None,
            total: Total::default(),
        };
        assert_eq!(report.steps[0].batch, Some(expected));
        assert_eq!(report.steps[0].counts, Counts::default());
    }
}
