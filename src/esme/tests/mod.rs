//! Transcripts between a bind and a scripted SMSC.

mod life;
mod outcomes;
mod peer;
mod pipes;
mod protocol;
mod security;
mod timers;
