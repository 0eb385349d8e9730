//! Disks and streams: full, read-only, closed.

use crate::{ground::Ground, rows};

rows! {
    disk_is_full: |g| { g.set("SIZE", "4k"); small_disk(g); };
    disk_is_full_for_an_artifact: |g| {
        g.replace("self.value = 1", "import os\n        self.value = os.urandom(4_000_000)");
        g.set("SIZE", "1m");
        small_disk(g);
    };
    disk_fills_during_the_run: |g| {
        g.replace("print('the value is', self.value)", "import os\n        with open(os.environ['METAFLOW_DATASTORE_SYSROOT_LOCAL'] + '/fill', 'wb', 0) as f:\n            while True:\n                f.write(b'x' * 4096)");
        g.set("SIZE", "1m");
        small_disk(g);
    };
    datastore_is_read_only: |g| { g.set("SIZE", "1m").set("THEN", "mount -o remount,ro"); small_disk(g); };
    no_folder_of_ones_own: |_| {};
    no_temporary_folder: |_| {};
    output_is_full: |_| {};
    output_is_closed: |_| {};
    output_of_a_verb_is_full: |_| {};
    errors_go_nowhere: |_| {};
}

/// A file system of SIZE below the folder, in a mount namespace of its own, which goes away with its processes. Users who may
/// not mount get a user namespace, too.
fn small_disk(ground: &mut Ground) {
    let root = ground.folder("disk").text_of("disk");
    ground.set("METAFLOW_DATASTORE_SYSROOT_LOCAL", &root);
    ground.set("DISK", &root);
    ground.program(
        "with-disk",
        "#!/bin/sh\nset -e\nmount -t tmpfs -o size=$SIZE tmpfs \"$DISK\"\n${THEN:-true} ${THEN:+\"$DISK\"}\nexec \"$@\"\n",
    );
    let wrapper = ground.text_of("with-disk");
    ground.inside(&["unshare", "--map-root-user", "--mount", &wrapper]);
    let may = ground.command("true", &[]).status();
    if !may.is_ok_and(|status| status.success()) {
        ground.cannot("file systems cannot be mounted here, not even in a user namespace");
    }
}
