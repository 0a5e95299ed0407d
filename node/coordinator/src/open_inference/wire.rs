//! Requests to infer and their answers as they travel: JSON, and behind it the binary data of those tensors that have none in it.

use std::collections::BTreeSet;

use axum::{
	body::Bytes,
	http::{header, HeaderMap, HeaderName},
	response::{IntoResponse, Response},
};
use cuckoo_primitives::TaskId;
use serde::{de::IgnoredAny, Deserialize, Serialize};
use serde_json::value::RawValue;
use sp_core::{crypto::AccountId32, H256};

use super::{
	json::{fits, read_elements, Elements},
	tensor::{check_name, Datatype, Tensor, Wrong, MAX_RANK},
};
use crate::{embeddings::Few, id::JobId};

/// How many bytes of a body are JSON; without it, all.
pub const HEADER_JSON_BYTES: HeaderName =
	HeaderName::from_static("inference-header-content-length");
/// The most tensors of one request.
pub const MAX_TENSORS: usize = 64;
/// The longest JSON in a request. What is larger is for binary data, which takes a fraction of the room and of the time.
pub const MAX_JSON_BYTES: usize = 16 << 20;

/// The JSON of a request.
#[derive(Deserialize)]
struct RequestJson<'a> {
	id: Option<String>,
	parameters: Option<RequestParameters>,
	#[serde(borrow)]
	inputs: Few<InputJson<'a>, MAX_TENSORS>,
	outputs: Option<Few<OutputJson, MAX_TENSORS>>,
}

#[derive(Default, Deserialize)]
struct RequestParameters {
	#[serde(default)]
	binary_data_output: bool,
	sequence_id: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct InputJson<'a> {
	name: String,
	shape: Few<usize, MAX_RANK>,
	datatype: Datatype,
	parameters: Option<InputParameters>,
	#[serde(borrow)]
	data: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct InputParameters {
	binary_data_size: Option<usize>,
	shared_memory_region: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct OutputJson {
	name: String,
	parameters: Option<OutputParameters>,
}

#[derive(Default, Deserialize)]
struct OutputParameters {
	binary_data: Option<bool>,
	classification: Option<IgnoredAny>,
	shared_memory_region: Option<IgnoredAny>,
}

/// What [`HEADER_JSON_BYTES`] says: none if it is not there.
pub fn json_bytes(headers: &HeaderMap) -> Result<Option<usize>, Wrong> {
	let mut values = headers.get_all(HEADER_JSON_BYTES).iter();
	let Some(value) = values.next() else { return Ok(None) };
	let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
	match (digits.and_then(|digits| digits.parse::<usize>().ok()), values.next()) {
		(Some(length), None) => Ok(Some(length)),
		_ => Err(Wrong(format!("the header {HEADER_JSON_BYTES} is not one length in bytes"))),
	}
}

/// A request to infer.
#[derive(Debug)]
pub struct Infer {
	/// The client's name for it.
	pub id: Option<String>,
	/// The tensors, with one name each.
	pub inputs: Vec<Tensor>,
	/// Which outputs are wanted.
	pub wanted: Wanted,
}

impl Infer {
	/// Reads a body of which so many bytes are JSON, without a number all. Tensors that came as binary data share its memory.
	pub fn read(body: &Bytes, json_bytes: Option<usize>) -> Result<Self, Wrong> {
		let length = json_bytes.unwrap_or(body.len());
		if length > body.len() {
			let why = format!(
				"{HEADER_JSON_BYTES} is {length}, but the body has {} bytes only",
				body.len()
			);
			return Err(Wrong(why));
		}
		if length > MAX_JSON_BYTES {
			let why = format!(
				"{length} bytes of JSON are more than {MAX_JSON_BYTES}: send large tensors as binary data"
			);
			return Err(Wrong(why));
		}
		let (json, mut binary) = (body.slice(..length), body.slice(length..));
		let request: RequestJson<'_> = serde_json::from_slice(&json)
			.map_err(|error| Wrong(format!("the request is not the expected JSON: {error}")))?;
		let parameters = request.parameters.unwrap_or_default();
		if parameters.sequence_id.is_some() {
			return Err(Wrong("sequences are not supported: no model here keeps a state".into()));
		}

		let mut inputs = Vec::with_capacity(request.inputs.0.len());
		for input in request.inputs.0 {
			inputs.push(input.take(&mut binary)?);
		}
		if !binary.is_empty() {
			let why = format!("{} bytes at the end of the body belong to no input", binary.len());
			return Err(Wrong(why));
		}
		if inputs.is_empty() {
			return Err(Wrong("there is no input".into()));
		}
		once(inputs.iter().map(|input| input.name.as_str()))?;
		let outputs = request.outputs.unwrap_or_default().0;
		let outputs = outputs.into_iter().map(OutputJson::take).collect::<Result<_, _>>()?;
		let wanted = Wanted { binary: parameters.binary_data_output, outputs };
		once(wanted.names())?;
		Ok(Self { id: request.id, inputs, wanted })
	}
}

/// Whether each name stands there once.
fn once<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), Wrong> {
	let mut seen = BTreeSet::new();
	for name in names {
		if !seen.insert(name) {
			return Err(Wrong(format!("the tensor {name:?} is named twice")));
		}
	}
	Ok(())
}

impl InputJson<'_> {
	/// The tensor, with its data from the JSON or from the beginning of what is left of the binary data.
	fn take(self, binary: &mut Bytes) -> Result<Tensor, Wrong> {
		let Self { name, shape: Few(shape), datatype, parameters, data } = self;
		check_name(&name)?;
		let parameters = parameters.unwrap_or_default();
		let wrong = |why: String| Wrong(format!("the input {name:?}: {why}"));
		if parameters.shared_memory_region.is_some() {
			return Err(wrong("there is no shared memory with this server".into()));
		}
		let data = match (parameters.binary_data_size, data) {
			(Some(size), None) if size <= binary.len() => binary.split_to(size),
			(Some(size), None) => {
				let left = binary.len();
				let why = format!(
					"its binary_data_size is {size}, but {left} bytes of binary data are left; is the header \
					 {HEADER_JSON_BYTES} right?"
				);
				return Err(wrong(why));
			},
			(None, Some(data)) => {
				let data = read_elements(data, datatype, &shape);
				data.map_err(|Wrong(why)| wrong(why))?.into()
			},
			(None, None) => return Err(wrong("it has neither data nor a binary_data_size".into())),
			(Some(_), Some(_)) => {
				return Err(wrong("it has both data and a binary_data_size".into()));
			},
		};
		Tensor::new(name, datatype, shape, data)
	}
}

impl OutputJson {
	fn take(self) -> Result<(String, Option<bool>), Wrong> {
		let parameters = self.parameters.unwrap_or_default();
		if parameters.classification.is_some() || parameters.shared_memory_region.is_some() {
			let why = "classification and shared memory are not supported";
			return Err(Wrong(format!("the output {:?}: {why}", self.name)));
		}
		Ok((self.name, parameters.binary_data))
	}
}

/// Which outputs a client wants, and which of them as binary data.
#[derive(Debug, Default)]
pub struct Wanted {
	/// All of which nothing else is said as binary data.
	binary: bool,
	/// These alone; all if there are none here.
	outputs: Vec<(String, Option<bool>)>,
}

impl Wanted {
	/// The outputs that are asked for by name.
	pub fn names(&self) -> impl Iterator<Item = &str> {
		self.outputs.iter().map(|(name, _)| name.as_str())
	}

	/// Those of the outputs that are wanted, as they are wanted.
	pub fn choose(&self, mut outputs: Vec<Tensor>) -> Result<Vec<Chosen>, Wrong> {
		// What JSON cannot carry comes as binary data: the result is paid for, and clients find out from the answer.
		let chosen =
			|tensor: Tensor, binary: bool| Chosen { binary: binary || !fits(&tensor), tensor };
		if self.outputs.is_empty() {
			return Ok(outputs.into_iter().map(|tensor| chosen(tensor, self.binary)).collect());
		}
		let mut all = Vec::with_capacity(self.outputs.len());
		for (name, binary) in &self.outputs {
			let Some(at) = outputs.iter().position(|tensor| tensor.name == *name) else {
				return Err(no_output(name, outputs.iter().map(|tensor| tensor.name.as_str())));
			};
			all.push(chosen(outputs.swap_remove(at), binary.unwrap_or(self.binary)));
		}
		Ok(all)
	}
}

/// The model has no output of this name among these.
pub fn no_output<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Wrong {
	let known: Vec<_> = known.collect();
	Wrong(format!("the model has no output {name:?}; there is {known:?}"))
}

/// An output on its way to the client.
#[derive(Debug)]
pub struct Chosen {
	/// The output.
	pub tensor: Tensor,
	/// Whether it goes as binary data.
	pub binary: bool,
}

/// Who made an answer. In the parameters, because clients of this protocol do not show headers.
#[derive(Clone, Debug, Serialize)]
pub struct Provenance {
	/// The job.
	pub x_cuckoo_job: JobId,
	/// The task on chain.
	#[serde(skip_serializing_if = "Option::is_none")]
	pub x_cuckoo_task: Option<TaskId>,
	/// The owner of the miner's pool.
	#[serde(skip_serializing_if = "Option::is_none")]
	pub x_cuckoo_miner: Option<AccountId32>,
	/// The model's files.
	pub x_cuckoo_manifest: H256,
}

/// What stands in an answer beside the outputs.
#[derive(Debug, Serialize)]
pub struct Head {
	/// The name that the model was asked for by.
	pub model_name: String,
	/// Its number on chain.
	pub model_version: String,
	/// The client's name for the request.
	#[serde(skip_serializing_if = "Option::is_none")]
	pub id: Option<String>,
	/// Who made it.
	pub parameters: Provenance,
}

/// The JSON of an answer.
#[derive(Serialize)]
struct AnswerJson<'a> {
	#[serde(flatten)]
	head: &'a Head,
	outputs: Vec<TensorJson<'a>>,
}

#[derive(Serialize)]
struct TensorJson<'a> {
	name: &'a str,
	datatype: Datatype,
	shape: &'a [usize],
	#[serde(skip_serializing_if = "Option::is_none")]
	parameters: Option<BinarySize>,
	#[serde(skip_serializing_if = "Option::is_none")]
	data: Option<Elements<'a>>,
}

#[derive(Serialize)]
struct BinarySize {
	binary_data_size: usize,
}

/// An answer, ready to be sent.
#[derive(Debug)]
pub struct Answer {
	body: Vec<u8>,
	/// How many bytes of it are JSON, if not all.
	json_bytes: Option<usize>,
}

impl Answer {
	/// Writes the outputs, in their order.
	pub fn write<'a>(head: &'a Head, outputs: &'a [Chosen]) -> Result<Self, serde_json::Error> {
		let view = |Chosen { tensor, binary }: &'a Chosen| {
			let size = BinarySize { binary_data_size: tensor.data.len() };
			TensorJson {
				name: &tensor.name,
				datatype: tensor.datatype,
				shape: &tensor.shape,
				parameters: binary.then_some(size),
				data: (!binary).then_some(Elements(tensor)),
			}
		};
		let json = AnswerJson { head, outputs: outputs.iter().map(view).collect() };
		let mut body = serde_json::to_vec(&json)?;
		let length = body.len();
		let binary = || outputs.iter().filter(|chosen| chosen.binary);
		body.reserve_exact(binary().map(|chosen| chosen.tensor.data.len()).sum());
		binary().for_each(|chosen| body.extend_from_slice(&chosen.tensor.data));
		Ok(Self { body, json_bytes: binary().next().map(|_| length) })
	}
}

impl IntoResponse for Answer {
	fn into_response(self) -> Response {
		let kind = match self.json_bytes {
			Some(_) => "application/octet-stream",
			None => "application/json",
		};
		let mut response = ([(header::CONTENT_TYPE, kind)], self.body).into_response();
		if let Some(length) = self.json_bytes {
			response.headers_mut().insert(HEADER_JSON_BYTES, length.into());
		}
		response
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::open_inference::tensor::tests::{tensor, texts};
	use axum::http::HeaderValue;
	use serde_json::json;

	const JSON: &str =
		r#"{"id":"42","inputs":[{"name":"x","shape":[2,2],"datatype":"INT32","data":[1,2,3,-1]}]}"#;

	fn body(json: &str, binary: &[u8]) -> (Bytes, Option<usize>) {
		([json.as_bytes(), binary].concat().into(), Some(json.len()))
	}

	fn read(json: &str) -> Result<Infer, Wrong> {
		Infer::read(&Bytes::from(json.to_string()), None)
	}

	#[test]
	fn the_same_tensor_comes_as_json_and_as_binary_data() {
		let golden = [1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 255, 255, 255, 255];
		let from_json = read(JSON).unwrap();
		assert_eq!(from_json.id.as_deref(), Some("42"));
		assert_eq!(from_json.inputs, [tensor("x", Datatype::Int32, &[2, 2], &golden)]);

		// As tritonclient writes it.
		let head = r#"{"inputs":[{"name":"x","shape":[2,2],"datatype":"INT32","parameters":{"binary_data_size":16}},{"name":"half","shape":[1],"datatype":"FP16","parameters":{"binary_data_size":2}},{"name":"t","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":10}}],"parameters":{"binary_data_output":true,"priority":3}}"#;
		let words = texts(&["ab", ""]);
		let (body, length) = body(head, &[&golden[..], &[0, 60], &words].concat());
		let binary = Infer::read(&body, length).unwrap();
		assert_eq!(binary.inputs[0], from_json.inputs[0]);
		assert_eq!(binary.inputs[1], tensor("half", Datatype::Fp16, &[1], &[0, 60]));
		assert_eq!(binary.inputs[2].texts().unwrap(), [&b"ab"[..], b""]);
		assert_eq!(binary.id, None);
	}

	#[test]
	fn binary_data_that_does_not_add_up_is_refused() {
		let head = |size: &str| {
			format!(
				r#"{{"inputs":[{{"name":"x","shape":[4],"datatype":"UINT8","parameters":{{"binary_data_size":{size}}}}}]}}"#
			)
		};
		let read = |size: &str, binary: &[u8]| {
			let (body, length) = body(&head(size), binary);
			Infer::read(&body, length).is_ok()
		};
		assert!(read("4", &[0; 4]));
		assert!(!read("4", &[0; 3]));
		assert!(!read("4", &[0; 5]));
		assert!(!read("3", &[0; 3]));
		assert!(!read("5", &[0; 5]));
		for size in ["-4", "4.5", "\"4\"", "18446744073709551615", "18446744073709551616", "1e30"] {
			assert!(!read(size, &[0; 4]), "{size}");
		}
		// Without the header there is no binary data, and with it the JSON ends where it says.
		let whole = Bytes::from(head("4"));
		assert!(Infer::read(&whole, None).is_err());
		let (body, length) = body(&head("4"), &[0; 4]);
		for wrong in [0, 1, length.unwrap() - 1, length.unwrap() + 1, body.len() + 1, usize::MAX] {
			assert!(Infer::read(&body, Some(wrong)).is_err(), "{wrong}");
		}
	}

	#[test]
	fn a_hostile_header_is_an_error_and_no_length() {
		let headers = |values: &[&'static str]| {
			let mut headers = HeaderMap::new();
			for value in values {
				headers.append(HEADER_JSON_BYTES, HeaderValue::from_static(value));
			}
			json_bytes(&headers)
		};
		assert_eq!(headers(&[]), Ok(None));
		assert_eq!(headers(&["0"]), Ok(Some(0)));
		assert_eq!(headers(&["123"]), Ok(Some(123)));
		for bad in
			["", "-1", "+1", " 1", "1 ", "1,2", "0x10", "1e3", "ten", "99999999999999999999999"]
		{
			assert!(headers(&[bad]).is_err(), "{bad:?}");
		}
		assert!(headers(&["1", "1"]).is_err());
		let mut strange = HeaderMap::new();
		strange.insert(HEADER_JSON_BYTES, HeaderValue::from_bytes(b"1\xff").unwrap());
		assert!(json_bytes(&strange).is_err());
	}

	#[test]
	fn malformed_requests_are_refused_with_words() {
		let input = r#"{"name":"x","shape":[1],"datatype":"UINT8","data":[1]}"#;
		let with = |change: (&str, &str)| {
			let changed = input.replace(change.0, change.1);
			assert_ne!(changed, input);
			read(&format!(r#"{{"inputs":[{changed}]}}"#)).unwrap_err().to_string()
		};
		for change in [
			("\"x\"", "\"\""),
			("\"x\"", "\"__metadata__\""),
			("\"x\"", "5"),
			("[1],\"d", "[-1],\"d"),
			("[1],\"d", "[1.5],\"d"),
			("[1],\"d", "[2],\"d"),
			("[1],\"d", "[18446744073709551616],\"d"),
			("[1],\"d", "[4294967296,4294967296,4294967296],\"d"),
			("[1],\"d", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],\"d"),
			("UINT8", "UINT32"),
			("UINT8", "uint8"),
			("UINT8", "FP16"),
			(",\"data\":[1]", ""),
			("\"data\":[1]", "\"data\":null"),
			("\"data\":[1]", "\"data\":[1],\"parameters\":{\"binary_data_size\":0}"),
			("\"data\":[1]", "\"parameters\":{\"shared_memory_region\":\"r\"}"),
			("\"data\":[1]", "\"data\":[NaN]"),
		] {
			assert!(!with(change).is_empty(), "{change:?}");
		}
		let sixty_five = vec![input; 65].join(",");
		for bad in [
			String::new(),
			"[]".into(),
			"{}".into(),
			r#"{"inputs":[]}"#.into(),
			format!(r#"{{"inputs":[{input},{input}]}}"#),
			format!(r#"{{"inputs":[{sixty_five}]}}"#),
			format!(r#"{{"inputs":[{input}],"id":5}}"#),
			format!(r#"{{"inputs":[{input}],"outputs":[{{"name":"y"}},{{"name":"y"}}]}}"#),
			format!(
				r#"{{"inputs":[{input}],"outputs":[{{"name":"y","parameters":{{"classification":2}}}}]}}"#
			),
			format!(r#"{{"inputs":[{input}],"parameters":{{"sequence_id":7}}}}"#),
			format!(r#"{{"inputs":[{input}],"parameters":{{"binary_data_output":"yes"}}}}"#),
			format!(r#"{{"inputs":[{input}]}} and more"#),
			"[".repeat(100_000),
		] {
			assert!(read(&bad).is_err(), "{bad:.80}");
		}
	}

	#[test]
	fn more_json_than_is_read_is_refused() {
		let padded = format!("{JSON}{}", " ".repeat(MAX_JSON_BYTES));
		assert!(read(&padded).unwrap_err().to_string().contains("binary data"));
	}

	fn head(id: Option<&str>) -> Head {
		Head {
			model_name: "sum".into(),
			model_version: "1".into(),
			id: id.map(str::to_string),
			parameters: Provenance {
				x_cuckoo_job: JobId(7),
				x_cuckoo_task: Some(3),
				x_cuckoo_miner: None,
				x_cuckoo_manifest: H256::repeat_byte(1),
			},
		}
	}

	fn outputs() -> Vec<Tensor> {
		vec![
			tensor("half", Datatype::Fp16, &[1], &[0, 60]),
			tensor("nan", Datatype::Fp32, &[1], &f32::NAN.to_le_bytes()),
			tensor("sum", Datatype::Fp32, &[1, 2], &[0, 0, 128, 63, 0, 0, 0, 192]),
		]
	}

	fn wanted(json: serde_json::Value) -> Wanted {
		let mut request: serde_json::Value = serde_json::from_str(JSON).unwrap();
		for (key, value) in json.as_object().unwrap() {
			request[key] = value.clone();
		}
		read(&request.to_string()).unwrap().wanted
	}

	#[test]
	fn an_answer_in_json_has_no_header_and_says_who_made_it() {
		let chosen = wanted(json!({ "outputs": [{ "name": "sum" }] })).choose(outputs()).unwrap();
		let answer = Answer::write(&head(Some("42")), &chosen).unwrap();
		assert_eq!(answer.json_bytes, None);
		let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
		let golden = json!({
			"model_name": "sum",
			"model_version": "1",
			"id": "42",
			"parameters": {
				"x_cuckoo_job": "job_00000000000000000000000000000007",
				"x_cuckoo_task": 3,
				"x_cuckoo_manifest": H256::repeat_byte(1),
			},
			"outputs": [{ "name": "sum", "datatype": "FP32", "shape": [1, 2], "data": [1.0, -2.0] }],
		});
		assert_eq!(body, golden);
		let response = answer.into_response();
		assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
		assert!(!response.headers().contains_key(HEADER_JSON_BYTES));
	}

	#[test]
	fn binary_data_follows_the_json_in_the_order_of_the_outputs() {
		let asked = json!({
			"outputs": [{ "name": "sum" }, { "name": "half", "parameters": { "binary_data": true } }],
			"parameters": { "binary_data_output": true },
		});
		let answer = Answer::write(&head(None), &wanted(asked).choose(outputs()).unwrap()).unwrap();
		let length = answer.json_bytes.unwrap();
		assert_eq!(answer.body[length..], [0, 0, 128, 63, 0, 0, 0, 192, 0, 60]);
		let body: serde_json::Value = serde_json::from_slice(&answer.body[..length]).unwrap();
		assert_eq!(body["outputs"][0]["parameters"], json!({ "binary_data_size": 8 }));
		assert_eq!(body["outputs"][1]["name"], "half");
		assert_eq!(body["outputs"][0].get("data"), None);
		assert_eq!(body.get("id"), None);
		let response = answer.into_response();
		assert_eq!(response.headers()[HEADER_JSON_BYTES], length.to_string().as_str());
		assert_eq!(response.headers()[header::CONTENT_TYPE], "application/octet-stream");
	}

	#[test]
	fn each_output_comes_as_it_is_wanted_and_what_json_cannot_carry_as_binary_data() {
		let forms = |json| {
			let chosen = wanted(json).choose(outputs()).unwrap();
			let form = |chosen: &Chosen| (chosen.tensor.name.clone(), chosen.binary);
			chosen.iter().map(form).collect::<Vec<_>>()
		};
		let of = |name: &str, binary| (name.to_string(), binary);
		let all = [of("half", true), of("nan", true), of("sum", false)];
		assert_eq!(forms(json!({})), all);
		assert_eq!(forms(json!({ "outputs": [] })), all);
		let binary = json!({ "parameters": { "binary_data_output": true } });
		assert!(forms(binary).iter().all(|(_, binary)| *binary));
		let but = json!({
			"parameters": { "binary_data_output": true },
			"outputs": [{ "name": "sum", "parameters": { "binary_data": false } }],
		});
		assert_eq!(forms(but), [of("sum", false)]);
	}

	#[test]
	fn an_output_that_is_not_there_is_an_error_that_names_those_that_are() {
		let error = wanted(json!({ "outputs": [{ "name": "y" }] })).choose(outputs()).unwrap_err();
		assert!(error.to_string().contains("\"sum\""), "{error}");
	}
}
