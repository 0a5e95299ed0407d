//! What systemd is told: that a start goes on, that mining has begun, what is being done, that the work loop turns, and that the end has begun. Nothing at all where
//! nobody listens: without `NOTIFY_SOCKET`.
//!
//! The work loop itself feeds the watchdog. A timer beside it would go on feeding while the loop hangs, and nobody would begin the miner anew.

use std::{
	collections::BTreeMap,
	future::Future,
	pin::pin,
	time::{Duration, Instant},
};

use cuckoo_client::plain;
use sd_notify::NotifyState;
use tokio::{
	sync::watch,
	time::{interval_at, MissedTickBehavior},
};

/// How often the watchdog is fed in the time that it waits. Once would do, but for a loop that is slow now and then.
const MEALS: u32 = 3;
/// How often systemd is asked for more time to begin.
const ASK: Duration = Duration::from_secs(10);
/// How much more each time, in microseconds: a minute.
const MORE: u32 = 60_000_000;

/// What each device is at, by its number, in words.
pub type Doing = BTreeMap<i32, String>;

/// Does what may take longer than systemd leaves a service to begin: asks it for more time meanwhile, and tells it what is being done. The work has to end by
/// itself, with a limit for each of its parts: as long as it goes on nothing else ends it.
pub async fn with_more_time<T>(doing: watch::Receiver<Doing>, work: impl Future<Output = T>) -> T {
	asking_every(ASK, doing, work).await
}

async fn asking_every<T>(
	pause: Duration,
	mut doing: watch::Receiver<Doing>,
	work: impl Future<Output = T>,
) -> T {
	let mut work = pin!(work);
	tell(NotifyState::ExtendTimeoutUsec(MORE));
	let mut ask = interval_at(tokio::time::Instant::now() + pause, pause);
	ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
	loop {
		tokio::select! {
			biased;
			Ok(()) = doing.changed() => {
				let line = in_a_line(&doing.borrow_and_update());
				tell(NotifyState::Status(&line));
			},
			_ = ask.tick() => tell(NotifyState::ExtendTimeoutUsec(MORE)),
			done = &mut work => return done,
		}
	}
}

/// One line: another would be a message of its own.
fn in_a_line(doing: &Doing) -> String {
	let each = doing.iter().map(|(device, what)| format!("device {device}: {what}"));
	plain::line(&each.collect::<Vec<_>>().join(", "))
}

/// What the work loop tells systemd.
#[derive(Debug, Default)]
pub struct Watchdog {
	/// How often to feed it; never without one.
	every: Option<Duration>,
	last: Option<Instant>,
	ready: bool,
	stopping: bool,
	status: String,
}

impl Watchdog {
	/// With the watchdog that systemd asks for in `WATCHDOG_USEC`, if any.
	pub fn new() -> Self {
		Self { every: sd_notify::watchdog_enabled().map(|wait| wait / MEALS), ..Self::default() }
	}

	/// The loop has turned. For each turn: systemd is told no more often than it has to be.
	pub fn fed(&mut self) {
		if self.is_due(Instant::now()) {
			tell(NotifyState::Watchdog);
		}
	}

	/// Mining has begun: the first seats were seen. Only the first call counts.
	pub fn ready(&mut self) {
		if !self.ready {
			self.ready = true;
			tell(NotifyState::Ready);
		}
	}

	/// What is being done, in a line. Told when it is another than before.
	pub fn status(&mut self, status: &str) {
		if self.status != status {
			status.clone_into(&mut self.status);
			tell(NotifyState::Status(status));
		}
	}

	/// No new work is taken; what was promised is finished. Only the first call counts.
	pub fn stopping(&mut self) {
		if !self.stopping {
			self.stopping = true;
			tell(NotifyState::Stopping);
		}
	}

	fn is_due(&mut self, now: Instant) -> bool {
		let Some(every) = self.every else { return false };
		let due = self.last.is_none_or(|last| now.duration_since(last) >= every);
		if due {
			self.last = Some(now);
		}
		due
	}
}

fn tell(state: NotifyState<'_>) {
	if let Err(error) = sd_notify::notify(&[state]) {
		tracing::warn!(%error, "systemd does not hear this miner");
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use std::{env, os::unix::net::UnixDatagram, process::Command, thread::sleep};

	#[test]
	fn it_is_fed_three_times_in_the_time_that_it_waits() {
		let mut watchdog = Watchdog { every: Some(Duration::from_secs(20)), ..Watchdog::default() };
		let start = Instant::now();
		let mut fed = |seconds| watchdog.is_due(start + Duration::from_secs(seconds));
		assert_eq!(
			[0, 3, 19, 20, 21, 39, 40].map(&mut fed),
			[true, false, false, true, false, false, true]
		);
		// A loop that came late does not eat twice.
		assert_eq!([200, 201].map(&mut fed), [true, false]);
		assert!(!Watchdog::default().is_due(start));
	}

	/// Says everything. By itself, without a socket, that it comes to nothing; for the test below, in a process of its own, with one.
	#[test]
	fn everything_is_said() {
		let mut watchdog = Watchdog::new();
		watchdog.status("waiting for the first block");
		for _ in 0..2 {
			watchdog.ready();
			watchdog.status("2 seats in block 7");
			watchdog.fed();
		}
		sleep(watchdog.every.unwrap_or_default());
		watchdog.fed();
		watchdog.stopping();
		watchdog.stopping();
	}

	/// Opens two models. By itself, without a socket, that it comes to nothing; for the test below, in a process of its own, with one.
	#[tokio::test]
	async fn more_time_is_asked_for() {
		let (doing, told) = watch::channel(Doing::new());
		let work = async {
			doing.send_modify(|all| drop(all.insert(0, "opening a\nREADY=1".into())));
			tokio::time::sleep(Duration::from_millis(300)).await;
			doing.send_modify(|all| drop(all.insert(1, "opening b".into())));
			tokio::time::sleep(Duration::from_millis(10)).await;
			7
		};
		assert_eq!(asking_every(Duration::from_millis(200), told, work).await, 7);
		// Nobody tells what is done.
		let (_, told) = watch::channel(Doing::new());
		assert_eq!(with_more_time(told, async { 8 }).await, 8);
	}

	/// Where a service says what it does.
	struct Systemd {
		socket: UnixDatagram,
		dir: tempfile::TempDir,
	}

	impl Systemd {
		fn new() -> Self {
			let dir = tempfile::tempdir().unwrap();
			let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
			socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
			Self { socket, dir }
		}

		/// Runs a test in a process of its own, because the environment belongs to all tests of this one.
		fn run(&self, test: &str, watchdog: Option<&str>) {
			let mut command = Command::new(env::current_exe().unwrap());
			command.args(["--exact", test]);
			command.env("NOTIFY_SOCKET", self.dir.path().join("notify"));
			command.env_remove("WATCHDOG_PID");
			match watchdog {
				Some(microseconds) => command.env("WATCHDOG_USEC", microseconds),
				None => command.env_remove("WATCHDOG_USEC"),
			};
			let done = command.output().unwrap();
			let output = String::from_utf8_lossy(&done.stdout).into_owned();
			assert!(done.status.success() && output.contains("1 passed"), "{output}");
		}

		fn heard(&self, expected: &[&str]) {
			for line in expected {
				let mut bytes = [0; 256];
				let length = self.socket.recv(&mut bytes).unwrap();
				assert_eq!(String::from_utf8_lossy(&bytes[..length]), format!("{line}\n"));
			}
		}
	}

	#[test]
	fn systemd_hears_everything_once() {
		let systemd = Systemd::new();
		let test = "notify::tests::everything_is_said";
		// Once a second: at the first turn and, after a second's pause, at the last.
		systemd.run(test, Some("3000000"));
		let (waiting, working) =
			("STATUS=waiting for the first block", "STATUS=2 seats in block 7");
		systemd.heard(&[waiting, "READY=1", working, "WATCHDOG=1", "WATCHDOG=1", "STOPPING=1"]);
		systemd.run(test, None);
		systemd.heard(&[waiting, "READY=1", working, "STOPPING=1"]);
		systemd.socket.set_nonblocking(true).unwrap();
		assert!(systemd.socket.recv(&mut [0; 256]).is_err(), "something was said twice");
	}

	#[test]
	fn systemd_waits_for_a_start_that_goes_on() {
		let systemd = Systemd::new();
		systemd.run("notify::tests::more_time_is_asked_for", None);
		let more = "EXTEND_TIMEOUT_USEC=60000000";
		systemd.heard(&[more, "STATUS=device 0: opening a\u{fffd}READY=1", more]);
	}
}
