//! The `kafka-smpp` command.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    kafka_smpp::cli::main()
}
