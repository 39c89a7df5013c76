//! Spans on their way to a collector.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{Event, Link, SpanId, SpanKind, Status};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanExporter as Export, SpanProcessor,
};

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

use crate::Place;

/// So many spans wait for the collector at most.
const WAITING: usize = 8192;
/// So many go in one request.
const BATCH: usize = 512;
/// How long a span waits for others.
const DELAY: Duration = Duration::from_secs(1);

/// Called with how many spans did not get through, and why.
pub type Lost = Arc<dyn Fn(usize, &str) + Send + Sync>;

/// How the collector is reached, and who sends.
pub struct Options {
    /// Where it takes spans: `http://localhost:4318/v1/traces`.
    pub endpoint: String,
    /// Headers of each request.
    pub headers: Vec<(String, String)>,
    /// TLS, for an endpoint with https.
    pub tls: Option<ClientConfig>,
    /// How long a request may take.
    pub timeout: Duration,
    /// `service.name` of the resource.
    pub service_name: String,
    /// `service.version`.
    pub version: &'static str,
    /// `service.instance.id`: which process.
    pub instance: String,
    /// Hears of spans that did not get through.
    pub lost: Lost,
}

/// Why there is no exporter.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client of HTTP refuses what it was given.
    #[error("the client of HTTP cannot be made: {0}")]
    Client(#[from] reqwest::Error),
    /// The exporter does.
    #[error("the exporter cannot be made: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// TLS does.
    #[error("TLS cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// A thread could not be started.
    #[error("no thread: {0}")]
    Thread(#[from] std::io::Error),
    /// The thread that made it ended badly.
    #[error("the exporter's thread ended badly")]
    Panicked,
}

/// What part a span has in an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It asks somebody, and has waited for the answer.
    Client,
    /// It deals with what somebody has sent.
    Consumer,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
}

/// A span that has ended.
#[derive(Clone, Debug)]
pub struct Span {
    /// Where it stands.
    pub place: Place,
    /// What it is called.
    pub name: &'static str,
    /// What part it has.
    pub kind: Kind,
    /// When it began.
    pub start: SystemTime,
    /// When it ended.
    pub end: SystemTime,
    /// What happened meanwhile.
    pub events: Vec<(&'static str, SystemTime)>,
    /// What else is known of it.
    pub attributes: Vec<(&'static str, Value)>,
    /// Why it failed, if it did.
    pub error: Option<String>,
    /// A span that it has to do with.
    pub link: Option<Place>,
}

/// Sends spans, from a thread of its own.
pub struct Exporter {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
    waiting: Arc<AtomicUsize>,
    lost: Lost,
}

impl Exporter {
    /// An exporter; whether the collector is there is seen with the first spans.
    ///
    /// # Errors
    ///
    /// When a header or the endpoint cannot be one.
    pub fn new(options: Options) -> Result<Self, Error> {
        // The client of HTTP has a runtime of its own, which must not begin or end on another's thread.
        let made = std::thread::Builder::new()
            .name("otlp-begin".into())
            .spawn(|| Exporter::made(options))?;
        made.join().map_err(|_| Error::Panicked)?
    }

    fn made(options: Options) -> Result<Self, Error> {
        let tls = options.tls.map_or_else(trusting_nobody, Ok)?;
        let client = reqwest::blocking::Client::builder()
            .timeout(options.timeout)
            .tls_backend_preconfigured(tls);
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(options.endpoint)
            .with_timeout(options.timeout)
            .with_headers(options.headers.into_iter().collect())
            .with_http_client(client.build()?)
            .build()?;
        let waiting = Arc::new(AtomicUsize::new(0));
        let counted = Counted {
            exporter,
            waiting: waiting.clone(),
            lost: options.lost.clone(),
        };
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(WAITING)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(DELAY)
            .build();
        let mut processor = BatchSpanProcessor::builder(counted)
            .with_batch_config(batches)
            .build();
        let resource = Resource::builder_empty()
            .with_service_name(options.service_name)
            .with_attributes([
                KeyValue::new("service.version", options.version),
                KeyValue::new("service.instance.id", options.instance),
            ])
            .build();
        processor.set_resource(&resource);
        Ok(Exporter {
            processor,
            scope: InstrumentationScope::builder(env!("CARGO_PKG_NAME")).build(),
            waiting,
            lost: options.lost,
        })
    }

    /// Hands a span over, and drops it if too many wait.
    pub fn export(&self, span: Span) {
        if self.waiting.fetch_add(1, Relaxed) >= WAITING {
            self.waiting.fetch_sub(1, Relaxed);
            return (self.lost)(1, "the collector takes spans too slowly");
        }
        self.processor.on_end(data(span, self.scope.clone()));
    }

    /// Waits until the collector has everything, at most so long. It is the end.
    pub fn finish(&self, patience: Duration) {
        // What does not get through is told to whoever counts.
        let _ = self.processor.shutdown_with_timeout(patience);
        let left = self.waiting.swap(0, Relaxed);
        if left > 0 {
            (self.lost)(left, "the process ended before the collector had them");
        }
    }
}

/// What the client of HTTP wants to have also where nothing is encrypted.
fn trusting_nobody() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}

fn data(span: Span, instrumentation_scope: InstrumentationScope) -> SpanData {
    let mut data = SpanData {
        span_context: span.place.context.clone(),
        parent_span_id: span.place.parent.unwrap_or(SpanId::INVALID),
        parent_span_is_remote: span.place.parent.is_some(),
        span_kind: match span.kind {
            Kind::Client => SpanKind::Client,
            Kind::Consumer => SpanKind::Consumer,
        },
        name: span.name.into(),
        start_time: span.start,
        end_time: span.end,
        attributes: span.attributes.into_iter().map(attribute).collect(),
        dropped_attributes_count: 0,
        events: Default::default(),
        links: Default::default(),
        status: span.error.map_or(Status::Unset, Status::error),
        instrumentation_scope,
    };
    let event = |(name, at)| Event::new(name, at, Vec::new(), 0);
    data.events.events = span.events.into_iter().map(event).collect();
    let link = |place: Place| Link::new(place.context, Vec::new(), 0);
    data.links.links = span.link.into_iter().map(link).collect();
    data
}

fn attribute((key, value): (&'static str, Value)) -> KeyValue {
    match value {
        Value::Text(text) => KeyValue::new(key, text),
        Value::Number(number) => KeyValue::new(key, number),
        Value::Flag(flag) => KeyValue::new(key, flag),
    }
}

/// Counts what waits and what is lost.
struct Counted {
    exporter: SpanExporter,
    waiting: Arc<AtomicUsize>,
    lost: Lost,
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.exporter.fmt(f)
    }
}

impl Export for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let exported = self.exporter.export(batch).await;
        let waiting = |waiting: usize| Some(waiting.saturating_sub(count));
        let _ = self.waiting.fetch_update(Relaxed, Relaxed, waiting);
        if let Err(error) = &exported {
            (self.lost)(count, &error.to_string());
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::UNIX_EPOCH;

    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use parking_lot::Mutex;
    use prost::Message;

    use super::*;

    /// A collector: its address, and the head and body of each request, which it answers with `status`.
    fn collector(status: &'static str) -> (String, Receiver<(String, Vec<u8>)>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let (requests, received) = channel();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let mut reader = BufReader::new(connection.try_clone().unwrap());
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
                let head = head.to_lowercase();
                let length = head.split("content-length: ").nth(1).unwrap();
                let length: usize = length.lines().next().unwrap().trim().parse().unwrap();
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                connection.write_all(answer.as_bytes()).unwrap();
                if requests.send((head, body)).is_err() {
                    return;
                }
            }
        });
        (address, received)
    }

    /// How many spans were lost, and why.
    type Losses = Arc<Mutex<Vec<(usize, String)>>>;

    fn exporter(endpoint: String) -> (Exporter, Losses) {
        let losses = Losses::default();
        let heard = losses.clone();
        let exporter = Exporter::new(Options {
            endpoint,
            headers: vec![("x-api-key".into(), "s3cret".into())],
            tls: None,
            timeout: Duration::from_secs(2),
            service_name: "sms".into(),
            version: "0.1.0",
            instance: "one".into(),
            lost: Arc::new(move |count, why| heard.lock().push((count, why.to_owned()))),
        });
        (exporter.unwrap(), losses)
    }

    fn span(seed: &str) -> Span {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        Span {
            place: Place::of(Some(parent), None, seed.as_bytes()),
            name: "submit",
            kind: Kind::Client,
            start: at(1),
            end: at(3),
            events: vec![("submitted", at(2))],
            attributes: vec![
                ("messaging.system", Value::Text("smpp".into())),
                ("smpp.segments", Value::Number(2)),
            ],
            error: Some("ESME_RINVDSTADR".into()),
            link: Some(Place::of(None, None, b"other")),
        }
    }

    #[test]
    fn a_collector_has_what_was_exported() {
        let (address, received) = collector("200 OK");
        let (exporter, losses) = exporter(address);
        exporter.export(span("one"));
        exporter.export(span("two"));
        exporter.finish(Duration::from_secs(5));
        let (head, body) = received.recv().unwrap();
        assert!(head.starts_with("post /v1/traces "), "{head}");
        assert!(head.contains("x-api-key: s3cret"), "{head}");
        let request = ExportTraceServiceRequest::decode(&*body).unwrap();
        let spans = &request.resource_spans[0];
        let resource = format!("{:?}", spans.resource);
        for named in ["service.name", "\"sms\"", "service.instance.id", "\"one\""] {
            assert!(resource.contains(named), "{resource}");
        }
        let spans = &spans.scope_spans[0].spans;
        assert_eq!(spans.len(), 2);
        let first = &spans[0];
        assert_eq!(first.name, "submit");
        assert_eq!(first.trace_id[..4], [0x4b, 0xf9, 0x2f, 0x35]);
        assert_eq!(
            first.parent_span_id,
            [0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]
        );
        assert_ne!(first.span_id, spans[1].span_id);
        assert_eq!(
            first.end_time_unix_nano - first.start_time_unix_nano,
            2_000_000_000
        );
        assert_eq!(first.events[0].name, "submitted");
        let other = Place::of(None, None, b"other");
        assert_eq!(first.links[0].trace_id, other.context.trace_id().to_bytes());
        assert_eq!(first.status.as_ref().unwrap().message, "ESME_RINVDSTADR");
        let attributes = format!("{:?}", first.attributes);
        assert!(attributes.contains("IntValue(2)"), "{attributes}");
        assert!(losses.lock().is_empty());
    }

    #[test]
    fn what_does_not_get_through_is_counted_and_holds_nobody_up() {
        let (address, _received) = collector("400 Bad Request");
        let (exporter, losses) = exporter(address);
        for n in 0..3 {
            exporter.export(span(&n.to_string()));
        }
        exporter.finish(Duration::from_secs(5));
        let lost = losses.lock();
        let count: usize = lost.iter().map(|(count, _)| count).sum();
        assert_eq!(count, 3, "{lost:?}");
    }
}
