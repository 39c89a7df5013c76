//! The page on a screen.

use ratatui::Frame;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line as Row, Span};
use ratatui::widgets::Paragraph;

use super::state::Top;
use super::view::{self, Line, Tone};

/// How many lines of the screen the page does not have.
const AROUND: u16 = 3;

/// How many lines of the page a screen of this height shows.
pub(super) fn height(lines: u16) -> usize {
    usize::from(lines.saturating_sub(AROUND))
}

/// Draws all of it. `has_colors` is what NO_COLOR forbids.
pub(super) fn draw(frame: &mut Frame<'_>, top: &Top, has_colors: bool) {
    let area = frame.area();
    let width = usize::from(area.width);
    let page = view::page(top, width);
    let shown = height(area.height);
    // The page may have become shorter.
    let from = top.scroll.min(page.len().saturating_sub(shown));
    let below = page.len().saturating_sub(from + shown);
    let mut lines = view::head(top, width);
    lines.extend(page.into_iter().skip(from).take(shown));
    let body = usize::from(area.height.saturating_sub(1));
    lines.resize(body, Line::default());
    let mut foot = view::foot();
    if below > 0 {
        foot.0.push((format!("  {below} lines more"), Tone::Watch));
    }
    lines.push(foot);
    let rows: Vec<Row<'_>> = lines.iter().map(|line| row(line, has_colors)).collect();
    frame.render_widget(Paragraph::new(rows), area);
}

fn row(line: &Line, has_colors: bool) -> Row<'_> {
    let spans = line.0.iter();
    Row::from_iter(spans.map(|(text, tone)| Span::styled(text.as_str(), style(*tone, has_colors))))
}

fn style(tone: Tone, has_colors: bool) -> Style {
    let (color, modifier) = match tone {
        Tone::Plain => return Style::new(),
        Tone::Head => return Style::new().add_modifier(Modifier::BOLD),
        Tone::Good => (Color::Green, Modifier::empty()),
        Tone::Watch => (Color::Yellow, Modifier::empty()),
        Tone::Wrong => (Color::Red, Modifier::BOLD),
        Tone::Quiet => return Style::new().add_modifier(Modifier::DIM),
    };
    let style = Style::new().add_modifier(modifier);
    if has_colors { style.fg(color) } else { style }
}
