//! Large outputs, and readers who take their time.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{output_path, until_tasks, Coordinator, FakeChain, Miner};
use cuckoo_coordinator::config::Config;
use safetensors::{tensor::TensorView, Dtype};
use serde_json::json;
use tokio::time::timeout;

/// Nearly as many bytes as an output may have.
const SIZE: usize = 60 << 20;
/// How many answers of that size one reader may have at a time.
const MOST: usize = 3;
/// More than anything here takes.
const SOON: Duration = Duration::from_secs(60);

fn output() -> Vec<u8> {
	let data = vec![7; SIZE];
	let view = TensorView::new(Dtype::U8, vec![SIZE], &data).unwrap();
	safetensors::serialize([("y", view)], None).unwrap()
}

#[tokio::test]
async fn readers_who_take_nothing_hold_no_more_than_their_share() {
	let (dir, chain) = (tempfile::tempdir().unwrap(), FakeChain::new());
	let coordinator = Coordinator::start(dir.path(), &chain, Config::default()).await;
	let (miner, output) = (Miner::new(9, &coordinator), output());
	let body = json!({
		"inputs": [{ "name": "x", "shape": [1], "datatype": "FP32", "data": [1.0] }],
		"outputs": [{ "name": "y", "parameters": { "binary_data": true } }],
	});
	let mined = async {
		let task = until_tasks(&chain, 1).await.remove(0);
		chain.draw(task.task, &miner.account());
		miner.fetch_all(&task).await;
		assert_eq!(miner.put(&output_path(0), &output).await.status(), 204);
	};
	let asked = coordinator.post("/v2/models/sum/infer", body);
	let both = async { tokio::join!(asked, mined).0 };
	let answer = timeout(SOON, both).await.unwrap();
	assert_eq!(answer.status(), 200);
	let job = answer.headers()["x-cuckoo-job"].to_str().unwrap().to_string();
	let answer = timeout(SOON, answer.bytes()).await.unwrap().unwrap();
	assert!(answer.len() > SIZE && answer.ends_with(&output[output.len() - SIZE..]));
	drop(answer);

	// As many as there is room for have begun, and read nothing. The next one waits.
	let path = format!("/v1/jobs/{job}/output");
	let mut readers = Vec::new();
	for _ in 0..MOST {
		let answer = timeout(SOON, coordinator.get(&path)).await.unwrap();
		assert_eq!(answer.status(), 200);
		assert_eq!(answer.content_length(), Some(output.len() as u64));
		readers.push(answer);
	}
	assert!(timeout(Duration::from_secs(1), coordinator.get(&path)).await.is_err());
	// What is small does not.
	let view = timeout(SOON, coordinator.job(&job)).await.unwrap();
	assert_eq!(view["state"], "completed");
	// One of them goes.
	readers.pop();
	let whole = timeout(SOON, coordinator.get(&path)).await.unwrap();
	assert_eq!(whole.status(), 200);
	let whole = timeout(SOON, whole.bytes()).await.unwrap().unwrap();
	assert!(whole == output, "{} bytes", whole.len());
	drop(readers);
	coordinator.stop().await;
}
