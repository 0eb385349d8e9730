//! Environment variables and configuration files.

use std::fs;

use crate::rows;

rows! {
    wish_means_nothing: |_| {};
    log_filter_means_nothing: |_| {};
    dev_wish_means_nothing: |_| {};
    patience_is_no_number: |_| {};
    attach_names_no_run: |_| {};
    attach_to_a_run_on_disk: |_| {};
    json_wish_means_nothing: |_| {};
    events_without_the_engine: |_| {};
    configuration_is_no_json: |g| {
        fs::create_dir_all(g.path("home/metaflowconfig")).expect("a folder");
        g.write("home/metaflowconfig/config.json", "{queue: \n");
    };
    profile_is_not_there: |_| {};
    metadata_service_does_not_answer: |_| {};
}
