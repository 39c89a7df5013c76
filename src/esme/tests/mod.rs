//! Transcripts between a bind and a scripted SMSC.

mod outcomes;
mod peer;

mod timers;
