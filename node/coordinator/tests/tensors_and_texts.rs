//! Tensors by the Open Inference Protocol and embeddings in OpenAI's form, from the request to the answer.

#![allow(clippy::unwrap_used)]

mod common;

use base64::{engine::general_purpose::STANDARD, Engine};
use common::{output_path, until_tasks, Coordinator, FakeChain, Miner};
use cuckoo_coordinator::config::Config;
use cuckoo_primitives::{
	work::{TextEmbeddingInput, EMBEDDING_TENSOR, NO_OUTPUT},
	TaskId,
};
use safetensors::{tensor::TensorView, Dtype, SafeTensors};
use serde_json::{json, Value};

/// A miner's output: one tensor of floats.
fn floats(name: &str, values: &[f32]) -> Vec<u8> {
	let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
	let view = TensorView::new(Dtype::F32, vec![values.len()], &data).unwrap();
	safetensors::serialize([(name, view)], None).unwrap()
}

/// Does a task as soon as it is there; its inputs.
async fn mine(chain: &FakeChain, miner: &Miner, task: TaskId, outputs: &[Vec<u8>]) -> Vec<Vec<u8>> {
	let number = usize::try_from(task).unwrap();
	let task = until_tasks(chain, number + 1).await.remove(number);
	chain.draw(task.task, &miner.account());
	let inputs = miner.fetch_all(&task).await;
	for (item, output) in (0..).zip(outputs) {
		let path = output_path(item).replace("/tasks/0/", &format!("/tasks/{number}/"));
		assert_eq!(miner.put(&path, output).await.status(), 204);
	}
	inputs
}

#[tokio::test]
async fn tensors_come_back_in_json_and_in_binary_with_who_made_them() {
	let (dir, chain) = (tempfile::tempdir().unwrap(), FakeChain::new());
	let coordinator = Coordinator::start(dir.path(), &chain, Config::default()).await;
	let miner = Miner::new(9, &coordinator);
	let unknown: Value = coordinator.get("/v2/models/sum").await.json().await.unwrap();
	assert_eq!((&unknown["inputs"], &unknown["versions"]), (&json!([]), &json!(["1"])));

	let body = json!({
		"id": "42",
		"inputs": [{ "name": "x", "shape": [1, 2], "datatype": "FP32", "data": [[1, 2.5]] }],
	});
	let outputs = [floats("y", &[3.5])];
	let (response, inputs) = tokio::join!(
		coordinator.post("/v2/models/sum/versions/1/infer", body),
		mine(&chain, &miner, 0, &outputs),
	);
	let input = SafeTensors::deserialize(&inputs[0]).unwrap();
	let x = input.tensor("x").unwrap();
	assert_eq!((x.dtype(), x.shape()), (Dtype::F32, &[1, 2][..]));
	assert_eq!(x.data(), [1.0f32, 2.5].map(f32::to_le_bytes).concat());
	assert_eq!(response.status(), 200);
	assert_eq!(response.headers()["x-cuckoo-task"], "0");
	let job = response.headers()["x-cuckoo-job"].to_str().unwrap().to_string();
	let answer: Value = response.json().await.unwrap();
	assert_eq!((&answer["id"], &answer["model_version"]), (&json!("42"), &json!("1")));
	assert_eq!(answer["parameters"]["x_cuckoo_job"], job);
	let y = json!({ "name": "y", "datatype": "FP32", "shape": [1], "data": [3.5] });
	assert_eq!(answer["outputs"], json!([y]));

	// As tritonclient does it, without a content type.
	let head = json!({
		"inputs": [{
			"name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": { "binary_data_size": 8 },
		}],
		"outputs": [{ "name": "y", "parameters": { "binary_data": true } }],
	});
	let head = head.to_string();
	let binary = coordinator
		.http
		.post(format!("{}/v2/models/sum/infer", coordinator.url))
		.header("Inference-Header-Content-Length", head.len().to_string())
		.body([head.as_bytes(), &[0; 8]].concat());
	let outputs = [floats("y", &[0.0, -2.0])];
	let (response, _) = tokio::join!(binary.send(), mine(&chain, &miner, 1, &outputs));
	let response = response.unwrap();
	assert_eq!(response.status(), 200);
	let length = response.headers()["inference-header-content-length"].to_str().unwrap();
	let length: usize = length.parse().unwrap();
	let answer = response.bytes().await.unwrap();
	assert_eq!(answer[length..], [0, 0, 0, 0, 0, 0, 0, 192]);
	let answer: Value = serde_json::from_slice(&answer[..length]).unwrap();
	assert_eq!(answer["outputs"][0]["parameters"]["binary_data_size"], 8);

	let known: Value = coordinator.get("/v2/models/sum").await.json().await.unwrap();
	assert_eq!(known["inputs"], json!([{ "name": "x", "datatype": "FP32", "shape": [1, 2] }]));
	assert_eq!(known["outputs"], json!([{ "name": "y", "datatype": "FP32", "shape": [-1] }]));
	assert_eq!(known["x_cuckoo"]["tensors"], "seen");
	coordinator.stop().await;
}

#[tokio::test]
async fn under_v2_every_error_is_a_text() {
	let (dir, chain) = (tempfile::tempdir().unwrap(), FakeChain::new());
	let coordinator = Coordinator::start(dir.path(), &chain, Config::default()).await;
	assert_eq!(coordinator.get("/v2/health/live").await.status(), 200);
	let server: Value = coordinator.get("/v2").await.json().await.unwrap();
	assert_eq!(server["extensions"], json!(["binary_tensor_data"]));
	assert_eq!(coordinator.get("/v2/models/sum/ready").await.status(), 200);
	assert_eq!(coordinator.get("/v2/models/sum/versions/1/ready").await.status(), 200);

	let mut answers = Vec::new();
	for path in [
		"/v2/nothing",
		"/v2/models/product",
		"/v2/models/product/ready",
		"/v2/models/sum/versions/2",
		"/v2/models/sum/versions/01/ready",
	] {
		answers.push((404, coordinator.get(path).await));
	}
	answers.push((405, coordinator.get("/v2/models/sum/infer").await));
	for (path, body) in [
		("/v2/models/sum/infer", json!({ "inputs": [] })),
		("/v2/models/sum/infer", json!(5)),
		("/v2/models/shapes/infer", json!({ "inputs": [] })),
	] {
		answers.push((400, coordinator.post(path, body).await));
	}
	answers.push((404, coordinator.post("/v2/models/product/infer", json!({})).await));
	for (status, answer) in answers {
		let url = answer.url().clone();
		assert_eq!(answer.status(), status, "{url}");
		let body: Value = answer.json().await.unwrap();
		assert!(body["error"].is_string(), "{url} {body}");
	}
	assert_eq!(chain.posts(), 0);
	coordinator.stop().await;
}

#[tokio::test]
async fn an_input_that_the_model_cannot_run_is_said_to_be_the_reason() {
	let (dir, chain) = (tempfile::tempdir().unwrap(), FakeChain::new());
	let coordinator = Coordinator::start(dir.path(), &chain, Config::default()).await;
	let miner = Miner::new(9, &coordinator);
	let body = json!({
		"inputs": [{ "name": "z", "shape": [1], "datatype": "INT64", "data": [1] }],
	});
	let outputs = [NO_OUTPUT.to_vec()];
	let (response, _) = tokio::join!(
		coordinator.post("/v2/models/sum/infer", body),
		mine(&chain, &miner, 0, &outputs),
	);
	assert!(response.status().is_client_error() || response.status().is_server_error());
	let body: Value = response.json().await.unwrap();
	assert!(body["error"].as_str().unwrap().contains("cannot run this input"), "{body}");
	let known: Value = coordinator.get("/v2/models/sum").await.json().await.unwrap();
	assert_eq!(known["x_cuckoo"]["tensors"], "unknown");
	coordinator.stop().await;
}

#[tokio::test]
async fn texts_become_embeddings_in_either_encoding() {
	let (dir, chain) = (tempfile::tempdir().unwrap(), FakeChain::new());
	let coordinator = Coordinator::start(dir.path(), &chain, Config::default()).await;
	let miner = Miner::new(9, &coordinator);
	let outputs = [[1.0, -2.5], [0.5, 3.0]].map(|numbers| floats(EMBEDDING_TENSOR, &numbers));
	let (response, inputs) = tokio::join!(
		coordinator.post("/v1/embeddings", json!({ "model": "words", "input": ["one", "two"] })),
		mine(&chain, &miner, 0, &outputs),
	);
	let text = |input: &Vec<u8>| serde_json::from_slice::<TextEmbeddingInput>(input).unwrap().text;
	assert_eq!(inputs.iter().map(text).collect::<Vec<_>>(), ["one", "two"]);
	assert_eq!(response.status(), 200);
	let answer: Value = response.json().await.unwrap();
	assert_eq!((&answer["object"], &answer["model"]), (&json!("list"), &json!("words")));
	assert_eq!(
		answer["data"][1],
		json!({ "object": "embedding", "index": 1, "embedding": [0.5, 3.0] })
	);
	assert_eq!(answer["usage"], json!({ "prompt_tokens": 0, "total_tokens": 0 }));
	assert_eq!(answer["x_cuckoo"]["task"], 0);

	// Now that the length is known, another is refused before it is paid.
	let other = json!({ "model": "words", "input": "one", "dimensions": 3 });
	let refused = coordinator.post("/v1/embeddings", other).await;
	assert_eq!((refused.status().as_u16(), chain.posts()), (400, 1));

	let body = json!({
		"model": "words", "input": "one", "encoding_format": "base64", "dimensions": 2,
	});
	let (response, _) = tokio::join!(
		coordinator.post("/v1/embeddings", body),
		mine(&chain, &miner, 1, &outputs[..1]),
	);
	let answer: Value = response.json().await.unwrap();
	let embedding = STANDARD.decode(answer["data"][0]["embedding"].as_str().unwrap()).unwrap();
	assert_eq!(embedding, [1.0f32, -2.5].map(f32::to_le_bytes).concat());
	coordinator.stop().await;
}
