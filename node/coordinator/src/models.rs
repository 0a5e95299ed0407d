//! The models on the chain, as applications name them.
//!
//! Anyone may register a model under any name, so a name alone always means the first one registered under it that is still active: nobody can take over
//! a name that is in use. `name@number` means exactly one model.

use std::{
	sync::Arc,
	time::{Duration, Instant},
};

use cuckoo_primitives::{views::ModelView, ModelKind};
use tokio::sync::Mutex;

use crate::chain::{Chain, ChainError};

/// The list is read again after this long.
const FRESH: Duration = Duration::from_secs(60);
/// A name that is not in the list makes it be read again, but no more often than this: unknown names cost the node nothing.
const RETRY: Duration = Duration::from_secs(3);

/// What is known of the chain's models.
pub struct Catalogue {
	chain: Arc<dyn Chain>,
	list: Mutex<List>,
}

#[derive(Default)]
struct List {
	models: Vec<ModelView>,
	tried: Option<Instant>,
	/// Why the last try failed, if nothing was ever read.
	error: Option<ChainError>,
}

impl Catalogue {
	/// Over a chain; read when first asked.
	pub fn new(chain: Arc<dyn Chain>) -> Self {
		Self { chain, list: Mutex::default() }
	}

	/// The models that can be asked for, under the shortest name that means them.
	pub async fn active(&self) -> Result<Vec<(String, ModelView)>, ChainError> {
		let mut list = self.list.lock().await;
		self.refresh(&mut list, FRESH).await?;
		let active = list.models.iter().filter(|model| model.active);
		Ok(active
			.map(|model| {
				let short = by_name(&list.models, &model.name).map(|m| m.model);
				let name = if short == Some(model.model) {
					model.name.clone()
				} else {
					format!("{}@{}", model.name, model.model)
				};
				(name, model.clone())
			})
			.collect())
	}

	/// The model with this name.
	pub async fn find(&self, name: &str) -> Result<Option<ModelView>, ChainError> {
		self.look_up(|models| by_name(models, name)).await
	}

	/// The only active model of a kind, if there is just one.
	pub async fn only(&self, kind: ModelKind) -> Result<Option<ModelView>, ChainError> {
		self.look_up(|models| {
			let mut of_kind = models.iter().filter(|m| m.active && m.kind == kind);
			of_kind.next().filter(|_| of_kind.next().is_none())
		})
		.await
	}

	async fn look_up(
		&self,
		choose: impl Fn(&[ModelView]) -> Option<&ModelView>,
	) -> Result<Option<ModelView>, ChainError> {
		let mut list = self.list.lock().await;
		for age in [FRESH, RETRY] {
			self.refresh(&mut list, age).await?;
			if let Some(found) = choose(&list.models) {
				return Ok(Some(found.clone()));
			}
		}
		Ok(None)
	}

	/// Reads the list again if it is older than `age`. An old list is better than none, so a failure counts only before the first success.
	async fn refresh(&self, list: &mut List, age: Duration) -> Result<(), ChainError> {
		if list.tried.is_none_or(|at| at.elapsed() >= age.min(self.patience(list))) {
			match self.chain.models().await {
				Ok(models) => *list = List { models, tried: None, error: None },
				Err(error) => {
					tracing::warn!(%error, "the list of models could not be read");
					if list.models.is_empty() {
						list.error = Some(error);
					}
				},
			}
			list.tried = Some(Instant::now());
		}
		list.error.clone().map_or(Ok(()), Err)
	}

	fn patience(&self, list: &List) -> Duration {
		if list.error.is_some() {
			RETRY
		} else {
			FRESH
		}
	}
}

fn by_name<'a>(models: &'a [ModelView], name: &str) -> Option<&'a ModelView> {
	let active = || models.iter().filter(|model| model.active);
	active().filter(|model| model.name == name).min_by_key(|model| model.model).or_else(|| {
		let (name, number) = name.rsplit_once('@')?;
		let number: cuckoo_primitives::ModelId = number.parse().ok()?;
		active().find(|model| model.name == name && model.model == number)
	})
}

#[cfg(test)]
mod tests {
	use super::*;
	use cuckoo_primitives::tolerance::Tolerance;
	use sp_core::H256;

	#[test]
	fn a_name_means_the_first_active_model_and_a_number_exactly_one() {
		let model = |model, name: &str, active| ModelView {
			model,
			name: name.into(),
			kind: ModelKind::TextToImage,
			manifest: H256::zero(),
			min_fee: 1,
			work_window: 10,
			tolerance: Some(Tolerance::Approx { agree: 1_000, wrong: 4_000 }),
			reference_ms: 1,
			active,
		};
		let models = [
			model(0, "shapes", false),
			model(1, "shapes", true),
			model(2, "shapes", true),
			model(3, "odd@name", true),
		];
		let find = |name: &str| by_name(&models, name).map(|m| m.model);
		assert_eq!(find("shapes"), Some(1));
		assert_eq!(find("shapes@2"), Some(2));
		assert_eq!(find("shapes@0"), None);
		assert_eq!(find("odd@name"), Some(3));
		assert_eq!(find("odd@name@3"), Some(3));
		assert_eq!(find("circles"), None);
		assert_eq!(find("@"), None);
	}
}
