//! Whether tests that need a program of others may be skipped.

/// Whether they may not: in CI, and where this variable says so.
pub fn is_required(variable: &str) -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some();
    is_set("CI") || is_set(variable)
}
