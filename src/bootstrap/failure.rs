//! Why user code did not start.

use std::{error::Error, io};

use model::spec::Stopped;

use crate::{
    files::FileError, install::InstallError, order::Order, package::PackageError, process::Ending,
    s3_error::S3Error, work_dir::WorkDirError,
};

/// Something failed after the claim and before user code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// There is no place for the task.
    #[error(transparent)]
    WorkDir(#[from] WorkDirError),
    /// Logs cannot be kept.
    #[error("failed to make a file for the task's logs")]
    Spool(#[source] io::Error),
    /// The image has no Python.
    #[error("the image has neither `python` nor `python3` on PATH: Metaflow needs one")]
    NoPython,
    /// The interpreter could not be called `python`.
    #[error("failed to provide `python`")]
    Python(#[source] io::Error),
    /// Packages are missing.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// There is no code.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// What comes with the code cannot be written.
    #[error(transparent)]
    Files(#[from] FileError),
    /// The step's command cannot be started.
    #[error("failed to start `{program}`")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// The spec has no command.
    #[error("the task's spec has an empty command")]
    NoCommand,
    /// A command that comes before the step failed.
    #[error("the step's environment could not be prepared ({ending}); its own messages are above")]
    Prepare {
        /// How bash ended.
        ending: Ending,
    },
    /// The container was asked to stop.
    #[error("the container was asked to stop before the step began")]
    Interrupted,
    /// The datastore spoke against it.
    #[error(transparent)]
    Ordered(#[from] Order),
}

impl Failure {
    /// Whether the same launch may well succeed a little later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Package(PackageError::Download { source, .. }) => {
                source.is_passing() || matches!(**source, S3Error::Interrupted)
            }
            // Whoever cancels the job says so as its status reason; else its host goes away.
            Self::Interrupted | Self::Ordered(Order::LauncherLost { .. }) => true,
            _ => false,
        }
    }

    /// What the datastore said against the start, where nothing has failed.
    pub(crate) fn stopped(&self) -> Option<Stopped> {
        match self {
            Self::Ordered(order) => order.stopped(),
            _ => None,
        }
    }
}

/// An error and its causes as one sentence.
pub(crate) fn sentence(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
