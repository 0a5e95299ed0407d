//! CLIP's tokenizer: byte-level BPE over lower-cased words, each ended by `</w>`, between a start and an end token.

use anyhow::{anyhow, bail, Context, Result};
use serde_json::Value;
use tokenizers::{
	models::bpe::BPE,
	normalizers::{replace::ReplacePattern, Lowercase, Replace, Sequence as Normalizers, NFC},
	pre_tokenizers::{
		byte_level::ByteLevel,
		sequence::Sequence as PreTokenizers,
		split::{Split, SplitPattern},
	},
	AddedToken, PreTokenizerWrapper, SplitDelimiterBehavior, Tokenizer as Engine,
};

use crate::{job::JobError, model::Model};

/// Words, as CLIP finds them: contractions, runs of letters, single digits, runs of anything else.
const WORDS: &str = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";
const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";
/// Sequence lengths beyond this are a mistake in a config: transformers writes 10³⁰ for "no limit".
const MAX_LENGTH: u64 = 4096;

/// A model's tokenizer.
pub struct Tokenizer {
	engine: Engine,
	start: u32,
	end: u32,
	pad: u32,
	length: usize,
}

impl Tokenizer {
	/// Reads `vocab.json`, `merges.txt` and the configs beside them.
	pub fn open(model: &Model) -> Result<Self> {
		let path = |name: &str| {
			let file = model.file(name).with_context(|| format!("{name} is missing"))?;
			file.to_str().map(str::to_owned).with_context(|| format!("{name}: not a UTF-8 path"))
		};
		let json = |name: &str| -> Result<Value> {
			let Some(text) = model.text(name) else { return Ok(Value::Null) };
			serde_json::from_str(&text.context(name.to_owned())?).context(name.to_owned())
		};
		let config = json("tokenizer/tokenizer_config.json")?;
		let special = json("tokenizer/special_tokens_map.json")?;
		let bpe = BPE::builder()
			.files(path("tokenizer/vocab.json")?, path("tokenizer/merges.txt")?)
			.unk_token(token(&special, &config, "unk_token", END))
			.end_of_word_suffix("</w>".into())
			.build()
			.map_err(|e| anyhow!("tokenizer/vocab.json and merges.txt: {e}"))?;
		let length = match config.get("model_max_length") {
			None => 77,
			Some(length) => match length.as_u64() {
				Some(length @ 3..=MAX_LENGTH) => length as usize,
				_ => bail!("tokenizer_config.json: model_max_length {length} is not from 3 to {MAX_LENGTH}"),
			},
		};
		let start = token(&special, &config, "bos_token", START);
		let end = token(&special, &config, "eos_token", END);
		let pad = token(&special, &config, "pad_token", END);
		let engine = engine(bpe, &start, &end).map_err(|e| anyhow!("the tokenizer: {e}"))?;
		let id = |token: &str| {
			engine.token_to_id(token).with_context(|| format!("vocab.json lacks the token {token}"))
		};
		let (start, end, pad) = (id(&start)?, id(&end)?, id(&pad)?);
		Ok(Self { engine, start, end, pad, length })
	}

	/// How many tokens every text becomes.
	pub fn length(&self) -> usize {
		self.length
	}

	/// The start token, the text's tokens as far as they fit, the end token, padding.
	pub fn encode(&self, text: &str) -> Result<Vec<u32>, JobError> {
		let encoded = self
			.engine
			.encode(text, false)
			.map_err(|e| JobError::Input(format!("the prompt cannot be tokenized: {e}")))?;
		let words = encoded.get_ids();
		let mut ids = vec![self.start];
		ids.extend_from_slice(&words[..words.len().min(self.length - 2)]);
		ids.push(self.end);
		ids.resize(self.length, self.pad);
		Ok(ids)
	}
}

/// A special token's text: a string or an object in `special_tokens_map.json`, which overrides `tokenizer_config.json`.
fn token(special: &Value, config: &Value, name: &str, default: &str) -> String {
	let text = |from: &Value| {
		let token = from.get(name)?;
		token.as_str().or_else(|| token.get("content")?.as_str()).map(str::to_owned)
	};
	text(special).or_else(|| text(config)).unwrap_or_else(|| default.to_owned())
}

fn engine(bpe: BPE, start: &str, end: &str) -> tokenizers::Result<Engine> {
	let mut engine = Engine::new(bpe);
	engine.with_normalizer(Some(Normalizers::new(vec![
		NFC.into(),
		Replace::new(ReplacePattern::Regex(r"\s+".into()), " ")?.into(),
		Lowercase.into(),
	])))?;
	let words =
		Split::new(SplitPattern::Regex(WORDS.into()), SplitDelimiterBehavior::Removed, true)?;
	engine.with_pre_tokenizer(Some(PreTokenizers::new(vec![
		PreTokenizerWrapper::from(words),
		// Bytes to printable characters only: the words are found already.
		ByteLevel::new(false, false, false).into(),
	])));
	// Taken whole where a prompt holds them, as CLIP's own tokenizer does.
	engine.add_special_tokens([start, end].map(|t| AddedToken::from(t, true).normalized(true)))?;
	Ok(engine)
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::model::tests::folder;

	const CONFIG: &str = r#"{"model_max_length": 10, "pad_token": "<|endoftext|>"}"#;

	/// A vocabulary of printable ASCII letters with and without `</w>`, two merged words and the two special tokens.
	fn tokenizer(config: &str, special: &str) -> Result<Tokenizer> {
		let mut tokens: Vec<String> = ('!'..='~').map(String::from).collect();
		tokens.extend(('!'..='~').map(|c| format!("{c}</w>")));
		// The bytes of "é" as the byte level shows them.
		tokens.extend(["Ã", "©</w>", "re", "red</w>", "of</w>", START, END].map(String::from));
		let vocab: serde_json::Map<String, Value> =
			tokens.into_iter().enumerate().map(|(id, token)| (token, id.into())).collect();
		let dir = folder(&[
			("tokenizer/vocab.json", &serde_json::to_vec(&vocab).unwrap()),
			("tokenizer/merges.txt", b"#version: 0.2\nr e\nre d</w>\no f</w>\n"),
			("tokenizer/tokenizer_config.json", config.as_bytes()),
			("tokenizer/special_tokens_map.json", special.as_bytes()),
		]);
		Tokenizer::open(&Model::verify(dir.path()).unwrap())
	}

	fn tokens(tokenizer: &Tokenizer, text: &str) -> Vec<String> {
		let ids = tokenizer.encode(text).unwrap();
		ids.into_iter().map(|id| tokenizer.engine.id_to_token(id).unwrap()).collect()
	}

	#[test]
	fn words_are_lowered_merged_ended_and_padded() {
		let t = tokenizer(CONFIG, "{}").unwrap();
		assert_eq!(
			tokens(&t, "  RED\n\tof 42!? \u{e9}"),
			[START, "red</w>", "of</w>", "4</w>", "2</w>", "!", "?</w>", "Ã", "©</w>", END]
		);
		// Decomposed, it is the same letter.
		assert_eq!(tokens(&t, "e\u{301}")[..4], [START, "Ã", "©</w>", END]);
	}

	#[test]
	fn long_texts_keep_the_end_token() {
		let t = tokenizer(CONFIG, "{}").unwrap();
		let found = tokens(&t, &"red ".repeat(50));
		assert_eq!(found.len(), 10);
		assert_eq!(found[0], START);
		assert!(found[1..9].iter().all(|token| token == "red</w>"));
		assert_eq!(found[9], END);
	}

	#[test]
	fn an_empty_text_is_start_end_and_padding() {
		let t = tokenizer(CONFIG, r#"{"pad_token": {"content": "!"}}"#).unwrap();
		let found = tokens(&t, "");
		assert_eq!(found[..2], [START, END]);
		assert!(found[2..].iter().all(|token| token == "!"));
	}

	#[test]
	fn contractions_and_special_tokens_stay_whole() {
		let t = tokenizer(CONFIG, "{}").unwrap();
		assert_eq!(tokens(&t, "it's")[1..5], ["i", "t</w>", "'", "s</w>"]);
		assert_eq!(tokens(&t, "red<|endoftext|>red")[1..4], ["red</w>", END, "red</w>"]);
	}

	#[test]
	fn broken_configs_are_named() {
		let huge = r#"{"model_max_length": 1000000000000000019884624838656}"#;
		let error = tokenizer(huge, "{}").err().unwrap().to_string();
		assert!(error.contains("model_max_length"), "{error}");
		let error = tokenizer(r#"{"pad_token": "<nowhere>"}"#, "{}").err().unwrap().to_string();
		assert!(error.contains("<nowhere>"), "{error}");
	}
}
