//! ONNX Runtime: finding its library, and the one environment and provider that every session of this process uses.
//!
//! The library is loaded while the program runs, so that one `miner-client` serves CPU and GPU. CUDA is what a miner runs on; the CPU has to be
//! allowed by name, and which of them it became is said once, loudly: ONNX Runtime itself would fall back without a word.

use std::{
	env::consts::{DLL_PREFIX, DLL_SUFFIX},
	fmt,
	path::{Path, PathBuf},
};

use clap::ValueEnum;
use ort::{
	environment::Environment,
	ep::{
		cuda::{AttentionBackend, ConvAlgorithmSearch},
		ArenaExtendStrategy, CPU, CUDA,
	},
	logging::LogLevel,
	session::builder::{GraphOptimizationLevel, SessionBuilder},
};

/// How to run models.
#[derive(Clone, Debug)]
pub struct Options {
	/// ONNX Runtime's library; looked for in the usual places if not given.
	pub library: Option<PathBuf>,
	/// Whether the CPU may be used where CUDA cannot.
	pub allow_cpu: bool,
	/// The CUDA device.
	pub device: i32,
	/// The threads of a session on the CPU.
	pub threads: usize,
}

/// What a session's nodes run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
	/// An NVIDIA GPU.
	Cuda {
		/// Its number.
		device: i32,
	},
	/// The processor.
	Cpu {
		/// Threads of a session.
		threads: usize,
	},
}

impl fmt::Display for Provider {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Self::Cuda { device } => write!(f, "CUDA device {device}"),
			Self::Cpu { threads } => write!(f, "CPU, {threads} threads"),
		}
	}
}

/// How much ONNX Runtime may rewrite a graph before it runs it. Miners all run [`Optimization::All`]; the others tell how far honest results can differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Optimization {
	/// Not at all.
	None,
	/// Constants folded, needless nodes left out.
	Basic,
	/// Nodes fused as well.
	Extended,
	/// Memory laid out for this processor as well.
	All,
}

impl Optimization {
	fn level(self) -> GraphOptimizationLevel {
		match self {
			Self::None => GraphOptimizationLevel::Disable,
			Self::Basic => GraphOptimizationLevel::Level1,
			Self::Extended => GraphOptimizationLevel::Level2,
			Self::All => GraphOptimizationLevel::All,
		}
	}
}

impl fmt::Display for Optimization {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.write_str(match self {
			Self::None => "none",
			Self::Basic => "basic",
			Self::Extended => "extended",
			Self::All => "all",
		})
	}
}

/// A library of ONNX Runtime on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
	/// Where it is.
	pub path: PathBuf,
	/// Its version, if the file tells.
	pub version: Option<String>,
}

impl fmt::Display for Library {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		let version = self.version.as_deref().unwrap_or("of unknown version");
		write!(f, "ONNX Runtime {version} at {}", self.path.display())
	}
}

/// ONNX Runtime's setting that has its threads sleep as soon as a run is over.
const STOP_SPINNING: &str = "session.force_spinning_stop";
const INSTALL: &str = "`scripts/setup` puts it in place; by hand, take libonnxruntime.so.* out of the PyPI wheel `onnxruntime` \
	(`onnxruntime-gpu` for NVIDIA GPUs, with the libonnxruntime_providers_*.so beside it) and name it with --onnxruntime or ORT_DYLIB_PATH";

/// Why ONNX Runtime cannot be used. Says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
	/// No library where it should be.
	#[error("ONNX Runtime is missing: no file at {}\n{INSTALL}", list(.looked_at))]
	Missing {
		/// Where it was looked for.
		looked_at: Vec<PathBuf>,
	},
	/// The file cannot be loaded as a library of ONNX Runtime.
	#[error("{} cannot be loaded as ONNX Runtime: {reason}\n{INSTALL}", .path.display())]
	NotUsable {
		/// The file.
		path: PathBuf,
		/// What the loader says.
		reason: String,
	},
	/// The library is older than this program can use.
	#[error("ONNX Runtime at {} is version {version}, 1.{} or later is needed\n{INSTALL}", .path.display(), ort::MINOR_VERSION)]
	TooOld {
		/// The file.
		path: PathBuf,
		/// Its version.
		version: String,
	},
	/// CUDA cannot be used, and the CPU is not allowed.
	#[error("CUDA cannot be used: {reason}\nto mine on the CPU, slower, pass --allow-cpu; for CUDA: {INSTALL}")]
	NoGpu {
		/// What ONNX Runtime says.
		reason: String,
	},
	/// ONNX Runtime itself failed.
	#[error("ONNX Runtime failed to start: {0}")]
	Start(#[from] ort::Error),
}

fn list(paths: &[PathBuf]) -> String {
	let paths: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
	paths.join(", nor at ")
}

/// Finds the library and checks its version, without loading it.
pub fn locate(configured: Option<&Path>) -> Result<Library, RuntimeError> {
	let looked_at = match configured {
		Some(path) => vec![path.to_path_buf()],
		None => usual_places(),
	};
	let Some(path) = looked_at.iter().find(|p| p.is_file()) else {
		return Err(RuntimeError::Missing { looked_at });
	};
	// An absolute path: what is relative, `ort` would look for beside the program.
	let unusable = |error: std::io::Error| RuntimeError::NotUsable {
		path: path.clone(),
		reason: error.to_string(),
	};
	let path = path.canonicalize().map_err(unusable)?;
	let version = version_in(&std::fs::read(&path).map_err(unusable)?);
	match version {
		Some(version) if minor(&version).is_some_and(|m| m < ort::MINOR_VERSION) => {
			Err(RuntimeError::TooOld { path, version })
		},
		version => Ok(Library { path, version }),
	}
}

fn usual_places() -> Vec<PathBuf> {
	let name = format!("{DLL_PREFIX}onnxruntime{DLL_SUFFIX}");
	let program = std::env::current_exe().ok();
	let beside = program.as_deref().and_then(Path::parent).map(Path::to_path_buf);
	beside
		.into_iter()
		.flat_map(|dir| [dir.join(&name), dir.join("../lib").join(&name)])
		.chain(["/usr/local/lib", "/usr/lib"].map(|dir| Path::new(dir).join(&name)))
		.collect()
}

/// The version that the library's one exported symbol carries, `VERS_1.31.1`.
fn version_in(library: &[u8]) -> Option<String> {
	const MARK: &[u8] = b"VERS_";
	let at = library
		.windows(MARK.len() + 1)
		.position(|w| w.starts_with(MARK) && w[MARK.len()].is_ascii_digit())?;
	let version = library[at + MARK.len()..].iter().take(16);
	let version = version.take_while(|b| b.is_ascii_digit() || **b == b'.');
	Some(version.map(|b| char::from(*b)).collect())
}

fn minor(version: &str) -> Option<u32> {
	version.split('.').nth(1)?.parse().ok()
}

/// The loaded library, its environment and the provider that sessions run on.
#[derive(Clone)]
pub struct Runtime {
	environment: Environment,
	library: Library,
	provider: Provider,
	optimization: Optimization,
}

impl Runtime {
	/// Loads the library and chooses the provider. A process can do this once.
	pub fn load(options: &Options) -> Result<Self, RuntimeError> {
		let library = locate(options.library.as_deref())?;
		let environment = ort::init_from(&library.path)
			.map_err(|error| load_error(&library.path, error))?
			.with_name("miner-client")
			.with_telemetry(false)
			.build()?;
		let cuda = Provider::Cuda { device: options.device };
		let provider = match register(SessionBuilder::new(&environment)?, cuda) {
			Ok(_) => cuda,
			Err(error) if options.allow_cpu => {
				tracing::warn!(reason = %error, "CUDA cannot be used, --allow-cpu was given");
				Provider::Cpu { threads: options.threads }
			},
			Err(error) => return Err(RuntimeError::NoGpu { reason: error.to_string() }),
		};
		tracing::info!(%library, %provider, "models run on {provider}");
		Ok(Self { environment, library, provider, optimization: Optimization::All })
	}

	/// The library in use.
	pub fn library(&self) -> &Library {
		&self.library
	}

	/// What sessions run on.
	pub fn provider(&self) -> Provider {
		self.provider
	}

	/// How much graphs are rewritten.
	pub(crate) fn optimization(&self) -> Optimization {
		self.optimization
	}

	/// The same library, for sessions that run otherwise than a miner's.
	pub(crate) fn varied(&self, provider: Provider, optimization: Optimization) -> Self {
		Self { provider, optimization, ..self.clone() }
	}

	/// Opens an ONNX file with the settings that make results repeatable on one machine: fixed optimisation, fixed threads, deterministic kernels.
	pub(crate) fn open(&self, file: &Path) -> ort::Result<ort::session::Session> {
		self.builder()?.commit_from_file(file)
	}

	/// What [`Self::open`] opens a file with.
	pub(crate) fn builder(&self) -> ort::Result<SessionBuilder> {
		let builder = SessionBuilder::new(&self.environment)?
			.with_optimization_level(self.optimization.level())?
			.with_deterministic_compute(true)?
			// Threads that wait busily save a sleep between any two operators; they must not go on when the run is over, or the sessions of a model would burn the cores waiting
			// for each other.
			.with_intra_op_spinning(true)?
			.with_config_entry(STOP_SPINNING, "1")?
			.with_log_level(LogLevel::Warning)?;
		register(builder, self.provider)
	}
}

fn register(builder: SessionBuilder, provider: Provider) -> ort::Result<SessionBuilder> {
	let builder = match provider {
		Provider::Cuda { device } => {
			// Explicit, because the defaults choose by timing, by compute capability or by version.
			let cuda = CUDA::default()
				.with_device_id(device)
				.with_conv_algorithm_search(ConvAlgorithmSearch::Heuristic)
				.with_attention_backend(AttentionBackend::MATH)
				.with_tf32(false)
				.with_arena_extend_strategy(ArenaExtendStrategy::SameAsRequested);
			builder.with_execution_providers([cuda.build().error_on_failure()])?
		},
		Provider::Cpu { threads } => builder
			.with_intra_threads(threads)?
			.with_execution_providers([CPU::default().with_arena_allocator(true).build()])?,
	};
	Ok(builder)
}

fn load_error(path: &Path, error: ort::LoadDynamicError) -> RuntimeError {
	use ort::LoadDynamicError::BadVersion;
	match error {
		BadVersion { version_str, path } => RuntimeError::TooOld { path, version: version_str },
		other => RuntimeError::NotUsable { path: path.into(), reason: other.to_string() },
	}
}

/// The runtime that tests share, or `None`, said aloud, where `ORT_DYLIB_PATH` does not name a library.
#[cfg(test)]
pub(crate) fn for_tests() -> Option<&'static Runtime> {
	static RUNTIME: std::sync::OnceLock<Option<Runtime>> = std::sync::OnceLock::new();
	let runtime = RUNTIME.get_or_init(|| {
		let library = std::env::var_os("ORT_DYLIB_PATH")?.into();
		let options = Options { library: Some(library), allow_cpu: true, device: 0, threads: 1 };
		Some(Runtime::load(&options).unwrap())
	});
	if runtime.is_none() {
		eprintln!("skipped: ORT_DYLIB_PATH does not name a library of ONNX Runtime");
	}
	runtime.as_ref()
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_missing_library_says_where_and_how() {
		let error = locate(Some(Path::new("/nowhere/libonnxruntime.so"))).unwrap_err().to_string();
		assert!(error.contains("/nowhere/libonnxruntime.so"), "{error}");
		assert!(error.contains("scripts/setup") && error.contains("PyPI"), "{error}");
	}

	#[test]
	fn an_old_library_says_which_version() {
		let dir = tempfile::tempdir().unwrap();
		let path = dir.path().join("libonnxruntime.so");
		std::fs::write(&path, b"\x7fELF..VERS_\0..VERS_1.17.3\0..").unwrap();
		let error = locate(Some(&path)).unwrap_err();
		assert!(matches!(&error, RuntimeError::TooOld { version, .. } if version == "1.17.3"));
		let text = error.to_string();
		assert!(text.contains("1.17.3") && text.contains("1.24"), "{text}");
	}

	#[test]
	fn a_file_that_is_no_library_is_refused() {
		let dir = tempfile::tempdir().unwrap();
		let path = dir.path().join("libonnxruntime.so");
		std::fs::write(&path, b"not a library").unwrap();
		let library = Some(path);
		let options = Options { library, allow_cpu: true, device: 0, threads: 1 };
		// Where another test has loaded a real library already, that one stays.
		if std::env::var_os("ORT_DYLIB_PATH").is_none() {
			let error = Runtime::load(&options).err().unwrap();
			assert!(matches!(error, RuntimeError::NotUsable { .. }), "{error}");
		}
	}

	#[test]
	fn the_version_of_the_real_library_is_found() {
		let Some(runtime) = for_tests() else { return };
		let version = runtime.library().version.as_deref().unwrap();
		assert!(minor(version).unwrap() >= ort::MINOR_VERSION, "{version}");
	}
}
