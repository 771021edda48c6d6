//! Exit codes and nothing else.

fn main() -> std::process::ExitCode {
    neural_exporter::cli::main()
}
