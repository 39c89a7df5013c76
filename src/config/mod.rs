//! Typed, validated configuration; every error at once.
