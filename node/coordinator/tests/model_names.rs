//! What a model's name means to applications, to the configuration and to API keys, when others register models of the same name.

#![allow(clippy::unwrap_used)]

mod common;

use common::{model, Coordinator, FakeChain};
use cuckoo_coordinator::{
	config::{Cai, Config},
	keys::{create, Wanted, FILE_NAME},
};
use cuckoo_primitives::{views::ModelView, ModelKind, CAI};
use serde_json::{json, Value};

/// The first `shapes` takes no tasks any more. Of both names there is a stranger's model, too.
fn models() -> Vec<ModelView> {
	let picture = |number, name| model(number, name, ModelKind::TextToImage);
	vec![
		ModelView { active: false, ..picture(0, "shapes") },
		picture(1, "shapes"),
		picture(2, "circles"),
		picture(3, "circles"),
		model(4, "sum", ModelKind::Tensor),
	]
}

/// An application with a key, or without one.
struct Application<'a> {
	coordinator: &'a Coordinator,
	secret: &'a str,
}

impl Application<'_> {
	/// The names that are listed.
	async fn listed(&self) -> Vec<String> {
		let url = format!("{}/v1/models", self.coordinator.url);
		let request = self.coordinator.http.get(url).bearer_auth(self.secret);
		let list: Value = request.send().await.unwrap().json().await.unwrap();
		let models = list["data"].as_array().unwrap();
		models.iter().map(|model| model["id"].as_str().unwrap().into()).collect()
	}

	/// What becomes of a job for a model: its name for the model and its fee in CAI, or the error's code.
	async fn ask(&self, model: Option<&str>) -> Result<(String, u128), String> {
		let input = json!({ "prompt": "x" });
		let body = json!({ "kind": "text_to_image", "model": model, "input": input });
		let url = format!("{}/v1/jobs", self.coordinator.url);
		let request = self.coordinator.http.post(url).bearer_auth(self.secret).json(&body);
		let response = request.send().await.unwrap();
		let status = response.status().as_u16();
		let answer: Value = response.json().await.unwrap();
		if status == 202 {
			let fee: u128 = answer["fee"].as_str().unwrap().parse().unwrap();
			return Ok((answer["model"].as_str().unwrap().into(), fee / CAI));
		}
		let error = &answer["error"];
		assert_eq!((status, error["param"].as_str()), (404, Some("model")), "{answer}");
		Err(error["code"].as_str().unwrap().into())
	}
}

fn accepted(name: &str, fee: u128) -> Result<(String, u128), String> {
	Ok((name.into(), fee))
}

fn refused(code: &str) -> Result<(String, u128), String> {
	Err(code.into())
}

#[tokio::test]
async fn a_name_never_means_a_strangers_model_and_a_number_stands_wherever_a_name_does() {
	let (dir, chain) = (tempfile::tempdir().unwrap(), FakeChain::new());
	chain.set_models(models());
	let fees = [("shapes", 2), ("1", 3), ("circles", 4)];
	let config = Config {
		default_model: Some("shapes".into()),
		fees: fees.map(|(model, fee)| (model.to_string(), Cai(fee * CAI))).into(),
		max_fee: Cai(9 * CAI),
		..Config::default()
	};
	let coordinator = Coordinator::start(dir.path(), &chain, config).await;
	let anybody = Application { coordinator: &coordinator, secret: "any" };
	assert_eq!(anybody.listed().await, ["1", "circles", "3", "sum"]);
	for (asked, expected) in [
		(None, refused("model_ambiguous")),
		(Some("shapes"), refused("model_ambiguous")),
		(Some("0"), refused("model_not_found")),
		(Some("1"), accepted("1", 3)),
		(Some("circles"), accepted("circles", 4)),
		(Some("2"), accepted("circles", 4)),
		(Some("3"), accepted("3", 1)),
		(Some("5"), refused("model_not_found")),
		(Some("4294967298"), refused("model_not_found")),
	] {
		assert_eq!(anybody.ask(asked).await, expected, "{asked:?}");
	}
	for (path, status) in [
		("/v1/models/shapes", 404),
		("/v1/models/0", 404),
		("/v2/models/shapes", 404),
		("/v2/models/0/ready", 404),
		("/v2/models/1/ready", 200),
		("/v2/models/sum/versions/4/ready", 200),
		("/v2/models/4/versions/4/ready", 200),
	] {
		assert_eq!(coordinator.get(path).await.status(), status, "{path}");
	}
	let one: Value = coordinator.get("/v1/models/1").await.json().await.unwrap();
	assert_eq!((&one["id"], &one["x_cuckoo"]["name"]), (&json!("1"), &json!("shapes")));
	let sum: Value = coordinator.get("/v1/models/4").await.json().await.unwrap();
	assert_eq!((&sum["id"], &sum["x_cuckoo"]["model"]), (&json!("sum"), &json!(4)));
	let sum: Value = coordinator.get("/v2/models/4").await.json().await.unwrap();
	assert_eq!(sum["name"], "sum");
	coordinator.stop().await;
}

#[tokio::test]
async fn a_key_may_use_what_its_names_and_numbers_mean() {
	let (dir, chain) = (tempfile::tempdir().unwrap(), FakeChain::new());
	chain.set_models(models());
	let keys = ["shapes", "1", "circles", "2"].map(|bound| {
		let wanted = Wanted { models: Some(vec![bound.into()]), ..Wanted::named(bound) };
		(bound, create(&dir.path().join(FILE_NAME), wanted).unwrap().secret)
	});
	let coordinator = Coordinator::start(dir.path(), &chain, Config::default()).await;
	let unknown = || refused("model_not_found");
	for (bound, secret) in &keys {
		let bearer = Application { coordinator: &coordinator, secret };
		let (listed, by_name, by_number) = match *bound {
			"shapes" => (vec![], unknown(), unknown()),
			"1" => (vec!["1"], unknown(), accepted("1", 1)),
			// Both mean the same model, however it is asked for.
			_ => (vec!["circles"], accepted("circles", 1), unknown()),
		};
		assert_eq!(bearer.listed().await, listed, "{bound}");
		assert_eq!(bearer.ask(Some("shapes")).await, refused("model_ambiguous"), "{bound}");
		assert_eq!(bearer.ask(Some("circles")).await, by_name, "{bound}");
		assert_eq!(bearer.ask(Some("2")).await, by_name, "{bound}");
		assert_eq!(bearer.ask(Some("1")).await, by_number, "{bound}");
		assert_eq!(bearer.ask(Some("3")).await, unknown(), "{bound}");
	}
	coordinator.stop().await;
}
