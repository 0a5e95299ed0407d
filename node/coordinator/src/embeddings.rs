//! `POST /v1/embeddings`, as OpenAI's clients expect it: up to 256 texts, one job with an item for each.
//!
//! Two things are not as with OpenAI. Token counts are 0: the tokenizer is in the model's files, which only miners have, and nothing is charged by the token.
//! And `dimensions` can only ask for what the model gives: embeddings are not cut short, because the chain vouches for whole ones. Before this coordinator has
//! seen an embedding of a model it does not know how long they are; then a wrong `dimensions` is found out when the result is here.

use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use axum::{
	body::Bytes,
	extract::{DefaultBodyLimit, Request, State},
	middleware,
	response::Response,
	routing::post,
	Extension, Json, Router,
};
use base64::{engine::general_purpose::STANDARD, Engine};
use cuckoo_primitives::{
	work::{TextEmbeddingInput, EMBEDDING_TENSOR},
	ModelId, ModelKind,
};
use safetensors::Dtype;
use serde::{
	de::{self, Deserializer, SeqAccess, Visitor},
	Deserialize, Serialize,
};
use serde_json::value::RawValue;

use crate::{
	auth::Caller,
	error::ApiError,
	id::JobId,
	metrics,
	openai::{parse, receive, Receipt},
	orders::{
		about, accept, find_model, idempotency_key, outputs_of, request_hash, turn_for_all, wait,
		Order,
	},
	png::{tensors, NotTensors},
	server::App,
};

/// The most texts of one request.
pub const MAX_TEXTS: usize = 256;
/// The most numbers of an embedding that is taken from a miner.
pub const MAX_DIMENSIONS: usize = 16_384;
/// The largest request: 256 texts of 16 KiB, or fewer and longer ones.
const MAX_REQUEST_BYTES: usize = 4 << 20;
/// How long a request may take to arrive.
const REQUEST_TIME: Duration = Duration::from_secs(30);
/// What an answer takes in memory, in times its outputs: them, their numbers, and those in words.
const TIMES: u64 = 6;

/// The route.
pub fn routes() -> Router<Arc<App>> {
	Router::new()
		.route("/v1/embeddings", post(embeddings))
		.layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
		.layer(middleware::from_fn(metrics::count_app))
}

/// In which form numbers are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
	/// A list of JSON numbers.
	Float,
	/// Little-endian 32-bit floats in base64.
	Base64,
}

/// The request. Fields that are not here, such as `user`, are ignored, as OpenAI does.
#[derive(Debug, Deserialize)]
struct EmbeddingsRequest {
	/// A text, or a list of texts.
	input: Box<RawValue>,
	model: Option<String>,
	encoding_format: Option<String>,
	dimensions: Option<usize>,
}

impl EmbeddingsRequest {
	fn encoding(&self) -> Result<Encoding, ApiError> {
		match self.encoding_format.as_deref() {
			None | Some("float") => Ok(Encoding::Float),
			Some("base64") => Ok(Encoding::Base64),
			Some(other) => {
				let message =
					format!("encoding_format {other:?} is neither \"float\" nor \"base64\"");
				Err(ApiError::bad("encoding_format", "unsupported_value", message))
			},
		}
	}

	/// The texts, checked.
	fn texts(&self) -> Result<Vec<TextEmbeddingInput>, ApiError> {
		let bad = |message: String| ApiError::bad("input", "invalid_value", message);
		let json = self.input.get();
		let texts = match json.as_bytes() {
			[b'"', ..] => serde_json::from_str::<String>(json).map(|text| vec![text]),
			[b'[', ..] if begins_with_ids(json) => {
				let message = "input must be a text or a list of texts: token ids are not taken, since this server \
				               does not have the model's tokenizer";
				return Err(bad(message.into()));
			},
			[b'[', ..] => serde_json::from_str::<Few<String, MAX_TEXTS>>(json).map(|few| few.0),
			_ => return Err(bad("input must be a text or a list of texts".into())),
		};
		let texts = texts.map_err(|error| bad(format!("input: {error}")))?;
		if texts.is_empty() {
			return Err(bad("input is an empty list".into()));
		}
		let check = |text| {
			let input = TextEmbeddingInput { text };
			match input.validate() {
				Ok(()) => Ok(input),
				Err(error) => Err(bad(error.to_string())),
			}
		};
		texts.into_iter().map(check).collect()
	}
}

/// Whether a list begins with a number or a list of its own, as token ids do.
fn begins_with_ids(list: &str) -> bool {
	let first = list.strip_prefix('[').unwrap_or_default().trim_start();
	first.starts_with(|c: char| c == '-' || c == '[' || c.is_ascii_digit())
}

/// A list of at most so many. A longer one is refused before it is taken in.
#[derive(Debug)]
pub(crate) struct Few<T, const MAX: usize>(pub(crate) Vec<T>);

impl<T, const MAX: usize> Default for Few<T, MAX> {
	fn default() -> Self {
		Self(Vec::new())
	}
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Few<T, MAX> {
	fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
		struct AtMost<T, const MAX: usize>(PhantomData<T>);
		impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for AtMost<T, MAX> {
			type Value = Few<T, MAX>;

			fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
				write!(f, "a list of at most {MAX}")
			}

			fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
				let mut all = Vec::new();
				while let Some(one) = list.next_element()? {
					if all.len() == MAX {
						return Err(de::Error::invalid_length(MAX + 1, &self));
					}
					all.push(one);
				}
				Ok(Few(all))
			}
		}
		from.deserialize_seq(AtMost::<T, MAX>(PhantomData))
	}
}

/// The answer.
#[derive(Debug, Serialize)]
struct EmbeddingsResponse {
	object: &'static str,
	data: Vec<EmbeddingObject>,
	model: String,
	usage: Usage,
	/// Who made it, and where to look it up on chain.
	x_cuckoo: Receipt,
}

#[derive(Debug, Serialize)]
struct EmbeddingObject {
	object: &'static str,
	index: usize,
	embedding: Numbers,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum Numbers {
	Float(Vec<f32>),
	Base64(String),
}

impl Numbers {
	fn new(numbers: Vec<f32>, encoding: Encoding) -> Self {
		match encoding {
			Encoding::Float => Self::Float(numbers),
			Encoding::Base64 => {
				let bytes: Vec<u8> =
					numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
				Self::Base64(STANDARD.encode(bytes))
			},
		}
	}
}

/// Always 0: tokens are not counted here.
#[derive(Debug, Default, Serialize)]
struct Usage {
	prompt_tokens: u32,
	total_tokens: u32,
}

async fn embeddings(
	State(app): State<Arc<App>>,
	Extension(caller): Extension<Caller>,
	request: Request,
) -> Result<Response, ApiError> {
	let Asked { job: id, model: number, name, dimensions, encoding } =
		order_embeddings(&app, &caller, request).await?;
	let progress = wait(&app, id).await?;

	let turn = turn_for_all(&app, &progress, TIMES).await?;
	let mut data = Vec::new();
	for (index, output) in outputs_of(&app, &progress).await?.iter().enumerate() {
		let numbers = read(output).map_err(ApiError::internal)?;
		app.signatures.note_dimensions(number, numbers.len());
		check_dimensions(dimensions, numbers.len()).map_err(|error| error.of_job(id))?;
		let embedding = Numbers::new(numbers, encoding);
		data.push(EmbeddingObject { object: "embedding", index, embedding });
	}
	let answer = EmbeddingsResponse {
		object: "list",
		data,
		model: name,
		usage: Usage::default(),
		x_cuckoo: (&progress).into(),
	};
	Ok(about(&progress, turn.keep(Json(answer)).await?))
}

/// What of a request is needed for its answer.
struct Asked {
	job: JobId,
	model: ModelId,
	name: String,
	dimensions: Option<usize>,
	encoding: Encoding,
}

/// Orders what a request asks for. The request itself, which may be large, is not kept while the job is waited for.
async fn order_embeddings(app: &App, caller: &Caller, request: Request) -> Result<Asked, ApiError> {
	let headers = request.headers().clone();
	let body = receive(request, REQUEST_TIME).await?;
	let request: EmbeddingsRequest = parse(&headers, &body)?;
	let (encoding, dimensions) = (request.encoding()?, request.dimensions);
	let texts = request.texts()?;
	let asked = request.model.as_deref();
	let (name, model) = find_model(app, asked, ModelKind::TextEmbedding, caller).await?;
	let number = model.model;
	if let Some(known) = app.signatures.dimensions(number) {
		check_dimensions(dimensions, known)?;
	}
	let inputs = texts.iter().map(|text| serde_json::to_vec(text).map(Bytes::from));
	let order = Order {
		model,
		model_name: name.clone(),
		inputs: inputs.collect::<Result<_, _>>().map_err(ApiError::internal)?,
		seed: None,
		request_hash: request_hash("embeddings", &body),
		key: idempotency_key(&headers)?,
		owner: caller.owner(),
	};
	let job = accept(app, order).await?.job.id;
	Ok(Asked { job, model: number, name, dimensions, encoding })
}

fn check_dimensions(asked: Option<usize>, made: usize) -> Result<(), ApiError> {
	match asked {
		Some(asked) if asked != made => {
			let message = format!("this model makes embeddings of {made} dimensions only");
			Err(ApiError::bad("dimensions", "unsupported_value", message))
		},
		Some(_) | None => Ok(()),
	}
}

/// Why a miner's output is no embedding.
#[derive(Debug, thiserror::Error)]
pub enum NotAnEmbedding {
	/// It is no safetensors file.
	#[error(transparent)]
	NotTensors(#[from] NotTensors),
	/// It holds something else.
	#[error("not one tensor \"{EMBEDDING_TENSOR}\" of f32 and shape [1 to {MAX_DIMENSIONS}]: {0}")]
	Other(String),
	/// It has numbers that are none.
	#[error("the embedding has numbers that are not finite")]
	NotFinite,
}

/// Reads the output of a model of embeddings.
pub fn read(file: &[u8]) -> Result<Vec<f32>, NotAnEmbedding> {
	let tensors = tensors(file)?;
	let names = tensors.names();
	let other = || NotAnEmbedding::Other(format!("the tensors are {names:?}"));
	let embedding = tensors.tensor(EMBEDDING_TENSOR).map_err(|_| other())?;
	if tensors.len() != 1 {
		return Err(other());
	}
	match (embedding.dtype(), embedding.shape()) {
		(Dtype::F32, [dimensions]) if (1..=MAX_DIMENSIONS).contains(dimensions) => {},
		(dtype, shape) => return Err(NotAnEmbedding::Other(format!("it is {dtype} {shape:?}"))),
	}
	let numbers =
		embedding.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
	let numbers: Vec<f32> = numbers.collect();
	if numbers.iter().all(|number| number.is_finite()) {
		Ok(numbers)
	} else {
		Err(NotAnEmbedding::NotFinite)
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use cuckoo_primitives::work::MAX_TEXT_BYTES;
	use safetensors::tensor::TensorView;

	fn request(json: &str) -> EmbeddingsRequest {
		serde_json::from_str(json).unwrap()
	}

	fn texts(input: &str) -> Result<Vec<String>, ApiError> {
		let request = request(&format!(r#"{{"input":{input},"user":"u","temperature":1.5}}"#));
		Ok(request.texts()?.into_iter().map(|input| input.text).collect())
	}

	#[test]
	fn a_text_and_a_list_of_texts_are_taken() {
		assert_eq!(texts(r#""a \"b\" ü""#).unwrap(), ["a \"b\" ü"]);
		assert_eq!(texts(r#"[ "a", "b" ]"#).unwrap(), ["a", "b"]);
		let most = vec!["\"x\""; MAX_TEXTS].join(",");
		assert_eq!(texts(&format!("[{most}]")).unwrap().len(), MAX_TEXTS);
	}

	#[test]
	fn token_ids_are_refused_with_the_reason() {
		for ids in ["[1,2,3]", "[ 15496 ]", "[[1,2],[3]]", "[ [1] ]", "[-1]", "[1.5]"] {
			let error = texts(ids).unwrap_err();
			assert_eq!(error.param, Some("input"));
			assert!(error.message.contains("token ids"), "{ids}: {}", error.message);
		}
	}

	#[test]
	fn inputs_that_cannot_be_run_are_refused_before_anything_is_paid() {
		let long = format!("\"{}\"", "x".repeat(MAX_TEXT_BYTES + 1));
		let many = format!("[{}\"x\"]", "\"x\",".repeat(MAX_TEXTS));
		let mixed = r#"["a", 1]"#.to_string();
		for input in ["[]", "null", "5", "{}", "true", "\"\"", "\"  \"", "[\"a\",\"\"]", "[null]"] {
			assert_eq!(texts(input).unwrap_err().param, Some("input"), "{input}");
		}
		for input in [long, many, mixed] {
			assert_eq!(texts(&input).unwrap_err().param, Some("input"), "{input:.80}");
		}
		assert!(serde_json::from_str::<EmbeddingsRequest>("{}").is_err());
	}

	#[test]
	fn only_known_encodings_and_the_models_own_dimensions_are_taken() {
		let encoding = |format: &str| {
			request(&format!(r#"{{"input":"x","encoding_format":{format}}}"#)).encoding().ok()
		};
		assert_eq!(encoding("null"), Some(Encoding::Float));
		assert_eq!(encoding("\"float\""), Some(Encoding::Float));
		assert_eq!(encoding("\"base64\""), Some(Encoding::Base64));
		assert_eq!(encoding("\"int8\""), None);
		assert!(check_dimensions(None, 384).is_ok());
		assert!(check_dimensions(Some(384), 384).is_ok());
		for wrong in [0, 256, usize::MAX] {
			let error = check_dimensions(Some(wrong), 384).unwrap_err();
			assert_eq!(error.param, Some("dimensions"));
		}
	}

	#[test]
	fn numbers_go_as_a_list_or_as_little_endian_floats_in_base64() {
		let json =
			|encoding| serde_json::to_string(&Numbers::new(vec![1.0, -2.5], encoding)).unwrap();
		assert_eq!(json(Encoding::Float), "[1.0,-2.5]");
		// What Python's struct.pack("<2f", 1.0, -2.5) is in base64.
		assert_eq!(json(Encoding::Base64), "\"AACAPwAAIMA=\"");
	}

	#[test]
	fn a_list_that_is_too_long_is_not_taken_in() {
		assert_eq!(serde_json::from_str::<Few<u8, 2>>("[1,2]").unwrap().0, [1, 2]);
		let long = format!("[{}1]", "1,".repeat(1_000_000));
		let error = serde_json::from_str::<Few<u8, 2>>(&long).unwrap_err();
		assert!(error.to_string().contains("at most 2"), "{error}");
		// It was given up at the third element.
		assert!(error.column() < 10, "{error}");
	}

	fn file(name: &str, dtype: Dtype, shape: &[usize], data: &[u8]) -> Vec<u8> {
		let view = TensorView::new(dtype, shape.to_vec(), data).unwrap();
		safetensors::serialize([(name, view)], None).unwrap()
	}

	#[test]
	fn an_embedding_is_read() {
		let data = [1.0f32, -2.5].map(f32::to_le_bytes).concat();
		let file = file(EMBEDDING_TENSOR, Dtype::F32, &[2], &data);
		assert_eq!(read(&file).unwrap(), [1.0, -2.5]);
		for end in 0..file.len() {
			assert!(read(&file[..end]).is_err(), "{end}");
		}
	}

	#[test]
	fn what_is_no_embedding_is_refused() {
		let zeros = vec![0; 4 * (MAX_DIMENSIONS + 1)];
		let bad = [
			b"".to_vec(),
			b"hello, I am an embedding".to_vec(),
			u64::MAX.to_le_bytes().to_vec(),
			file("vector", Dtype::F32, &[2], &zeros[..8]),
			file(EMBEDDING_TENSOR, Dtype::F64, &[1], &zeros[..8]),
			file(EMBEDDING_TENSOR, Dtype::F32, &[1, 2], &zeros[..8]),
			file(EMBEDDING_TENSOR, Dtype::F32, &[], &zeros[..4]),
			file(EMBEDDING_TENSOR, Dtype::F32, &[0], &[]),
			file(EMBEDDING_TENSOR, Dtype::F32, &[MAX_DIMENSIONS + 1], &zeros),
			file(EMBEDDING_TENSOR, Dtype::F32, &[1], &f32::NAN.to_le_bytes()),
		];
		for file in bad {
			assert!(
				read(&file).is_err(),
				"{:?}",
				String::from_utf8_lossy(&file[..file.len().min(80)])
			);
		}
		let view = || TensorView::new(Dtype::F32, vec![1], &zeros[..4]).unwrap();
		let two = safetensors::serialize([(EMBEDDING_TENSOR, view()), ("more", view())], None);
		assert!(read(&two.unwrap()).is_err());
	}
}
