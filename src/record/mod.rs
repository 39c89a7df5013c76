//! What travels on topics.
