//! Line plots as SVG: axes, grid, bands for disturbances, a legend. Coordinates have one decimal,
//! so that the same values give the same bytes.

use std::fmt::Write as _;

use super::shown_time;

/// One line of a plot: milliseconds and values, in order of time.
#[derive(Clone, Debug)]
pub(super) struct PlotLine {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
    /// A measured line is dashed.
    pub(super) is_measured: bool,
}

/// A plot.
#[derive(Clone, Debug)]
pub(super) struct LinePlot {
    pub(super) title: String,
    /// Unit of the values, after the numbers of the axis.
    pub(super) unit: &'static str,
    pub(super) lines: Vec<PlotLine>,
    /// Begin and end of times that are shaded.
    pub(super) bands: Vec<(f64, f64)>,
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 30.0;

/// Colours that differ in lightness as well, for readers who cannot distinguish hues (Okabe and
/// Ito, "Color Universal Design", 2008).
const COLOURS: [&str; 6] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9",
];
const MEASURED: &str = "#222222";

/// Text as it may stand in XML.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && c != '\n' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// The steps of an axis: 1, 2 or 5 times a power of ten, at most `most` of them.
fn nice_step(range: f64, most: f64) -> f64 {
    let rough = range / most;
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|factor| factor * power >= rough);
    factor.unwrap_or(10.0) * power
}

/// The steps of a time axis, in milliseconds.
fn time_step(range: f64) -> f64 {
    const STEPS: [f64; 16] = [
        100.0, 500.0, 1e3, 5e3, 10e3, 30e3, 60e3, 120e3, 300e3, 600e3, 1_800e3, 3_600e3, 7_200e3,
        21_600e3, 43_200e3, 86_400e3,
    ];
    let step = STEPS.into_iter().find(|step| range / step <= 9.0);
    step.unwrap_or(86_400e3)
}

/// A value of the axis: `500k`, `1.5M`.
fn axis_value(value: f64) -> String {
    let (scaled, suffix) = match value {
        value if value >= 1e9 => (value / 1e9, "G"),
        value if value >= 1e6 => (value / 1e6, "M"),
        value if value >= 1e4 => (value / 1e3, "k"),
        value => (value, ""),
    };
    let text = format!("{scaled:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}{suffix}")
}

impl LinePlot {
    /// Returns `true` where all values are zero.
    pub(super) fn is_empty(&self) -> bool {
        let mut values = self.lines.iter().flat_map(|line| &line.points);
        values.all(|(_, value)| *value == 0.0)
    }

    /// The plot as an SVG element with its title and legend.
    pub(super) fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let longest = points().map(|point| point.0).fold(1_000.0, f64::max);
        let highest = points().map(|point| point.1).fold(0.0, f64::max).max(1.0);
        let step = nice_step(highest, 5.0);
        let top = (highest / step).ceil() * step;
        let x = |ms: f64| LEFT + ms / longest * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);
        let mut out = String::new();
        // A String takes everything.
        let _ = write!(
            out,
            r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{}">"#,
            escaped(&self.title)
        );
        for (from, to) in &self.bands {
            let width = (x(to.min(longest)) - x(*from)).max(1.5);
            let height = HEIGHT - TOP - BOTTOM;
            let _ = write!(
                out,
                r#"<rect class="band" x="{:.1}" y="{TOP:.1}" width="{width:.1}" height="{height:.1}"/>"#,
                x(*from)
            );
        }
        for number in 0..=(top / step).round() as u32 {
            let value = f64::from(number) * step;
            let at = y(value);
            let _ = write!(
                out,
                r#"<line class="grid" x1="{LEFT:.1}" y1="{at:.1}" x2="{:.1}" y2="{at:.1}"/><text x="{:.1}" y="{:.1}" text-anchor="end">{}{}</text>"#,
                WIDTH - RIGHT,
                LEFT - 8.0,
                at + 4.0,
                axis_value(value),
                self.unit
            );
        }
        let every = time_step(longest);
        for number in 0..=(longest / every) as u32 {
            let ms = f64::from(number) * every;
            let _ = write!(
                out,
                r#"<line class="tick" x1="{0:.1}" y1="{1:.1}" x2="{0:.1}" y2="{2:.1}"/><text x="{0:.1}" y="{3:.1}" text-anchor="middle">{4}</text>"#,
                x(ms),
                HEIGHT - BOTTOM,
                HEIGHT - BOTTOM + 5.0,
                HEIGHT - BOTTOM + 19.0,
                axis_time(ms)
            );
        }
        for (at, line) in self.lines.iter().enumerate() {
            let (colour, dash) = colour(at, line);
            let _ = write!(out, r#"<path stroke="{colour}"{dash} d=""#);
            for (number, (ms, value)) in line.points.iter().enumerate() {
                let letter = if number == 0 { 'M' } else { 'L' };
                let _ = write!(out, "{letter}{:.1} {:.1}", x(*ms), y(*value));
            }
            out.push_str("\"/>");
        }
        out.push_str("</svg>");
        self.legend(&mut out);
        out
    }

    fn legend(&self, out: &mut String) {
        if self.lines.len() < 2 {
            return;
        }
        out.push_str("<p class=\"legend\">");
        for (at, line) in self.lines.iter().enumerate() {
            let (colour, dash) = colour(at, line);
            let _ = write!(
                out,
                r#"<span><svg viewBox="0 0 24 8" class="key"><path stroke="{colour}"{dash} d="M0 4L24 4"/></svg>{}</span>"#,
                escaped(&line.name)
            );
        }
        out.push_str("</p>");
    }
}

fn colour(at: usize, line: &PlotLine) -> (&'static str, &'static str) {
    if line.is_measured {
        return (MEASURED, r#" stroke-dasharray="5 4" class="measured""#);
    }
    let colour = COLOURS.get(at % COLOURS.len());
    (colour.copied().unwrap_or(MEASURED), "")
}

/// A time on the axis: whole units where there are some.
fn axis_time(ms: f64) -> String {
    let ms = ms as u32;
    match ms {
        0 => "0".to_owned(),
        ms if ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        ms if ms.is_multiple_of(60_000) && ms < 3_600_000 => format!("{}m", ms / 60_000),
        ms if ms.is_multiple_of(1_000) && ms < 60_000 => format!("{}s", ms / 1_000),
        ms => shown_time(ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_few_round_steps() {
        assert_eq!(nice_step(1_000_000.0, 5.0), 200_000.0);
        assert_eq!(nice_step(7.0, 5.0), 2.0);
        assert_eq!(time_step(336_000.0), 60_000.0);
        assert_eq!(axis_value(1_500_000.0), "1.5M");
        assert_eq!(axis_value(3_000.0), "3000");
        assert_eq!(axis_time(5_400_000.0), "1h 30m");
    }

    #[test]
    fn names_cannot_leave_their_text() {
        let line = PlotLine {
            name: "<script>\"&".into(),
            points: vec![(0.0, 1.0)],
            is_measured: false,
        };
        let plot = LinePlot {
            title: "</svg><b>".into(),
            unit: "",
            lines: vec![line.clone(), line],
            bands: Vec::new(),
        };
        let svg = plot.svg();
        assert!(!svg.contains("<script>") && !svg.contains("<b>"), "{svg}");
    }
}
