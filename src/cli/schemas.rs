//! The registry's service while a command reads records.

use tokio_util::sync::CancellationToken;

use super::{Failure, runtime};
use crate::config::Config;
use crate::registry::{Handle, Registry};

/// Brings schemas on a thread of its own until it is dropped.
pub(super) struct Schemas {
    handle: Option<Handle>,
    stop: CancellationToken,
}

impl Schemas {
    /// Begins, if a topic needs it.
    pub fn open(config: &Config) -> Result<Schemas, Failure> {
        let stop = CancellationToken::new();
        let needed = config.contents().iter().any(|t| t.format.is_registered());
        if !needed {
            return Ok(Schemas { handle: None, stop });
        }
        let (registry, handle) = Registry::new(&config.schema_registry)?;
        let (runtime, stopped) = (runtime()?, stop.clone());
        std::thread::Builder::new()
            .name("registry".into())
            .spawn(move || runtime.block_on(registry.run(stopped)))?;
        Ok(Schemas {
            handle: Some(handle),
            stop,
        })
    }

    /// Makes codecs.
    pub fn handle(&self) -> Option<&Handle> {
        self.handle.as_ref()
    }
}

impl Drop for Schemas {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
