//! The bootstrap as a program of its own.

fn main() {
    std::process::exit(bootstrap::entrypoint());
}
