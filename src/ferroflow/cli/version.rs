//! `ferroflow --version`: the version, and what this program is made of.

use crate::bootstraps;

/// What follows the program's name in the long form.
pub(crate) fn facts() -> String {
    let known = |value: &'static str| if value.is_empty() { "unknown" } else { value };
    let features = if cfg!(feature = "dev") { "dev" } else { "none" };
    let rows = [
        ("commit:", known(env!("FERROFLOW_BUILD_COMMIT")).to_owned()),
        ("target:", env!("FERROFLOW_BUILD_TARGET").to_owned()),
        ("profile:", env!("FERROFLOW_BUILD_PROFILE").to_owned()),
        (
            "rustc:",
            known(env!("FERROFLOW_BUILD_RUSTC"))
                .trim_start_matches("rustc ")
                .to_owned(),
        ),
        ("features:", features.to_owned()),
        ("bootstraps:", for_containers()),
    ];
    let lines = rows.map(|(label, value)| format!("{label:<12}{value}"));
    format!("{}\n{}", env!("CARGO_PKG_VERSION"), lines.join("\n"))
}

/// Those for containers, which are files beside this program.
fn for_containers() -> String {
    match bootstraps::found() {
        Ok(found) => {
            let names: Vec<_> = found
                .iter()
                .map(|(machine, path)| format!("{machine} ({})", path.display()))
                .collect();
            names.join(", ")
        }
        Err(_) => "none found; runs on AWS Batch need them".to_owned(),
    }
}
