//! What the devices do, every half minute: a table on a terminal, a line of the log for each of its rows elsewhere.

use std::{
	io::{self, Write},
	sync::Arc,
	time::Duration,
};

use comfy_table::{CellAlignment, ContentArrangement, Table};
use console::{colors_enabled_stderr, Style, Term};
use cuckoo_client::{cli::LogFormat, plain};
use cuckoo_primitives::{Balance, ModelId, CAI};
use tokio::time::{interval_at, Instant, MissedTickBehavior};

use crate::{
	server::{DeviceReport, Report, Status},
	stats::ModelStats,
};

/// How often it is told.
const PERIOD: Duration = Duration::from_secs(30);
/// Lines above and below the table and under its head, none between columns and rows: half a minute's table has to fit between two events.
const LINES: &str = "  ── ──      ──    ";
const HEAD: [&str; 11] =
	["GPU", "model", "done", "failed", "/min", "p50", "VRAM", "°C", "W", "earned", "queue"];
/// So many of the columns, on the left, are words.
const WORDS: usize = 2;

/// Where it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
	/// On a terminal.
	Terminal {
		/// Whether it may be coloured.
		colour: bool,
	},
	/// In the log.
	Log,
}

impl Place {
	/// On standard error if that is a terminal and the log is not JSON. `NO_COLOR` and `CLICOLOR` are respected.
	pub fn of(format: LogFormat) -> Self {
		match format {
			LogFormat::Auto | LogFormat::Text if Term::stderr().is_term() => {
				Self::Terminal { colour: colors_enabled_stderr() }
			},
			LogFormat::Auto | LogFormat::Text | LogFormat::Json => Self::Log,
		}
	}
}

/// Tells it every half minute until the program ends.
pub async fn tell(status: Arc<Status>, place: Place) {
	let mut tick = interval_at(Instant::now() + PERIOD, PERIOD);
	tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
	loop {
		tick.tick().await;
		let report = status.report();
		match place {
			Place::Log => rows(&report).iter().for_each(Row::log),
			Place::Terminal { colour } => {
				let width = Term::stderr().size_checked().map(|(_, columns)| columns);
				let text = text(&report, width, colour);
				// A terminal that is gone ends the table and not the miner.
				if writeln!(io::stderr(), "{text}").is_err() {
					return;
				}
			},
		}
	}
}

/// A device and a model, or all of them together.
#[derive(Clone, Debug, Default, PartialEq)]
struct Row {
	/// The device's number; none in the row of all.
	device: Option<i32>,
	/// What it is.
	gpu: String,
	model: Option<ModelId>,
	name: String,
	done: u64,
	failed: u64,
	per_minute: u64,
	p50_ms: Option<f64>,
	memory_used: Option<u64>,
	memory_total: Option<u64>,
	temperature: Option<u32>,
	power: Option<f64>,
	/// In planck.
	earned: Option<Balance>,
	queue: Option<usize>,
}

/// A row for each model of each device; behind them, unless there is one only, one for all. What belongs to a device stands in its first row, what belongs
/// to all in the last.
fn rows(report: &Report) -> Vec<Row> {
	let mut rows: Vec<Row> = report.devices.iter().flat_map(|of| device(of, report)).collect();
	let earned = report.earned.parse().ok();
	if let [row] = &mut rows[..] {
		row.earned = earned;
		return rows;
	}
	let sum = |part: fn(&Row) -> u64| -> u64 { rows.iter().map(part).sum() };
	let powers = rows.iter().filter_map(|row| row.power);
	let all = Row {
		gpu: "all".into(),
		done: sum(|row| row.done),
		failed: sum(|row| row.failed),
		per_minute: sum(|row| row.per_minute),
		power: powers.reduce(|sum, power| sum + power),
		earned,
		queue: Some(rows.iter().filter_map(|row| row.queue).sum()),
		..Row::default()
	};
	rows.push(all);
	rows
}

fn device(of: &DeviceReport, report: &Report) -> Vec<Row> {
	let DeviceReport { stats, gpu } = of;
	let what = match gpu {
		Some(gpu) => gpu.problem.as_deref().unwrap_or(&gpu.name),
		None if stats.provider.is_empty() => "?",
		None => stats.provider.as_str(),
	};
	let gpu = gpu.as_ref();
	let first = Row {
		device: Some(stats.device),
		gpu: what.into(),
		memory_used: gpu.and_then(|gpu| gpu.memory_used),
		memory_total: gpu.and_then(|gpu| gpu.memory_total),
		temperature: gpu.and_then(|gpu| gpu.temperature),
		power: gpu.and_then(|gpu| gpu.power),
		queue: Some(stats.queue),
		..Row::default()
	};
	let Some((one, others)) = stats.models.split_first() else { return vec![first] };
	let further = Row { device: first.device, gpu: first.gpu.clone(), ..Row::default() };
	let others = others.iter().map(|model| further.clone().with(model, report));
	[first.with(one, report)].into_iter().chain(others).collect()
}

impl Row {
	fn with(self, of: &ModelStats, report: &Report) -> Self {
		let name = report.models.iter().find(|(id, _)| *id == of.model);
		Self {
			model: Some(of.model),
			name: name.map_or_else(String::new, |(_, name)| name.clone()),
			done: of.done,
			failed: of.failed,
			per_minute: of.per_minute,
			p50_ms: of.p50_ms,
			..self
		}
	}

	/// As the columns of the table.
	fn cells(&self) -> [String; 11] {
		let gpu = match self.device {
			Some(device) => format!("{device} {}", self.gpu),
			None => self.gpu.clone(),
		};
		let memory = self.memory_used.zip(self.memory_total);
		// The model's owner chose it.
		let name = plain::line(&self.name);
		[
			gpu,
			self.model.map_or_else(String::new, |model| format!("{model} {name}")),
			self.done.to_string(),
			self.failed.to_string(),
			self.per_minute.to_string(),
			shown(self.p50_ms.map(duration)),
			shown(memory.map(|(used, all)| format!("{:.1}/{:.0} GiB", gib(used), gib(all)))),
			shown(self.temperature),
			shown(self.power.map(|watts| format!("{watts:.0}"))),
			shown(self.earned.map(cai)),
			shown(self.queue),
		]
	}

	/// As an entry of the log; what is not known is left out.
	fn log(&self) {
		tracing::info!(
			device = self.device,
			gpu = self.gpu,
			model = self.model,
			name = self.name,
			done = self.done,
			failed = self.failed,
			per_minute = self.per_minute,
			p50_ms = self.p50_ms,
			memory_used = self.memory_used,
			memory_total = self.memory_total,
			temperature = self.temperature,
			power = self.power,
			earned_cai = self.earned.map(cai),
			queue = self.queue,
			"work"
		);
	}
}

/// A value, or nothing for one that is not known or stands in another row.
fn shown(value: Option<impl ToString>) -> String {
	value.map_or_else(String::new, |value| value.to_string())
}

fn gib(bytes: u64) -> f64 {
	bytes as f64 / f64::from(1 << 30)
}

/// Milliseconds with three digits or so.
fn duration(ms: f64) -> String {
	match ms {
		ms if ms < 10.0 => format!("{ms:.1} ms"),
		ms if ms < 1e3 => format!("{ms:.0} ms"),
		ms if ms < 1e5 => format!("{:.1} s", ms / 1e3),
		ms => format!("{:.0} s", ms / 1e3),
	}
}

/// Planck as CAI, to a thousandth, what is less than that dropped.
fn cai(planck: Balance) -> String {
	let thousandths = planck / (CAI / 1000);
	format!("{}.{:03}", thousandths / 1000, thousandths % 1000)
}

/// The table, no wider than `width` if that can be.
fn text(report: &Report, width: Option<u16>, colour: bool) -> String {
	let mut table = Table::new();
	table.load_preset(LINES).set_header(HEAD);
	table.add_rows(rows(report).iter().map(Row::cells));
	if let Some(width) = width {
		table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
	}
	for (index, column) in table.column_iter_mut().enumerate() {
		column.set_padding((0, 1));
		if index >= WORDS {
			column.set_cell_alignment(CellAlignment::Right);
		}
	}
	let text = table.trim_fmt();
	if colour {
		coloured(&text)
	} else {
		text
	}
}

/// Its lines dim, its head bold.
fn coloured(text: &str) -> String {
	let (dim, bold) = (Style::new().dim(), Style::new().bold());
	let mut above = 0;
	let lines = text.lines().map(|line| {
		let style = match (line.starts_with('─'), above) {
			(true, _) => &dim,
			(false, 1) => &bold,
			(false, _) => return line.to_owned(),
		};
		above += usize::from(line.starts_with('─'));
		style.apply_to(line).force_styling(true).to_string()
	});
	lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::{gpu::Gpu, stats::DeviceStats};

	fn model(model: ModelId, done: u64, p50_ms: f64) -> ModelStats {
		ModelStats { model, done, failed: 1, per_minute: 12, p50_ms: Some(p50_ms), p95_ms: None }
	}

	fn report() -> Report {
		let gpu = Gpu {
			name: "NVIDIA H100".into(),
			memory_total: Some(80 << 30),
			memory_used: Some(20 << 30),
			temperature: Some(61),
			power: Some(412.4),
			..Gpu::default()
		};
		let stats = DeviceStats {
			provider: "CUDA device 0".into(),
			queue: 2,
			models: vec![model(3, 345, 840.0), model(4, 5, 12_340.0)],
			..DeviceStats::default()
		};
		Report {
			models: vec![(3, "demo".into()), (4, "tiny".into())],
			devices: vec![DeviceReport { stats, gpu: Some(gpu) }],
			earned: (CAI * 7 / 2 + 1).to_string(),
			..Report::default()
		}
	}

	#[test]
	fn the_table_has_a_row_for_each_model_and_one_for_all() {
		let text = text(&report(), None, false);
		let lines: Vec<&str> = text.lines().collect();
		let words = |line: usize| lines[line].split_whitespace().collect::<Vec<_>>().join(" ");
		assert_eq!(lines.len(), 7, "{text}");
		assert_eq!(words(1), HEAD.join(" "));
		assert_eq!(words(3), "0 NVIDIA H100 3 demo 345 1 12 840 ms 20.0/80 GiB 61 412 2");
		assert_eq!(words(4), "0 NVIDIA H100 4 tiny 5 1 12 12.3 s");
		assert_eq!(words(5), "all 350 2 24 412 3.500 2");
		for line in [0, 2, 6] {
			assert!(lines[line].chars().all(|character| character == '─'), "{text}");
		}
		// Numbers stand below each other.
		let ends = |line: usize, what: &str| {
			let at = lines[line].find(what).unwrap();
			lines[line][..at].chars().count() + what.chars().count()
		};
		assert_eq!(ends(3, " 345"), ends(4, " 5"));
		assert_eq!(ends(3, " 345"), ends(1, " done"));
		assert!(!text.contains('\u{1b}'));
	}

	#[test]
	fn a_models_name_does_nothing_to_the_terminal() {
		let mut report = report();
		report.models[0].1 = "de\u{1b}[2J\nmo\u{202e}".into();
		let text = text(&report, None, false);
		assert!(text.contains("3 de\u{fffd}[2J\u{fffd}mo\u{fffd} "), "{text:?}");
		assert_eq!(text.lines().count(), 7, "{text:?}");
	}

	#[test]
	fn one_row_is_enough_for_one_device_with_one_model() {
		let mut report = report();
		report.devices[0].stats.models.pop();
		let rows = rows(&report);
		assert_eq!(rows.len(), 1);
		assert_eq!(cai(rows[0].earned.unwrap()), "3.500");
	}

	#[test]
	fn a_device_that_is_no_gpu_or_has_done_nothing_has_its_row() {
		let mut report = report();
		let idle = DeviceReport {
			stats: DeviceStats {
				device: 1,
				provider: "CPU, 2 threads".into(),
				..DeviceStats::default()
			},
			gpu: None,
		};
		report.devices.push(idle);
		let lost = Gpu { problem: Some("it fell off".into()), ..Gpu::default() };
		report.devices[0].gpu = Some(lost);
		let text = text(&report, None, false);
		assert!(text.contains("0 it fell off") && text.contains("1 CPU, 2 threads"), "{text}");
		assert!(text.lines().any(|line| line.contains("tiny")), "{text}");
	}

	#[test]
	fn a_narrow_terminal_gets_a_narrow_table() {
		let wide = text(&report(), None, false);
		assert!(wide.lines().all(|line| line.chars().count() < 100), "{wide}");
		assert_eq!(text(&report(), Some(100), false), wide);
		let narrow = text(&report(), Some(70), false);
		assert!(narrow.lines().all(|line| line.chars().count() <= 70), "{narrow}");
		assert!(narrow.lines().count() > wide.lines().count(), "{narrow}");
	}

	#[test]
	fn colours_change_nothing_but_the_looks() {
		let coloured = text(&report(), None, true);
		assert!(coloured.contains("\u{1b}[1m") && coloured.contains("\u{1b}[2m"), "{coloured}");
		let plain = console::strip_ansi_codes(&coloured).into_owned();
		assert_eq!(plain, text(&report(), None, false));
		let lines: Vec<&str> = coloured.lines().collect();
		assert!(!lines[3].contains('\u{1b}'), "{coloured}");
	}

	#[test]
	fn json_is_for_the_log() {
		assert_eq!(Place::of(LogFormat::Json), Place::Log);
	}

	#[test]
	fn numbers_are_short() {
		let times = [3.21, 840.4, 1_000.0, 12_345.0, 345_678.0].map(duration);
		assert_eq!(times, ["3.2 ms", "840 ms", "1.0 s", "12.3 s", "346 s"]);
		assert_eq!(cai(0), "0.000");
		assert_eq!(cai(CAI - 1), "0.999");
		assert_eq!(cai(CAI * 1234), "1234.000");
	}
}
