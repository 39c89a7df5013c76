//! Log lines for what may happen many times: said at once, then as a count.
//!
//! A line for each message in doubt would bury the log in the very hour in which it is read. So
//! the first time is said at once; what follows is counted and said as one line after a while,
//! which gets longer for as long as it goes on. Nothing is swallowed: [`run`], which a process has
//! once, says what is counted when its time has come, and [`finish`] the rest.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// From the first line to the second; twice as long after each further one.
const FIRST: Duration = Duration::from_secs(10);
/// The longest time between two lines.
const LONGEST: Duration = Duration::from_secs(300);
/// From one to the next where each is news.
const MINUTE: Duration = Duration::from_secs(60);
/// How often what is due is looked for.
const LOOK: Duration = Duration::from_secs(1);

/// How often a line may be said.
#[derive(Clone, Copy)]
struct Pauses {
    /// So many are said at once, after quiet.
    at_once: u32,
    /// From the last of them to the next; twice as long after each further one.
    first: Duration,
    /// The longest time between two lines.
    longest: Duration,
}

const EVER_RARER: Pauses = Pauses {
    at_once: 1,
    first: FIRST,
    longest: LONGEST,
};

/// What comes, goes and comes back soon is told at once: three.
const EACH_MINUTE: Pauses = Pauses {
    at_once: 3,
    first: MINUTE,
    longest: MINUTE,
};

/// All lines of this process that may have something to say: like the log itself there is one list.
static LINES: Mutex<Vec<Weak<dyn Due>>> = Mutex::new(Vec::new());

/// How often something happened since the last line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// How often, at least 1.
    pub count: u64,
    /// Since when; zero in the line that is said at once.
    pub within: Within,
}

/// A length of time in whole seconds, as lines say it: `11s`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Within(Duration);

impl Within {
    /// Whether this is the line that is said at once.
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl fmt::Debug for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}s", self.0.as_secs_f64())
    }
}

/// A line that is said at once, then as a count. Clones are the same line.
///
/// It is made with what writes it, and told each time with [`note`](Line::note): the first is a line,
/// those that follow soon are counted in the next one.
pub struct Line<T>(Arc<Inner<T>>);

impl<T> Clone for Line<T> {
    fn clone(&self) -> Self {
        Line(self.0.clone())
    }
}

struct Inner<T> {
    say: Box<dyn Fn(Times, T) + Send + Sync>,
    /// Adds what has just happened to what is counted and not said.
    add: fn(&mut T, T),
    pauses: Pauses,
    state: Mutex<State<T>>,
}

struct State<T> {
    /// What is counted and not said.
    unsaid: Option<(u64, T)>,
    /// When the last line was said.
    said: Option<Instant>,
    /// How many lines were said since it was quiet.
    lines: u32,
    /// How long after that the next line may come.
    pause: Duration,
}

impl<T: Send + 'static> Line<T> {
    /// A line that is written by `say`, which gets how often it happened and the latest of it.
    pub fn new(say: impl Fn(Times, T) + Send + Sync + 'static) -> Self {
        Self::summed(|counted, latest| *counted = latest, say)
    }

    /// A line that is written by `say`, which gets how often it happened and what `add` has made
    /// of all of it: the first argument, to which the second is added.
    pub fn summed(add: fn(&mut T, T), say: impl Fn(Times, T) + Send + Sync + 'static) -> Self {
        Self::apart(EVER_RARER, add, say).looked_after()
    }

    /// What is no log line but news for programs, such as what a bind's state is now: after quiet the
    /// first three are said at once, then one a minute, with how many there were and the latest.
    pub fn news(say: impl Fn(Times, T) + Send + Sync + 'static) -> Self {
        Self::apart(EACH_MINUTE, |counted, latest| *counted = latest, say).looked_after()
    }

    fn looked_after(self) -> Self {
        let line = self;
        let mut lines = LINES.lock();
        lines.retain(|line| line.strong_count() > 0);
        lines.push(Arc::downgrade(&line.0) as Weak<dyn Due>);
        drop(lines);
        line
    }

    /// A line that nobody looks after: what is counted is said by the next [`Self::note`].
    fn apart(
        pauses: Pauses,
        add: fn(&mut T, T),
        say: impl Fn(Times, T) + Send + Sync + 'static,
    ) -> Self {
        Line(Arc::new(Inner {
            say: Box::new(say),
            add,
            pauses,
            state: Mutex::new(State {
                unsaid: None,
                said: None,
                lines: 0,
                pause: pauses.first,
            }),
        }))
    }

    /// It happened once.
    pub fn note(&self, what: T) {
        self.note_many(1, what);
    }

    /// It happened so often, the last time like `what`; nothing if that is zero.
    pub fn note_many(&self, count: u64, what: T) {
        if count > 0 {
            self.0.note(count, what, Instant::now());
        }
    }
}

/// What is counted is said when a line ends, too.
impl<T> Drop for Inner<T> {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        if let Some((count, what)) = state.unsaid.take() {
            let within = Within(state.said.map(|said| said.elapsed()).unwrap_or_default());
            (self.say)(Times { count, within }, what);
        }
    }
}

impl<T: Send> Inner<T> {
    fn note(&self, count: u64, what: T, now: Instant) {
        let mut state = self.state.lock();
        if let Some((times, counted)) = &mut state.unsaid {
            *times = times.saturating_add(count);
            (self.add)(counted, what);
        } else {
            state.unsaid = Some((count, what));
        }
        drop(state);
        self.say_due(now);
    }
}

/// A line, whatever it is about.
trait Due: Send + Sync {
    /// Says what is counted, if it is time.
    fn say_due(&self, now: Instant);

    /// Says what is counted, and from now on each time at once: there may be no later.
    fn finish(&self, now: Instant);
}

impl<T: Send> Due for Inner<T> {
    fn say_due(&self, now: Instant) {
        let mut state = self.state.lock();
        let since = state.said.map(|said| now.saturating_duration_since(said));
        let early = since.is_some_and(|since| since < state.pause);
        if early && (state.lines >= self.pauses.at_once || state.unsaid.is_none()) {
            return;
        }
        let Some((count, what)) = state.unsaid.take() else {
            // Quiet for a whole pause: the next time is the first.
            state.said = None;
            state.lines = 0;
            state.pause = self.pauses.first;
            return;
        };
        if state.lines >= self.pauses.at_once {
            state.pause = (state.pause * 2).min(self.pauses.longest);
        }
        state.lines = state.lines.saturating_add(1);
        state.said = Some(now);
        drop(state);
        let within = Within(since.unwrap_or_default());
        (self.say)(Times { count, within }, what);
    }

    fn finish(&self, now: Instant) {
        self.state.lock().pause = Duration::ZERO;
        self.say_due(now);
        // Also if there was nothing to say.
        self.state.lock().pause = Duration::ZERO;
    }
}

/// Says what is counted when its time has come, for as long as it is polled.
pub async fn run() {
    loop {
        tokio::time::sleep(LOOK).await;
        lines().iter().for_each(|line| line.say_due(Instant::now()));
    }
}

/// Says all that is counted: the last words of a process. What is noted after that is said at once.
pub fn finish() {
    lines().iter().for_each(|line| line.finish(Instant::now()));
}

fn lines() -> Vec<Arc<dyn Due>> {
    LINES.lock().iter().filter_map(Weak::upgrade).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Said = Arc<Mutex<Vec<(u64, u64, char)>>>;

    fn line() -> (Line<char>, Said) {
        summed(|counted, latest| *counted = latest)
    }

    fn summed(add: fn(&mut char, char)) -> (Line<char>, Said) {
        let said = Said::default();
        let to = said.clone();
        let line = Line::apart(EVER_RARER, add, move |times: Times, what| {
            to.lock()
                .push((times.count, times.within.0.as_secs(), what));
        });
        (line, said)
    }

    #[test]
    fn the_first_time_is_said_at_once_and_the_rest_is_counted() {
        let (line, said) = line();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        for (seconds, what) in [(0, 'a'), (1, 'b'), (2, 'c')] {
            line.0.note(1, what, after(seconds));
        }
        assert_eq!(*said.lock(), [(1, 0, 'a')]);
        line.0.say_due(after(9));
        assert_eq!(said.lock().len(), 1, "not yet");
        line.0.say_due(after(10));
        line.0.say_due(after(11));
        assert_eq!(said.lock()[1..], [(2, 10, 'c')]);
        let within = Within(Duration::from_millis(10_597));
        assert_eq!(format!("{within:?} {:?}", Within(Duration::ZERO)), "11s 0s");
    }

    #[test]
    fn what_is_summed_says_all_that_it_counts() {
        let (line, said) = summed(|counted, latest| *counted = latest.max(*counted));
        let start = Instant::now();
        for (seconds, what) in [(0, 'b'), (1, 'c'), (2, 'a'), (10, 'a'), (40, 'a')] {
            line.0.note(1, what, start + Duration::from_secs(seconds));
        }
        assert_eq!(*said.lock(), [(1, 0, 'b'), (3, 10, 'c'), (1, 30, 'a')]);
    }

    #[test]
    fn what_goes_on_is_said_ever_more_rarely_and_what_comes_back_at_once() {
        let (line, said) = line();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        for second in 0..1000 {
            line.0.note(3, 'x', after(second));
        }
        let times: Vec<u64> = said.lock().iter().map(|(_, within, _)| *within).collect();
        assert_eq!(times, [0, 10, 20, 40, 80, 160, 300, 300]);
        let told: u64 = said.lock().iter().map(|(count, ..)| count).sum();
        line.0.say_due(after(2000));
        assert_eq!(
            said.lock().last().unwrap().0,
            3000 - told,
            "nothing is swallowed"
        );
        line.0.say_due(after(3000));
        line.0.note(1, 'y', after(3001));
        assert_eq!(said.lock().last().unwrap(), &(1, 0, 'y'));
    }

    #[test]
    fn news_comes_three_times_at_once_and_then_once_a_minute_with_the_latest() {
        let said = Said::default();
        let to = said.clone();
        let latest = |counted: &mut char, latest| *counted = latest;
        let line = Line::apart(EACH_MINUTE, latest, move |times: Times, what| {
            to.lock()
                .push((times.count, times.within.0.as_secs(), what));
        });
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        // A session that begins, is lost and comes back, then one that flaps for two minutes.
        for (seconds, what) in [(0, '+'), (10, '-'), (12, '+')] {
            line.0.note(1, what, after(seconds));
        }
        assert_eq!(*said.lock(), [(1, 0, '+'), (1, 10, '-'), (1, 2, '+')]);
        for seconds in 13..=133 {
            let what = if seconds % 2 == 1 { '-' } else { '+' };
            line.0.note(1, what, after(seconds));
            line.0.say_due(after(seconds));
        }
        assert_eq!(said.lock()[3..], [(60, 60, '+'), (60, 60, '+')]);
        // What it is in the end is told, and after quiet all begins anew.
        line.0.say_due(after(192));
        assert_eq!(said.lock()[5..], [(1, 60, '-')]);
        for seconds in 193..=252 {
            line.0.say_due(after(seconds));
        }
        for (seconds, what) in [(300, '+'), (301, '-'), (302, '+'), (303, '-')] {
            line.0.note(1, what, after(seconds));
        }
        assert_eq!(said.lock()[6..], [(1, 0, '+'), (1, 1, '-'), (1, 1, '+')]);
    }

    #[test]
    fn the_last_words_say_how_long_it_was_and_what_comes_later_is_said_at_once() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let (line, said) = line();
        for (second, what) in [(0, 'a'), (1, 'b'), (2, 'c')] {
            line.0.note(1, what, after(second));
        }
        line.0.finish(after(3));
        line.0.note(1, 'd', after(4));
        line.0.note(1, 'e', after(5));
        let expected = [(1, 0, 'a'), (2, 3, 'c'), (1, 1, 'd'), (1, 1, 'e')];
        assert_eq!(*said.lock(), expected);
        let (quiet, said) = self::line();
        quiet.0.finish(after(3));
        quiet.0.note(1, 'f', after(4));
        quiet.0.note(1, 'g', after(5));
        assert_eq!(*said.lock(), [(1, 0, 'f'), (1, 1, 'g')]);
    }

    #[test]
    fn a_line_is_looked_after_for_as_long_as_it_lives() {
        let said = Said::default();
        let to = said.clone();
        let line = Line::new(move |times: Times, what| {
            to.lock().push((times.count, 0, what));
        });
        line.note('a');
        line.note('b');
        line.note_many(0, 'c');
        finish();
        assert_eq!(*said.lock(), [(1, 0, 'a'), (1, 0, 'b')]);
        drop(line);
        LINES.lock().retain(|line| line.strong_count() > 0);
        finish();
        assert_eq!(said.lock().len(), 2);
        let (line, said) = self::line();
        for what in ['a', 'b', 'c'] {
            line.note(what);
        }
        drop(line);
        assert_eq!(*said.lock(), [(1, 0, 'a'), (2, 0, 'c')]);
    }
}
