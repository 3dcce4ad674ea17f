//! Tables of what was measured.

use crate::CONNECTIONS;
use crate::bodies::Size;
use crate::rows::{Base, METERING, Row};

/// How much more memory than the plain route's a stream may take, in KiB.
const STREAM_TARGET: f64 = 16.0;

/// One row in one round.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    /// Requests per second, with several connections.
    pub rate: f64,
    /// Envoy's processor time for one request, in microseconds.
    pub processor: f64,
    /// Latencies in microseconds, with one connection.
    pub p50: f64,
    /// As above.
    pub p99: f64,
}

/// The table of a size. The first row is the plain route.
pub(crate) fn speed(size: Size, rows: &[&Row], rounds: &[Vec<Cell>]) -> String {
    let (count, of) = (rounds.len(), CONNECTIONS);
    let mut table = format!(
        "{}: medians of {count} rounds; throughput and processor time with {of} connections, latency with one;\n\
         ratios and what is added are to the plain route, of rows that begin with \"{METERING} +\" to the row of that name\n\
         | {:<26} | {:>7} | {:>14} | {:>24} | {:>6} | {:>20} | {:>20} |\n",
        size.name(),
        "",
        "req/s",
        "CPU/req, us",
        "CPU ratio (lowest..highest)",
        "target",
        "p50 (added), us",
        "p99 (added), us",
    );
    for (index, row) in rows.iter().enumerate() {
        let base = match row.base {
            Base::Plain => 0,
            Base::Metering => rows.iter().position(|row| row.name == METERING).unwrap_or_default(),
        };
        let each = |figure: &dyn Fn(&Cell, &Cell) -> f64| -> Vec<f64> {
            let pair = |round: &Vec<Cell>| Some(figure(round.get(index)?, round.get(base)?));
            rounds.iter().filter_map(pair).collect()
        };
        let ratios = each(&|cell, base| cell.processor / base.processor);
        let bounds =
            (ratios.iter().copied().fold(f64::MAX, f64::min), ratios.iter().copied().fold(0.0, f64::max));
        let target =
            row.target.filter(|_| size == Size::Small).map_or(String::new(), |target| format!("{target:.2}"));
        table += &format!(
            "| {:<26} | {:>7.0} | {:>14.1} | {:>24} | {target:>6} | {:>20} | {:>20} |\n",
            row.name,
            median(each(&|cell, _| cell.rate)),
            median(each(&|cell, _| cell.processor)),
            format!("{:.2} ({:.2}..{:.2})", median(ratios), bounds.0, bounds.1),
            added(median(each(&|cell, _| cell.p50)), median(each(&|cell, base| cell.p50 - base.p50))),
            added(median(each(&|cell, _| cell.p99)), median(each(&|cell, base| cell.p99 - base.p99))),
        );
    }
    table
}

fn added(figure: f64, added: f64) -> String {
    format!("{figure:.0} ({added:+.0})")
}

/// The table of memory.
pub(crate) fn memory(rows: &[&Row], streams: usize, idle: Vec<Vec<f64>>, peaks: &[Vec<f64>]) -> String {
    let sizes: Vec<String> = Size::ALL.iter().map(|size| format!("{:>12}", size.name())).collect();
    let mut table = format!(
        "memory of Envoy: for each of {streams} open, silent streams (KiB; beyond the plain route's; at most \
         {STREAM_TARGET:.0}); and the peak above rest, {CONNECTIONS} connections (MiB, each size after the one before)\n\
         | {:<26} | {:>10} | {:>10} | {} |\n",
        "",
        "stream",
        "beyond",
        sizes.join(" | ")
    );
    let idle: Vec<f64> = idle.into_iter().map(median).collect();
    let plain = idle.first().copied().unwrap_or_default();
    for ((row, idle), peaks) in rows.iter().zip(&idle).zip(peaks) {
        let peaks: Vec<String> = peaks.iter().map(|peak| format!("{peak:>12.1}")).collect();
        let beyond = idle - plain;
        table += &format!("| {:<26} | {idle:>10.1} | {beyond:>+10.1} | {} |\n", row.name, peaks.join(" | "));
    }
    table
}

/// The middle one.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
