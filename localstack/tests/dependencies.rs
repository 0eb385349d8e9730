//! What this crate may use: nothing of Ferroflow's other crates, and nothing of the AWS SDK.

use std::process::Command;

use serde_json::Value;

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("cargo prints JSON")
}

/// `name version` of a package.
fn words(package: &Value) -> String {
    let word = |name: &str| package[name].as_str().expect("a text").to_owned();
    format!("{} {}", word("name"), word("version"))
}

#[test]
fn nothing_of_ferroflow_and_nothing_of_the_aws_sdk() {
    let metadata = metadata();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let packages = list(&metadata["packages"]);
    let nodes = list(&metadata["resolve"]["nodes"]);
    let own = packages
        .iter()
        .find(|p| p["name"] == env!("CARGO_PKG_NAME"));
    let mut open = vec![own.expect("this crate is a package")["id"].clone()];
    let mut seen = open.clone();
    while let Some(id) = open.pop() {
        let node = nodes.iter().find(|node| node["id"] == id);
        for dependency in list(&node.expect("a node")["dependencies"]) {
            if !seen.contains(&dependency) {
                seen.push(dependency.clone());
                open.push(dependency);
            }
        }
    }
    let used = packages.iter().filter(|p| seen[1..].contains(&p["id"]));
    let used: Vec<_> = used.map(words).collect();
    assert!(used.iter().any(|name| name.starts_with("s3s ")), "{used:?}");
    let strangers: Vec<_> = used
        .iter()
        .filter(|name| name.starts_with("ferroflow") || name.starts_with("aws-"))
        .collect();
    assert!(strangers.is_empty(), "{strangers:?}");
}

/// Versions that have advisories, and that the SDK's default features would bring.
#[test]
fn no_old_http_and_no_old_tls() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("packages");
    let names: Vec<_> = packages.iter().map(words).collect();
    for old in [
        "hyper 0.",
        "h2 0.3.",
        "rustls 0.21.",
        "rustls-webpki 0.101.",
    ] {
        let found: Vec<_> = names.iter().filter(|name| name.starts_with(old)).collect();
        assert!(found.is_empty(), "{found:?}");
    }
    assert!(names.iter().any(|name| name.starts_with("hyper 1.")));
}
