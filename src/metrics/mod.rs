//! What can be seen of a process, as metrics.
//!
//! They are written from a [`Status`] when they are asked for, in the text formats of OpenMetrics 1.0
//! and of Prometheus (0.0.4). So they say what `/status` says, and cost nothing while nobody asks.
//!
//! A counter begins at zero with the process. What a process has counted since it was last asked is
//! lost when it is killed; the records on the topics are not.

mod table;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::notices::plain;
use crate::status::{Histogram, Status};

use table::{COUNTERS, FAMILIES, Kind, Samples, Value};

/// How they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus 0.0.4.
    Prometheus,
}

impl Format {
    /// What whoever accepts this is given: OpenMetrics if it is named.
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") {
            Format::OpenMetrics
        } else {
            Format::Prometheus
        }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The metrics of a process of which this is seen.
///
/// # Errors
///
/// When the encoder fails, which would be a fault of the table.
pub fn write(status: Status, format: Format) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Seen(status)));
    let mut written = String::new();
    match format {
        Format::OpenMetrics => text::encode(&mut written, &registry)?,
        Format::Prometheus => prometheus_text::encode(&mut written, &registry)?,
    }
    Ok(written)
}

#[derive(Debug)]
struct Seen(Status);

/// Labels with their values.
type Labels<'a> = Vec<(&'static str, Cow<'a, str>)>;

impl Collector for Seen {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let status = &self.0;
        for family in FAMILIES {
            let unit = family.unit.map(|unit| Unit::Other(unit.to_owned()));
            let descriptor = Descriptor {
                name: family.name,
                about: family.about,
                unit,
                kind: family.kind,
                labels: family.labels,
            };
            descriptor.encode(&mut encoder, |add| (family.read)(status, add))?;
        }
        for counters in &COUNTERS {
            for count in counters.table {
                let descriptor = Descriptor {
                    name: &format!("{}{}", counters.prefix, count.name),
                    about: count.about,
                    unit: None,
                    kind: Kind::Counter,
                    labels: counters.labels,
                };
                let read = |add: &mut Samples<'_>| (counters.read)(status, count.name, add);
                descriptor.encode(&mut encoder, read)?;
            }
        }
        Ok(())
    }
}

/// What stands above the samples of a family.
struct Descriptor<'a> {
    name: &'a str,
    about: &'a str,
    unit: Option<Unit>,
    kind: Kind,
    labels: &'static [&'static str],
}

impl Descriptor<'_> {
    fn encode(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        read: impl FnOnce(&mut Samples<'_>),
    ) -> fmt::Result {
        let kind = match self.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
        };
        let about = help(self.about);
        let mut family = encoder.encode_descriptor(self.name, &about, self.unit.as_ref(), kind)?;
        let mut written = Ok(());
        read(&mut |values, value| {
            let values = values.iter().map(|value| Cow::Borrowed(*value));
            let labels: Labels<'_> = self.labels.iter().copied().zip(values).collect();
            written = written.and_then(|()| {
                let mut metric = family.encode_family(&labels)?;
                sample(&mut metric, value)
            });
        });
        written
    }
}

/// All in one line.
fn help(about: &str) -> String {
    plain(about).replace("\n\n", " ")
}

fn sample(metric: &mut MetricEncoder<'_>, value: Value<'_>) -> fmt::Result {
    match value {
        Value::Count(count) => metric.encode_counter::<NoLabelSet, _, f64>(&count, None),
        Value::Number(number) => metric.encode_gauge(&number),
        Value::Times(histogram) => {
            let (count, sum) = (histogram.count(), histogram.sum);
            metric.encode_histogram::<NoLabelSet>(sum, count, &buckets(histogram), None)
        }
    }
}

/// Upper bounds, and how many are in each bucket alone: the encoder adds them up.
fn buckets(histogram: &Histogram) -> Vec<(f64, u64)> {
    let bounds = histogram.le.iter().copied().chain([f64::INFINITY]);
    bounds.zip(histogram.counts.iter().copied()).collect()
}
