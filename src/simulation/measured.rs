//! A curve of real clients (`bench/recovery/run` writes one), to lay over the model's.

use serde::{Deserialize, Serialize};

use super::outcome::{LIVE_PERCENTS, SimulationOutcome};

/// The most points of a curve.
const MOST_POINTS: usize = 100_000;

/// Live clients over time. As JSON:
///
/// ```json
/// {"name": "dev, 5,000 clients", "clients": 5000, "live": [[0, 0], [100, 31], [200, 57]]}
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredCurve {
    /// Its name in the report.
    pub name: String,
    /// Number of clients that were cut off.
    pub clients: u64,
    /// Milliseconds since the broker could be reached again, and clients that were live again.
    pub live: Vec<(u32, u64)>,
}

/// A part of the clients, and when it was live: measured and by the model, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CurveDifference {
    /// The part, in per cent.
    pub percent: u64,
    /// Measured time.
    pub measured_ms: Option<u32>,
    /// Time of the model.
    pub model_ms: Option<u32>,
    /// Extra time of the model, in per cent of the measured time.
    pub difference_percent: Option<f64>,
}

impl MeasuredCurve {
    /// Reads a curve.
    ///
    /// # Errors
    /// One line that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let curve: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if curve.clients == 0 || curve.live.is_empty() {
            return Err("it has no clients or no points".into());
        }
        if curve.live.len() > MOST_POINTS {
            return Err(format!("it has more than {MOST_POINTS} points"));
        }
        let mut last = (0, 0);
        for (at, point) in curve.live.iter().enumerate() {
            if point.0 < last.0 || point.1 < last.1 || point.1 > curve.clients {
                return Err(format!(
                    "point {} is [{}, {}]; times and clients never fall, and there are {} clients",
                    at + 1,
                    point.0,
                    point.1,
                    curve.clients
                ));
            }
            last = *point;
        }
        Ok(curve)
    }

    /// Milliseconds until a part was live.
    pub fn until(&self, percent: u64) -> Option<u32> {
        let wanted = (self.clients * percent).div_ceil(100);
        let reached = self.live.iter().find(|(_, live)| *live >= wanted);
        reached.map(|(ms, _)| *ms)
    }

    /// The curve against the first wave of a run.
    pub fn differences(&self, outcome: &SimulationOutcome) -> Vec<CurveDifference> {
        let Some(wave) = outcome.waves.first() else {
            return Vec::new();
        };
        let pairs = LIVE_PERCENTS.iter().zip(wave.until_live);
        let differences = pairs.map(|(percent, model_ms)| {
            let measured_ms = self.until(*percent);
            let difference = measured_ms
                .zip(model_ms)
                .filter(|(measured, _)| *measured > 0);
            CurveDifference {
                percent: *percent,
                measured_ms,
                model_ms,
                difference_percent: difference.map(|(measured, model)| {
                    let percent = (f64::from(model) / f64::from(measured) - 1.0) * 100.0;
                    (percent * 10.0).round() / 10.0
                }),
            }
        });
        differences.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_checked() {
        let read = |live: &str| {
            MeasuredCurve::parse(&format!(
                r#"{{"name": "x", "clients": 10, "live": {live}}}"#
            ))
        };
        let curve = read("[[0, 0], [100, 5], [300, 10]]").unwrap();
        assert_eq!(
            (curve.until(50), curve.until(99), curve.until(100)),
            (Some(100), Some(300), Some(300))
        );
        for (live, said) in [
            ("[]", "it has no clients or no points"),
            ("[[5, 1], [4, 2]]", "point 2 is [4, 2]"),
            ("[[5, 3], [6, 2]]", "point 2 is [6, 2]"),
            ("[[5, 11]]", "point 1 is [5, 11]"),
            ("[[5]]", "invalid length"),
        ] {
            let error = read(live).unwrap_err();
            assert!(error.starts_with(said), "{error}");
        }
    }
}
