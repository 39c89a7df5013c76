//! The `kafka-smpp` command.

#![forbid(unsafe_code)]

/// Records become many small allocations, which one thread makes and another frees.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    kafka_smpp::cli::main()
}
