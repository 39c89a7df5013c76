//! Pictures of figures: lines above an axis, as SVG that can be read on light pages and on dark ones.
//!
//! plotters draws in fixed colours. Each colour here is used for one thing, so a style sheet can say what
//! it is on a dark page, and which lines are dashed.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::prelude::*;

/// Width and height of a panel.
const SIZE: (u32, u32) = (450, 330);

const FONT: &str = "system-ui, sans-serif";

const CARD: RGBColor = RGBColor(0xf8, 0xfa, 0xfc);
const TEXT: RGBColor = RGBColor(0x0f, 0x17, 0x2a);
const AXIS: RGBColor = RGBColor(0x64, 0x74, 0x8b);
const GRID: RGBColor = RGBColor(0xe2, 0xe8, 0xf0);

/// What a line is drawn with.
#[derive(Clone, Copy)]
pub enum Pen {
    /// Blue.
    Blue,
    /// Blue, with gaps.
    BlueDashed,
    /// Amber.
    Amber,
    /// Amber, with gaps.
    AmberDashed,
    /// Grey, with gaps: what others are held against.
    Mark,
}

impl Pen {
    const ALL: [Pen; 5] = [
        Pen::Blue,
        Pen::BlueDashed,
        Pen::Amber,
        Pen::AmberDashed,
        Pen::Mark,
    ];

    fn colour(self) -> RGBColor {
        match self {
            Pen::Blue => RGBColor(0x25, 0x63, 0xeb),
            Pen::BlueDashed => RGBColor(0x25, 0x63, 0xea),
            Pen::Amber => RGBColor(0xb4, 0x53, 0x09),
            Pen::AmberDashed => RGBColor(0xb4, 0x53, 0x0a),
            Pen::Mark => RGBColor(0x94, 0xa3, 0xb8),
        }
    }

    fn on_dark(self) -> &'static str {
        match self {
            Pen::Blue | Pen::BlueDashed => "#60a5fa",
            Pen::Amber | Pen::AmberDashed => "#f59e0b",
            Pen::Mark => "#64748b",
        }
    }

    fn is_dashed(self) -> bool {
        !matches!(self, Pen::Blue | Pen::Amber)
    }
}

/// A line.
pub struct Line {
    /// What it is called.
    pub name: &'static str,
    /// What it is drawn with.
    pub pen: Pen,
    /// Through these points.
    pub points: Vec<(f64, f64)>,
}

/// Lines above one axis.
pub struct Panel {
    /// What stands above it.
    pub heading: String,
    /// What the axis across is.
    pub across: String,
    /// Where that is marked, and with what.
    pub ticks: Vec<(f64, String)>,
    /// Whether the axis upwards goes by tenfold.
    pub tenfold: bool,
    /// The lines.
    pub lines: Vec<Line>,
    /// Where a line goes up from the axis.
    pub mark: Option<f64>,
}

/// Panels side by side.
pub struct Picture {
    /// Its title.
    pub title: String,
    /// What is seen on it, in words.
    pub about: String,
    /// The panels.
    pub panels: Vec<Panel>,
}

impl Picture {
    /// Writes it to `docs/pictures`, or the folder that `BENCH_PICTURES` names; where it is then.
    pub fn write(&self, name: &str) -> PathBuf {
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pictures");
        let folder = std::env::var_os("BENCH_PICTURES").map_or(ours, PathBuf::from);
        std::fs::create_dir_all(&folder).expect("a folder for pictures");
        let path = folder.join(format!("{name}.svg"));
        std::fs::write(&path, self.svg()).expect("a picture");
        path
    }

    fn svg(&self) -> String {
        let mut svg = String::new();
        let size = (SIZE.0 * self.panels.len() as u32, SIZE.1);
        let whole = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        whole.fill(&CARD).expect("a background");
        let areas = whole.split_evenly((1, self.panels.len()));
        for (panel, area) in self.panels.iter().zip(&areas) {
            panel.draw(area);
        }
        whole.present().expect("the end of the picture");
        drop((areas, whole));
        let (root, rest) = svg.split_once(">\n").expect("a root");
        format!(
            "{root} role=\"img\" aria-labelledby=\"title desc\">\n<title id=\"title\">{}</title>\n\
             <desc id=\"desc\">{}</desc>\n<style>\n{}</style>\n{rest}",
            escaped(&self.title),
            escaped(&self.about),
            style()
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// As plotters writes it.
fn written(colour: RGBColor) -> String {
    format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2)
}

fn style() -> String {
    let mut style = String::new();
    for pen in Pen::ALL.into_iter().filter(|p| p.is_dashed()) {
        let colour = written(pen.colour());
        let _ = writeln!(
            style,
            "  polyline[stroke=\"{colour}\"] {{ stroke-dasharray: 6 4; }}"
        );
    }
    style.push_str("  @media (prefers-color-scheme: dark) {\n");
    let pens = Pen::ALL.map(|pen| (pen.colour(), pen.on_dark()));
    let rest = [
        (CARD, "#0f172a"),
        (TEXT, "#f1f5f9"),
        (AXIS, "#94a3b8"),
        (GRID, "#1e293b"),
    ];
    for (light, dark) in pens.into_iter().chain(rest) {
        let light = written(light);
        let _ = writeln!(
            style,
            "    [fill=\"{light}\"] {{ fill: {dark}; }} [stroke=\"{light}\"] {{ stroke: {dark}; }}"
        );
    }
    style.push_str("  }\n");
    style
}

impl Panel {
    fn draw(&self, area: &DrawingArea<SVGBackend<'_>, Shift>) {
        let text = |size: u32| (FONT, size).into_font().color(&TEXT);
        let values = self.lines.iter().flat_map(|line| &line.points);
        let values: Vec<f64> = values.map(|(_, y)| *y).collect();
        let up = Axis::upwards(&values, self.tenfold);
        let (bottom, top) = (up.value(up.from), up.value(up.to));
        let mut chart = ChartBuilder::on(area)
            .caption(&self.heading, text(16))
            .margin(14)
            .x_label_area_size(42)
            .y_label_area_size(52)
            .build_cartesian_2d(Axis::across(&self.ticks), up)
            .expect("axes");
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_desc(&self.across)
            .axis_style(AXIS)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .label_style(text(14))
            .axis_desc_style(text(15))
            .draw()
            .expect("a mesh");
        if let Some(x) = self.mark {
            let line = [(x, bottom), (x, top)];
            let line = LineSeries::new(line, Pen::Mark.colour().stroke_width(1));
            chart.draw_series(line).expect("a mark");
        }
        for line in &self.lines {
            let colour = line.pen.colour();
            chart
                .draw_series(LineSeries::new(
                    line.points.iter().copied(),
                    colour.stroke_width(2),
                ))
                .expect("a line")
                .label(line.name)
                .legend(move |(x, y)| {
                    PathElement::new(vec![(x, y), (x + 20, y)], colour.stroke_width(2))
                });
            let dots = line.points.iter();
            let dots = dots.map(|point| Circle::new(*point, 3, colour.filled()));
            chart.draw_series(dots).expect("dots");
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(CARD.filled())
            .label_font(text(14))
            .draw()
            .expect("names of lines");
    }
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// An axis: what it has marks at, and where values are on it.
struct Axis {
    /// Both as they are on the axis, which goes by logarithms if it is tenfold.
    from: f64,
    to: f64,
    tenfold: bool,
    /// Values, with what stands there.
    ticks: Vec<(f64, String)>,
}

impl Axis {
    fn across(ticks: &[(f64, String)]) -> Axis {
        let xs: Vec<f64> = ticks.iter().map(|(x, _)| *x).collect();
        let (left, right) = (least(&xs), most(&xs));
        let aside = (right - left).max(1.0) * 0.06;
        Axis {
            from: left - aside,
            to: right + aside,
            tenfold: false,
            ticks: ticks.to_vec(),
        }
    }

    /// From zero, or by tenfold; with room for the names of lines above them.
    fn upwards(values: &[f64], tenfold: bool) -> Axis {
        let most = most(values).max(f64::MIN_POSITIVE);
        let (from, to, ticks): (f64, f64, Vec<f64>) = if tenfold {
            let positive: Vec<f64> = values.iter().copied().filter(|v| *v > 0.0).collect();
            let (from, to) = (least(&positive).log10() - 0.1, most.log10() + 0.7);
            let decades = from.floor() as i32..=to.ceil() as i32;
            let ticks = decades.flat_map(|d| [1.0, 2.0, 5.0].map(|n| n * 10f64.powi(d)));
            let seen = |tick: &f64| (from..=to).contains(&tick.log10());
            (from, to, ticks.filter(seen).collect())
        } else {
            let to = most * 1.35;
            let power = 10f64.powf((to / 6.0).log10().floor());
            let steps = [1.0, 2.0, 5.0, 10.0].map(|n| n * power);
            let step = steps.into_iter().find(|step| to / step <= 6.0);
            let step = step.unwrap_or(to);
            let ticks = (0..=(to / step) as u32).map(|i| f64::from(i) * step);
            (0.0, to, ticks.collect())
        };
        let name = |value: f64| {
            if value == 0.0 || value >= 1.0 {
                super::thousands(value)
            } else {
                format!("{value:.2}")
            }
        };
        Axis {
            from,
            to,
            tenfold,
            ticks: ticks.into_iter().map(|tick| (tick, name(tick))).collect(),
        }
    }

    /// Where a value is on the axis.
    fn at(&self, value: f64) -> f64 {
        if self.tenfold {
            value.max(f64::MIN_POSITIVE).log10().max(self.from)
        } else {
            value
        }
    }

    /// The value at a place of the axis.
    fn value(&self, at: f64) -> f64 {
        if self.tenfold { 10f64.powf(at) } else { at }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (first, last): (i32, i32)) -> i32 {
        let share = (self.at(*value) - self.from) / (self.to - self.from);
        first + (share * f64::from(last - first)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            return Vec::new();
        }
        self.ticks.iter().map(|(value, _)| *value).collect()
    }

    fn range(&self) -> Range<f64> {
        self.value(self.from)..self.value(self.to)
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        let tick = self.ticks.iter().find(|(tick, _)| tick == value);
        tick.map_or(String::new(), |(_, name)| name.clone())
    }
}
