//! The registry's service while a command reads records.

use super::{Failure, runtime};
use crate::config::Config;
use crate::registry::{Handle, Registry, StopOnDrop};
use crate::threads;

/// Brings schemas on a thread of its own until it is dropped.
pub(super) struct Schemas {
    handle: Option<StopOnDrop>,
}

impl Schemas {
    /// Begins, if a topic needs it.
    pub fn open(config: &Config) -> Result<Schemas, Failure> {
        let needed = config.contents().iter().any(|t| t.format.is_registered());
        if !needed {
            return Ok(Schemas { handle: None });
        }
        let (registry, handle) = Registry::new(&config.schema_registry)?;
        let runtime = runtime()?;
        threads::start("registry", move || runtime.block_on(registry.run()))?;
        Ok(Schemas {
            handle: Some(StopOnDrop(handle)),
        })
    }

    /// Makes codecs.
    pub fn handle(&self) -> Option<&Handle> {
        self.handle.as_ref().map(|running| &running.0)
    }
}
