//! Transcripts between a bind and a scripted SMSC.

mod field;
mod flow;
mod home;
mod life;
mod outbind;
mod outcomes;
mod peer;
mod pipes;
mod protocol;
mod security;
mod tcp;
mod timers;
mod trust;
