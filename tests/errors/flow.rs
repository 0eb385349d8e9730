//! The command line, the flow, the interpreter.

use crate::{harness::python, rows};

rows! {
    no_flow_file: |_| {};
    flow_is_a_folder: |g| { g.folder("folder.py"); };
    no_such_verb: |_| {};
    no_flow_in_the_file: |g| { g.write("hello.py", "print('hello')\n"); };
    syntax_error: |g| { g.write("broken.py", "def (\n"); };
    import_error: |g| { g.replace("from metaflow", "import no_such_module\nfrom metaflow"); };
    no_such_command: |_| {};
    no_such_option: |_| {};
    unknown_decorator: |_| {};
    unknown_attribute: |_| {};
    max_workers_is_no_number: |_| {};
    max_workers_is_zero: |_| {};
    artifact_without_pickle: |g| { g.replace("self.value = 1", "self.value = (n for n in [1])"); };
    no_metaflow: |g| {
        let bin = g.text_of("bin");
        g.unset("FERROFLOW_PYTHON").set("PATH", &format!("{bin}:/usr/bin:/bin"));
        // A machine may have it for its own Python.
        g.set("PYTHONNOUSERSITE", "1").set("PYTHONPATH", "");
        g.program("bin/python", "#!/bin/sh\nexit 1\n").program("bin/python3", "#!/bin/sh\nexit 1\n");
    };
    no_python: |g| {
        let bin = g.text_of("bin");
        g.unset("FERROFLOW_PYTHON").set("PATH", &bin);
    };
    python_is_not_there: |_| {};
    python_is_no_program: |g| { g.write("notes.txt", ""); };
    python_without_metaflow: |g| {
        let python = python::with_metaflow().display().to_string();
        g.program("bare-python", &format!("#!/bin/sh\nexec {python} -S \"$@\"\n"));
    };
    metaflow_is_too_old: old_metaflow;
    metaflow_is_too_old_and_may_run: old_metaflow;
    no_name_for_the_user: |g| { g.unset("METAFLOW_USER").unset("USER").unset("USERNAME").unset("LOGNAME").unset("SUDO_USER"); };
}

/// One without a method that the hand-over needs, as those before 2.15 lack some.
fn old_metaflow(ground: &mut crate::ground::Ground) {
    let cut =
        "import metaflow.runtime\ndel metaflow.runtime.NativeRuntime._retry_worker\nfrom metaflow";
    ground.replace("from metaflow", cut);
}
