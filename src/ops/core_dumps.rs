//! No copy of this process's memory in a file.
//!
//! The memory of a process that works has passwords, because every connection needs one again, and texts
//! and numbers of the messages under way. librdkafka keeps copies of its own. So nothing of it is written
//! when the process crashes, and another process of the same user cannot read it either.

use nix::sys::resource::{Resource, setrlimit};

/// From now on a crash writes no core dump, and only root can look into the memory of this process
/// (where the system is Linux).
///
/// # Errors
///
/// When the system refuses.
pub fn forbid() -> nix::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    // The limit is not asked where a program takes core dumps (core_pattern with a pipe).
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_dumpable(false)?;
    Ok(())
}
