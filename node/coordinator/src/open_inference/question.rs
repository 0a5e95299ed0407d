//! From a request to a job's inputs, and from its outputs back to tensors.

use axum::body::Bytes;
use cuckoo_primitives::{views::ModelView, ModelKind};
use sp_core::H256;

use super::{
	kinds,
	metadata::{specs, Signature, Spec},
	tensor::{self, Tensor, Wrong},
	wire::{self, Infer, Wanted},
};
use crate::{error::ApiError, orders::request_hash};

/// A request that was found good, as a job.
#[derive(Debug)]
pub struct Question {
	/// The client's name for it.
	pub id: Option<String>,
	/// Which outputs are wanted.
	pub wanted: Wanted,
	/// What the model was given, for the metadata.
	pub given: Vec<Spec>,
	/// One for each inference.
	pub inputs: Vec<Bytes>,
	/// Of a picture.
	pub seed: Option<u64>,
	/// Over all that was asked.
	pub request_hash: H256,
}

/// What is needed to read one.
pub struct Reading {
	/// The model that is asked.
	pub model: ModelView,
	/// Its tensors, if they are declared.
	pub declared: Option<Signature>,
	/// Denoising steps of requests that name none.
	pub steps: u32,
	/// Guidance of requests that name none.
	pub guidance: f32,
}

impl Reading {
	/// Reads a body of which so many bytes are JSON, without a number all.
	pub fn question(&self, body: &Bytes, json_bytes: Option<usize>) -> Result<Question, ApiError> {
		let Infer { id, inputs: given, wanted } = Infer::read(body, json_bytes)?;
		let as_json = |input: Result<Vec<u8>, serde_json::Error>| {
			input.map(Bytes::from).map_err(ApiError::internal)
		};
		let (inputs, seed, outputs): (Vec<Bytes>, _, Option<Vec<Spec>>) = match self.model.kind {
			ModelKind::Tensor => {
				if let Some(declared) = &self.declared {
					declared.check(&given)?;
				}
				let outputs = self.declared.as_ref().map(|declared| declared.outputs.clone());
				(vec![tensor::to_file(&given)?.into()], None, outputs)
			},
			ModelKind::TextToImage => {
				let prompts = kinds::prompts(&given, self.steps, self.guidance)?;
				let inputs = prompts.iter().map(|prompt| as_json(serde_json::to_vec(prompt)));
				let seed = prompts.first().map(|prompt| prompt.seed);
				(inputs.collect::<Result<_, ApiError>>()?, seed, Some(kinds::picture_outputs()))
			},
			ModelKind::TextEmbedding => {
				let texts = kinds::texts(&given)?;
				let inputs = texts.iter().map(|text| as_json(serde_json::to_vec(text)));
				(inputs.collect::<Result<_, ApiError>>()?, None, Some(kinds::text_outputs()))
			},
		};
		// What is known before anything is paid should not be found out after it.
		if let Some(outputs) = outputs {
			let known = || outputs.iter().map(|spec| spec.name.as_str());
			if let Some(name) = wanted.names().find(|name| !known().any(|known| known == *name)) {
				return Err(wire::no_output(name, known()).into());
			}
		}
		// The model and the length of the JSON are part of what is asked.
		let route = format!("v2/{}/{json_bytes:?}", self.model.model);
		let request_hash = request_hash(&route, body);
		Ok(Question { id, wanted, given: specs(&given), inputs, seed, request_hash })
	}
}

/// The outputs of a job, as tensors.
pub fn outputs(kind: ModelKind, files: &[Bytes]) -> Result<Vec<Tensor>, Wrong> {
	match (kind, files) {
		(ModelKind::Tensor, [file]) => tensor::from_file(file),
		(ModelKind::Tensor, _) => Err(Wrong(format!("there are {} outputs, not one", files.len()))),
		(ModelKind::TextToImage, _) => Ok(vec![kinds::picture_tensor(files)?]),
		(ModelKind::TextEmbedding, _) => Ok(vec![kinds::embedding_tensor(files)?]),
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::open_inference::tensor::{tests as tensors, Datatype};
	use axum::http::StatusCode;
	use cuckoo_primitives::work::{TextEmbeddingInput, TextToImageInput};
	use serde_json::{json, Value};

	fn reading(kind: ModelKind, declared: Option<Signature>) -> Reading {
		let model = ModelView {
			model: 3,
			name: "m".into(),
			kind,
			manifest: H256::zero(),
			min_fee: 1,
			work_window: 10,
			tolerance: None,
			reference_ms: 1,
			active: true,
		};
		Reading { model, declared, steps: 20, guidance: 4.0 }
	}

	fn question(reading: &Reading, json: Value) -> Result<Question, ApiError> {
		reading.question(&Bytes::from(json.to_string()), None)
	}

	fn x() -> Value {
		json!({ "name": "x", "shape": [1, 2], "datatype": "FP32", "data": [[1, -2]] })
	}

	#[test]
	fn tensors_become_one_file_and_one_inference() {
		let asked = json!({ "inputs": [x()] });
		let question = question(&reading(ModelKind::Tensor, None), asked).unwrap();
		let x = [0, 0, 128, 63, 0, 0, 0, 192];
		let golden = tensors::tensor("x", Datatype::Fp32, &[1, 2], &x);
		assert_eq!(question.inputs, [tensor::to_file(std::slice::from_ref(&golden)).unwrap()]);
		assert_eq!(outputs(ModelKind::Tensor, &question.inputs).unwrap(), [golden]);
		assert_eq!(question.seed, None);
	}

	#[test]
	fn prompts_and_texts_become_an_inference_each() {
		let prompts = json!({
			"inputs": [
				{ "name": "PROMPT", "shape": [2], "datatype": "BYTES", "data": ["a", "b"] },
				{ "name": "SEED", "shape": [1], "datatype": "INT64", "data": [7] },
			],
			"outputs": [{ "name": "IMAGE" }],
		});
		let pictures = question(&reading(ModelKind::TextToImage, None), prompts).unwrap();
		let second: TextToImageInput = serde_json::from_slice(&pictures.inputs[1]).unwrap();
		assert_eq!((second.prompt.as_str(), second.seed, second.steps), ("b", 8, 20));
		assert_eq!((pictures.inputs.len(), pictures.seed), (2, Some(7)));

		let texts = json!({
			"inputs": [{ "name": "TEXT", "shape": [1], "datatype": "BYTES", "data": ["a"] }],
		});
		let question = question(&reading(ModelKind::TextEmbedding, None), texts).unwrap();
		let only: TextEmbeddingInput = serde_json::from_slice(&question.inputs[0]).unwrap();
		assert_eq!((only.text.as_str(), question.inputs.len()), ("a", 1));
	}

	#[test]
	fn what_is_known_to_be_wrong_is_refused_before_it_is_paid() {
		let declared = Signature {
			inputs: vec![Spec { name: "x".into(), datatype: Datatype::Fp32, shape: vec![-1, 3] }],
			outputs: vec![Spec { name: "y".into(), datatype: Datatype::Fp32, shape: vec![-1] }],
		};
		let tensor = |declared| reading(ModelKind::Tensor, declared);
		let output = |name: &str| json!({ "inputs": [x()], "outputs": [{ "name": name }] });
		let text = json!({ "name": "x", "shape": [1], "datatype": "BYTES", "data": ["a"] });
		let prompt = json!({ "name": "PROMPT", "shape": [1], "datatype": "BYTES", "data": ["a"] });
		for (reading, json) in [
			(tensor(Some(declared.clone())), json!({ "inputs": [x()] })),
			(
				tensor(Some(Signature { inputs: vec![], ..declared.clone() })),
				json!({ "inputs": [x()] }),
			),
			(tensor(Some(Signature { inputs: metadata_of_x(), ..declared })), output("z")),
			(tensor(None), json!({ "inputs": [text] })),
			(
				reading(ModelKind::TextToImage, None),
				json!({ "inputs": [prompt], "outputs": [{ "name": "PICTURE" }] }),
			),
			(reading(ModelKind::TextEmbedding, None), json!({ "inputs": [x()] })),
		] {
			let error = question(&reading, json).unwrap_err();
			assert_eq!(error.status, StatusCode::BAD_REQUEST, "{}", error.message);
		}
		// What is not declared is found out by running it.
		assert!(question(&tensor(None), output("z")).is_ok());
	}

	fn metadata_of_x() -> Vec<Spec> {
		vec![Spec { name: "x".into(), datatype: Datatype::Fp32, shape: vec![-1, 2] }]
	}

	#[test]
	fn the_same_bytes_for_another_model_or_cut_elsewhere_are_another_request() {
		let body = Bytes::from(json!({ "inputs": [x()] }).to_string());
		let mut other = reading(ModelKind::Tensor, None);
		let hash =
			|reading: &Reading, length| reading.question(&body, length).unwrap().request_hash;
		let first = hash(&other, None);
		assert_ne!(hash(&other, Some(body.len())), first);
		other.model.model = 4;
		assert_ne!(hash(&other, None), first);
	}

	#[test]
	fn a_miners_junk_is_an_error_and_no_answer() {
		let junk = [Bytes::from_static(b"junk")];
		for kind in [ModelKind::Tensor, ModelKind::TextToImage, ModelKind::TextEmbedding] {
			assert!(outputs(kind, &junk).is_err());
		}
		assert!(outputs(ModelKind::Tensor, &[]).is_err());
	}
}
