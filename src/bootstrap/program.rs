//! The bootstrap as a process: what [`run`] gets when it is not under test.

use std::sync::Arc;

use crate::{
    console::Console,
    environment::Environment,
    interrupts::Interrupts,
    platform,
    run::{Container, run},
    settings::Settings,
};

/// Runs the task that this process's environment names, and returns the exit code of the
/// container. Must be called before the process has started any thread, because signals are
/// blocked in the threads that exist and those started later.
pub fn main() -> i32 {
    let interrupts = Interrupts::default();
    interrupts.catch_signals();
    platform::adopt_orphans();
    run(&Container {
        environment: Environment::of_process(),
        settings: Settings {
            reap_orphans: true,
            ..Settings::default()
        },
        console: Arc::new(Console::of_process()),
        interrupts,
    })
}
