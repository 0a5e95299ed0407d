//! What visitors without a key see: the page, the miners and the tasks; and what they never see.

#![allow(clippy::unwrap_used)]

mod common;

use common::{output_path, picture, until_tasks, Coordinator, FakeChain, Miner, MINER_OWNER};
use cuckoo_coordinator::config::Config;
use serde_json::{json, Value};

#[tokio::test]
async fn visitors_see_tasks_and_miners_and_never_prompts_outputs_or_ids_of_jobs() {
	let (dir, chain) = (tempfile::tempdir().unwrap(), FakeChain::new());
	let coordinator = Coordinator::start(dir.path(), &chain, Config::default()).await;
	let miner = Miner::new(9, &coordinator);
	let id = coordinator.accept("a secret rendezvous").await;
	until_tasks(&chain, 1).await;
	coordinator.until(&id, "settlement", "pending").await;
	chain.draw(0, &miner.account());
	assert_eq!(miner.put(&output_path(0), &picture(7)).await.status(), 204);
	let job = coordinator.until(&id, "state", "completed").await;
	let output = job["output_hashes"][0].as_str().unwrap();

	let tasks = coordinator.get("/v1/tasks").await;
	assert_eq!(tasks.status(), 200);
	let tasks = tasks.text().await.unwrap();
	let network = coordinator.get("/v1/network").await;
	assert_eq!(network.headers()["cache-control"], "public, max-age=6");
	let network = network.text().await.unwrap();
	for text in [&tasks, &network] {
		for secret in ["secret", "rendezvous", id.as_str(), &id[4..], output, &output[2..]] {
			assert!(!text.contains(secret), "{secret} is in {text}");
		}
	}
	let tasks: Value = serde_json::from_str(&tasks).unwrap();
	let task = &tasks["data"][0];
	assert_eq!((&task["task"], &task["items"], &task["jobs"]), (&json!(0), &json!(1), &json!(1)));
	assert_eq!((&task["state"], &task["settlement"]), (&json!("completed"), &json!("pending")));
	assert_eq!(task["miner"], MINER_OWNER.to_string());
	assert!(task["blocks"]["posted"].is_u64());
	let network: Value = serde_json::from_str(&network).unwrap();
	assert_eq!(network["miners"][0]["owner"], MINER_OWNER.to_string());
	assert_eq!(network["miners_in_all"], 1);
	coordinator.stop().await;
}

#[tokio::test]
async fn lists_have_an_end_and_say_so() {
	let (dir, chain) = (tempfile::tempdir().unwrap(), FakeChain::new());
	let coordinator = Coordinator::start(dir.path(), &chain, Config::default()).await;
	for path in [
		"/v1/tasks?limit=0",
		"/v1/tasks?limit=101",
		"/v1/tasks?limit=x",
		"/v1/tasks?limit=",
		"/v1/network?limit=501",
		"/v1/network?limit=-1",
	] {
		let response = coordinator.get(path).await;
		assert_eq!(response.status(), 400, "{path}");
		let body: Value = response.json().await.unwrap();
		assert_eq!(body["error"]["param"], "limit", "{path}");
	}
	for path in ["/v1/tasks?limit=100", "/v1/network?limit=500"] {
		assert_eq!(coordinator.get(path).await.status(), 200, "{path}");
	}
	coordinator.stop().await;
}

#[tokio::test]
async fn the_page_is_there_and_all_that_it_is_made_of() {
	let (dir, chain) = (tempfile::tempdir().unwrap(), FakeChain::new());
	let coordinator = Coordinator::start(dir.path(), &chain, Config::default()).await;
	for (path, kind) in [
		("/", "text/html; charset=utf-8"),
		("/page.js", "text/javascript; charset=utf-8"),
		("/page.css", "text/css; charset=utf-8"),
		("/logo.svg", "image/svg+xml"),
	] {
		let response = coordinator.get(path).await;
		assert_eq!(response.status(), 200, "{path}");
		assert_eq!(response.headers()["content-type"], kind);
		let policy = response.headers()["content-security-policy"].to_str().unwrap();
		assert!(policy.starts_with("default-src 'none'; script-src 'self'; "), "{policy}");
		let etag = response.headers()["etag"].clone();
		let url = format!("{}{path}", coordinator.url);
		let again = coordinator.http.get(url).header("if-none-match", etag).send().await.unwrap();
		assert_eq!(again.status(), 304, "{path}");
	}
	coordinator.stop().await;
}
