//! The CloudWatch Logs API, as far as logs of jobs need it.
