//! The `kafka-smpp` command.

#![forbid(unsafe_code)]

/// Records become many small allocations, which one thread makes and another frees. It asks for no huge
/// pages (the feature `no_thp`): of each it would use little, and all of it would be resident.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    kafka_smpp::cli::main()
}
