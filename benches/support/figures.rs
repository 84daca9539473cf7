//! Samples and their formatting.

/// Samples of one quantity.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures(Vec<f64>);

impl Figures {
    pub(crate) fn add(&mut self, sample: f64) {
        self.0.push(sample);
    }

    /// Returns the sample below which `share` of all samples are.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of a number of samples"
        )]
        let place = (share * last as f64).round() as usize;
        sorted.get(place.min(last)).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    pub(crate) fn most(&self) -> f64 {
        self.quantile(1.0)
    }

    /// Formats the samples as "median (least to most)" with `decimals` decimals.
    pub(crate) fn spread(&self, decimals: usize) -> String {
        format!(
            "{:.decimals$} ({:.decimals$} to {:.decimals$})",
            self.median(),
            self.quantile(0.0),
            self.most()
        )
    }

    /// As [`Figures::spread`], in whole numbers with thousands separators.
    pub(crate) fn spread_whole(&self) -> String {
        format!(
            "{} ({} to {})",
            thousands(self.median()),
            thousands(self.quantile(0.0)),
            thousands(self.most())
        )
    }
}

impl FromIterator<f64> for Figures {
    fn from_iter<I: IntoIterator<Item = f64>>(samples: I) -> Self {
        Self(samples.into_iter().collect())
    }
}

/// Formats a whole number with thousands separators.
pub(crate) fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
