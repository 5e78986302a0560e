//! Medians and pairwise ratios.

use crate::measure::Measured;

/// Takes one figure of a measurement.
type Figure = fn(&Measured) -> u64;

/// The figures, by name.
const FIGURES: [(&str, Figure); 4] = [
    ("ready", |measured| measured.ready_ms),
    ("off", |measured| measured.off_ms),
    ("cell", |measured| measured.cell_ms),
    ("cpu", |measured| measured.cpu_ms),
];

/// Prints every contender's medians, then the ratios of the first one to each of the others, round by round.
pub fn print(rows: &[(&str, Vec<Measured>)]) {
    println!("\nmedians (ms)");
    println!("  {:<6} {:>8} {:>8} {:>8} {:>8}", "", "ready", "off", "cell", "cpu");
    for (name, row) in rows {
        let medians: Vec<String> = FIGURES
            .iter()
            .map(|(_, of)| format!("{:>8.0}", median(row.iter().map(|m| ms(of(m))))))
            .collect();
        println!("  {name:<6} {}", medians.join(" "));
    }
    let [(first, ours), others @ ..] = rows else { return };
    for (name, other) in others.iter().filter(|(_, other)| !other.is_empty()) {
        println!("\n{first} / {name}, pairwise: min, median, max");
        for (figure, of) in FIGURES {
            let ratios: Vec<f64> = ours
                .iter()
                .zip(other)
                .map(|(a, b)| ms(of(a)) / ms(of(b)).max(1.0))
                .collect();
            println!("  {figure:<6} {}", spread(&ratios, 2));
        }
    }
}

/// Milliseconds as a number to calculate with.
#[allow(clippy::cast_precision_loss, reason = "times of a benchmark are far below 2^52 ms")]
pub fn ms(ms: u64) -> f64 {
    ms as f64
}

/// Smallest, median and largest.
pub fn spread(values: &[f64], digits: usize) -> String {
    let min = values.iter().copied().fold(f64::INFINITY, f64::min);
    let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!(
        "{min:>8.digits$} {:>8.digits$} {max:>8.digits$}",
        median(values.iter().copied())
    )
}

/// The middle value, or the mean of the two middle ones; 0 of nothing.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let at = |index: usize| sorted.get(index).copied().unwrap_or(0.0);
    match sorted.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => at(odd / 2),
        even => f64::midpoint(at(even / 2 - 1), at(even / 2)),
    }
}
