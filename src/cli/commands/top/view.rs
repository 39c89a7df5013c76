//! The page that `top` shows, as lines of text of a given width, for a screen and for a pipe.

use std::collections::BTreeMap;

use jiff::Timestamp;
use textwrap::core::display_width;

use super::state::{Account, Seen, Top};
use crate::cli::looking::inert;
use crate::cli::output::plural;
use crate::status::{Bind, Partition, Percentiles, Phase, Problem, Sample};

/// How a piece of text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Head,
    Good,
    Watch,
    Wrong,
    Quiet,
}

/// One line of the screen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line(pub Vec<(String, Tone)>);

/// So many lines of the log are shown.
const PROBLEMS: usize = 12;
/// So many reasons for not being ready.
const REASONS: usize = 12;

impl Line {
    fn of(text: impl Into<String>, tone: Tone) -> Line {
        Line(vec![(text.into(), tone)])
    }

    fn and(mut self, text: impl Into<String>, tone: Tone) -> Line {
        self.0.push((text.into(), tone));
        self
    }

    /// Without what only a screen shows.
    pub fn text(&self) -> String {
        let text: String = self.0.iter().map(|(text, _)| text.as_str()).collect();
        text.trim_end().to_owned()
    }
}

/// What always stands above the page.
pub(super) fn head(top: &Top, width: usize) -> Vec<Line> {
    let seen = top.seen();
    let silent = seen.iter().filter(|one| one.silent_for.is_some()).count();
    let deployments: Vec<String> = deployments(&seen);
    let title = format!("kafka-smpp top  {}", deployments.join(", "));
    let mut line = Line::of(
        fit(&title, display_width(&title).min(width / 2)),
        Tone::Head,
    );
    line = line.and(format!("  {}", plural_processes(seen.len())), Tone::Plain);
    if silent > 0 {
        line = line.and(format!(", {silent} silent"), Tone::Wrong);
    }
    if let Some(at) = top.at() {
        line = line.and(format!("  {}", at.strftime("%H:%M:%SZ")), Tone::Quiet);
    }
    if top.faults().next().is_some() {
        line = line.and("  NO ANSWER", Tone::Wrong);
    } else if reasons(&seen).next().is_some() {
        line = line.and("  NOT READY", Tone::Wrong);
    } else if top.has_answer() {
        line = line.and("  ready", Tone::Good);
    }
    if top.is_held {
        line = line.and("  held", Tone::Watch);
    }
    vec![line, tabs(top)]
}

fn deployments(seen: &[Seen<'_>]) -> Vec<String> {
    let mut all: Vec<String> = (seen.iter())
        .map(|one| inert(&one.status.process.deployment))
        .collect();
    all.sort();
    all.dedup();
    all
}

fn plural_processes(count: usize) -> String {
    match count {
        1 => "1 process".to_owned(),
        _ => format!("{count} processes"),
    }
}

/// The ESMEs, of which one may be looked at alone.
fn tabs(top: &Top) -> Line {
    let tone = |is: bool| if is { Tone::Head } else { Tone::Quiet };
    let mut line = Line::of("all", tone(top.chosen().is_none()));
    for (at, name) in top.names().iter().enumerate() {
        let label = format!("  {} {}", at + 1, inert(name));
        line = line.and(label, tone(top.chosen() == Some(name)));
    }
    line
}

/// What keys do.
pub(super) fn foot() -> Line {
    Line::of(
        "q quit  \u{2191}\u{2193} scroll  tab, 1-9 an ESME  0 all  p hold",
        Tone::Quiet,
    )
}

/// All that is known.
pub(super) fn page(top: &Top, width: usize) -> Vec<Line> {
    let seen = top.seen();
    let mut lines = Vec::new();
    for fault in top.faults() {
        lines.extend(wrapped(&inert(fault), width, Tone::Wrong));
    }
    let missing: Vec<String> = reasons(&seen).collect();
    for reason in missing.iter().take(REASONS) {
        let reason = format!("not ready: {reason}");
        lines.extend(wrapped(&reason, width, Tone::Wrong));
    }
    if missing.len() > REASONS {
        let more = format!("and {} more", missing.len() - REASONS);
        lines.push(Line::of(more, Tone::Wrong));
    }
    for account in top.accounts() {
        gap(&mut lines);
        lines.extend(esme(&account, width));
    }
    if !seen.is_empty() {
        gap(&mut lines);
        lines.extend(remembered(&seen, width));
        gap(&mut lines);
        lines.extend(processes(&seen, width));
    }
    let problems = problems(&seen, top.at().unwrap_or_default(), width);
    if !problems.is_empty() {
        gap(&mut lines);
        lines.push(Line::of("LAST IN THE LOG", Tone::Head));
        lines.extend(problems);
    }
    lines
}

fn gap(lines: &mut Vec<Line>) {
    if !lines.is_empty() {
        lines.push(Line::default());
    }
}

/// Why a process that is there does not do all its work.
fn reasons<'a>(seen: &'a [Seen<'_>]) -> impl Iterator<Item = String> + 'a {
    let present = seen.iter().filter(|one| one.silent_for.is_none());
    present.flat_map(|one| {
        let status = one.status;
        let all = status.ready.missing.iter().chain(&status.live.stuck);
        all.map(|why| format!("{}: {}", inert(&status.process.host), inert(why)))
    })
}

/// An ESME: its sums, its times, its binds, its partitions.
fn esme(account: &Account<'_>, width: usize) -> Vec<Line> {
    let binds: Vec<&Bind> = account.places.iter().flat_map(|(_, e)| &e.binds).collect();
    let partitions: Vec<&Partition> = (account.places.iter())
        .flat_map(|(_, esme)| &esme.partitions)
        .collect();
    let mut lines = vec![summary(account, &binds, &partitions, width)];
    lines.extend(paused(account, width));
    if let Some(sample) = &account.sample {
        lines.push(rates(sample));
        lines.extend(times(sample, width));
    }
    if !binds.is_empty() {
        lines.push(bind_heading(width));
    }
    for one in binds {
        lines.extend(bind(one, width));
    }
    if !partitions.is_empty() {
        lines.push(partition_heading(width));
    }
    for one in partitions {
        lines.extend(partition(one, width));
    }
    lines
}

fn summary(
    account: &Account<'_>,
    binds: &[&Bind],
    partitions: &[&Partition],
    width: usize,
) -> Line {
    let bound = binds.iter().filter(|bind| bind.state == "bound").count();
    // What operators closed need not be bound.
    let wanted = binds.iter().filter(|bind| !bind.drained).count();
    let tone = match (bound, wanted) {
        (0, 1..) => Tone::Wrong,
        (bound, all) if bound < all => Tone::Watch,
        _ => Tone::Good,
    };
    let name = inert(&account.name);
    let mut line = Line::of(fit(&name, display_width(&name).min(width / 3)), Tone::Head).and(
        format!("  {bound} of {} bound", plural(binds.len(), "bind")),
        tone,
    );
    let here: f64 = (account.places.iter())
        .filter_map(|(_, esme)| esme.rate.here)
        .sum();
    let contracted = account.places.iter().find_map(|(_, e)| e.rate.contracted);
    if let Some(contracted) = contracted {
        let rate = format!("  rate {} of {}/s", number(here), number(contracted));
        line = line.and(rate, Tone::Plain);
    }
    let lag: i64 = partitions.iter().filter_map(|p| p.lag).sum();
    let in_doubt: u64 = partitions.iter().map(|p| p.in_doubt).sum();
    line = line.and(
        format!("  lag {}", grouped(lag.unsigned_abs())),
        Tone::Plain,
    );
    if in_doubt > 0 {
        line = line.and(format!("  in doubt {}", grouped(in_doubt)), Tone::Watch);
    }
    line
}

/// What operators have asked for.
fn paused(account: &Account<'_>, width: usize) -> Vec<Line> {
    let Some((_, esme)) = account.places.first() else {
        return Vec::new();
    };
    let of = |paused: &crate::status::Paused| {
        let what = paused.what.as_deref().unwrap_or("all of it");
        let reason = paused.reason.as_deref().unwrap_or("no reason given");
        let text = format!("  paused: {what} by {}: {reason}", paused.by);
        wrapped(&inert(&text), width, Tone::Watch)
    };
    esme.steering.paused.iter().flat_map(of).collect()
}

fn rates(sample: &Sample) -> Line {
    let delivered = sample.delivered.map_or_else(String::new, |share| {
        format!("  delivered {:.1} %", share * 100.0)
    });
    let line = Line::of(
        format!(
            "  submits {}/s  results {}/s  receipts {}/s{delivered}",
            number(sample.responses),
            number(sample.results),
            number(sample.receipts)
        ),
        Tone::Plain,
    );
    if sample.throttled > 0.0 {
        line.and(
            format!("  throttled {}/s", number(sample.throttled)),
            Tone::Watch,
        )
    } else {
        line
    }
}

/// How long things took, half of them and all but one in a hundred.
fn times(sample: &Sample, width: usize) -> Vec<Line> {
    let of = |name: &str, times: Percentiles| {
        let one = |seconds: Option<f64>| seconds.map_or_else(|| "-".to_owned(), time);
        format!("{name} {} / {}", one(times.p50), one(times.p99))
    };
    let text = [
        "  p50 / p99".to_owned(),
        of("to socket", sample.append_to_socket),
        of("answer", sample.submit_to_response),
        of("result", sample.append_to_result),
        of("receipt", sample.submit_to_receipt),
    ]
    .join("  ");
    wrapped(&text, width, Tone::Quiet)
}

/// How wide the first column of a table is beside columns of `fixed` together.
fn first(width: usize, fixed: usize, most: usize) -> usize {
    width.saturating_sub(fixed + 2).clamp(8, most)
}

/// The names of a bind and of its host share what the rest leaves.
fn bind_columns(width: usize) -> [usize; 2] {
    let both = first(width, 38, 70);
    [both * 2 / 5, both - both * 2 / 5]
}

fn bind_heading(width: usize) -> Line {
    let [name, host] = bind_columns(width);
    let text = format!(
        "  {} {} {} {:>9} {:>7} {:>8}",
        fit("BIND", name),
        fit("STATE", 10),
        fit("HOST", host.saturating_sub(2)),
        "WINDOW",
        "RATE",
        "TRIP"
    );
    Line::of(text, Tone::Quiet)
}

fn bind(bind: &Bind, width: usize) -> Vec<Line> {
    let [name, host] = bind_columns(width);
    let tone = match &*bind.state {
        "bound" if bind.throttled => Tone::Watch,
        "bound" => Tone::Good,
        "idle" | "connecting" | "closed" => Tone::Quiet,
        _ => Tone::Wrong,
    };
    let window = format!("{}/{}", bind.window.used, bind.window.allowed);
    let rate = bind.rate.map_or_else(|| "-".to_owned(), number);
    let trip = bind.round_trip.map_or_else(|| "-".to_owned(), time);
    let state = if bind.throttled && bind.state == "bound" {
        "throttled"
    } else {
        &bind.state
    };
    let line = Line::of(format!("  {} ", fit(&inert(&bind.name), name)), Tone::Plain)
        .and(format!("{} ", fit(&inert(state), 10)), tone)
        .and(
            format!(
                "{} {window:>9} {rate:>7} {trip:>8}",
                fit(
                    &inert(bind.host.as_deref().unwrap_or("-")),
                    host.saturating_sub(2)
                )
            ),
            Tone::Plain,
        );
    let mut lines = vec![line];
    if let Some(reason) = bind.reason.as_deref().filter(|_| bind.state != "bound") {
        let code = bind.code.as_deref().unwrap_or_default();
        let again = bind.retry_in.map_or_else(String::new, |seconds| {
            format!("; again in {}", time(seconds))
        });
        let why = inert(&format!("{code} {reason}{again}"));
        lines.extend(below(why.trim_start(), width, Tone::Wrong));
    }
    lines
}

fn partition_heading(width: usize) -> Line {
    let text = format!(
        "  {} {} {:>12} {:>8} {:>8} {:>9}",
        fit("PARTITION", first(width, 57, 60)),
        fit("PHASE", 14),
        "COMMITTED",
        "LAG",
        "IN DOUBT",
        "IN FLIGHT"
    );
    Line::of(text, Tone::Quiet)
}

fn partition(partition: &Partition, width: usize) -> Vec<Line> {
    let name = format!("{}-{}", partition.topic, partition.partition);
    let tone = match &*partition.phase {
        "open" => Tone::Good,
        "standing still" => Tone::Wrong,
        _ => Tone::Watch,
    };
    let lag = partition
        .lag
        .map_or_else(|| "-".to_owned(), |lag| grouped(lag.unsigned_abs()));
    let name = fit(&inert(&name), first(width, 57, 60));
    let line = Line::of(format!("  {name} "), Tone::Plain)
        .and(format!("{} ", fit(&inert(&partition.phase), 14)), tone)
        .and(
            format!(
                "{:>12} {lag:>8} {:>8} {:>9}",
                partition.committed, partition.in_doubt, partition.in_flight
            ),
            Tone::Plain,
        );
    let mut lines = vec![line];
    if let Some(why) = &partition.waits_for {
        let why = format!("waits for {}", inert(why));
        lines.extend(below(&why, width, Tone::Watch));
    }
    lines
}

/// What is remembered for receipts, and the memory of what has a bound, of all processes.
fn remembered(seen: &[Seen<'_>], width: usize) -> Vec<Line> {
    let present = || seen.iter().filter(|one| one.silent_for.is_none());
    let partitions = || present().flat_map(|one| &one.status.correlation.partitions);
    let sum = |of: fn(&crate::status::CorrelationPartition) -> u64| partitions().map(of).sum();
    let restoring = partitions().filter(|partition| !partition.live).count();
    let mut line = Line::of("CORRELATION", Tone::Head).and(
        format!(
            "  {} messages, {} receipts without one, {} parts, {}",
            grouped(sum(|p| p.entries)),
            grouped(sum(|p| p.parked)),
            grouped(sum(|p| p.parts)),
            octets(sum(|p| p.octets))
        ),
        Tone::Plain,
    );
    if restoring > 0 {
        let text = format!("  {} being read", plural(restoring, "partition"));
        line = line.and(text, Tone::Watch);
    }
    let mut lines = vec![line];
    let mut memory: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for one in present().flat_map(|one| &one.status.memory) {
        let sum = memory.entry(&one.name).or_default();
        *sum = (
            sum.0.saturating_add(one.used),
            sum.1.saturating_add(one.bound),
        );
    }
    let texts: Vec<String> = (memory.into_iter())
        .map(|(name, (used, bound))| {
            format!("{} {} of {}", inert(name), octets(used), octets(bound))
        })
        .collect();
    if !texts.is_empty() {
        let text = format!("  {}", texts.join(", "));
        lines.extend(wrapped(&text, width, Tone::Quiet));
    }
    lines
}

fn processes(seen: &[Seen<'_>], width: usize) -> Vec<Line> {
    let name = first(width, 55, 50);
    let heading = format!(
        "{} {} {} {:>10} {}",
        fit("PROCESS", 22),
        fit("HOST", name),
        fit("STATE", 14),
        "MEMORY",
        "VERSION"
    );
    let mut lines = vec![Line::of(heading, Tone::Head)];
    for one in seen {
        let process = &one.status.process;
        let (state, tone) = match (one.silent_for, process.phase) {
            (Some(seconds), _) => (format!("silent {seconds} s"), Tone::Wrong),
            (None, Phase::Starting) => ("starting".to_owned(), Tone::Watch),
            (None, Phase::Stopping) => ("stopping".to_owned(), Tone::Watch),
            (None, Phase::Running) if one.status.ready.ready => ("ready".to_owned(), Tone::Good),
            (None, Phase::Running) => ("not ready".to_owned(), Tone::Wrong),
        };
        let memory = process
            .resident_octets
            .map_or_else(|| "-".to_owned(), octets);
        let who = format!(
            "{} {} ",
            fit(&inert(&process.name), 22),
            fit(&inert(&process.host), name)
        );
        lines.push(
            Line::of(who, Tone::Plain)
                .and(format!("{} ", fit(&state, 14)), tone)
                .and(
                    format!("{memory:>10} {}", inert(&process.software)),
                    Tone::Plain,
                ),
        );
    }
    lines
}

fn problems(seen: &[Seen<'_>], now: Timestamp, width: usize) -> Vec<Line> {
    let mut all: Vec<&Problem> = seen.iter().flat_map(|one| &one.status.problems).collect();
    all.sort_by_key(|problem| std::cmp::Reverse(problem.at));
    let of = |problem: &&Problem| {
        let code = problem.code.as_deref().unwrap_or("-");
        let ago = now.duration_since(problem.at).as_secs_f64().max(0.0);
        let times = match problem.times {
            0 | 1 => String::new(),
            times => format!(", {times} times"),
        };
        let text = format!("{code} {} ago{times}: {}", time(ago), problem.text);
        let tone = match &*problem.level {
            "error" => Tone::Wrong,
            _ => Tone::Watch,
        };
        let mut lines = wrapped(&inert(&text), width, tone);
        lines.truncate(3);
        lines
    };
    all.iter().take(PROBLEMS).flat_map(of).collect()
}

/// A text over as many lines as it needs.
fn wrapped(text: &str, width: usize, tone: Tone) -> Vec<Line> {
    let indent = " ".repeat(text.len() - text.trim_start().len() + 2);
    let options = textwrap::Options::new(width.max(10)).subsequent_indent(&indent);
    let lines = textwrap::wrap(text, options);
    lines.into_iter().map(|line| Line::of(line, tone)).collect()
}

/// A text below the line that it explains.
fn below(text: &str, width: usize, tone: Tone) -> Vec<Line> {
    wrapped(&format!("    {text}"), width, tone)
}

/// A text of just this width.
fn fit(text: &str, width: usize) -> String {
    let long = display_width(text) > width;
    let room = if long { width.saturating_sub(1) } else { width };
    let (mut cut, mut used) = (String::new(), 0);
    for c in text.chars() {
        let wide = display_width(c.encode_utf8(&mut [0; 4]));
        if used + wide > room {
            break;
        }
        used += wide;
        cut.push(c);
    }
    if long && width > 0 {
        cut.push('\u{2026}');
        used += 1;
    }
    cut.push_str(&" ".repeat(width.saturating_sub(used)));
    cut
}

/// A number with as many decimals as one looks at.
fn number(value: f64) -> String {
    if value >= 100.0 || value.fract() == 0.0 {
        grouped(value.round().max(0.0) as u64)
    } else {
        format!("{value:.1}")
    }
}

/// `1,234,567`.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn time(seconds: f64) -> String {
    match seconds {
        s if s < 0.01 => format!("{:.1} ms", s * 1e3),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 60.0 => format!("{s:.1} s"),
        s if s < 3600.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

fn octets(octets: u64) -> String {
    match octets as f64 {
        o if o < 1024.0 => format!("{o} B"),
        o if o < 1024.0 * 1024.0 => format!("{:.0} KiB", o / 1024.0),
        o if o < 1024.0 * 1024.0 * 1024.0 => format!("{:.0} MiB", o / (1024.0 * 1024.0)),
        o => format!("{:.1} GiB", o / (1024.0 * 1024.0 * 1024.0)),
    }
}
