//! What cheating pays: the tasks of a coalition through the pallet's own draws, lottery, comparisons and courts, beside what can be computed on paper.
//! What is assumed, and what is left out, is told in docs/economics.md.

mod cell;
mod law;
mod network;
mod rules;

use crate::mock::ProverShare;
use cell::Cell;
use network::Network;
use rules::Strategy;
use sp_runtime::Perbill;

/// How many percent of the stake beside a miner's own act with it.
const COLLUDING: [u8; 6] = [0, 5, 10, 20, 33, 40];
/// How many percent of its tasks are audited.
const RATES: [u32; 4] = [1, 5, 10, 20];
/// The runtime's default of `LeastAuditRate`, in percent.
const DEFAULT_RATE: u32 = 5;
/// The runtime's default of `ProverShare`. What else it takes is as in the mock.
const PROVERS: Perbill = Perbill::from_percent(40);
/// Tasks of the coalition's for each of its sizes.
const TASKS: u32 = 100_000;
/// By how many standard deviations a result may be off.
const BAR: f64 = 4.0;

/// All rates and strategies of one coalition, over the same tasks.
fn simulate(colluding: u8) -> Vec<Cell> {
	Network::run(colluding, |network| {
		let cell = |percent, strategy| Cell::new(network, colluding, percent, strategy);
		let cells = |strategy| RATES.map(|percent| cell(percent, strategy));
		let mut cells: Vec<Cell> = Strategy::ALL.into_iter().flat_map(cells).collect();
		for id in 0..TASKS {
			if id % (TASKS / 10) == 0 {
				eprintln!("economics: {colluding} % colluding: {id} of {TASKS} tasks");
			}
			let task = network.task(id);
			cells.iter_mut().for_each(|cell| cell.count(&task));
		}
		cells
	})
}

/// Writes all that was counted to the file that `CUCKOO_ECONOMICS_CSV` names, if it does.
fn write_csv(cells: &[Cell]) {
	let Some(path) = std::env::var_os("CUCKOO_ECONOMICS_CSV") else { return };
	let names: Vec<_> = cells[0].fields().into_iter().map(|(name, _)| name).collect();
	let mut csv = names.join(",") + "\n";
	for cell in cells {
		let values: Vec<_> = cell.fields().into_iter().map(|(_, value)| value).collect();
		csv += &(values.join(",") + "\n");
	}
	std::fs::write(path, csv).unwrap();
}

#[test]
#[ignore = "takes some minutes: scripts/check economics"]
fn economics() {
	ProverShare::set(PROVERS);
	let mut cells: Vec<Cell> = COLLUDING.into_iter().flat_map(simulate).collect();
	cells.sort_by_key(|cell| Strategy::ALL.iter().position(|one| *one == cell.strategy));
	println!("{}", Cell::head());
	cells.iter().for_each(|cell| println!("{}", cell.row()));
	write_csv(&cells);

	let worst = cells.iter().map(Cell::sigma).fold(0.0, f64::max);
	let profitable = cells.iter().filter(|cell| cell.pays()).count();
	println!(
		"economics: cells={} tasks_per_cell={TASKS} worst_sigma={worst:.2} profitable_cells={profitable} \
		 bar={BAR}",
		cells.len()
	);
	assert!(worst <= BAR, "a result is {worst:.2} standard deviations from what is expected");
	for cell in &cells {
		let Cell { colluding, percent, law, .. } = cell;
		let expected = law.profit - law.honest;
		let place = format!("{}, f = {colluding} %, q = {percent} %", cell.strategy.name());
		// Closer to nothing than chance can tell, it may come out on either side.
		if expected < -BAR * cell.advantage.error() {
			assert!(!cell.pays(), "cheating pays, and should not: {place}");
		}
		assert!(*percent < DEFAULT_RATE || expected < 0.0, "cheating pays by default: {place}");
	}
}
