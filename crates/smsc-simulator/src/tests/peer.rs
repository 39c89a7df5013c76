//! An ESME written out by hand.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Handle;
use smpp_protocol::pdu::{Bind, Sm};
use smpp_protocol::{Address, Command, Status, frame};

/// How long anything may take on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A peer that says what it is told to and shows what it hears.
pub(super) struct Esme {
    pub(super) stream: TcpStream,
    pub(super) input: Vec<u8>,
}

/// One PDU as a test compares it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) command: Command,
    pub(super) status: Status,
    pub(super) sequence: u32,
    pub(super) body: Vec<u8>,
}

impl Heard {
    pub(super) fn header(&self) -> (Command, Status, u32) {
        (self.command, self.status, self.sequence)
    }

    pub(super) fn message_id(&self) -> String {
        String::from_utf8(self.body.split_last().unwrap().1.to_vec()).unwrap()
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(Sm::decode(&self.body).unwrap().short_message).into_owned()
    }
}

impl Esme {
    pub(super) async fn connect(smsc: &Handle) -> Esme {
        let stream = TcpStream::connect(smsc.addr()).await.unwrap();
        Esme {
            stream,
            input: Vec::new(),
        }
    }

    pub(super) async fn bound(smsc: &Handle, bind: Command) -> Esme {
        let mut esme = Esme::connect(smsc).await;
        assert_eq!(esme.bind(bind, "esme", "secret").await, Status::ROK);
        esme
    }

    pub(super) async fn bind(
        &mut self,
        command: Command,
        system_id: &str,
        password: &str,
    ) -> Status {
        self.bind_as(0x34, command, system_id, password).await
    }

    pub(super) async fn bind_as(
        &mut self,
        interface_version: u8,
        command: Command,
        system_id: &str,
        password: &str,
    ) -> Status {
        let pdu = bind_as(interface_version, command, system_id, password);
        self.stream.write_all(&pdu).await.unwrap();
        let response = self.hears().await;
        assert_eq!(
            (response.command, response.sequence),
            (command.response(), 1)
        );
        response.status
    }

    /// Sends PDUs in one segment, so that the simulator takes all of them at one time, however
    /// busy the machine is.
    pub(super) async fn says_at_once(&mut self, pdus: &[Vec<u8>]) {
        self.stream.write_all(&pdus.concat()).await.unwrap();
    }

    pub(super) async fn says(&mut self, command: Command, status: Status, sequence: u32) {
        let mut pdu = Vec::new();
        frame::push_empty(command, status, sequence, &mut pdu);
        self.stream.write_all(&pdu).await.unwrap();
    }

    pub(super) async fn submits(&mut self, sequence: u32, text: &str) {
        self.stream
            .write_all(&submit_sm(sequence, text))
            .await
            .unwrap();
    }

    pub(super) async fn hears(&mut self) -> Heard {
        self.hears_or_ends().await.expect("the connection ended")
    }

    pub(super) async fn hears_or_ends(&mut self) -> Option<Heard> {
        loop {
            if let Some(frame) = frame::split(&self.input, 10_000).unwrap() {
                let heard = Heard {
                    command: frame.header.command,
                    status: frame.header.status,
                    sequence: frame.header.sequence,
                    body: frame.body.to_vec(),
                };
                self.input.drain(..frame.header.length as usize);
                return Some(heard);
            }
            let read = self.stream.read_buf(&mut self.input);
            match timeout(PATIENCE, read)
                .await
                .expect("nothing heard for a minute")
            {
                Ok(1..) => {}
                _ => return None,
            }
        }
    }

    pub(super) async fn hears_nothing_for(&mut self, millis: u64) {
        let heard = timeout(Duration::from_millis(millis), self.hears()).await;
        assert!(heard.is_err(), "heard {heard:?}");
    }

    /// Acknowledges the next deliver_sm and returns it.
    pub(super) async fn receives(&mut self) -> Heard {
        let deliver = self.hears().await;
        assert_eq!(deliver.command, Command::DELIVER_SM);
        self.says(Command::DELIVER_SM_RESP, Status::ROK, deliver.sequence)
            .await;
        deliver
    }
}

pub(super) fn bind_as(
    interface_version: u8,
    command: Command,
    system_id: &str,
    password: &str,
) -> Vec<u8> {
    let bind = Bind {
        system_id: system_id.as_bytes(),
        password: password.as_bytes(),
        interface_version,
        ..Bind::default()
    };
    let mut pdu = Vec::new();
    bind.encode(command, Status::ROK, 1, &mut pdu).unwrap();
    pdu
}

pub(super) fn empty(command: Command, sequence: u32) -> Vec<u8> {
    let mut pdu = Vec::new();
    frame::push_empty(command, Status::ROK, sequence, &mut pdu);
    pdu
}

pub(super) fn submit_sm(sequence: u32, text: &str) -> Vec<u8> {
    let message = Sm {
        source: Address::parse("ACME"),
        destination: Address::parse("+447700900123"),
        registered_delivery: 1,
        short_message: text.as_bytes(),
        ..Sm::default()
    };
    let mut pdu = Vec::new();
    message
        .encode(Command::SUBMIT_SM, Status::ROK, sequence, &mut pdu)
        .unwrap();
    pdu
}
