//! `ferroflow why`: why jobs on AWS Batch are not running.

mod chain;
mod find;
mod show;
mod target;

use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use aws::{Aws, Patience, Settings, batch::Client, s3::S3Store};
use model::{
    FlowName, RunId,
    batch::{JobId, JobStatus},
    run_record::RunRecord,
    waiting::{Unseen, WaitingJob},
};

use self::{chain::Chain, target::Target};
use super::{
    say,
    status::{
        place,
        runs::{Pathspec, Runs},
    },
};
use crate::{advice, metaflow_config::MetaflowConfig, why};

/// Tries of a call: somebody is waiting.
const ATTEMPTS: u32 = 3;

/// Children of an array that are looked at: one DescribeJobs call.
const CHILDREN: u32 = 100;

/// Tells why the jobs of a run, or a job, are not running on AWS Batch, and what to do about it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ferroflow why MyFlow/1795629404190365
  ferroflow why 6c2c55f0-8d1c-4fd4-a4d5-0c7a3f1f9a11
  ferroflow why 6c2c55f0-8d1c-4fd4-a4d5-0c7a3f1f9a11:3
  ferroflow why arn:aws:batch:eu-north-1:123456789012:job/6c2c55f0-8d1c-4fd4-a4d5-0c7a3f1f9a11
  ferroflow why MyFlow/1795629404190365 --json

Only asks; changes nothing. Calls that the credentials do not allow are named, and the rest is told.

Exit codes: 0 when it was told, also where all is well; 1 when it could not be asked; 2 for a wrong command line.")]
pub(crate) struct Args {
    /// A run, MyFlow/1795629404190365, or the id or ARN of a job
    #[arg(value_name = "RUN|JOB")]
    what: String,
    /// Root of the run's datastore, s3://bucket/prefix [default: METAFLOW_DATASTORE_SYSROOT_S3]
    #[arg(long, value_name = "ROOT")]
    datastore_root: Option<String>,
    /// Prints JSON: the run, if one was asked about, and its causes
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let target = Target::parse(&args.what)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let text = runtime.block_on(async {
        match target {
            Target::Job(id) => of_job(&aws(Settings::default()).await?, id, args.json).await,
            Target::Run(flow, run) => of_run(args, &flow, &run).await,
        }
    })?;
    say::text(&text)?;
    Ok(ExitCode::SUCCESS)
}

async fn aws(settings: Settings) -> Result<Aws> {
    let patience = Patience {
        s3_attempts: ATTEMPTS,
        batch_attempts: ATTEMPTS,
        ..Patience::default()
    };
    Ok(Aws::load(Settings {
        patience,
        ..settings
    })
    .await?)
}

async fn of_job(aws: &Aws, id: JobId, json: bool) -> Result<String> {
    let client = Client::new(aws)?;
    let found = client.waiting_jobs(std::slice::from_ref(&id)).await;
    let mut jobs = found.map_err(cannot_ask)?;
    let Some(job) = jobs.pop() else {
        bail!(
            "AWS Batch shows no job `{id}` in {}\nhint: check AWS_PROFILE and the region; jobs are shown for a week or so after their end",
            aws.region().unwrap_or("this region")
        );
    };
    let jobs = with_children(&client, job).await;
    let paragraphs = why::examine(&client, jobs).await;
    if json {
        return show::json(None, &paragraphs);
    }
    Ok(show::paragraphs(&paragraphs))
}

/// An array waits as its children do.
async fn with_children(client: &Client, job: WaitingJob) -> Vec<WaitingJob> {
    let Some(array) = job.array.filter(|array| array.runnable > 0) else {
        return vec![job];
    };
    let ids: Vec<_> = (0..array.size.min(CHILDREN))
        .map(|index| job.detail.id.child(index))
        .collect();
    let mut children = client.waiting_jobs(&ids).await.unwrap_or_default();
    children.retain(|child| child.detail.status == JobStatus::Runnable);
    if children.is_empty() {
        return vec![job];
    }
    children
}

async fn of_run(args: &Args, flow: &FlowName, run: &RunId) -> Result<String> {
    let config = MetaflowConfig::load()?;
    let (root, s3) = place::s3(args.datastore_root.clone(), &config)?;
    let aws = aws(Settings {
        s3,
        ..Settings::default()
    })
    .await?;
    let store = S3Store::open(&aws, &root).await?;
    let chain = Chain::read(&store, flow, run).await?;
    let record = record(&store, flow, run).await?;
    if chain.is_empty() && record.is_none() {
        bail!(
            "no record of run {flow}/{run} in the datastore `{root}`\nhint: --datastore-root names another datastore; `eval \"$(ferroflow dev env)\"` leads to the embedded stack"
        );
    }
    let client = Client::new(&aws)?;
    let waiting = find::waiting(&client, &chain).await?;
    let paragraphs = why::examine(&client, waiting.jobs).await;
    let head = show::Head {
        flow,
        run,
        record: record.as_ref(),
        submitted: chain.len(),
        begun: waiting.begun,
        open: waiting.open,
        looked_at: waiting.looked_at,
        not_found: &waiting.not_found,
        cannot_list: waiting.cannot_list.as_ref(),
    };
    if args.json {
        return show::json(Some(&head), &paragraphs);
    }
    Ok(head.text() + &show::paragraphs(&paragraphs))
}

async fn record(store: &S3Store, flow: &FlowName, run: &RunId) -> Result<Option<RunRecord>> {
    let wanted = Pathspec::Run(flow.clone(), run.clone());
    let found = Runs(store).find(Some(&wanted)).await?;
    Ok(found.into_iter().next())
}

fn cannot_ask(unseen: Unseen) -> anyhow::Error {
    let Unseen {
        action,
        code,
        message,
    } = unseen;
    let answer = format!("{code}: {message}");
    let why = advice::explained_refusal(action, &answer);
    anyhow!("AWS Batch cannot be asked: {action} failed: {why}")
}
