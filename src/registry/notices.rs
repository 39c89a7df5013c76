//! What is said of the schema registry: every line of this part at `info` and above.

use std::fmt;

use crate::codes;

plain_telemetry::notices! {
    /// What is said of the schema registry.
    pub(crate) static NOTICES;

    /// The schema registry does not answer. What needs a schema that is not known yet waits; the rest
    /// goes on.
    warn[codes::REGISTRY_AWAY] RegistryFails<'a> "{what}; it is asked again" {
        /// What it was asked for.
        inline what: &'a str,
        /// What it says, or that it cannot be reached.
        display error: &'a dyn fmt::Display,
    }

    /// The schema registry answers what it did not answer before.
    info RegistryAnswersAgain<'a> "{what}: the schema registry answers again" {
        /// What it was asked for.
        inline what: &'a str,
    }

    /// A record says that its schema has a number which the registry does not know. Is it the registry
    /// that the record was written with?
    warn[codes::SCHEMA_MISSING] NoSuchSchema "the schema registry has no such schema" {
        /// The number.
        value id: u32,
    }

    /// The schema of a record in the registry is none by which a record of ours can be read. Records of
    /// it end as SendError, or are skipped.
    warn[codes::SCHEMA_FITS_NOTHING] SchemaFitsNothing<'a> "a schema of the registry fits no record of ours" {
        /// Its number.
        value id: u32,
        /// Why not.
        display why: &'a str,
    }

    /// A schema that a record was written by is known now.
    info SchemaCame "a schema came from the registry" {
        /// Its number.
        value id: u32,
    }

    /// A schema of ours was registered, because `auto_register` says so.
    info SchemaRegistered<'a> "schema registered" {
        /// The subject.
        value subject: &'a str,
        /// Its number, if the registry says it.
        value id: Option<u32>,
    }
}
