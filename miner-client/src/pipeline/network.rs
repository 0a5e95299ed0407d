//! One network of a model: which of its inputs is which, and which output is used.
//!
//! Exports differ in their element types. Floats of 16 bits are made of those of 32, and the other way round, at a network's border: between networks
//! everything is f32, and no weight is touched.

use anyhow::{bail, ensure, Context, Result};

use crate::{
	job::JobError,
	model::Model,
	runtime::Runtime,
	session::{Port, Session},
	tensors::{Data, Dtype, Tensor},
};

/// What a network looks like from outside.
pub(super) struct Layout {
	/// Its file in the model's folder.
	pub(super) file: &'static str,
	/// The inputs that it must have.
	pub(super) takes: &'static [&'static str],
	/// The inputs that it may have, after those.
	pub(super) may_take: &'static [&'static str],
	/// The names that the output may have, the best first.
	pub(super) gives: &'static [&'static str],
	/// What is laid out like this.
	pub(super) what: &'static str,
}

/// An opened network.
pub(super) struct Network {
	session: Session,
	inputs: Vec<Port>,
	output: usize,
}

impl Network {
	/// Opens a network that takes what the layout says and nothing else. Its output, if it has none of the layout's names, is the first.
	pub(super) fn open(runtime: &Runtime, model: &Model, layout: &Layout) -> Result<Self> {
		let file = layout.file;
		let path = model.file(file).with_context(|| format!("{file} is missing"))?;
		let session = Session::open(runtime, path)?;
		let find = |name: &&str| session.inputs().iter().find(|port| port.name == **name).cloned();
		let needed: Option<Vec<Port>> = layout.takes.iter().map(find).collect();
		let more = layout.may_take.iter().filter_map(find);
		let inputs = needed.map(|needed| needed.into_iter().chain(more).collect::<Vec<Port>>());
		let Some(inputs) = inputs.filter(|found| found.len() == session.inputs().len()) else {
			let has: Vec<&str> = session.inputs().iter().map(|port| port.name.as_str()).collect();
			let mut wanted = layout.takes.join(", ");
			if !layout.may_take.is_empty() {
				wanted += &format!(" and may take {}", layout.may_take.join(", "));
			}
			bail!("{file}: takes {}, {} takes {wanted}", has.join(", "), layout.what);
		};
		let named = |name: &&str| session.outputs().iter().position(|port| port.name == **name);
		let output = layout.gives.iter().find_map(named).unwrap_or_default();
		let found = session.outputs().get(output).with_context(|| format!("{file}: no output"))?;
		ensure!(is_float(found), "{file}: output {found} is neither f32 nor f16");
		Ok(Self { session, inputs, output })
	}

	/// What it takes, in the layout's order.
	pub(super) fn inputs(&self) -> &[Port] {
		&self.inputs
	}

	/// What it gives.
	pub(super) fn output(&self) -> &Port {
		&self.session.outputs()[self.output]
	}

	/// Fails if the input is not made for floats.
	pub(super) fn takes_floats(&self, at: usize) -> Result<()> {
		let port = &self.inputs[at];
		ensure!(is_float(port), "{}: {port} is neither f32 nor f16", self.file());
		Ok(())
	}

	/// Fails if the input is not made for lists of token ids, or of what goes with each of them.
	pub(super) fn takes_ids(&self, at: usize) -> Result<()> {
		let port = &self.inputs[at];
		ensure!(
			matches!(port.dtype, Dtype::I32 | Dtype::I64) && port.shape.len() == 2,
			"{}: {port} is no list of token ids",
			self.file()
		);
		Ok(())
	}

	/// Fails if the file fixes the batch to another size.
	pub(super) fn takes_batch(&self, size: usize) -> Result<()> {
		ensure!(
			self.fixed(0, 0).is_none_or(|batch| batch == size),
			"{}: its batch is fixed; export it with a free batch, or with {size}",
			self.file()
		);
		Ok(())
	}

	/// The size of an input's dimension if the file fixes it.
	pub(super) fn fixed(&self, at: usize, dimension: usize) -> Option<usize> {
		self.inputs[at].shape.get(dimension).copied().flatten()
	}

	/// The ids as an input's type.
	pub(super) fn ids(
		&self,
		at: usize,
		shape: [usize; 2],
		ids: impl Iterator<Item = u32>,
	) -> Result<Tensor, JobError> {
		let port = &self.inputs[at];
		let data = Data::ids(port.dtype, ids)
			.ok_or_else(|| JobError::Runtime(format!("{port} takes no ids")))?;
		Ok(Tensor { shape: shape.to_vec(), data })
	}

	/// The network's output as f32, for inputs in the layout's order: of the input's types, or floats.
	pub(super) fn run(&self, inputs: Vec<Tensor>) -> Result<Tensor, JobError> {
		let named = self.inputs.iter().zip(inputs);
		let named = named.map(|(port, tensor)| (port.name.clone(), tensor.floats_as(port.dtype)));
		let mut outputs = self.session.run(named.collect())?;
		Ok(outputs.swap_remove(self.output).floats_as(Dtype::F32))
	}

	/// The file, for messages.
	fn file(&self) -> std::path::Display<'_> {
		self.session.file().display()
	}
}

fn is_float(port: &Port) -> bool {
	matches!(port.dtype, Dtype::F32 | Dtype::F16)
}
