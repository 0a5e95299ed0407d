//! What the fuzzers of more than one pallet need: a chain whose storage can be written anew, and
//! numbers from outside.

use sp_io::TestExternalities;

/// Everything in storage.
pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// An empty chain to which this was written.
pub fn chain(pairs: Pairs) -> TestExternalities {
	let mut chain = TestExternalities::new_empty();
	chain.execute_with(|| {
		for (key, value) in pairs {
			sp_io::storage::set(&key, &value);
		}
	});
	chain
}

/// The same chain with its storage written anew. All of it stays in the layer over the backend, which
/// is by far the fastest to read; but what was removed stays there too and makes every walk over a map
/// slower, so it is left behind here.
pub fn renewed(mut old: TestExternalities) -> TestExternalities {
	let pairs = old.execute_with(|| {
		let mut pairs = Pairs::new();
		let mut next = sp_io::storage::next_key(&[]);
		while let Some(key) = next {
			let value = sp_io::storage::get(&key).map(|value| value.to_vec());
			next = sp_io::storage::next_key(&key);
			pairs.push((key, value.unwrap_or_default()));
		}
		pairs
	});
	chain(pairs)
}

/// What is set in the environment, if it is a number.
pub fn number_of(variable: &str) -> Option<u64> {
	let text = std::env::var(variable).ok()?;
	Some(text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text}")))
}
