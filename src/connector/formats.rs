//! The codecs of all topics; those with a schema registry know the numbers of what is written.

use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::record::codec::{Codec, Codecs};
use crate::record::format::Format;
use crate::registry;

/// The codecs of the outbound topics, and of the others.
pub struct Opened {
    /// Of the outbound topics, for reading.
    pub outbound: Codec,
    /// Of the others.
    pub codecs: Codecs,
}

/// Makes them; waits for the registry, for as long as it takes. `None` if `shutdown` came
/// first.
pub async fn open(
    config: &Config,
    registry: Option<&registry::Handle>,
    shutdown: &CancellationToken,
) -> Option<Opened> {
    let outbound = reader(config.formats.outbound, registry);
    let mut codecs = Codecs::default();
    let topics = &config.topics;
    for topic in config.contents() {
        let place = match &topic.name {
            name if *name == topics.responses => &mut codecs.responses,
            name if *name == topics.errors => &mut codecs.errors,
            name if *name == topics.receipts => &mut codecs.receipts,
            name if *name == topics.inbound => &mut codecs.inbound,
            name if *name == topics.notifications => &mut codecs.notifications,
            name if *name == topics.correlation => &mut codecs.correlation,
            name if *name == topics.deliveries => &mut codecs.deliveries,
            _ => continue,
        };
        *place = match registry.filter(|_| topic.format.is_registered()) {
            Some(registry) => registry.codec_patiently(&topic, shutdown).await?,
            None => Codec::new(topic.format),
        };
    }
    Some(Opened { outbound, codecs })
}

/// A codec that only reads.
pub fn reader(format: Format, registry: Option<&registry::Handle>) -> Codec {
    match registry.filter(|_| format.is_registered()) {
        Some(registry) => registry.reader(format),
        None => Codec::new(format),
    }
}
