//! The server of the stack, asked by boto3, by the AWS CLI and by hand-made requests.

#[expect(dead_code, reason = "moto is not needed here")]
#[path = "../../../tests/harness/python.rs"]
mod python;

mod clients;
mod faults;
mod jobs;
mod refusals;
mod stack;
