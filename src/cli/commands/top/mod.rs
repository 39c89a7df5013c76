//! `kafka-smpp top`: what can be seen of running connectors, on a terminal.
//!
//! [`state`] is what is known, and what keys and answers change of it; [`view`] makes lines of that;
//! [`screen`] draws them. Here is what waits for keys, answers and time.

mod screen;
mod state;
#[cfg(test)]
mod tests;
mod view;

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::cli::looking::{Access, Visitor, nobody};
use crate::cli::output::line;
use crate::cli::{Code, Failure, runtime};
use crate::status::{History, STEP};
use state::{Key, Processes, Top};

/// Watch running connectors in a terminal: binds, rates, times, partitions, problems
///
/// It asks where a connector can be looked at (http.listen), which tells of all processes of its
/// deployment; where those do not know each other, name several.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  kafka-smpp top
  kafka-smpp top --url http://pod-3:9464
  kafka-smpp top --url pod-1:9464 --url pod-2:9464
  kafka-smpp top --once | less

Keys: q quits, arrows or j and k scroll, tab or 1 to 9 look at one ESME, 0 at all, p holds still.
Where the output is no terminal it prints one picture and ends; then the exit code is 0 if nothing
is missing, 75 if something is, and 69 if nobody answers.")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    access: Access,
    /// Where a connector listens; without it http.listen of the configuration
    #[arg(long, value_name = "URL")]
    url: Vec<String>,
    /// Print one picture and end
    #[arg(long)]
    once: bool,
}

/// How often connectors are asked.
const EVERY: Duration = Duration::from_secs(2);
/// How often the keyboard's thread looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);
/// The width of a picture where there is no terminal.
const WIDTH: usize = 100;

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let visitor = args.access.visitor(&args.url)?;
    let runtime = runtime()?;
    if args.once || !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return runtime.block_on(once(&visitor));
    }
    let mut terminal = ratatui::try_init()?;
    let watched = runtime.block_on(watch(Arc::new(visitor), &mut terminal));
    ratatui::try_restore()?;
    watched
}

type Answer = Result<(Processes, Option<History>), String>;

/// What a connector says; the last hour only if that is asked for, because it is long.
async fn ask(visitor: &Visitor, url: &str, with_history: bool) -> Answer {
    let processes = visitor.document(url, "/processes").await?;
    let history = if with_history {
        Some(visitor.document(url, "/history").await?)
    } else {
        None
    };
    Ok((processes, history))
}

/// Prints one picture.
async fn once(visitor: &Visitor) -> Result<(), Failure> {
    let mut top = Top::new(visitor.urls.len());
    for (at, url) in visitor.urls.iter().enumerate() {
        top.heard(at, ask(visitor, url, true).await);
    }
    if !top.has_answer() {
        return Err(nobody(top.faults().collect::<Vec<_>>().join("\n")));
    }
    let width = if io::stdout().is_terminal() {
        textwrap::termwidth()
    } else {
        WIDTH
    };
    for one in view::head(&top, width)
        .iter()
        .chain(&view::page(&top, width))
    {
        line(one.text())?;
    }
    if top.is_ready() {
        Ok(())
    } else {
        Err(Failure::silent(Code::TempFail))
    }
}

/// What changes the picture.
enum Change {
    Key(Key),
    Resized,
    Heard(usize, Answer),
}

/// Draws until somebody wants it to end.
async fn watch(visitor: Arc<Visitor>, terminal: &mut DefaultTerminal) -> Result<(), Failure> {
    let (changes, mut changed) = channel(16);
    let mut top = Top::new(visitor.urls.len());
    let asking: Vec<_> = (0..visitor.urls.len())
        .map(|at| tokio::spawn(keep_asking(visitor.clone(), at, changes.clone())))
        .collect();
    let is_ending = Arc::new(AtomicBool::new(false));
    let ends = is_ending.clone();
    let keys = tokio::task::spawn_blocking(move || read_keys(&changes, &ends));
    let drawn = draw(&mut top, terminal, &mut changed).await;
    is_ending.store(true, Ordering::Relaxed);
    asking.iter().for_each(tokio::task::JoinHandle::abort);
    drop(changed);
    let _ = keys.await;
    Ok(drawn?)
}

async fn draw(
    top: &mut Top,
    terminal: &mut DefaultTerminal,
    changed: &mut Receiver<Change>,
) -> io::Result<()> {
    let has_colors = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    loop {
        terminal.draw(|frame| screen::draw(frame, top, has_colors))?;
        let change = tokio::select! {
            change = changed.recv() => change,
            () = told_to_end() => None,
        };
        match change {
            Some(Change::Key(key)) => {
                let size = terminal.size()?;
                let length = view::page(top, usize::from(size.width)).len();
                if !top.key(key, screen::height(size.height), length) {
                    return Ok(());
                }
            }
            Some(Change::Resized) => {}
            Some(Change::Heard(at, answer)) => top.heard(at, answer),
            None => return Ok(()),
        }
    }
}

/// A signal that would end the process with the terminal as it is.
async fn told_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = [SignalKind::terminate(), SignalKind::hangup()];
    let [Ok(mut terminate), Ok(mut hangup)] = kinds.map(signal) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}

/// Asks one connector again and again.
async fn keep_asking(visitor: Arc<Visitor>, at: usize, changes: Sender<Change>) {
    let url = visitor.urls.get(at).cloned().unwrap_or_default();
    let mut clock = tokio::time::interval(EVERY);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut history: Option<Instant> = None;
    loop {
        clock.tick().await;
        let is_due = history.is_none_or(|last| last.elapsed() >= Duration::from_secs(STEP));
        let answer = ask(&visitor, &url, is_due).await;
        if is_due && answer.is_ok() {
            history = Some(Instant::now());
        }
        if changes.send(Change::Heard(at, answer)).await.is_err() {
            return;
        }
    }
}

/// Reads keys until that is to end, on a thread where it may block.
fn read_keys(changes: &Sender<Change>, is_ending: &AtomicBool) {
    while !is_ending.load(Ordering::Relaxed) {
        let change =
            match event::poll(LOOK).and_then(|is_there| is_there.then(event::read).transpose()) {
                Ok(None) => continue,
                Ok(Some(Event::Key(key))) if key.kind != KeyEventKind::Release => {
                    meaning(key).map(Change::Key)
                }
                Ok(Some(Event::Resize(..))) => Some(Change::Resized),
                Ok(Some(_)) => None,
                // The terminal is gone.
                Err(_) => Some(Change::Key(Key::Quit)),
            };
        if let Some(change) = change
            && changes.blocking_send(change).is_err()
        {
            return;
        }
    }
}

/// What a key means.
fn meaning(key: KeyEvent) -> Option<Key> {
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    Some(match key.code {
        KeyCode::Char('c') if is_control => Key::Quit,
        KeyCode::Char(_) if is_control => return None,
        KeyCode::Char('q') | KeyCode::Esc => Key::Quit,
        KeyCode::Char('k') | KeyCode::Up => Key::Up,
        KeyCode::Char('j') | KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown | KeyCode::Char(' ') => Key::PageDown,
        KeyCode::Home | KeyCode::Char('g') => Key::Top,
        KeyCode::End | KeyCode::Char('G') => Key::Bottom,
        KeyCode::Tab | KeyCode::Right => Key::Next,
        KeyCode::BackTab | KeyCode::Left => Key::Previous,
        KeyCode::Char('p') => Key::Hold,
        KeyCode::Char(digit) => {
            Key::Choose(usize::try_from(digit.to_digit(10)?).unwrap_or_default())
        }
        _ => return None,
    })
}
