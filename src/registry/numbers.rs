//! Which number stands before what is written.
//!
//! It is that of our own schema, as it is in `schemas/`. If a subject does not have it word for
//! word, any version does with which data are laid out the same (documentation, defaults and
//! order of keys may differ), the newest first.

use super::notices::SchemaRegistered;
use super::subject::Subject;
use super::{Client, Error, Handle};

use crate::record::codec::Number;

/// How many versions of a subject are looked at.
const VERSIONS: usize = 50;

impl Handle {
    /// The number of a subject's schema; it is registered if it is missing and that is
    /// configured.
    pub(super) async fn number(&self, subject: &Subject) -> Result<u32, Error> {
        if let Some((id, _)) = find(&self.client, subject).await? {
            return Ok(id);
        }
        let unregistered = || {
            let kinds: Vec<_> = subject.kinds.iter().map(|kind| kind.name()).collect();
            Error::Unregistered {
                subject: subject.name.clone(),
                kinds: kinds.join(", "),
            }
        };
        if !self.auto_register {
            return Err(unregistered());
        }
        let Subject {
            name, format, text, ..
        } = subject;
        let registered = self.client.register(name, *format, text).await?;
        SchemaRegistered {
            subject: name,
            id: registered.id,
        }
        .emit();
        registered.id.ok_or_else(unregistered)
    }
}

/// Number and version of what a subject has for us, if it has that.
pub async fn find(client: &Client, subject: &Subject) -> Result<Option<(u32, Option<u32>)>, Error> {
    let Subject {
        name, format, text, ..
    } = subject;
    match client.look_up(name, *format, text).await {
        Ok(found) => return Ok(found.id.map(|id| (id, found.version))),
        Err(Error::Missing(_)) => {}
        // Some registries will not even look for what they would not take.
        Err(Error::Refused(_)) => {}
        Err(error) => return Err(error),
    }
    let versions = client.versions(name).await?;
    for version in versions.into_iter().rev().take(VERSIONS) {
        let there = match client.version(name, version).await {
            Err(Error::Missing(_)) => continue,
            there => there?,
        };
        if let Some(id) = there.id
            && subject.is_laid_out_like(&there.text)
        {
            return Ok(Some((id, Some(version))));
        }
    }
    Ok(None)
}

impl Subject {
    /// The numbers of its kinds, if its schema has number `id`.
    pub(super) fn numbers(&self, id: u32) -> impl Iterator<Item = Number> {
        self.kinds.iter().map(move |kind| Number {
            kind: *kind,
            id,
            branch: self.branch(*kind),
        })
    }
}
