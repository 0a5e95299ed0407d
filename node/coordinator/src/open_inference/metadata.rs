//! What is known of models' tensors.
//!
//! The chain knows a model's kind and the hash of its files, and not what its tensors are called: only a miner has opened the files. So the tensors of an ONNX
//! model are known in one of two ways. They are *declared*: the setting `model_metadata` names a folder in which every `<any name>/config.json` is a model's
//! metadata as this protocol gives it,
//!
//! ```json
//! {"name": "sum", "versions": ["1"], "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}], "outputs": [...]}
//! ```
//!
//! with -1 for a side that may have any length; without `versions` it is meant for every model of the name. A request is checked against it before anything is
//! paid. Or they were *seen*: tensors that the model has run, and those that it gave, since this coordinator started. Sides that differed are -1. That
//! is a hint for people and clients, against which nothing is checked.

use std::{
	collections::BTreeMap,
	path::Path,
	sync::{Mutex, OnceLock, PoisonError},
};

use anyhow::{ensure, Context};
use cuckoo_primitives::{views::ModelView, ModelId, ModelKind};
use serde::{Deserialize, Serialize};

use super::{
	kinds,
	tensor::{check_name, Datatype, Tensor, Wrong, MAX_RANK},
	wire::MAX_TENSORS,
};

/// A tensor of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
	/// Its name.
	pub name: String,
	/// The type of its elements.
	pub datatype: Datatype,
	/// Its sides; -1 for one that may have any length.
	pub shape: Vec<i64>,
}

impl Spec {
	fn of(tensor: &Tensor) -> Self {
		let side = |side: &usize| i64::try_from(*side).unwrap_or(-1);
		let shape = tensor.shape.iter().map(side).collect();
		Self { name: tensor.name.clone(), datatype: tensor.datatype, shape }
	}

	/// Whether a tensor may have this shape.
	fn takes(&self, shape: &[usize]) -> bool {
		let fits =
			|(known, side): (&i64, &usize)| *known == -1 || i64::try_from(*side) == Ok(*known);
		self.shape.len() == shape.len() && self.shape.iter().zip(shape).all(fits)
	}

	/// Takes in another sight of the same tensor; whether it was one.
	fn widen(&mut self, other: &Self) -> bool {
		let same = self.name == other.name
			&& self.datatype == other.datatype
			&& self.shape.len() == other.shape.len();
		if same {
			for (side, other) in self.shape.iter_mut().zip(&other.shape) {
				if side != other {
					*side = -1;
				}
			}
		}
		same
	}
}

/// The tensors that a model takes and gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature {
	/// What it takes.
	pub inputs: Vec<Spec>,
	/// What it gives.
	pub outputs: Vec<Spec>,
}

impl Signature {
	/// Of what a model has run and given.
	pub fn of(inputs: Vec<Spec>, outputs: &[Tensor]) -> Self {
		Self { inputs, outputs: specs(outputs) }
	}

	/// Whether the model takes these inputs: all of them, each as declared, and nothing else.
	pub fn check(&self, inputs: &[Tensor]) -> Result<(), Wrong> {
		for spec in &self.inputs {
			if !inputs.iter().any(|input| input.name == spec.name) {
				return Err(Wrong(format!("the input {:?} is missing", spec.name)));
			}
		}
		for input in inputs {
			let Some(spec) = self.inputs.iter().find(|spec| spec.name == input.name) else {
				let known: Vec<_> = self.inputs.iter().map(|spec| &spec.name).collect();
				let why = format!("the model has no input {:?}; there is {known:?}", input.name);
				return Err(Wrong(why));
			};
			if spec.datatype != input.datatype || !spec.takes(&input.shape) {
				let why = format!(
					"the input {:?} is {} {:?}; the model takes {} {:?}",
					input.name, input.datatype, input.shape, spec.datatype, spec.shape
				);
				return Err(Wrong(why));
			}
		}
		Ok(())
	}

	/// Whether it is small enough to be kept: names and shapes of outputs are what a miner wrote.
	fn is_small(&self) -> bool {
		let small = |spec: &Spec| check_name(&spec.name).is_ok() && spec.shape.len() <= MAX_RANK;
		self.inputs.len().max(self.outputs.len()) <= MAX_TENSORS
			&& self.inputs.iter().chain(&self.outputs).all(small)
	}

	fn widen(&mut self, other: Self) {
		let widen = |known: &mut Vec<Spec>, seen: Vec<Spec>| {
			let same = known.len() == seen.len()
				&& known.iter_mut().zip(&seen).all(|(known, seen)| known.widen(seen));
			if !same {
				*known = seen;
			}
		};
		widen(&mut self.inputs, other.inputs);
		widen(&mut self.outputs, other.outputs);
	}
}

/// What tensors are, without what is in them.
pub fn specs(tensors: &[Tensor]) -> Vec<Spec> {
	tensors.iter().map(Spec::of).collect()
}

/// How a signature is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
	/// All models of the kind have it.
	Kind,
	/// The coordinator's operator declared it.
	Declared,
	/// From what was run.
	Seen,
	/// It is not known.
	Unknown,
}

/// A model's metadata as its file says it.
#[derive(Debug, Deserialize)]
struct Declared {
	name: String,
	#[serde(default)]
	versions: Vec<String>,
	inputs: Vec<Spec>,
	outputs: Vec<Spec>,
}

impl Declared {
	fn is_of(&self, model: &ModelView) -> bool {
		let version = model.model.to_string();
		self.name == model.name && (self.versions.is_empty() || self.versions.contains(&version))
	}

	fn signature(&self) -> Signature {
		Signature { inputs: self.inputs.clone(), outputs: self.outputs.clone() }
	}

	fn check(&self) -> anyhow::Result<()> {
		for specs in [&self.inputs, &self.outputs] {
			ensure!(
				(1..=MAX_TENSORS).contains(&specs.len()),
				"a model has 1 to {MAX_TENSORS} inputs and outputs"
			);
			for (at, spec) in specs.iter().enumerate() {
				check_name(&spec.name)?;
				let twice = specs.iter().skip(at + 1).any(|other| other.name == spec.name);
				ensure!(!twice, "the tensor {:?} is there twice", spec.name);
				ensure!(
					spec.shape.len() <= MAX_RANK && spec.shape.iter().all(|side| *side >= -1),
					"the shape of {:?} is not up to {MAX_RANK} sides, each a length or -1",
					spec.name
				);
			}
		}
		Ok(())
	}
}

/// What is known of all models' tensors.
#[derive(Debug, Default)]
pub struct Signatures {
	declared: OnceLock<Vec<Declared>>,
	/// Of models that were run, which the chain has only so many of.
	seen: Mutex<BTreeMap<ModelId, Signature>>,
}

impl Signatures {
	/// Reads what is declared in this folder. Files are found by looking, never by a model's name: strangers choose those.
	pub fn load(&self, folder: &Path) -> anyhow::Result<()> {
		let cannot = || format!("the folder of model metadata {} cannot be read", folder.display());
		let mut all = Vec::new();
		for entry in std::fs::read_dir(folder).with_context(cannot)? {
			let file = entry.with_context(cannot)?.path().join("config.json");
			if !file.is_file() {
				continue;
			}
			let what = || format!("{} is not the metadata of a model", file.display());
			let text = std::fs::read(&file).with_context(what)?;
			let declared: Declared = serde_json::from_slice(&text).with_context(what)?;
			declared.check().with_context(what)?;
			all.push(declared);
		}
		if all.is_empty() {
			tracing::warn!(folder = %folder.display(), "no */config.json declares a model's tensors");
		}
		ensure!(self.declared.set(all).is_ok(), "model metadata was loaded before");
		Ok(())
	}

	/// What is declared for an ONNX model.
	pub fn declared(&self, model: &ModelView) -> Option<Signature> {
		if model.kind != ModelKind::Tensor {
			return None;
		}
		let exact = |declared: &&Declared| !declared.versions.is_empty();
		let all = self.declared.get()?;
		let of_model = || all.iter().filter(|declared| declared.is_of(model));
		of_model().find(exact).or_else(|| of_model().next()).map(Declared::signature)
	}

	/// What is known of a model, and how.
	pub fn known(&self, model: &ModelView) -> (Signature, Source) {
		let seen = self.seen(model.model);
		let of_kind = |inputs, outputs: Vec<Spec>| {
			let outputs = seen.clone().map_or(outputs, |seen| seen.outputs);
			(Signature { inputs, outputs }, Source::Kind)
		};
		match model.kind {
			ModelKind::TextToImage => of_kind(kinds::picture_inputs(), kinds::picture_outputs()),
			ModelKind::TextEmbedding => of_kind(kinds::text_inputs(), kinds::text_outputs()),
			ModelKind::Tensor => match (self.declared(model), seen) {
				(Some(declared), _) => (declared, Source::Declared),
				(None, Some(seen)) => (seen, Source::Seen),
				(None, None) => (Signature::default(), Source::Unknown),
			},
		}
	}

	/// Notes what a model has run and given. Of the kinds that take no tensors the outputs count, with any number of rows.
	pub fn note(&self, model: ModelId, kind: ModelKind, mut signature: Signature) {
		if !signature.is_small() {
			return;
		}
		if kind != ModelKind::Tensor {
			signature.inputs.clear();
			let rows = signature.outputs.iter_mut().filter_map(|output| output.shape.first_mut());
			rows.for_each(|rows| *rows = -1);
		}
		let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
		match seen.get_mut(&model) {
			Some(known) => known.widen(signature),
			None => {
				seen.insert(model, signature);
			},
		}
	}

	/// How many numbers an embedding of this model has, if one was seen.
	pub fn dimensions(&self, model: ModelId) -> Option<usize> {
		let seen = self.seen(model)?;
		usize::try_from(*seen.outputs.first()?.shape.last()?).ok()
	}

	/// Notes how many numbers an embedding of this model has.
	pub fn note_dimensions(&self, model: ModelId, dimensions: usize) {
		let mut outputs = kinds::text_outputs();
		let side = outputs.first_mut().and_then(|output| output.shape.last_mut());
		if let (Some(side), Ok(dimensions)) = (side, i64::try_from(dimensions)) {
			*side = dimensions;
		}
		let signature = Signature { inputs: Vec::new(), outputs };
		self.note(model, ModelKind::TextEmbedding, signature);
	}

	fn seen(&self, model: ModelId) -> Option<Signature> {
		self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(&model).cloned()
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::open_inference::tensor::tests::tensor;
	use sp_core::H256;

	fn model(number: ModelId, kind: ModelKind) -> ModelView {
		ModelView {
			model: number,
			name: "sum".into(),
			kind,
			manifest: H256::zero(),
			min_fee: 1,
			work_window: 10,
			tolerance: None,
			reference_ms: 1,
			active: true,
		}
	}

	fn spec(name: &str, datatype: Datatype, shape: &[i64]) -> Spec {
		Spec { name: name.into(), datatype, shape: shape.to_vec() }
	}

	fn folder(files: &[&str]) -> tempfile::TempDir {
		let folder = tempfile::tempdir().unwrap();
		for (number, file) in files.iter().enumerate() {
			let inner = folder.path().join(number.to_string());
			std::fs::create_dir(&inner).unwrap();
			std::fs::write(inner.join("config.json"), file).unwrap();
		}
		folder
	}

	const ANY: &str = r#"{"name":"sum","platform":"onnxruntime_onnx","inputs":[{"name":"x","datatype":"FP32","shape":[-1,3]}],"outputs":[{"name":"y","datatype":"FP32","shape":[-1]}]}"#;

	#[test]
	fn declared_metadata_is_for_its_name_and_versions_and_the_exact_comes_first() {
		let exact = ANY
			.replace("\"inputs\"", "\"versions\":[\"7\"],\"inputs\"")
			.replace("[-1,3]", "[-1,4]");
		let folder = folder(&[ANY, &exact]);
		std::fs::write(folder.path().join("README"), "not a folder").unwrap();
		let signatures = Signatures::default();
		signatures.load(folder.path()).unwrap();
		let input = |number| {
			let (signature, source) = signatures.known(&model(number, ModelKind::Tensor));
			assert_eq!(source, Source::Declared);
			signature.inputs
		};
		assert_eq!(input(7), [spec("x", Datatype::Fp32, &[-1, 4])]);
		assert_eq!(input(8), [spec("x", Datatype::Fp32, &[-1, 3])]);
		let other = ModelView { name: "product".into(), ..model(7, ModelKind::Tensor) };
		assert_eq!(signatures.known(&other), (Signature::default(), Source::Unknown));
		assert_eq!(signatures.known(&model(7, ModelKind::TextToImage)).1, Source::Kind);
	}

	#[test]
	fn metadata_that_cannot_be_meant_is_an_error_at_the_start() {
		for bad in [
			"".to_string(),
			ANY.replace("-1", "-2"),
			ANY.replace("\"x\"", "\"\""),
			ANY.replace("FP32", "FP8"),
			ANY.replace("\"inputs\"", "\"input\""),
			ANY.replace(
				"\"outputs\":[",
				"\"outputs\":[{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[]},",
			),
			r#"{"name":"sum","inputs":[],"outputs":[]}"#.to_string(),
		] {
			let folder = folder(&[&bad]);
			assert!(Signatures::default().load(folder.path()).is_err(), "{bad}");
		}
		assert!(Signatures::default().load(Path::new("/nowhere/at/all")).is_err());
		assert!(Signatures::default().load(folder(&[]).path()).is_ok());
	}

	#[test]
	fn inputs_are_checked_against_what_is_declared() {
		let declared: Declared = serde_json::from_str(ANY).unwrap();
		let check = |inputs: &[Tensor]| declared.signature().check(inputs).is_ok();
		let x = |shape: &[usize]| {
			tensor("x", Datatype::Fp32, shape, &vec![0; 4 * shape.iter().product::<usize>()])
		};
		assert!(check(&[x(&[5, 3])]));
		assert!(check(&[x(&[0, 3])]));
		assert!(!check(&[x(&[5, 4])]));
		assert!(!check(&[x(&[3])]));
		assert!(!check(&[x(&[1, 3, 1])]));
		assert!(!check(&[]));
		assert!(!check(&[x(&[1, 3]), tensor("z", Datatype::Bool, &[1], &[1])]));
		assert!(!check(&[tensor("x", Datatype::Int32, &[1, 3], &[0; 12])]));
	}

	#[test]
	fn what_was_seen_is_widened_where_it_differed_and_replaced_where_it_is_another() {
		let signatures = Signatures::default();
		let sum = model(1, ModelKind::Tensor);
		let note = |shape: &[usize]| {
			let x = tensor("x", Datatype::Bool, shape, &vec![0; shape.iter().product()]);
			signatures.note(1, ModelKind::Tensor, Signature::of(specs(&[x]), &[]));
			let (signature, source) = signatures.known(&sum);
			assert_eq!(source, Source::Seen);
			signature.inputs[0].shape.clone()
		};
		assert_eq!(note(&[2, 3]), [2, 3]);
		assert_eq!(note(&[2, 3]), [2, 3]);
		assert_eq!(note(&[4, 3]), [-1, 3]);
		assert_eq!(note(&[2, 3]), [-1, 3]);
		assert_eq!(note(&[6]), [6]);
		// What a miner wrote does not fill the memory.
		let many = vec![spec("y", Datatype::Bool, &[1]); MAX_TENSORS + 1];
		let long = vec![spec(&"y".repeat(1 << 20), Datatype::Bool, &[1])];
		for outputs in [many, long, vec![spec("y", Datatype::Bool, &[1; MAX_RANK + 1])]] {
			signatures.note(9, ModelKind::Tensor, Signature { inputs: Vec::new(), outputs });
		}
		assert_eq!(signatures.known(&model(9, ModelKind::Tensor)).1, Source::Unknown);
	}

	#[test]
	fn the_size_of_embeddings_and_pictures_is_known_once_seen() {
		let signatures = Signatures::default();
		assert_eq!(signatures.dimensions(2), None);
		signatures.note_dimensions(2, 384);
		assert_eq!(signatures.dimensions(2), Some(384));
		let (signature, source) = signatures.known(&model(2, ModelKind::TextEmbedding));
		assert_eq!(signature.outputs, [spec("EMBEDDING", Datatype::Fp32, &[-1, 384])]);
		assert_eq!(source, Source::Kind);
		assert_eq!(signature.inputs, [spec("TEXT", Datatype::Bytes, &[-1])]);

		let picture = tensor("IMAGE", Datatype::Uint8, &[2, 1, 1, 3], &[0; 6]);
		let signature = Signature::of(Vec::new(), &[picture]);
		signatures.note(3, ModelKind::TextToImage, signature);
		let (signature, _) = signatures.known(&model(3, ModelKind::TextToImage));
		assert_eq!(signature.outputs, [spec("IMAGE", Datatype::Uint8, &[-1, 1, 1, 3])]);
		assert_eq!(signature.inputs.len(), 5);
	}
}
