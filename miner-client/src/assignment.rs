//! Which execution provider each node of a graph was given to.
//!
//! ONNX Runtime gives what CUDA cannot run to the CPU without a word: a session that was opened for CUDA may run none of its nodes there. It keeps a record of that if it is asked to,
//! but `ort` has no safe way to read it (2.0.0-rc.15). So this is the one file with unsafe code: three functions of ONNX Runtime's C interface, all of which only read.

#![allow(unsafe_code)]

use std::{
	borrow::Cow,
	collections::BTreeMap,
	ffi::{c_char, CStr},
	path::Path,
	ptr, slice,
};

use ort::{
	session::Session,
	sys::{OrtEpAssignedNode, OrtEpAssignedSubgraph, OrtStatusPtr},
	AsPointer,
};

use crate::runtime::Runtime;

/// With this a session keeps the record.
const RECORD: &str = "session.record_ep_graph_assignment_info";
/// How the names of all execution providers end.
const ENDING: &str = "ExecutionProvider";

/// How many nodes each execution provider runs, by its name, such as `CUDA` or `CPU`.
pub type Nodes = BTreeMap<String, usize>;

/// Opens an ONNX file the way a miner does, and counts. Nodes are counted before ONNX Runtime fuses them.
pub fn nodes(runtime: &Runtime, file: &Path) -> ort::Result<Nodes> {
	let session = runtime.builder()?.with_config_entry(RECORD, "1")?.commit_from_file(file)?;
	record(&session)
}

/// Reads the record of a session; fails if the session keeps none.
fn record(session: &Session) -> ort::Result<Nodes> {
	let api = ort::api();
	let mut found = Nodes::new();
	let (mut parts, mut count) = (ptr::null::<*const OrtEpAssignedSubgraph>(), 0usize);
	// SAFETY: `session` is a live session; the two places are written to during the call and not kept. The function is there: `ort` refuses libraries
	// older than 1.24, which brought it, and so are the others below.
	check(unsafe {
		(api.Session_GetEpGraphAssignmentInfo)(session.ptr(), &mut parts, &mut count)
	})?;
	// SAFETY: the call succeeded, so that there are `count` pointers at `parts`. They and what they point to belong to the session, which is borrowed until
	// this function returns, and do not change once it is open.
	for part in unsafe { array(parts, count) } {
		let mut name = ptr::null::<c_char>();
		// SAFETY: `part` comes from the session's record, see above; the place is written to during the call and not kept.
		check(unsafe { (api.EpAssignedSubgraph_GetEpName)(*part, &mut name) })?;
		let (mut nodes, mut count) = (ptr::null::<*const OrtEpAssignedNode>(), 0usize);
		// SAFETY: as for the name.
		check(unsafe { (api.EpAssignedSubgraph_GetNodes)(*part, &mut nodes, &mut count) })?;
		let name = if name.is_null() {
			Cow::Borrowed("unknown")
		} else {
			// SAFETY: not null, and the call that gave it succeeded: text that ends with a zero byte and belongs to the session.
			unsafe { CStr::from_ptr(name) }.to_string_lossy()
		};
		let name = name.strip_suffix(ENDING).unwrap_or(&name);
		*found.entry(name.to_owned()).or_default() += count;
	}
	Ok(found)
}

/// What a call came to.
fn check(status: OrtStatusPtr) -> ort::Result<()> {
	// SAFETY: each status comes straight from a call of ONNX Runtime and is used here alone, which frees it.
	unsafe { ort::Error::<()>::result_from_status(status) }
}

/// An array of ONNX Runtime's.
///
/// # Safety
/// If `count` is not 0 and `first` not null, there must be so many of `T` there, unchanged for as long as the result is used.
unsafe fn array<'a, T>(first: *const T, count: usize) -> &'a [T] {
	if first.is_null() || count == 0 {
		return &[];
	}
	// SAFETY: what the caller promises.
	unsafe { slice::from_raw_parts(first, count) }
}

/// The counts in words: "all 142 on CPU", "412 on CUDA, 18 on CPU".
pub fn in_words(nodes: &Nodes) -> String {
	let mut counts: Vec<(&String, &usize)> = nodes.iter().collect();
	counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
	match counts.as_slice() {
		[] => "none".into(),
		[(provider, count)] => format!("all {count} on {provider}"),
		many => {
			let each: Vec<String> =
				many.iter().map(|(provider, count)| format!("{count} on {provider}")).collect();
			each.join(", ")
		},
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::{pipeline::tensor::tests::doubling_model, runtime};

	#[test]
	fn the_nodes_of_a_real_model_are_counted() {
		let Some(runtime) = runtime::for_tests() else { return };
		let file = tempfile::NamedTempFile::new().unwrap();
		std::fs::write(file.path(), doubling_model()).unwrap();
		let found = nodes(runtime, file.path()).unwrap();
		assert_eq!(found.values().sum::<usize>(), 1, "{found:?}");
		assert!(found.keys().all(|name| ["CPU", "CUDA"].contains(&name.as_str())), "{found:?}");
		// A session that keeps no record says so.
		assert!(record(&runtime.open(file.path()).unwrap()).is_err());
		assert!(nodes(runtime, Path::new("/nowhere/model.onnx")).is_err());
	}

	#[test]
	fn counts_read_like_words() {
		let nodes = |counts: &[(&str, usize)]| {
			in_words(&counts.iter().map(|(name, count)| (name.to_string(), *count)).collect())
		};
		assert_eq!(nodes(&[("CPU", 18), ("CUDA", 412)]), "412 on CUDA, 18 on CPU");
		assert_eq!(nodes(&[("CPU", 142)]), "all 142 on CPU");
		assert_eq!(nodes(&[]), "none");
	}
}
