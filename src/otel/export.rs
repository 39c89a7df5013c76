//! Spans as OpenTelemetry names them, on their way to the collector.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use otlp_spans::{Exporter, Kind, Options, Place, Span, Value};

use super::notices::SpansLost;
use super::{Message, Received, Sink, Submitted};
use crate::config::Otel;
use crate::repeated::{Line, Times};

/// How long a request to the collector may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What the exporter of a configuration is, if it has one.
pub fn sink(
    otel: &Otel,
    application: &str,
    instance: &str,
) -> Result<Option<Arc<dyn Sink>>, String> {
    let Some(endpoint) = &otel.endpoint else {
        return Ok(None);
    };
    let endpoint = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    let of_line = endpoint.clone();
    let lost = Line::new(move |times: Times, error: String| {
        SpansLost {
            spans: times.count,
            within: times.within,
            endpoint: &of_line,
            error: &error,
        }
        .emit();
    });
    let tls = if endpoint.starts_with("https") {
        let tls = smpp_esme::Tls {
            enabled: true,
            ..smpp_esme::Tls::default()
        };
        Some(smpp_esme::client_config(&tls).map_err(|error| error.to_string())?)
    } else {
        None
    };
    let headers = otel.headers.iter();
    let exporter = Exporter::new(Options {
        endpoint,
        headers: headers
            .map(|(name, value)| (name.clone(), value.get().to_owned()))
            .collect(),
        tls,
        timeout: TIMEOUT,
        service_name: otel.service_name.as_deref().unwrap_or(application).into(),
        version: env!("CARGO_PKG_VERSION"),
        instance: instance.to_owned(),
        lost: Arc::new(move |count, why| lost.note_many(count as u64, why.to_owned())),
    });
    Ok(Some(Arc::new(Sampled {
        exporter: exporter.map_err(|error| error.to_string())?,
        share: otel.sample,
    })))
}

/// Exports what is sampled.
struct Sampled {
    exporter: Exporter,
    share: f64,
}

impl Sampled {
    /// The place of a span of a message, if it is sampled. The submit's is the message's own.
    fn place(&self, message: &Message<'_>) -> Option<Place> {
        let seed = format!("{}/{}", message.esme, message.record);
        let place = Place::of(message.traceparent, message.tracestate, seed.as_bytes());
        place.is_sampled(self.share).then_some(place)
    }
}

impl Sink for Sampled {
    fn submitted(&self, submitted: &Submitted<'_>) {
        let Some(place) = self.place(&submitted.message) else {
            return;
        };
        let end = SystemTime::from(submitted.ended_at);
        // The clock of whoever appended it may be ahead.
        let began = submitted.appended_at.or(submitted.submitted_at);
        let start = began.map_or(end, SystemTime::from).min(end);
        let sent = submitted.submitted_at.map(SystemTime::from);
        let mut attributes = of_message(&submitted.message, "submit", "send");
        attributes.extend([
            ("smpp.segments", Value::Number(submitted.segments as i64)),
            ("smpp.attempt", Value::Number(submitted.attempt.into())),
            (
                "smpp.possible_duplicate",
                Value::Flag(submitted.possible_duplicate),
            ),
        ]);
        let bind = submitted.bind.map(str::to_owned);
        attributes.extend(bind.map(|bind| ("smpp.bind", Value::Text(bind))));
        let id = submitted.message_id.clone();
        attributes.extend(id.map(|id| ("messaging.message.id", Value::Text(id))));
        let status = submitted.status.map(|status| status.0);
        attributes
            .extend(status.map(|status| ("smpp.command_status", Value::Number(status.into()))));
        let error = submitted.error.map(str::to_owned);
        attributes.extend(
            error
                .clone()
                .map(|error| ("error.type", Value::Text(error))),
        );
        self.exporter.export(Span {
            place,
            name: "submit",
            kind: Kind::Client,
            start,
            end,
            events: sent.map(|at| ("submitted", at)).into_iter().collect(),
            attributes,
            error,
            link: None,
        });
    }

    fn receipt(&self, received: &Received<'_>) {
        let Some(submit) = self.place(&received.message) else {
            return;
        };
        // A trace of its own, because the other ended long ago. The same if it is joined anew.
        let seed = format!(
            "{}/{}/{}/{}/{}",
            received.message.record,
            received.message_id,
            received.state.name(),
            received.received_at.as_microsecond(),
            received.bind,
        );
        let start = SystemTime::from(received.received_at);
        let waited = received.received_at.duration_since(received.submitted_at);
        let mut attributes = of_message(&received.message, "receipt", "process");
        attributes.extend([
            ("smpp.bind", Value::Text(received.bind.to_owned())),
            (
                "messaging.message.id",
                Value::Text(received.message_id.to_owned()),
            ),
            (
                "smpp.message_state",
                Value::Text(received.state.name().to_owned()),
            ),
            ("smpp.final", Value::Flag(received.is_final)),
            (
                "smpp.submit_to_receipt_ms",
                Value::Number(waited.as_millis() as i64),
            ),
        ]);
        let segment = received.segment.map(i64::from);
        attributes.extend(segment.map(|segment| ("smpp.segment", Value::Number(segment))));
        self.exporter.export(Span {
            place: Place::of(None, None, seed.as_bytes()),
            name: "receipt",
            kind: Kind::Consumer,
            start,
            end: SystemTime::now().max(start),
            events: Vec::new(),
            attributes,
            error: None,
            link: Some(submit),
        });
    }

    fn finish(&self, patience: Duration) {
        self.exporter.finish(patience);
    }
}

/// The attributes of every span of a message: neither numbers nor texts, nor what an application may
/// have made of them.
fn of_message(message: &Message<'_>, operation: &str, kind: &str) -> Vec<(&'static str, Value)> {
    let text = |text: &str| Value::Text(text.to_owned());
    vec![
        ("messaging.system", text("smpp")),
        ("messaging.operation.name", text(operation)),
        ("messaging.operation.type", text(kind)),
        ("messaging.destination.name", text(message.esme)),
        ("smpp.esme", text(message.esme)),
        ("kafka_smpp.record", Value::Text(message.record.to_string())),
    ]
}
