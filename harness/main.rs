//! The `rashomon` binary: everything is in the harness.

fn main() -> std::process::ExitCode {
    harness::main()
}
