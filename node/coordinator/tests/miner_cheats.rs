//! What miners without a seat, or with bad intentions, get.

#![allow(clippy::unwrap_used)]

mod common;

use common::{output_path, picture, until_tasks, Coordinator, FakeChain, Miner};
use cuckoo_client::request::now;
use cuckoo_coordinator::config::Config;
use cuckoo_primitives::{views::TaskPhase, work::MAX_BLOB_BYTES};

const INPUTS: &str = "/v1/miner/tasks/0/inputs";

/// A coordinator with one job, the chain with its task, and the miner that was drawn for it.
async fn at_work() -> (tempfile::TempDir, std::sync::Arc<FakeChain>, Coordinator, Miner, String) {
	let (dir, chain) = (tempfile::tempdir().unwrap(), FakeChain::new());
	let coordinator = Coordinator::start(dir.path(), &chain, Config::default()).await;
	let job = coordinator.accept("x").await;
	until_tasks(&chain, 1).await;
	coordinator.until(&job, "settlement", "pending").await;
	let miner = Miner::new(9, &coordinator);
	chain.draw(0, &miner.account());
	coordinator.until(&job, "state", "assigned").await;
	(dir, chain, coordinator, miner, job)
}

#[tokio::test]
async fn only_the_seat_reads_and_delivers() {
	let (_dir, chain, coordinator, miner, job) = at_work().await;
	let stranger = Miner::new(10, &coordinator);
	assert_eq!(stranger.get(INPUTS).await.status(), 403);
	assert_eq!(stranger.put(&output_path(0), &picture(1)).await.status(), 403);
	miner.fetch(&chain.tasks()[0]).await;
	let hashes: cuckoo_primitives::work::Inputs = miner.get(INPUTS).await.json().await.unwrap();
	let blob = format!("/v1/miner/blobs/{:?}", hashes.hashes[0]);
	assert_eq!(stranger.get(&blob).await.status(), 403);
	// A seat gives no right to other blobs, tasks or items.
	let other = format!("/v1/miner/blobs/{:?}", sp_core::H256::repeat_byte(1));
	assert_eq!(miner.get(&other).await.status(), 403);
	assert_eq!(miner.get("/v1/miner/tasks/7/inputs").await.status(), 404);
	assert_eq!(miner.put(&output_path(1), &picture(1)).await.status(), 404);

	// Another is drawn in its place: the first one has no business here any more.
	let second = Miner::new(11, &coordinator);
	chain.draw(0, &second.account());
	assert_eq!(miner.get(INPUTS).await.status(), 403);
	assert_eq!(miner.put(&output_path(0), &picture(1)).await.status(), 403);
	assert_eq!(second.put(&output_path(0), &picture(2)).await.status(), 204);
	let job = coordinator.until(&job, "state", "completed").await;
	assert_eq!(
		(&job["round"], &job["operator"]),
		(&1.into(), &second.account().to_string().into())
	);
	coordinator.stop().await;
}

#[tokio::test]
async fn a_signature_is_good_for_one_request_only() {
	let path = output_path(0);
	let (_dir, _chain, coordinator, miner, job) = at_work().await;
	let send = |method, path, body: Vec<u8>, headers| {
		let sent = miner.send(method, path, body, headers);
		async { sent.await.unwrap().status().as_u16() }
	};
	let good = picture(1);
	// Another path, another method, another body.
	let for_inputs = miner.sign("GET", INPUTS, &[], now());
	assert_eq!(send("PUT", &path, vec![], for_inputs.clone()).await, 401);
	assert_eq!(send("GET", "/v1/miner/blobs/00", vec![], for_inputs).await, 401);
	let for_output = miner.sign("PUT", &output_path(0), &good, now());
	assert_eq!(send("PUT", &path, picture(2), for_output.clone()).await, 401);
	// Too old, or good for too long.
	let old = miner.sign("PUT", &output_path(0), &good, now() - 120);
	assert_eq!(send("PUT", &path, good.clone(), old).await, 401);
	let early = miner.sign("PUT", &output_path(0), &good, now() + 600);
	assert_eq!(send("PUT", &path, good.clone(), early).await, 401);
	// Somebody else's signature under the seat's name.
	let stranger = Miner::new(10, &coordinator);
	let mut forged = stranger.sign("PUT", &output_path(0), &good, now());
	forged[0].1 = for_output[0].1.clone();
	assert_eq!(send("PUT", &path, good.clone(), forged).await, 401);
	// None at all.
	assert_eq!(coordinator.get(INPUTS).await.status(), 401);
	assert_eq!(coordinator.job(&job).await["state"], "assigned");

	// The request itself, and again as somebody who overheard it would.
	assert_eq!(send("PUT", &path, good.clone(), for_output.clone()).await, 204);
	assert_eq!(send("PUT", &path, good, for_output).await, 401);
	let again = miner.sign("GET", INPUTS, &[], now());
	assert_eq!(send("GET", INPUTS, vec![], again.clone()).await, 200);
	assert_eq!(send("GET", INPUTS, vec![], again).await, 401);
	coordinator.stop().await;
}

#[tokio::test]
async fn the_first_output_counts() {
	let (_dir, chain, coordinator, miner, job) = at_work().await;
	assert_eq!(miner.put(&output_path(0), &picture(1)).await.status(), 204);
	assert_eq!(miner.put(&output_path(0), &picture(1)).await.status(), 204);
	assert_eq!(miner.put(&output_path(0), &picture(2)).await.status(), 409);
	let output = coordinator.get(&format!("/v1/jobs/{job}/output?format=safetensors")).await;
	assert_eq!(output.bytes().await.unwrap(), picture(1));
	chain.end(0, TaskPhase::Settled);
	assert_eq!(miner.put(&output_path(0), &picture(2)).await.status(), 409);
	coordinator.stop().await;
}

#[tokio::test]
async fn whoever_was_paid_may_still_deliver_for_a_while() {
	let (_dir, chain, coordinator, first, job) = at_work().await;
	let stranger = Miner::new(10, &coordinator);
	let paid = Miner::new(11, &coordinator);
	chain.draw(0, &paid.account());
	chain.end(0, TaskPhase::Settled);
	coordinator.until(&job, "settlement", "settled").await;
	assert_eq!(first.put(&output_path(0), &picture(1)).await.status(), 403);
	assert_eq!(stranger.put(&output_path(0), &picture(1)).await.status(), 403);
	assert_eq!(paid.get(INPUTS).await.status(), 403);
	chain.advance(10);
	assert_eq!(paid.put(&output_path(0), &picture(2)).await.status(), 204);
	assert_eq!(coordinator.job(&job).await["state"], "completed");
	coordinator.stop().await;
}

#[tokio::test]
async fn nobody_delivers_to_a_task_that_was_refunded() {
	let (_dir, chain, coordinator, miner, job) = at_work().await;
	chain.end(0, TaskPhase::Expired);
	coordinator.until(&job, "state", "expired").await;
	assert_eq!(miner.put(&output_path(0), &picture(1)).await.status(), 403);
	coordinator.stop().await;
}

#[tokio::test]
async fn what_is_not_a_picture_is_not_taken() {
	let (_dir, _chain, coordinator, miner, job) = at_work().await;
	assert_eq!(miner.put(&output_path(0), b"").await.status(), 422);
	assert_eq!(miner.put(&output_path(0), b"<html>").await.status(), 422);
	let mut cut = picture(1);
	cut.pop();
	assert_eq!(miner.put(&output_path(0), &cut).await.status(), 422);
	// Too large: refused, or the connection closed while it was still being sent.
	let large = vec![0; MAX_BLOB_BYTES + 1];
	let headers = miner.sign("PUT", &output_path(0), &large, now());
	if let Ok(response) = miner.send("PUT", &output_path(0), large, headers).await {
		assert_eq!(response.status(), 413);
	}
	assert_eq!(coordinator.job(&job).await["output_hashes"], serde_json::json!([null]));
	// The seat can still deliver.
	assert_eq!(miner.put(&output_path(0), &picture(1)).await.status(), 204);
	coordinator.stop().await;
}

#[tokio::test]
async fn paid_without_delivering_fails_the_job() {
	let (_dir, chain, coordinator, miner, job) = at_work().await;
	chain.end(0, TaskPhase::Settled);
	coordinator.until(&job, "settlement", "settled").await;
	chain.advance(20);
	let job = coordinator.until(&job, "state", "failed").await;
	assert!(job["error"].as_str().unwrap().contains("never delivered"));
	assert_eq!(miner.put(&output_path(0), &picture(1)).await.status(), 409);
	coordinator.stop().await;
}
