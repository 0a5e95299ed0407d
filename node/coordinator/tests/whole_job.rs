//! A prompt becomes a picture; and what applications are told when it does not.

#![allow(clippy::unwrap_used)]

mod common;

use base64::{engine::general_purpose::STANDARD, Engine};
use common::{
	output_path, picture, some_ticks, until_tasks, Coordinator, FakeChain, Fault, Miner,
	MINER_OWNER,
};
use cuckoo_coordinator::{chain::POST_LIFE, config::Config};
use cuckoo_primitives::{
	views::TaskPhase,
	work::{TextToImageInput, NO_OUTPUT},
	CAI,
};
use serde_json::{json, Value};

#[tokio::test]
async fn a_batch_is_one_task_and_complete_with_its_last_output() {
	let (dir, chain) = (tempfile::tempdir().unwrap(), FakeChain::new());
	let coordinator = Coordinator::start(dir.path(), &chain, Config::default()).await;
	let miner = Miner::new(9, &coordinator);
	let body = json!({ "prompt": "a red circle", "model": "shapes", "seed": 5, "n": 3 });
	let asked = async { coordinator.post("/v1/images/generations", body).await };
	let mined = async {
		let task = until_tasks(&chain, 1).await.remove(0);
		assert_eq!((task.items, task.fee), (3, 3 * CAI));
		chain.draw(task.task, &miner.account());
		let inputs = miner.fetch_all(&task).await;
		for (item, input) in (0..).zip(inputs) {
			let input: TextToImageInput = serde_json::from_slice(&input).unwrap();
			assert_eq!(input.seed, 5 + u64::from(item));
			let upload = miner.put(&output_path(item), &picture(item as u8)).await;
			assert_eq!(upload.status(), 204);
		}
		assert_eq!(miner.put(&output_path(3), &picture(1)).await.status(), 404);
	};
	let (response, ()) = tokio::join!(asked, mined);
	assert_eq!(response.status(), 200);
	let job = response.headers()["x-cuckoo-job"].to_str().unwrap().to_string();
	let answer: Value = response.json().await.unwrap();
	for item in 0..3u8 {
		let png = answer["data"][usize::from(item)]["b64_json"].as_str().unwrap();
		let image = image::load_from_memory(&STANDARD.decode(png).unwrap()).unwrap().to_rgb8();
		assert!(image.into_raw().iter().all(|byte| *byte == item));
		let output = coordinator.get(&format!("/v1/jobs/{job}/output?item={item}")).await;
		assert_eq!(output.bytes().await.unwrap(), STANDARD.decode(png).unwrap());
	}
	let beyond = coordinator.get(&format!("/v1/jobs/{job}/output?item=3")).await;
	assert_eq!(beyond.status(), 400);
	let view = coordinator.job(&job).await;
	assert_eq!((&view["items"], view["output_hashes"].as_array().unwrap().len()), (&json!(3), 3));
	coordinator.stop().await;
}

#[tokio::test]
async fn an_input_that_cannot_be_run_fails_its_job_and_not_the_rest_of_a_batch() {
	let (dir, chain) = (tempfile::tempdir().unwrap(), FakeChain::new());
	let coordinator = Coordinator::start(dir.path(), &chain, Config::default()).await;
	let miner = Miner::new(9, &coordinator);
	let alone = coordinator.accept("x").await;
	until_tasks(&chain, 1).await;
	coordinator.until(&alone, "settlement", "pending").await;
	chain.draw(0, &miner.account());
	assert_eq!(miner.put(&output_path(0), NO_OUTPUT).await.status(), 204);
	let failed = coordinator.until(&alone, "state", "failed").await;
	assert!(failed["error"].as_str().unwrap().contains("cannot run this input"));

	let input = json!([{ "prompt": "x" }, { "prompt": "y" }]);
	let body = json!({ "kind": "text_to_image", "input": input });
	let job: Value = coordinator.post("/v1/jobs", body).await.json().await.unwrap();
	let job = job["id"].as_str().unwrap();
	until_tasks(&chain, 2).await;
	coordinator.until(job, "settlement", "pending").await;
	chain.draw(1, &miner.account());
	for (item, output) in [(0, NO_OUTPUT.to_vec()), (1, picture(3))] {
		let path = output_path(item).replace("/tasks/0/", "/tasks/1/");
		assert_eq!(miner.put(&path, &output).await.status(), 204);
	}
	coordinator.until(job, "state", "completed").await;
	let output = |item| format!("/v1/jobs/{job}/output?item={item}");
	assert_eq!(coordinator.get(&output(0)).await.status(), 422);
	assert_eq!(coordinator.get(&output(1)).await.status(), 200);
	coordinator.stop().await;
}

#[tokio::test]
async fn a_batch_is_at_least_one_and_not_too_long() {
	let (dir, chain) = (tempfile::tempdir().unwrap(), FakeChain::new());
	let coordinator = Coordinator::start(dir.path(), &chain, Config::default()).await;
	for count in [0, 257] {
		let input = vec![json!({ "prompt": "x" }); count];
		let body = json!({ "kind": "text_to_image", "input": input });
		assert_eq!(coordinator.post("/v1/jobs", body).await.status(), 400, "{count}");
	}
	let body = json!({ "kind": "text_to_image", "input": [{ "prompt": "x" }, { "prompt": "y" }] });
	assert_eq!(coordinator.post("/v1/jobs", body).await.status(), 202);
	assert_eq!(until_tasks(&chain, 1).await[0].items, 2);
	coordinator.stop().await;
}

#[tokio::test]
async fn a_prompt_becomes_a_picture() {
	let (dir, chain) = (tempfile::tempdir().unwrap(), FakeChain::new());
	let coordinator = Coordinator::start(dir.path(), &chain, Config::default()).await;
	let miner = Miner::new(9, &coordinator);

	let body = json!({ "prompt": "a red circle", "model": "shapes", "seed": 5, "user": "u" });
	let asked = async { coordinator.post("/v1/images/generations", body).await };
	let mined = async {
		let task = until_tasks(&chain, 1).await.remove(0);
		assert_eq!((task.fee, task.model), (CAI, 0));
		chain.draw(task.task, &miner.account());
		let input: TextToImageInput = serde_json::from_slice(&miner.fetch(&task).await).unwrap();
		assert_eq!((input.prompt.as_str(), input.seed, input.steps), ("a red circle", 5, 20));
		let upload = miner.put(&output_path(0), &picture(200)).await;
		assert_eq!(upload.status(), 204);
	};
	let (response, ()) = tokio::join!(asked, mined);

	assert_eq!(response.status(), 200);
	assert_eq!(response.headers()["x-cuckoo-task"], "0");
	let job = response.headers()["x-cuckoo-job"].to_str().unwrap().to_string();
	let answer: Value = response.json().await.unwrap();
	let png = STANDARD.decode(answer["data"][0]["b64_json"].as_str().unwrap()).unwrap();
	let image = image::load_from_memory(&png).unwrap().to_rgb8();
	assert_eq!((image.width(), image.height()), (2, 1));
	assert!(image.into_raw().iter().all(|byte| *byte == 200));
	let receipt = &answer["x_cuckoo"];
	assert_eq!(receipt["job"], job);
	assert_eq!(receipt["seed"], 5);
	assert_eq!(receipt["miner"], MINER_OWNER.to_string());
	assert_eq!(receipt["operator"], miner.account().to_string());
	assert!(receipt["blocks"]["posted"].is_u64() && receipt["blocks"]["drawn"].is_u64());

	// The chain decides later.
	assert_eq!(coordinator.job(&job).await["settlement"], "pending");
	chain.end(0, TaskPhase::Settled);
	let settled = coordinator.until(&job, "settlement", "settled").await;
	assert_eq!(settled["state"], "completed");
	assert_eq!(settled["fee"], CAI.to_string());
	assert!(settled["blocks"]["settled"].is_u64());

	let output = coordinator.get(&format!("/v1/jobs/{job}/output")).await;
	assert_eq!(output.headers()["content-type"], "image/png");
	assert_eq!(output.bytes().await.unwrap(), png);
	let raw = coordinator.get(&format!("/v1/jobs/{job}/output?format=safetensors")).await;
	assert_eq!(raw.bytes().await.unwrap(), picture(200));

	for path in ["/healthz", "/readyz", "/metrics", "/v1/models"] {
		assert_eq!(coordinator.get(path).await.status(), 200, "{path}");
	}
	coordinator.stop().await;
}

#[tokio::test]
async fn a_bad_request_gets_a_clear_answer() {
	let (dir, chain) = (tempfile::tempdir().unwrap(), FakeChain::new());
	let coordinator = Coordinator::start(dir.path(), &chain, Config::default()).await;
	let long = "x".repeat(2_001);
	for (body, status, code) in [
		(json!({ "prompt": "x", "model": "nobody's" }), 404, "model_not_found"),
		(json!({ "prompt": "x", "model": "sum" }), 400, "unsupported_value"),
		(json!({ "prompt": "" }), 400, "invalid_value"),
		(json!({ "prompt": long }), 400, "invalid_value"),
		(json!({ "prompt": "x", "n": 11 }), 400, "invalid_value"),
		(json!({ "prompt": "x", "response_format": "url" }), 400, "unsupported_value"),
		(json!({ "model": "shapes" }), 400, "invalid_json"),
		(json!({ "prompt": "x".repeat(1 << 20) }), 413, "too_large"),
	] {
		let response = coordinator.post("/v1/images/generations", body).await;
		assert_eq!(response.status(), status);
		let error: Value = response.json().await.unwrap();
		assert_eq!(error["error"]["code"], code);
		assert!(error["error"]["message"].is_string() && error["error"]["type"].is_string());
	}
	let plain = coordinator.http.post(format!("{}/v1/images/generations", coordinator.url));
	assert_eq!(plain.body(r#"{"prompt":"x"}"#).send().await.unwrap().status(), 415);
	for path in ["/v1/jobs/job_1", "/v1/jobs/job_00000000000000000000000000000000", "/nowhere"] {
		let response = coordinator.get(path).await;
		assert_eq!(response.status(), 404);
		let error: Value = response.json().await.unwrap();
		assert_eq!(error["error"]["code"], "not_found");
	}
	let tensor = json!({ "kind": "tensor", "input": { "safetensors": "AAAA" } });
	assert_eq!(coordinator.post("/v1/jobs", tensor).await.status(), 400);
	assert_eq!(chain.posts(), 0);
	coordinator.stop().await;
}

#[tokio::test]
async fn one_key_makes_one_job() {
	let (dir, chain) = (tempfile::tempdir().unwrap(), FakeChain::new());
	let coordinator = Coordinator::start(dir.path(), &chain, Config::default()).await;
	let send = |prompt: &'static str| {
		let body = json!({ "kind": "text_to_image", "input": { "prompt": prompt } });
		let request = coordinator.http.post(format!("{}/v1/jobs", coordinator.url));
		request.header("Idempotency-Key", "once").json(&body).send()
	};
	let (first, second) = (send("a").await.unwrap(), send("a").await.unwrap());
	assert_eq!((first.status().as_u16(), second.status().as_u16()), (202, 202));
	let ids = [first.headers()["x-cuckoo-job"].clone(), second.headers()["x-cuckoo-job"].clone()];
	assert_eq!(ids[0], ids[1]);
	assert_eq!(send("b").await.unwrap().status(), 409);
	until_tasks(&chain, 1).await;
	some_ticks().await;
	assert_eq!(chain.posts(), 1);
	coordinator.stop().await;
}

#[tokio::test]
async fn a_full_coordinator_says_when_to_come_back() {
	let (dir, chain) = (tempfile::tempdir().unwrap(), FakeChain::new());
	let config = Config { max_open_jobs: 1, ..Config::default() };
	let coordinator = Coordinator::start(dir.path(), &chain, config).await;
	coordinator.accept("first").await;
	let response = coordinator.post("/v1/images/generations", json!({ "prompt": "second" })).await;
	assert_eq!(response.status(), 429);
	assert!(response.headers().contains_key("retry-after"));
	coordinator.stop().await;
}

#[tokio::test]
async fn a_late_picture_can_be_fetched_later() {
	let (dir, chain) = (tempfile::tempdir().unwrap(), FakeChain::new());
	let config = Config { wait_seconds: 1, ..Config::default() };
	let coordinator = Coordinator::start(dir.path(), &chain, config).await;
	let miner = Miner::new(9, &coordinator);
	let response = coordinator.post("/v1/images/generations", json!({ "prompt": "x" })).await;
	assert_eq!(response.status(), 504);
	assert_eq!(response.headers()["x-should-retry"], "false");
	let error: Value = response.json().await.unwrap();
	let job = error["error"]["job"].as_str().unwrap();
	let early = coordinator.get(&format!("/v1/jobs/{job}/output")).await;
	assert_eq!(early.status(), 409);

	chain.draw(0, &miner.account());
	coordinator.until(job, "state", "assigned").await;
	miner.fetch(&chain.tasks()[0]).await;
	coordinator.until(job, "state", "running").await;
	miner.put(&output_path(0), &picture(1)).await;
	coordinator.until(job, "state", "completed").await;
	assert_eq!(coordinator.get(&format!("/v1/jobs/{job}/output")).await.status(), 200);
	coordinator.stop().await;
}

#[tokio::test]
async fn without_a_miner_the_fee_comes_back() {
	let (dir, chain) = (tempfile::tempdir().unwrap(), FakeChain::new());
	let coordinator = Coordinator::start(dir.path(), &chain, Config::default()).await;
	let asked = coordinator.post("/v1/images/generations", json!({ "prompt": "x" }));
	let expired = async {
		until_tasks(&chain, 1).await;
		chain.end(0, TaskPhase::Expired);
		// Blocks go on: what the watcher missed in this one it sees in the next.
		some_ticks().await;
		chain.advance(1);
	};
	let (response, ()) = tokio::join!(asked, expired);
	assert_eq!(response.status(), 503);
	let error: Value = response.json().await.unwrap();
	assert_eq!(error["error"]["code"], "no_miner");
	let job = coordinator.job(error["error"]["job"].as_str().unwrap()).await;
	assert_eq!((&job["state"], &job["settlement"]), (&json!("expired"), &json!("refunded")));
	coordinator.stop().await;
}

#[tokio::test]
async fn a_refused_post_fails_the_job() {
	let (dir, chain) = (tempfile::tempdir().unwrap(), FakeChain::new());
	chain.fail_next_post(Fault::Refused);
	let coordinator = Coordinator::start(dir.path(), &chain, Config::default()).await;
	let body = json!({ "prompt": "x" });
	let asked = coordinator.post("/v1/images/generations", body);
	let final_then = async {
		some_ticks().await;
		// As long as the block can be replaced by one in which the post does not fail, the job goes on.
		let jobs: Value = coordinator.get("/v1/jobs").await.json().await.unwrap();
		assert_eq!(jobs["data"][0]["state"], "queued");
		chain.advance(POST_LIFE);
	};
	let (response, ()) = tokio::join!(asked, final_then);
	assert_eq!(response.status(), 502);
	let error: Value = response.json().await.unwrap();
	assert!(error["error"]["message"].as_str().unwrap().contains("Tasks.ModelInactive"));
	some_ticks().await;
	assert_eq!(chain.posts(), 1);
	coordinator.stop().await;
}

#[tokio::test]
async fn a_restart_loses_no_job() {
	let (dir, chain) = (tempfile::tempdir().unwrap(), FakeChain::new());
	let coordinator = Coordinator::start(dir.path(), &chain, Config::default()).await;
	let job = coordinator.accept("x").await;
	coordinator.until(&job, "settlement", "pending").await;
	coordinator.stop().await;

	// Meanwhile the chain goes on.
	let coordinator = Coordinator::start(dir.path(), &chain, Config::default()).await;
	let miner = Miner::new(9, &coordinator);
	chain.draw(0, &miner.account());
	miner.fetch(&chain.tasks()[0]).await;
	assert_eq!(miner.put(&output_path(0), &picture(1)).await.status(), 204);
	chain.end(0, TaskPhase::Settled);
	let job = coordinator.until(&job, "settlement", "settled").await;
	assert_eq!(job["state"], "completed");
	assert_eq!(chain.posts(), 1);
	coordinator.stop().await;
}

#[tokio::test]
async fn a_post_that_nobody_heard_of_is_found_and_not_repeated() {
	let (dir, chain) = (tempfile::tempdir().unwrap(), FakeChain::new());
	chain.fail_next_post(Fault::InButUnheard);
	let coordinator = Coordinator::start(dir.path(), &chain, Config::default()).await;
	let job = coordinator.accept("x").await;
	let found = coordinator.until(&job, "settlement", "pending").await;
	assert_eq!(found["task"], 0);
	chain.advance(2 * POST_LIFE);
	some_ticks().await;
	assert_eq!(chain.posts(), 1);
	coordinator.stop().await;
}

#[tokio::test]
async fn a_post_that_vanished_with_its_block_is_repeated() {
	let (dir, chain) = (tempfile::tempdir().unwrap(), FakeChain::new());
	let coordinator = Coordinator::start(dir.path(), &chain, Config::default()).await;
	let job = coordinator.accept("x").await;
	coordinator.until(&job, "settlement", "pending").await;
	chain.revert_newest();
	coordinator.until(&job, "settlement", "none").await;
	some_ticks().await;
	assert_eq!(chain.posts(), 1);
	chain.advance(POST_LIFE);
	coordinator.until(&job, "settlement", "pending").await;
	assert_eq!((chain.posts(), chain.tasks().len()), (2, 1));
	coordinator.stop().await;
}

#[tokio::test]
async fn a_lost_post_is_repeated_once_it_cannot_turn_up_any_more() {
	let (dir, chain) = (tempfile::tempdir().unwrap(), FakeChain::new());
	chain.fail_next_post(Fault::Lost);
	let coordinator = Coordinator::start(dir.path(), &chain, Config::default()).await;
	let job = coordinator.accept("x").await;
	some_ticks().await;
	// The coordinator is killed and started again: it still must not post.
	coordinator.stop().await;
	let coordinator = Coordinator::start(dir.path(), &chain, Config::default()).await;
	some_ticks().await;
	chain.advance(POST_LIFE - 1);
	some_ticks().await;
	assert_eq!(chain.posts(), 1);
	assert_eq!(coordinator.job(&job).await["settlement"], "none");
	chain.advance(1);
	coordinator.until(&job, "settlement", "pending").await;
	some_ticks().await;
	assert_eq!((chain.posts(), chain.tasks().len()), (2, 1));
	coordinator.stop().await;
}
