//! The scheduler through its public surface: scenarios, properties and a simulator.

mod endings;
mod flow;
mod infrastructure;
mod plan_errors;
mod progress;
mod property;
mod retries;
mod scenario;
mod shapes;
mod simulator;
mod switches;
mod transitions;
