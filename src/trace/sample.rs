//! Which PDUs are traced.
//!
//! A share of the phones is, and of such a phone everything: so a message, its answer and the receipt
//! that comes hours later on another bind of another process are there together, and nothing has to be
//! remembered for that but which requests have no answer yet.

use std::collections::HashSet;

use smpp_esme::{Direction, Passing};
use smpp_protocol::pdu::Pdu;
use smpp_protocol::{Command, Header};

use super::Settings;

/// A number is known by so many digits of its end: what is before them is not written the same by all.
const DIGITS: usize = 8;

/// So many requests of each side that are traced may be unanswered: more than a window has.
const UNANSWERED: usize = 20_000;

/// Which are traced.
pub struct Sample {
    /// Of 2^32 phones.
    share: u64,
    /// Only these requests; empty: all.
    commands: Vec<Command>,
}

/// The requests of a session that are traced and have no answer yet, by sequence_number.
#[derive(Debug, Default)]
pub struct Exchanges {
    ours: HashSet<u32>,
    theirs: HashSet<u32>,
}

impl Sample {
    pub fn new(settings: &Settings) -> Self {
        let named = |command: &&Command| {
            let name = command.name().unwrap_or_default();
            settings.commands.iter().any(|wanted| wanted == name)
        };
        Sample {
            share: (settings.sample.clamp(0.0, 1.0) * 2_f64.powi(32)) as u64,
            commands: Command::ALL.iter().filter(named).copied().collect(),
        }
    }

    /// Whether this one is traced.
    pub fn keeps(&self, passing: &Passing<'_>, exchanges: &mut Exchanges) -> bool {
        let Header {
            command, sequence, ..
        } = passing.header;
        if is_bind(command) && passing.direction == Direction::Sent {
            // A new session, with numbers of its own.
            *exchanges = Exchanges::default();
        }
        let Exchanges { ours, theirs } = exchanges;
        if command.is_response() {
            let asked = match passing.direction {
                Direction::Sent => theirs,
                Direction::Received => ours,
            };
            let is_all = self.share > u64::from(u32::MAX) && self.commands.is_empty();
            return asked.remove(&sequence) || is_all;
        }
        let keeps = self.wants(command) && self.chooses(passing);
        if keeps {
            let asked = match passing.direction {
                Direction::Sent => ours,
                Direction::Received => theirs,
            };
            if asked.len() >= UNANSWERED {
                asked.clear();
            }
            asked.insert(sequence);
        }
        keeps
    }

    fn wants(&self, command: Command) -> bool {
        self.commands.is_empty() || self.commands.contains(&command)
    }

    fn chooses(&self, passing: &Passing<'_>) -> bool {
        let Header {
            command, sequence, ..
        } = passing.header;
        if is_bind(command) || matches!(command, Command::UNBIND | Command::OUTBIND) {
            return true;
        }
        let hash = match phone(passing) {
            Some(phone) if !phone.is_empty() => crc32fast::hash(end_of(phone)),
            _ => crc32fast::hash(&sequence.to_be_bytes()),
        };
        // A checksum of numbers that follow each other is not spread out by itself.
        let spread = u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        spread < self.share
    }
}

fn is_bind(command: Command) -> bool {
    matches!(
        command,
        Command::BIND_TRANSMITTER | Command::BIND_RECEIVER | Command::BIND_TRANSCEIVER
    )
}

/// The number of the phone that a PDU is about.
fn phone<'a>(passing: &Passing<'a>) -> Option<&'a [u8]> {
    let pdu = Pdu::decode(passing.pdu).ok()?;
    if let Pdu::AlertNotification(alert) = &pdu {
        return Some(alert.source.number);
    }
    let message = pdu.message()?;
    Some(match passing.direction {
        Direction::Sent => message.destination.number,
        Direction::Received => message.source.number,
    })
}

fn end_of(number: &[u8]) -> &[u8] {
    &number[number.len().saturating_sub(DIGITS)..]
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use smpp_protocol::frame::push_empty;
    use smpp_protocol::pdu::Sm;
    use smpp_protocol::{Address, Status};

    use super::*;

    fn sample(share: f64, commands: &[&str]) -> Sample {
        Sample::new(&Settings {
            sample: share,
            commands: commands.iter().map(|name| (*name).to_owned()).collect(),
            ..Settings::default()
        })
    }

    fn message(command: Command, phone: &str, sequence: u32) -> Vec<u8> {
        let (ours, phone) = (Address::parse("1000"), Address::parse(phone));
        let (source, destination) = match command {
            Command::SUBMIT_SM => (ours, phone),
            _ => (phone, ours),
        };
        let message = Sm {
            source,
            destination,
            ..Sm::default()
        };
        let mut pdu = Vec::new();
        message
            .encode(command, Status::ROK, sequence, &mut pdu)
            .unwrap();
        pdu
    }

    fn empty(command: Command, sequence: u32) -> Vec<u8> {
        let mut pdu = Vec::new();
        push_empty(command, Status::ROK, sequence, &mut pdu);
        pdu
    }

    fn keeps(sample: &Sample, exchanges: &mut Exchanges, direction: Direction, pdu: &[u8]) -> bool {
        let passing = Passing {
            direction,
            peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 2775)),
            header: Header::decode(pdu).unwrap(),
            pdu,
        };
        sample.keeps(&passing, exchanges)
    }

    use Direction::{Received, Sent};

    #[test]
    fn a_phone_is_traced_with_all_that_is_said_of_it_or_not_at_all() {
        let sample = sample(0.1, &[]);
        let mut kept = 0;
        for phone in 0..10_000_u32 {
            let number = format!("4179{:07}", phone * 7);
            let sequence = phone + 1;
            let mut exchanges = Exchanges::default();
            let mut passes = |direction, pdu: &[u8]| keeps(&sample, &mut exchanges, direction, pdu);
            let submitted = passes(Sent, &message(Command::SUBMIT_SM, &number, sequence));
            let answer = empty(Command::SUBMIT_SM_RESP, sequence);
            assert_eq!(passes(Received, &answer), submitted);
            assert!(!passes(Received, &answer), "there is one answer");
            // The same phone, as an SMSC may write it.
            let national = format!("0{}", &number[2..]);
            let receipt = message(Command::DELIVER_SM, &national, sequence);
            assert_eq!(passes(Received, &receipt), submitted);
            let answer = empty(Command::DELIVER_SM_RESP, sequence);
            assert_eq!(passes(Sent, &answer), submitted);
            kept += u32::from(submitted);
        }
        assert!((900..1100).contains(&kept), "{kept}");
    }

    #[test]
    fn none_all_and_some_commands() {
        let mut exchanges = Exchanges::default();
        let submit_sm = message(Command::SUBMIT_SM, "41791234567", 1);
        let enquire_link = empty(Command::ENQUIRE_LINK, 2);
        let unbind = empty(Command::UNBIND, 3);
        let stray = empty(Command::SUBMIT_SM_RESP, 77);
        let mut kept = |sample: &Sample| {
            let of = [&submit_sm, &enquire_link, &unbind];
            let sent = of.map(|pdu| keeps(sample, &mut exchanges, Sent, pdu));
            let answered = keeps(sample, &mut exchanges, Received, &stray);
            (sent, answered)
        };
        assert_eq!(kept(&sample(0.0, &[])), ([false, false, true], false));
        assert_eq!(kept(&sample(1.0, &[])), ([true, true, true], true));
        let only = sample(1.0, &["submit_sm"]);
        assert_eq!(kept(&only), ([true, false, false], false));
    }

    #[test]
    fn requests_without_answer_are_remembered_up_to_a_bound_and_their_session() {
        let sample = sample(1.0, &["enquire_link", "bind_transceiver"]);
        let mut exchanges = Exchanges::default();
        for sequence in 0..50_000 {
            keeps(
                &sample,
                &mut exchanges,
                Sent,
                &empty(Command::ENQUIRE_LINK, sequence),
            );
        }
        assert!((1..=UNANSWERED).contains(&exchanges.ours.len()));
        keeps(
            &sample,
            &mut exchanges,
            Sent,
            &empty(Command::BIND_TRANSCEIVER, 1),
        );
        assert_eq!(exchanges.ours.len(), 1);
    }
}
