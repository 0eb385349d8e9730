//! The engine's program, and its death.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    ground::Ground,
    harness::{lab::Running, processes, wait_for},
    rows,
};

rows! {
    engine_is_not_there: |g| { g.installed(); };
    engine_is_not_there_and_metaflow_may_run_it: |g| { g.installed(); };
    engine_is_no_program: |g| { g.installed().write("notes.txt", ""); };
    engine_is_another_program: |g| { g.installed(); };
    engine_is_killed_at_its_start: |g| { g.installed().program("dies", "#!/bin/sh\nkill -9 $$\n"); };
    engine_is_killed: |g| {
        g.replace("print('the value is', self.value)", "__import__('time').sleep(60)");
        g.meanwhile(kill_the_engine);
    };
    engine_without_host: |_| {};
    engine_on_a_closed_descriptor: |_| {};
}

fn kill_the_engine(ground: &Ground, running: &Running) {
    wait_for("the last task to run", || {
        running.output().contains("/end/2 ")
    });
    let engine = processes::engine_with(&ground.text_of("home")).expect("the engine runs");
    kill(Pid::from_raw(engine), Signal::SIGKILL).expect("it is there");
}
