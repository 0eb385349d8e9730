//! The server of the stack, asked by boto3, by the AWS CLI and by hand-made requests.

#[path = "../../../tests/harness/python.rs"]
mod python;

mod clients;
mod jobs;
mod refusals;
mod stack;
