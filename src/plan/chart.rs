//! Line charts on two logarithmic axes as SVG: the same points make the same bytes.
//!
//! No script, no font and no picture is loaded; the colours have a light and a dark form by the
//! reader's own setting.

use std::fmt::Write as _;

/// Size of a picture, in its own units.
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 480.0;

/// The rectangle of the plot: left, top, right, bottom.
const PLOT: (f64, f64, f64, f64) = (76.0, 64.0, 600.0, 424.0);

/// Distance of two labels of series at least.
const LABEL_STEP: f64 = 17.0;

/// Line of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct ChartSeries {
    /// Label at the line's end.
    pub label: String,
    /// Points from left to right; those that are not above zero are left out.
    pub points: Vec<(f64, f64)>,
    /// `true` for a thick line.
    pub is_strong: bool,
}

/// Chart on two logarithmic axes.
#[derive(Clone, Debug)]
pub struct LogChart {
    /// Heading.
    pub title: String,
    /// Line under the heading.
    pub subtitle: String,
    /// Label of the horizontal axis.
    pub across: String,
    /// Bounds of the horizontal axis.
    pub across_bounds: (f64, f64),
    /// Bounds of the vertical axis.
    pub up_bounds: (f64, f64),
    /// Makes labels of the vertical axis.
    pub up_label: fn(f64) -> String,
    /// A value that is drawn as a line across, and its label.
    pub limit: Option<(f64, String)>,
    /// The lines.
    pub series: Vec<ChartSeries>,
}

impl LogChart {
    /// The picture.
    pub fn svg(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             aria-labelledby=\"title\" font-family=\"system-ui, 'Segoe UI', sans-serif\" font-size=\"12\">\n\
             <title id=\"title\">{}</title>\n<style>{STYLE}</style>\n\
             <rect class=\"ground\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n",
            escaped(&self.title)
        );
        let (left, ..) = PLOT;
        text(out, ("title", "start"), (left, 28.0), &self.title);
        text(out, ("soft", "start"), (left, 48.0), &self.subtitle);
        self.axes(out);
        self.limit(out);
        self.lines(out);
        out.push_str("</svg>\n");
    }

    fn x(&self, value: f64) -> f64 {
        let (left, _, right, _) = PLOT;
        left + (right - left) * place(value, self.across_bounds)
    }

    fn y(&self, value: f64) -> f64 {
        let (_, top, _, bottom) = PLOT;
        bottom - (bottom - top) * place(value, self.up_bounds)
    }

    fn axes(&self, out: &mut String) {
        let (left, top, right, bottom) = PLOT;
        for (value, is_decade) in ticks(self.across_bounds) {
            let x = self.x(value);
            let class = if is_decade { "grid" } else { "fine" };
            line(out, class, (x, top), (x, bottom));
            if is_decade {
                text(out, ("soft", "middle"), (x, bottom + 18.0), &short(value));
            }
        }
        for (value, is_decade) in ticks(self.up_bounds) {
            let y = self.y(value);
            if is_decade {
                line(out, "grid", (left, y), (right, y));
                text(
                    out,
                    ("soft", "end"),
                    (left - 8.0, y + 4.0),
                    &(self.up_label)(value),
                );
            }
        }
        line(out, "axis", (left, bottom), (right, bottom));
        let middle = f64::midpoint(left, right);
        text(
            out,
            ("soft", "middle"),
            (middle, bottom + 40.0),
            &self.across,
        );
    }

    fn limit(&self, out: &mut String) {
        let Some((value, label)) = &self.limit else {
            return;
        };
        let (left, _, right, _) = PLOT;
        let y = self.y(*value);
        line(out, "limit", (left, y), (right, y));
        text(out, ("limit-label", "start"), (left + 6.0, y - 6.0), label);
    }

    fn lines(&self, out: &mut String) {
        let mut ends: Vec<(usize, f64)> = Vec::new();
        for (index, series) in self.series.iter().enumerate() {
            let shown = series
                .points
                .iter()
                .filter(|(_, up)| *up >= self.up_bounds.0);
            let points: Vec<(f64, f64)> = shown
                .map(|(across, up)| (self.x(*across), self.y(*up)))
                .collect();
            let Some((_, end)) = points.last() else {
                continue;
            };
            ends.push((index, *end));
            let path: Vec<String> = points
                .iter()
                .map(|(x, y)| format!("{x:.1},{y:.1}"))
                .collect();
            let strong = if series.is_strong { " strong" } else { "" };
            let _ = writeln!(
                out,
                "<polyline class=\"s{index}{strong}\" points=\"{}\"/>",
                path.join(" ")
            );
            for (x, y) in &points {
                let _ = writeln!(
                    out,
                    "<circle class=\"d{index}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"/>"
                );
            }
        }
        self.labels(&mut ends, out);
    }

    /// Labels at the ends of lines, moved apart where lines end close to each other.
    fn labels(&self, ends: &mut [(usize, f64)], out: &mut String) {
        let (_, top, right, bottom) = PLOT;
        ends.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        let places = apart(ends.iter().map(|(_, y)| *y), (top, bottom));
        for ((index, end), place) in ends.iter().zip(places) {
            let Some(series) = self.series.get(*index) else {
                continue;
            };
            let _ = writeln!(
                out,
                "<path class=\"lead\" d=\"M{right:.1} {end:.1}L{:.1} {place:.1}\"/>",
                right + 14.0
            );
            let _ = writeln!(
                out,
                "<circle class=\"d{index}\" cx=\"{:.1}\" cy=\"{place:.1}\" r=\"4\"/>",
                right + 20.0
            );
            text(
                out,
                ("label", "start"),
                (right + 29.0, place + 4.0),
                &series.label,
            );
        }
    }
}

/// Places from top to bottom that are at least a step apart and within bounds.
fn apart(wanted: impl Iterator<Item = f64>, (top, bottom): (f64, f64)) -> Vec<f64> {
    let mut places: Vec<f64> = Vec::new();
    for place in wanted {
        let after = places.last().map_or(top, |last| last + LABEL_STEP);
        places.push(place.max(after));
    }
    let mut below = bottom + LABEL_STEP;
    for place in places.iter_mut().rev() {
        *place = place.min(below - LABEL_STEP);
        below = *place;
    }
    places
}

/// Place of a value between bounds, 0 to 1, by its logarithm.
fn place(value: f64, (least, most): (f64, f64)) -> f64 {
    ((value / least).log10() / (most / least).log10()).clamp(0.0, 1.0)
}

/// Values at which an axis has lines: one to nine times each power of ten; the powers have labels.
fn ticks((least, most): (f64, f64)) -> Vec<(f64, bool)> {
    let mut found = Vec::new();
    let mut decade = 10_f64.powf(least.log10().floor());
    while decade <= most * 1.000_001 {
        for step in 1..10_u8 {
            let value = decade * f64::from(step);
            if value >= least * 0.999_999 && value <= most * 1.000_001 {
                found.push((value, step == 1));
            }
        }
        decade *= 10.0;
    }
    found
}

/// A count with its unit: `10 k`, `1 M`.
pub fn short(value: f64) -> String {
    match value {
        value if value >= 1e9 => format!("{} G", value / 1e9),
        value if value >= 1e6 => format!("{} M", value / 1e6),
        value if value >= 1e3 => format!("{} k", value / 1e3),
        value => value.to_string(),
    }
}

fn line(out: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        out,
        "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(out: &mut String, (class, anchor): (&str, &str), (x, y): (f64, f64), words: &str) {
    let _ = writeln!(
        out,
        "<text class=\"{class}\" text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
        escaped(words)
    );
}

/// Text within XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

/// Colours that differ for colour-blind readers (Okabe and Ito, "Color Universal Design",
/// <https://jfly.uni-koeln.de/color/>), on a light and on a dark ground.
const STYLE: &str = "\
.ground{fill:#fff}text{fill:#1b1f24}.title{font-size:17px;font-weight:600}.soft{fill:#57606a}\
.grid{stroke:#d0d7de}.fine{stroke:#eef1f4}.axis{stroke:#57606a}.lead{stroke:#8c959f;fill:none;stroke-width:.7}\
.limit{stroke:#c0392b;stroke-width:1.5;stroke-dasharray:6 4}.limit-label{fill:#c0392b;font-weight:600}\
polyline{fill:none;stroke-width:1.8;stroke-linejoin:round}.strong{stroke-width:3.2}\
.s0{stroke:#0072b2}.d0{fill:#0072b2}.s1{stroke:#d55e00}.d1{fill:#d55e00}.s2{stroke:#009e73}.d2{fill:#009e73}\
.s3{stroke:#cc79a7}.d3{fill:#cc79a7}.s4{stroke:#b58900}.d4{fill:#b58900}.s5{stroke:#56b4e9}.d5{fill:#56b4e9}\
.s6{stroke:#5e4fa2}.d6{fill:#5e4fa2}.s7{stroke:#57606a}.d7{fill:#57606a}\
@media(prefers-color-scheme:dark){.ground{fill:#0d1117}text{fill:#e6edf3}.soft{fill:#9198a1}.grid{stroke:#30363d}\
.fine{stroke:#1c2128}.axis{stroke:#9198a1}.limit{stroke:#ff7b72}.limit-label{fill:#ff7b72}\
.s0{stroke:#58a6ff}.d0{fill:#58a6ff}.s6{stroke:#a594f9}.d6{fill:#a594f9}.s7{stroke:#9198a1}.d7{fill:#9198a1}}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_apart_and_within_bounds() {
        for wanted in [
            vec![70.0, 71.0, 72.0],
            vec![420.0, 421.0, 422.0, 423.0],
            vec![100.0, 300.0],
        ] {
            let places = apart(wanted.iter().copied(), (64.0, 424.0));
            assert!(
                places.iter().all(|place| (64.0..=424.0).contains(place)),
                "{places:?}"
            );
            assert!(
                places
                    .windows(2)
                    .all(|pair| pair[1] - pair[0] >= LABEL_STEP - 1e-9),
                "{places:?}"
            );
        }
    }

    #[test]
    fn ticks_have_powers_of_ten() {
        let decades: Vec<f64> = ticks((1e4, 1e7))
            .into_iter()
            .filter(|(_, is_decade)| *is_decade)
            .map(|(value, _)| value.round())
            .collect();
        assert_eq!(decades, [1e4, 1e5, 1e6, 1e7]);
    }

    #[test]
    fn words_of_others_are_escaped() {
        assert_eq!(escaped("a<b & \"c\""), "a&lt;b &amp; &quot;c&quot;");
    }
}
