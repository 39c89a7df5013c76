//! `others CLIENT PORT MESSAGES WINDOW`: submits messages of 160 characters through one session,
//! so many at a time, and prints how many a second were answered.

use std::error::Error;
use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const TEXT: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\
                    0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().ok_or("CLIENT PORT MESSAGES WINDOW");
    let (client, port) = (next()?, next()?.parse()?);
    let (messages, window) = (next()?.parse()?, next()?.parse()?);
    let rate = match &*client {
        "rusmppc" => rusmppc(port, messages, window).await?,
        "smpp34" => smpp34(port, messages, window).await?,
        _ => return Err("CLIENT is rusmppc or smpp34".into()),
    };
    println!("{rate:.0}");
    Ok(())
}

/// As many tasks as the window has places, each of which waits for its answer before it goes on:
/// how both clients are meant to be used.
async fn measure<F: Future<Output = ()> + Send>(
    messages: u64,
    window: usize,
    submit: impl Fn() -> F + Clone + Send + 'static,
) -> Result<f64, Box<dyn Error>> {
    let left = Arc::new(AtomicU64::new(messages));
    let began = Instant::now();
    let tasks: Vec<_> = (0..window)
        .map(|_| {
            let (left, submit) = (left.clone(), submit.clone());
            tokio::spawn(async move {
                let take = |n: u64| n.checked_sub(1);
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                    .is_ok()
                {
                    submit().await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await?;
    }
    Ok(messages as f64 / began.elapsed().as_secs_f64())
}

async fn rusmppc(port: u16, messages: u64, window: usize) -> Result<f64, Box<dyn Error>> {
    use futures::StreamExt;
    use rusmpp::pdus::{BindTransceiver, SubmitSm};
    use rusmpp::types::{COctetString, OctetString};
    use rusmpp::values::{Npi, Ton};

    let (client, mut events) = rusmppc::ConnectionBuilder::new()
        .connect(format!("smpp://127.0.0.1:{port}"))
        .await?;
    tokio::spawn(async move { while events.next().await.is_some() {} });
    let bind = BindTransceiver::builder()
        .system_id(COctetString::from_str("bench")?)
        .password(COctetString::from_str("secret")?)
        .build();
    client.bind_transceiver(bind).await?;
    let message = SubmitSm::builder()
        .source_addr(COctetString::from_str("12345")?)
        .dest_addr_ton(Ton::International)
        .dest_addr_npi(Npi::Isdn)
        .destination_addr(COctetString::from_str("41791234567")?)
        .short_message(OctetString::from_str(TEXT)?)
        .build();
    measure(messages, window, move || {
        let (client, message) = (client.clone(), message.clone());
        async move {
            client.submit_sm(message).await.expect("an answer");
        }
    })
    .await
}

async fn smpp34(port: u16, messages: u64, window: usize) -> Result<f64, Box<dyn Error>> {
    use smpp34::client::{BIND_TYPE, SMSC, SmppClient, SmppClientListener};
    use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

    struct Listener(UnboundedSender<SMSC>);

    #[async_trait::async_trait]
    impl SmppClientListener for Listener {
        async fn on_smsc_bound(&self, smsc: SMSC, _: &String) {
            let _ = self.0.send(smsc);
        }
    }

    let (bound, mut sessions) = unbounded_channel();
    let (system_id, password) = ("bench".to_owned(), "secret".to_owned());
    let mut client = SmppClient::new(
        "127.0.0.1".into(),
        port,
        false,
        BIND_TYPE::TRX,
        system_id,
        password,
        String::new(),
        0,
        0,
        String::new(),
        Arc::new(Listener(bound)),
        window,
    );
    client.start().await;
    let smsc = Arc::new(sessions.recv().await.ok_or("not bound")?);
    measure(messages, window, move || {
        let smsc = smsc.clone();
        async move {
            let message = smsc
                .submit_sm()
                .source_addr("12345")
                .destination_addr("41791234567");
            let answer = message.short_message(TEXT.as_bytes()).send().await;
            assert!(answer.is_ok(), "an answer");
        }
    })
    .await
}
