//! Who waits for which answer.

use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use tokio::time::Instant;

use super::client::Token;
use super::flow::Sending;
use super::outbox::Unsent;
use smpp_protocol::Command;
use smpp_protocol::frame::next_sequence;

/// Requests given up that are remembered, for each place in the window.
const GIVEN_UP_PER_PLACE: usize = 10;

/// The submit_sm of which at least one octet was given to the kernel and whose answer is not
/// here: exactly what is in doubt if the session ends now.
#[derive(Debug)]
pub(super) struct Window {
    open: HashMap<u32, Open>,
    /// Requests given up after the response timer, so that a late answer finds its token.
    given_up: HashMap<u32, (Token, Command)>,
    /// Those by age; may name some that an answer has removed already.
    oldest: VecDeque<u32>,
    given_up_limit: usize,
    last_sequence: u32,
    /// No request in `open` expires before this.
    next_expiry: Option<Instant>,
}

#[derive(Debug)]
struct Open {
    token: Token,
    /// What was asked.
    command: Command,
    sent: Instant,
    /// How many were open when it was sent, it included.
    rank: u32,
    expires: Instant,
}

/// What an answer's sequence number stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Matched {
    /// A request that waits.
    Open(Token, Sending),
    /// A request that was given up.
    Late(Token),
    /// Nothing of ours, answered before, or no answer to what was asked.
    Unknown,
}

impl Window {
    /// A window of about `places` requests.
    pub fn new(places: usize) -> Self {
        Window {
            open: HashMap::with_capacity(places.min(65_536)),
            given_up: HashMap::new(),
            oldest: VecDeque::new(),
            given_up_limit: places.saturating_mul(GIVEN_UP_PER_PLACE).max(1),
            last_sequence: 0,
            next_expiry: None,
        }
    }

    /// A sequence number that no request waits under.
    pub fn next_sequence(&mut self) -> u32 {
        loop {
            self.last_sequence = next_sequence(self.last_sequence);
            let taken = self.open.contains_key(&self.last_sequence)
                || self.given_up.contains_key(&self.last_sequence);
            if !taken {
                return self.last_sequence;
            }
        }
    }

    /// The first octet of a request went to the kernel.
    pub fn insert(&mut self, sent: &Unsent, now: Instant) {
        let expires = now + sent.timeout.min(Duration::from_secs(86_400 * 365));
        let open = Open {
            token: sent.token,
            command: sent.command,
            sent: now,
            // A window has at most some thousand places.
            rank: self.open.len() as u32 + 1,
            expires,
        };
        self.open.insert(sent.sequence, open);
        self.next_expiry = Some(self.next_expiry.map_or(expires, |next| next.min(expires)));
    }

    /// An answer came. One of another kind than what was asked says nothing of it: the request
    /// goes on waiting, and is in doubt in the end.
    pub fn answered(&mut self, sequence: u32, command: Command) -> Matched {
        if let Entry::Occupied(open) = self.open.entry(sequence) {
            if !answers(open.get().command, command) {
                return Matched::Unknown;
            }
            let open = open.remove();
            let sending = Sending {
                at: open.sent.into_std(),
                rank: open.rank as usize,
            };
            return Matched::Open(open.token, sending);
        }
        match self.given_up.entry(sequence) {
            Entry::Occupied(entry) if answers(entry.get().1, command) => {
                Matched::Late(entry.remove().0)
            }
            _ => Matched::Unknown,
        }
    }

    /// When [`Self::expire`] should be called next.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.next_expiry.filter(|_| !self.open.is_empty())
    }

    /// Gives up the requests whose response timer has run out. Walks the window, but
    /// only once per timer: an answered request leaves its expiry behind, nothing else is kept.
    pub fn expire(&mut self, now: Instant, mut expired: impl FnMut(Token)) {
        let mut next: Option<Instant> = None;
        let mut gone = Vec::new();
        for (sequence, open) in &self.open {
            if open.expires <= now {
                gone.push((open.expires, *sequence));
            } else {
                next = Some(next.map_or(open.expires, |next| next.min(open.expires)));
            }
        }
        self.next_expiry = next;
        gone.sort_unstable();
        for (_, sequence) in gone {
            if let Some(Open { token, command, .. }) = self.open.remove(&sequence) {
                self.give_up(sequence, token, command);
                expired(token);
            }
        }
    }

    fn give_up(&mut self, sequence: u32, token: Token, command: Command) {
        if self.oldest.len() >= self.given_up_limit
            && let Some(oldest) = self.oldest.pop_front()
        {
            self.given_up.remove(&oldest);
        }
        self.oldest.push_back(sequence);
        self.given_up.insert(sequence, (token, command));
    }

    /// When the request was sent that has waited for longest. Walks the window.
    pub fn oldest(&self) -> Option<Instant> {
        self.open.values().map(|open| open.sent).min()
    }

    /// How many requests wait.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Empties the window: the tokens without answer, in the order of their sequence numbers.
    pub fn drain(&mut self) -> Vec<Token> {
        let mut open: Vec<_> = self
            .open
            .drain()
            .map(|(sequence, o)| (sequence, o.token))
            .collect();
        open.sort_unstable();
        open.into_iter().map(|(_, token)| token).collect()
    }
}

/// Whether a response of this kind answers the request: its own, a generic_nack, one that SMPP does
/// not know, and among those that name a message any, because SMSCs mix them up. What is left is
/// known to answer something else.
fn answers(request: Command, response: Command) -> bool {
    let names_a_message = |response| {
        matches!(
            response,
            Command::SUBMIT_SM_RESP | Command::DATA_SM_RESP | Command::SUBMIT_MULTI_RESP
        )
    };
    response == request.response()
        || response == Command::GENERIC_NACK
        || response.name().is_none()
        || names_a_message(response) && names_a_message(request.response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use smpp_protocol::frame::MAX_SEQUENCE;

    const TIMEOUT: Duration = Duration::from_secs(10);

    const RESP: Command = Command::SUBMIT_SM_RESP;

    fn sent(sequence: u32, token: Token, timeout: Duration) -> Unsent {
        Unsent {
            sequence,
            command: Command::SUBMIT_SM,
            token,
            timeout,
        }
    }

    #[test]
    fn an_answer_of_another_kind_is_none() {
        let start = Instant::now();
        let mut window = window_of(100..102, start);
        for command in [Command::QUERY_SM_RESP, Command::ENQUIRE_LINK_RESP] {
            assert_eq!(window.answered(1, command), Matched::Unknown);
        }
        assert_eq!(
            window.answered(1, Command::DATA_SM_RESP),
            open(100, 1, start)
        );
        assert_eq!(expire(&mut window, start + TIMEOUT), [101]);
        assert_eq!(
            window.answered(2, Command::CANCEL_SM_RESP),
            Matched::Unknown
        );
        assert_eq!(
            window.answered(2, Command::GENERIC_NACK),
            Matched::Late(101)
        );
    }

    fn open(token: Token, rank: usize, at: Instant) -> Matched {
        let at = at.into_std();
        Matched::Open(token, Sending { at, rank })
    }

    fn window_of(tokens: std::ops::Range<Token>, now: Instant) -> Window {
        let mut window = Window::new(4);
        for token in tokens {
            let sequence = window.next_sequence();
            window.insert(&sent(sequence, token, TIMEOUT), now);
        }
        window
    }

    fn expire(window: &mut Window, now: Instant) -> Vec<Token> {
        let mut tokens = Vec::new();
        window.expire(now, |token| tokens.push(token));
        tokens
    }

    #[test]
    fn answers_find_their_request_once() {
        let start = Instant::now();
        let mut window = window_of(100..103, start);
        assert_eq!(window.answered(2, RESP), open(101, 2, start));
        assert_eq!(
            window.answered(2, RESP),
            Matched::Unknown,
            "a second answer"
        );
        assert_eq!(window.answered(9, RESP), Matched::Unknown, "never asked");
        assert_eq!(window.drain(), [100, 102]);
    }

    #[test]
    fn a_request_given_up_is_still_known_when_its_answer_comes() {
        let start = Instant::now();
        let mut window = window_of(100..102, start);
        let sequence = window.next_sequence();
        window.insert(&sent(sequence, 102, TIMEOUT / 2), start);
        assert_eq!(window.next_expiry(), Some(start + TIMEOUT / 2));
        assert_eq!(expire(&mut window, start + TIMEOUT / 2), [102]);
        assert_eq!(window.next_expiry(), Some(start + TIMEOUT));
        assert_eq!(window.answered(1, RESP), open(100, 1, start));
        assert_eq!(expire(&mut window, start + TIMEOUT), [101]);
        assert_eq!(window.answered(3, RESP), Matched::Late(102));
        assert_eq!(window.answered(3, RESP), Matched::Unknown);
        assert_eq!((window.len(), window.next_expiry()), (0, None));
    }

    #[test]
    fn requests_given_up_are_bounded_and_the_oldest_go_first() {
        let start = Instant::now();
        let mut window = window_of(0..100, start);
        assert_eq!(expire(&mut window, start + TIMEOUT).len(), 100);
        assert_eq!(
            window.answered(60, RESP),
            Matched::Unknown,
            "one of the 60 oldest"
        );
        assert_eq!(window.answered(61, RESP), Matched::Late(60));
        assert_eq!(window.given_up.len(), 39);
    }

    #[test]
    fn sequence_numbers_wrap_around_and_avoid_those_in_use() {
        let start = Instant::now();
        let mut window = window_of(0..2, start);
        expire(&mut window, start + TIMEOUT);
        window.insert(&sent(3, 7, TIMEOUT), start);
        window.last_sequence = MAX_SEQUENCE - 1;
        assert_eq!(window.next_sequence(), MAX_SEQUENCE);
        assert_eq!(window.next_sequence(), 4);
    }
}
