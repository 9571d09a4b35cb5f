//! Axes: round ticks and the mapping from values to positions.

/// A linear axis.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    step: f64,
}

impl Scale {
    /// An axis over at least `low..high` with about `ticks` round steps, from position `from` to position `to`.
    pub(super) fn new(low: f64, high: f64, ticks: usize, from: f64, to: f64) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        let rough = (high - low) / ticks.max(1) as f64;
        let magnitude = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0]
            .into_iter()
            .map(|factor| factor * magnitude)
            .find(|step| *step >= rough * 0.999)
            .unwrap_or(10.0 * magnitude);
        Self {
            low: (low / step + 1e-9).floor() * step,
            high: (high / step - 1e-9).ceil() * step,
            from,
            to,
            step,
        }
    }

    /// Where a value lies.
    pub(super) fn position(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// The positions of both ends.
    pub(super) fn ends(&self) -> (f64, f64) {
        (self.from, self.to)
    }

    /// Each tick with its text.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let count = ((self.high - self.low) / self.step).round() as usize;
        let decimals = (0..4)
            .find(|&decimals| {
                let scaled = self.step * 10_f64.powi(decimals);
                (scaled - scaled.round()).abs() < 1e-6
            })
            .unwrap_or(4) as usize;
        (0..=count)
            .map(|index| self.low + index as f64 * self.step)
            .map(|value| {
                (
                    value,
                    format!(
                        "{:.decimals$}",
                        if value.abs() < self.step / 1e6 {
                            0.0
                        } else {
                            value
                        }
                    ),
                )
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(low: f64, high: f64) -> Vec<String> {
        Scale::new(low, high, 5, 0.0, 100.0)
            .ticks()
            .into_iter()
            .map(|(_, text)| text)
            .collect()
    }

    #[test]
    fn ticks_are_round_and_cover_the_values() {
        assert_eq!(texts(0.0, 100.0), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(texts(0.0, 5.0), ["0", "1", "2", "3", "4", "5"]);
        assert_eq!(
            texts(98.3, 103.1),
            ["98", "99", "100", "101", "102", "103", "104"]
        );
        assert_eq!(texts(0.0, 0.9), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(
            texts(0.0, 12.0),
            ["0.0", "2.5", "5.0", "7.5", "10.0", "12.5"]
        );
    }

    #[test]
    fn one_value_alone_still_has_an_axis() {
        let scale = Scale::new(3.0, 3.0, 5, 0.0, 100.0);
        assert!(scale.position(3.0).is_finite() && scale.ticks().len() > 1);
    }
}
