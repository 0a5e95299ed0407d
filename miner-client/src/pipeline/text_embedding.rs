//! Text to embedding, with a model in the folder layout of exported sentence-transformers models.
//!
//! ```text
//! text ─ tokenizer.json ─▶ input_ids [1,T] ─ model.onnx ─▶ last_hidden_state or token_embeddings [1,T,D] ─ pooling ─▶ [D]
//!                                          or sentence_embedding [1,D], where there is one: pooled already ────────▶ [D]
//! [D] ─ normalising, if modules.json has it ─▶ embedding [D]
//! ```
//! `attention_mask` is all ones: one text at a time, so nothing is padded. A text with more tokens than `max_seq_length` loses those at its end. What is to be
//! put before a text, such as "query: ", is part of the text.
//!
//! Pooling and normalising are f32, summed one after the other: each dimension of a mean over the tokens from the first to the last, then divided by their
//! number; a length as the root of the squares from the first dimension to the last. The sketch is of the embedding's values.

use std::collections::BTreeMap;

use anyhow::{anyhow, bail, ensure, Context, Result};
use cuckoo_primitives::work::{TextEmbeddingInput, EMBEDDING_TENSOR};
use serde::Deserialize;
use serde_json::Value;
use tokenizers::{Encoding, PostProcessor, Tokenizer as Engine, TruncationParams};

use super::{
	config,
	network::{Layout, Network},
	Output, Together, Watch,
};
use crate::{
	job::JobError,
	model::Model,
	runtime::Runtime,
	tensors::{self, Tensor},
};

const IDS: &str = "input_ids";
const MASK: &str = "attention_mask";
const SENTENCE: &str = "sentence_embedding";
const TOKENS: [&str; 2] = ["last_hidden_state", "token_embeddings"];
const MODEL: Layout = Layout {
	file: "model.onnx",
	takes: &[IDS],
	may_take: &[MASK, "token_type_ids"],
	gives: &[SENTENCE, TOKENS[0], TOKENS[1]],
	what: "a sentence-transformers export",
};
/// The most tokens of a text: attention takes memory with the square of their number.
const MAX_TOKENS: usize = 8_192;
/// The most tokens of a text where no config tells.
const DEFAULT_TOKENS: usize = 512;
/// Lengths beyond this mean that there is no limit: transformers writes 10³⁰.
const NO_LIMIT: f64 = 1e9;
/// What a length is at least when values are divided by it.
const LEAST_LENGTH: f32 = 1e-12;

/// How long texts may be, in tokens, as one config or another says. Floats, because "no limit" is too large for an integer.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Lengths {
	/// Of `sentence_bert_config.json`.
	max_seq_length: Option<f64>,
	/// Of `config.json`.
	max_position_embeddings: Option<f64>,
	/// Of `tokenizer_config.json`.
	model_max_length: Option<f64>,
}

/// One of the model's parts, in `modules.json`.
#[derive(Deserialize)]
struct Module {
	/// A Python class with its path.
	#[serde(rename = "type")]
	class: String,
}

/// How the tokens' vectors become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pooling {
	/// The mean of all.
	Mean,
	/// The first token's.
	First,
	/// The network has done it.
	Done,
}

/// An opened model of kind [`TextEmbedding`](cuckoo_primitives::ModelKind::TextEmbedding).
pub struct TextEmbedding {
	tokenizer: Engine,
	network: Network,
	pooling: Pooling,
	normalize: bool,
}

impl TextEmbedding {
	/// Opens all parts of the model and checks that they fit together.
	pub fn open(runtime: &Runtime, model: &Model) -> Result<Self> {
		let tokenizer = tokenizer(model, max_tokens(model)?)?;
		let network = Network::open(runtime, model, &MODEL)?;
		network.takes_batch(1)?;
		for at in 0..network.inputs().len() {
			network.takes_ids(at)?;
			ensure!(
				network.fixed(at, 1).is_none(),
				"model.onnx: {} fixes the number of tokens; export it with a free one",
				network.inputs()[at]
			);
		}
		let output = network.output();
		let modules: Vec<Module> = config(model, "modules.json")?;
		// The class without its path, which differs between versions.
		let modules = modules.iter().map(|module| module.class.rsplit('.').next());
		let modules: Vec<&str> = modules.flatten().collect();
		let pooling = if output.name == SENTENCE {
			Pooling::Done
		} else if TOKENS.contains(&output.name.as_str()) {
			let foreign =
				|module: &&&str| !["Transformer", "Pooling", "Normalize"].contains(*module);
			if let Some(other) = modules.iter().find(foreign) {
				bail!(
					"modules.json: {other} is not supported outside of model.onnx; export the whole model, with an output {SENTENCE}"
				);
			}
			pooling(model)?
		} else {
			bail!("model.onnx: gives {output}, none of {}", MODEL.gives.join(", "));
		};
		Ok(Self { tokenizer, network, pooling, normalize: modules.contains(&"Normalize") })
	}

	/// Makes the embedding of one text.
	pub fn run(&self, job: &TextEmbeddingInput, watch: &mut dyn Watch) -> Result<Output, JobError> {
		let encoded = self.encode(job)?;
		let tokens = encoded.len();
		let inputs = self.inputs(std::slice::from_ref(&encoded), tokens)?;
		for (port, tensor) in self.network.inputs().iter().zip(&inputs) {
			watch.tensor(&port.name, tensor);
		}
		let found = self.network.run(inputs)?;
		watch.tensor(&self.network.output().name, &found);
		self.finish(tokens, &found, watch)
	}

	/// Makes the embeddings of several texts at once, if they have as many tokens as each other: nothing is padded.
	pub fn run_together(&self, jobs: &[TextEmbeddingInput]) -> Option<Together> {
		if self.network.fixed(0, 0).is_some() {
			return None;
		}
		let encoded: Vec<Encoding> =
			jobs.iter().map(|job| self.encode(job).ok()).collect::<Option<_>>()?;
		let tokens = encoded.first()?.len();
		encoded.iter().all(|text| text.len() == tokens).then(|| {
			let found = self.network.run(self.inputs(&encoded, tokens)?)?;
			let parts = found.split(&vec![1; jobs.len()]).ok_or_else(|| {
				let (output, shape) = (self.network.output(), &found.shape);
				JobError::Output(format!("{output} came as {shape:?} for {} texts", jobs.len()))
			})?;
			let mut watch = super::Unwatched;
			parts.iter().map(|found| self.finish(tokens, found, &mut watch)).collect()
		})
	}

	/// The text's tokens, one at least.
	fn encode(&self, job: &TextEmbeddingInput) -> Result<Encoding, JobError> {
		job.validate().map_err(|e| JobError::Input(e.to_string()))?;
		let encoded = self
			.tokenizer
			.encode(job.text.as_str(), true)
			.map_err(|e| JobError::Input(format!("the text cannot be tokenized: {e}")))?;
		if encoded.is_empty() {
			return Err(JobError::Input("the text has no tokens".into()));
		}
		Ok(encoded)
	}

	/// What the network takes, for texts of so many tokens each.
	fn inputs(&self, texts: &[Encoding], tokens: usize) -> Result<Vec<Tensor>, JobError> {
		let ports = self.network.inputs().iter().enumerate();
		ports
			.map(|(at, port)| {
				let values = texts.iter().flat_map(|text| match port.name.as_str() {
					IDS => text.get_ids(),
					MASK => text.get_attention_mask(),
					_ => text.get_type_ids(),
				});
				self.network.ids(at, [texts.len(), tokens], values.copied())
			})
			.collect()
	}

	/// The embedding out of what the network gave for one text of so many tokens.
	fn finish(
		&self,
		tokens: usize,
		found: &Tensor,
		watch: &mut dyn Watch,
	) -> Result<Output, JobError> {
		let mut embedding = self.pool(tokens, found)?;
		if self.normalize {
			normalize(&mut embedding);
		}
		let embedding = Tensor::f32([embedding.len()], embedding);
		watch.tensor(EMBEDDING_TENSOR, &embedding);
		let blob = tensors::write([(EMBEDDING_TENSOR, &embedding)])
			.map_err(|e| JobError::Output(e.to_string()))?;
		Ok(Output { blob, values: embedding.values() })
	}

	/// One vector out of the network's output for so many tokens.
	fn pool(&self, tokens: usize, found: &Tensor) -> Result<Vec<f32>, JobError> {
		let width = match (self.pooling, found.shape.as_slice()) {
			(Pooling::Done, &[1, width]) => width,
			(Pooling::Mean | Pooling::First, &[1, t, width]) if t == tokens => width,
			_ => 0,
		};
		match found.as_f32() {
			Some(values) if width > 0 && self.pooling == Pooling::Mean => Ok(mean(values, width)),
			// The first token's, or the only one's.
			Some(values) if width > 0 => Ok(values[..width].to_vec()),
			_ => {
				let (output, shape) = (self.network.output(), &found.shape);
				Err(JobError::Output(format!("{output} came as {shape:?} for {tokens} tokens")))
			},
		}
	}
}

/// The model's tokenizer, which cuts texts to that many tokens and pads none.
fn tokenizer(model: &Model, length: usize) -> Result<Engine> {
	let path = model.file("tokenizer.json").context("tokenizer.json is missing")?;
	let mut engine = Engine::from_file(path).map_err(|e| anyhow!("tokenizer.json: {e}"))?;
	let added = engine.get_post_processor().map_or(0, |processor| processor.added_tokens(false));
	ensure!(
		length > added,
		"texts are cut to {length} tokens, and tokenizer.json adds {added} to each: nothing is left of them; max_seq_length in sentence_bert_config.json sets it"
	);
	engine.with_padding(None);
	engine
		.with_truncation(Some(TruncationParams { max_length: length, ..Default::default() }))
		.map_err(|e| anyhow!("tokenizer.json: {e}"))?;
	Ok(engine)
}

/// How many tokens of a text the model reads: what sentence-transformers was told, else the least that the network and its tokenizer were made for.
fn max_tokens(model: &Model) -> Result<usize> {
	let from = |name| config::<Lengths>(model, name);
	let told = from("sentence_bert_config.json")?.max_seq_length;
	let network = from("config.json")?.max_position_embeddings;
	let tokenizer = from("tokenizer_config.json")?.model_max_length;
	let made_for = [network, tokenizer].into_iter().flatten().filter(|length| *length < NO_LIMIT);
	let length = told.or_else(|| made_for.reduce(f64::min)).unwrap_or(DEFAULT_TOKENS as f64);
	ensure!(
		(1.0..=MAX_TOKENS as f64).contains(&length),
		"the model reads texts of {length} tokens, not 1 to {MAX_TOKENS}; max_seq_length in sentence_bert_config.json sets it"
	);
	Ok(length as usize)
}

/// What `1_Pooling/config.json` says, the mean where there is none. Older files have a flag for each way, newer ones its name.
fn pooling(model: &Model) -> Result<Pooling> {
	const FILE: &str = "1_Pooling/config.json";
	let fields: BTreeMap<String, Value> = config(model, FILE)?;
	let flag = |name: &str, default| fields.get(name).map_or(default, |flag| *flag == true);
	let ways: Vec<String> = match fields.get("pooling_mode") {
		None | Some(Value::Null) => {
			let mean = ("pooling_mode_mean_tokens", flag("pooling_mode_mean_tokens", true));
			let others = fields.keys().map(|name| (name.as_str(), flag(name, false)));
			let others = others.filter(|(name, _)| *name != mean.0);
			let named = [mean].into_iter().chain(others).filter(|(_, chosen)| *chosen);
			named
				.filter_map(|(name, _)| name.strip_prefix("pooling_mode_"))
				.map(Into::into)
				.collect()
		},
		Some(way) => vec![way.as_str().map_or_else(|| way.to_string(), str::to_lowercase)],
	};
	match ways.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
		["mean_tokens" | "mean"] => Ok(Pooling::Mean),
		["cls_token" | "cls"] => Ok(Pooling::First),
		_ => bail!(
			"{FILE}: pooling by {} is not supported; mean_tokens or cls_token alone is",
			ways.join(" and ")
		),
	}
}

/// The mean of vectors of so many dimensions.
fn mean(vectors: &[f32], width: usize) -> Vec<f32> {
	let mut sums = vec![0f32; width];
	for vector in vectors.chunks_exact(width) {
		for (sum, value) in sums.iter_mut().zip(vector) {
			*sum += value;
		}
	}
	let count = (vectors.len() / width) as f32;
	sums.into_iter().map(|sum| sum / count).collect()
}

/// Makes the vector's length 1, unless it is hardly longer than nothing.
fn normalize(vector: &mut [f32]) {
	let squares = vector.iter().fold(0f32, |sum, value| sum + value * value);
	let length = squares.sqrt().max(LEAST_LENGTH);
	for value in vector {
		*value /= length;
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::{
		job::compute,
		model::tests::folder,
		pipeline::{graphs::Graph, Dump, Pipeline, Unwatched},
		runtime,
		tensors::{Data, Dtype},
	};
	use cuckoo_primitives::{sketch::Keys, ModelKind};

	#[test]
	fn a_mean_is_over_the_tokens() {
		assert_eq!(mean(&[1.0, 2.0, 3.0, 6.0], 2), [2.0, 4.0]);
		assert_eq!(mean(&[1.0, 2.0], 2), [1.0, 2.0]);
		// Summed from the first to the last: 2²⁴ swallows a 1, but not two that come first together.
		let large = 16_777_216.0f32;
		assert_eq!(mean(&[large, 1.0, 1.0, -large], 1), [0.0]);
		assert_eq!(mean(&[1.0, 1.0, large, -large], 1), [0.5]);
	}

	#[test]
	fn a_normalised_vector_has_length_one() {
		let mut vector = [3.0, -4.0];
		normalize(&mut vector);
		assert_eq!(vector, [0.6, -0.8]);
		let mut nothing = [0.0; 3];
		normalize(&mut nothing);
		assert_eq!(nothing, [0.0; 3]);
	}

	/// A folder with a tokenizer of four words, which puts `[CLS]` before and `[SEP]` after a text, and whatever else is named.
	fn model_of(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Model) {
		const TOKENIZER: &[u8] = br#"{
			"version": "1.0",
			"truncation": {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0},
			"padding": {"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "[UNK]"},
			"added_tokens": [],
			"normalizer": {"type": "Lowercase"},
			"pre_tokenizer": {"type": "WhitespaceSplit"},
			"post_processor": {
				"type": "TemplateProcessing",
				"single": [
					{"SpecialToken": {"id": "[CLS]", "type_id": 0}},
					{"Sequence": {"id": "A", "type_id": 0}},
					{"SpecialToken": {"id": "[SEP]", "type_id": 1}}
				],
				"pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
				"special_tokens": {
					"[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]},
					"[SEP]": {"id": "[SEP]", "ids": [2], "tokens": ["[SEP]"]}
				}
			},
			"decoder": null,
			"model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "red": 3}, "unk_token": "[UNK]"}
		}"#;
		let files: Vec<(&str, &[u8])> =
			[("tokenizer.json", TOKENIZER)].into_iter().chain(files.iter().copied()).collect();
		let dir = folder(&files);
		let model = Model::verify(dir.path()).unwrap();
		(dir, model)
	}

	/// What each token's vector is.
	const TABLE: [[f32; 2]; 4] = [[1.0, 0.0], [0.0, 2.0], [4.0, 0.5], [-1.0, 8.0]];

	/// A network that looks each token up in [`TABLE`].
	fn lookup(
		floats: Dtype,
		ids: Dtype,
		inputs: &[&str],
		output: &str,
		shape: [usize; 2],
	) -> Vec<u8> {
		let table = Tensor::f32([4, 2], TABLE.concat());
		let shape = shape.map(|dimension| Some(dimension).filter(|d| *d > 0));
		let mut graph = Graph::default().constant("table", &table);
		for input in inputs {
			graph = graph.input(input, ids, &shape);
		}
		let found = [shape[0], shape[1], Some(2)];
		graph
			.node("Gather", &["table", inputs[0]], "found", &[])
			.cast("found", output, floats)
			.output(output, floats, &found)
			.file()
	}

	fn plain() -> Vec<u8> {
		lookup(Dtype::F32, Dtype::I64, &[IDS, MASK], TOKENS[0], [0, 0])
	}

	/// The embedding of a text by a model with these files.
	fn embedding(text: &str, files: &[(&str, &[u8])]) -> Option<Vec<f32>> {
		let runtime = runtime::for_tests()?;
		let (_dir, model) = model_of(files);
		assert_eq!(model.kind(), ModelKind::TextEmbedding);
		let pipeline = Pipeline::open(runtime, &model, model.kind()).unwrap();
		let input = serde_json::to_vec(&TextEmbeddingInput { text: text.into() }).unwrap();
		let output = pipeline.run(&input, &mut Unwatched).unwrap();
		let found = tensors::read(&output.blob).unwrap();
		assert_eq!(found.len(), 1);
		let found = &found[EMBEDDING_TENSOR];
		assert_eq!((found.shape.len(), found.values()), (1, output.values));
		found.as_f32().map(<[f32]>::to_vec)
	}

	/// The mean of the vectors of `[CLS]`, the words and `[SEP]`, whatever the network takes and gives.
	#[test]
	fn every_form_of_the_network_gives_the_same() {
		let all = [IDS, MASK, "token_type_ids"];
		for floats in [Dtype::F32, Dtype::F16] {
			for ids in [Dtype::I32, Dtype::I64] {
				for (inputs, output) in
					[(&all[..1], TOKENS[0]), (&all[..2], TOKENS[1]), (&all[..], TOKENS[0])]
				{
					let network = lookup(floats, ids, inputs, output, [0, 0]);
					let found = embedding("RED  sky", &[("model.onnx", &network)]);
					let Some(found) = found else { return };
					assert_eq!(found, [1.0, 2.625], "{floats} {ids} {output}");
				}
			}
		}
		let fixed = lookup(Dtype::F32, Dtype::I64, &all, TOKENS[0], [1, 0]);
		assert_eq!(embedding("red sky", &[("model.onnx", &fixed)]), Some(vec![1.0, 2.625]));
	}

	#[test]
	fn configs_decide_on_length_pooling_and_normalising() {
		let plain = plain();
		let of = |text: &str, files: &[(&str, &str)]| {
			let files = files.iter().map(|(name, text)| (*name, text.as_bytes()));
			let files: Vec<(&str, &[u8])> =
				[("model.onnx", plain.as_slice())].into_iter().chain(files).collect();
			embedding(text, &files)
		};
		let Some(found) = of("red", &[]) else { return };
		assert_eq!(found, [1.0, 3.5]);
		let cls = r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false, "include_prompt": true}"#;
		assert_eq!(of("red", &[("1_Pooling/config.json", cls)]), Some(vec![0.0, 2.0]));
		let named = r#"{"embedding_dimension": 2, "pooling_mode": "CLS"}"#;
		assert_eq!(of("red", &[("1_Pooling/config.json", named)]), Some(vec![0.0, 2.0]));
		let mean = r#"{"word_embedding_dimension": 2, "pooling_mode_max_tokens": false}"#;
		assert_eq!(of("red", &[("1_Pooling/config.json", mean)]), Some(vec![1.0, 3.5]));
		let modules = r#"[
			{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
			{"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
			{"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}
		]"#;
		let found = of("red", &[("1_Pooling/config.json", cls), ("modules.json", modules)]);
		assert_eq!(found, Some(vec![0.0, 1.0]));
		// Cut after the first word, and not where tokenizer.json says. What transformers calls no limit is none.
		let (three, four) = (r#"{"max_seq_length": 3}"#, r#"{"max_position_embeddings": 4}"#);
		let limits = [("sentence_bert_config.json", three), ("config.json", four)];
		assert_eq!(of("red red red", &limits), of("red", &[]));
		let endless = r#"{"model_max_length": 1000000000000000019884624838656}"#;
		let limits = [("tokenizer_config.json", endless), ("config.json", four)];
		assert_eq!(of("red red red", &limits), of("red red", &[]));
		let long = [("tokenizer_config.json", endless)];
		assert_eq!(of("red red red", &long), Some(vec![1.0 / 5.0, 26.5 / 5.0]));
	}

	#[test]
	fn an_embedding_that_is_pooled_already_is_taken_as_it_is() {
		let Some(runtime) = runtime::for_tests() else { return };
		// The vector of the first token, by taking it out of the second dimension.
		let first = Tensor { shape: vec![], data: Data::I64(vec![0]) };
		let graph = Graph::default()
			.input(IDS, Dtype::I64, &[None, None])
			.constant("table", &Tensor::f32([4, 2], TABLE.concat()))
			.constant("first", &first)
			.node("Gather", &["table", IDS], TOKENS[1], &[])
			.node("Gather", &[TOKENS[1], "first"], SENTENCE, &[("axis", 1)])
			.output(TOKENS[1], Dtype::F32, &[None, None, Some(2)])
			.output(SENTENCE, Dtype::F32, &[None, Some(2)])
			.file();
		// Within the graph any module may have had its turn; the pooling's config is not asked.
		let modules =
			br#"[{"type": "sentence_transformers.models.Dense"}, {"type": "a.Normalize"}]"#;
		let (_dir, model) = model_of(&[
			("model.onnx", &graph),
			("modules.json", modules),
			("1_Pooling/config.json", br#"{"pooling_mode_max_tokens": true}"#),
		]);
		let pipeline = Pipeline::open(runtime, &model, model.kind()).unwrap();
		let mut dump = Dump::default();
		let output = pipeline.run(br#"{"text": "red"}"#, &mut dump).unwrap();
		assert_eq!(output.values, [0.0, 1.0]);
		let dir = tempfile::tempdir().unwrap();
		let path = dir.path().join("dump.safetensors");
		dump.write(&path).unwrap();
		let found = tensors::read(&std::fs::read(path).unwrap()).unwrap();
		assert_eq!(found.keys().collect::<Vec<_>>(), [EMBEDDING_TENSOR, IDS, SENTENCE]);
		assert_eq!(found[IDS].values(), [1.0, 3.0, 2.0]);
	}

	#[test]
	fn bad_jobs_are_refused() {
		let Some(runtime) = runtime::for_tests() else { return };
		let (_dir, model) = model_of(&[("model.onnx", &plain())]);
		let pipeline = Pipeline::open(runtime, &model, model.kind()).unwrap();
		let refused = |input: &[u8]| match pipeline.run(input, &mut Unwatched).unwrap_err() {
			JobError::Input(reason) => reason,
			other => panic!("{other}"),
		};
		assert!(refused(b"{}").contains("text"));
		assert!(refused(br#"{"text": "x", "prompt": "y"}"#).contains("prompt"));
		assert!(refused(br#"{"text": " "}"#).contains("empty"));
		let input = br#"{"text": "red"}"#;
		let leaf = |text: &[u8]| {
			compute(&pipeline, &Keys::default(), 0, text, &mut Unwatched).unwrap().leaves[0]
		};
		assert_eq!(leaf(input), leaf(br#"{ "text": "Red" }"#));
		assert_ne!(leaf(input).hash, leaf(br#"{"text": "green"}"#).hash);
	}

	#[test]
	fn folders_that_cannot_be_run_are_named() {
		let Some(runtime) = runtime::for_tests() else { return };
		let refused = |network: &[u8], file: &str, text: &[u8], words: &[&str]| {
			let (_dir, model) = model_of(&[("model.onnx", network), (file, text)]);
			let error = Pipeline::open(runtime, &model, ModelKind::TextEmbedding).err().unwrap();
			let error = format!("{error:#}");
			assert!(words.iter().all(|word| error.contains(word)), "{error} lacks {words:?}");
		};
		let plain = plain();
		for (file, text, words) in [
			("1_Pooling/config.json", r#"{"pooling_mode_max_tokens": true}"#, "max_tokens"),
			(
				"1_Pooling/config.json",
				r#"{"pooling_mode_cls_token": true}"#,
				"mean_tokens and cls_token",
			),
			("1_Pooling/config.json", r#"{"pooling_mode_mean_tokens": false}"#, "not supported"),
			("1_Pooling/config.json", r#"{"pooling_mode": "lasttoken"}"#, "by lasttoken is"),
			("1_Pooling/config.json", r#"{"pooling_mode": ["cls", "max"]}"#, "cls"),
			("modules.json", r#"[{"type": "sentence_transformers.models.Dense"}]"#, "Dense"),
			("modules.json", "{}", "modules.json"),
			("sentence_bert_config.json", r#"{"max_seq_length": 2}"#, "adds 2"),
			("sentence_bert_config.json", r#"{"max_seq_length": 8193}"#, "8193"),
			("config.json", r#"{"max_position_embeddings": 0}"#, "max_seq_length"),
		] {
			refused(
				&plain,
				file,
				text.as_bytes(),
				&[file.split('/').next().unwrap_or(file), words],
			);
		}
		let network = |floats, inputs: &[&str], output: &str, shape| {
			lookup(floats, Dtype::I64, inputs, output, shape)
		};
		for (network, words) in [
			(network(Dtype::F32, &[IDS, "position_ids"], TOKENS[0], [0, 0]), "position_ids"),
			(network(Dtype::F32, &["ids"], TOKENS[0], [0, 0]), "export takes input_ids and may"),
			(network(Dtype::F32, &[IDS], "logits", [0, 0]), "`logits` f32[?, ?, 2]"),
			(network(Dtype::F64, &[IDS], TOKENS[0], [0, 0]), "neither f32 nor f16"),
			(network(Dtype::F32, &[IDS], TOKENS[0], [4, 0]), "batch is fixed"),
			(network(Dtype::F32, &[IDS], TOKENS[0], [0, 7]), "fixes the number of tokens"),
		] {
			refused(&network, "notes.json", b"{}", &["model.onnx", words]);
		}
	}
}
