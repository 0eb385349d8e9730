//! The engine's program, and its death.

use crate::rows;

rows! {
    engine_is_not_there: |g| { g.installed(); };
    engine_is_not_there_and_metaflow_may_run_it: |g| { g.installed(); };
    engine_is_no_program: |g| { g.installed().write("notes.txt", ""); };
    engine_is_another_program: |g| { g.installed(); };
    engine_is_killed_at_its_start: |g| { g.installed().program("dies", "#!/bin/sh\nkill -9 $$\n"); };
    engine_is_killed: |g| {
        g.replace("from metaflow", "import os\nfrom metaflow").replace("print('the value is', self.value)", "os.kill(os.getppid(), 9)");
    };
    engine_without_host: |_| {};
    engine_on_a_closed_descriptor: |_| {};
}
