//! Who makes blocks and who makes them final: BABE and GRANDPA, with the validators that [`Stake`] elects, and what happens to those who cheat.

use crate::{
	AccountId, Babe, Balances, Grandpa, Historical, Offences, Runtime, RuntimeCall, RuntimeEvent,
	Session, SessionKeys, Stake, UncheckedExtrinsic, MILLISECS_PER_BLOCK,
};
use frame_support::{
	parameter_types,
	traits::{ConstU32, KeyOwnerProofSystem},
	weights::Weight,
};
use frame_system::offchain::{CreateBare, CreateTransactionBase};
use pallet_session::{
	disabling::UpToLimitWithReEnablingDisablingStrategy,
	historical::{IdentificationTuple, NoteHistoricalRoot},
};
use sp_consensus_babe::{AllowedSlots, BabeEpochConfiguration};
use sp_core::crypto::KeyTypeId;
use sp_runtime::traits::{Convert, OpaqueKeys};
use sp_session::MembershipProof;

/// Every slot has an author with a VRF, primary or secondary: the draws need its randomness.
pub const BABE_GENESIS_EPOCH_CONFIG: BabeEpochConfiguration =
	BabeEpochConfiguration { c: (1, 4), allowed_slots: AllowedSlots::PrimaryAndSecondaryVRFSlots };

parameter_types! {
	/// Ten minutes. Cannot change once a chain has started.
	pub const EpochDuration: u64 = 200;
	pub const ExpectedBlockTime: u64 = MILLISECS_PER_BLOCK;
	/// More would make finality slower: all of them vote on every block.
	pub const MaxValidators: u32 = 100;
	/// As many sessions of ten minutes as there are in the longest waiting time, 31 eras of a day, and a quarter more: eras count blocks, sessions also count the slots without
	/// one. An equivocation can be judged as long as those who made blocks
	/// then are known.
	pub const SessionMemory: u32 = 31 * 144 * 5 / 4;
	pub const SetIdMemory: u64 = SessionMemory::get() as u64;
	/// In blocks.
	pub const ReportLongevity: u64 = SetIdMemory::get() * EpochDuration::get();
	/// Held while an account has session keys.
	pub const KeyDeposit: u128 = crate::CAI;
}

impl pallet_babe::Config for Runtime {
	type EpochDuration = EpochDuration;
	type ExpectedBlockTime = ExpectedBlockTime;
	type EpochChangeTrigger = pallet_babe::ExternalTrigger;
	type DisabledValidators = crate::Session;
	type WeightInfo = ReportWeight;
	type MaxAuthorities = MaxValidators;
	type MaxNominators = ConstU32<0>;
	type KeyOwnerProof = MembershipProof;
	type EquivocationReportSystem =
		pallet_babe::EquivocationReportSystem<Self, Offences, KeyOwners, ReportLongevity>;
}

impl pallet_grandpa::Config for Runtime {
	type RuntimeEvent = RuntimeEvent;
	type WeightInfo = ReportWeight;
	type MaxAuthorities = MaxValidators;
	type MaxNominators = ConstU32<0>;
	type MaxSetIdSessionEntries = SetIdMemory;
	type KeyOwnerProof = MembershipProof;
	type EquivocationReportSystem =
		pallet_grandpa::EquivocationReportSystem<Self, Offences, KeyOwners, ReportLongevity>;
}

/// Whose a key was in a session.
///
/// Of the present session the lists of BABE and GRANDPA say it, which have the validators' order. [`Historical`] would look the owner's keys up and find those of the session
/// after next, if it has changed them since. Of sessions before, [`Historical`] has the roots.
pub struct KeyOwners;

impl KeyOwners {
	fn of_present_session(kind: KeyTypeId, key: &[u8]) -> Option<AccountId> {
		let position = match kind {
			sp_consensus_babe::KEY_TYPE => {
				Babe::authorities().iter().position(|(id, _)| AsRef::<[u8]>::as_ref(id) == key)
			},
			sp_consensus_grandpa::KEY_TYPE => Grandpa::grandpa_authorities()
				.iter()
				.position(|(id, _)| AsRef::<[u8]>::as_ref(id) == key),
			_ => None,
		}?;
		Session::validators().get(position).cloned()
	}
}

impl<Key: AsRef<[u8]>> KeyOwnerProofSystem<(KeyTypeId, Key)> for KeyOwners {
	type Proof = MembershipProof;
	type IdentificationTuple = IdentificationTuple<Runtime>;

	fn prove((kind, key): (KeyTypeId, Key)) -> Option<MembershipProof> {
		Self::of_present_session(kind, key.as_ref())?;
		Historical::prove((kind, key))
	}

	fn check_proof(
		(kind, key): (KeyTypeId, Key),
		proof: MembershipProof,
	) -> Option<(AccountId, ())> {
		let present = proof.session == Session::current_index()
			&& proof.validator_count as usize == Session::validators().len();
		if present {
			return Some((Self::of_present_session(kind, key.as_ref())?, ()));
		}
		Historical::check_proof((kind, key), proof)
	}
}

/// What a report costs: that of its proof, and the slash.
pub struct ReportWeight;

impl ReportWeight {
	fn slash() -> Weight {
		use pallet_stake::WeightInfo;
		<Runtime as pallet_stake::Config>::WeightInfo::slash(pallet_stake::MAX_LIABLE_ERAS)
	}
}

impl pallet_babe::WeightInfo for ReportWeight {
	fn plan_config_change() -> Weight {
		<() as pallet_babe::WeightInfo>::plan_config_change()
	}
	fn report_equivocation(validators: u32, nominators: u32) -> Weight {
		<() as pallet_babe::WeightInfo>::report_equivocation(validators, nominators)
			.saturating_add(Self::slash())
	}
}

impl pallet_grandpa::WeightInfo for ReportWeight {
	fn note_stalled() -> Weight {
		<() as pallet_grandpa::WeightInfo>::note_stalled()
	}
	fn report_equivocation(validators: u32, nominators: u32) -> Weight {
		<() as pallet_grandpa::WeightInfo>::report_equivocation(validators, nominators)
			.saturating_add(Self::slash())
	}
}

impl pallet_offences::Config for Runtime {
	type RuntimeEvent = RuntimeEvent;
	type IdentificationTuple = IdentificationTuple<Self>;
	type OnOffenceHandler = Stake;
}

/// Reports of equivocations are transactions that nobody signs: their proofs speak for themselves.
impl<C> CreateTransactionBase<C> for Runtime
where
	RuntimeCall: From<C>,
{
	type Extrinsic = UncheckedExtrinsic;
	type RuntimeCall = RuntimeCall;
}

impl<C> CreateBare<C> for Runtime
where
	RuntimeCall: From<C>,
{
	fn create_bare(call: RuntimeCall) -> UncheckedExtrinsic {
		UncheckedExtrinsic::new_bare(call)
	}
}

impl pallet_authorship::Config for Runtime {
	type FindAuthor = pallet_session::FindAccountFromAuthorIndex<Self, Babe>;
	type EventHandler = Stake;
}

impl pallet_session::Config for Runtime {
	type RuntimeEvent = RuntimeEvent;
	type ValidatorId = AccountId;
	type ValidatorIdOf = pallet_stake::OwnerOf<Self>;
	type ShouldEndSession = Babe;
	type NextSessionRotation = Babe;
	type SessionManager = NoteHistoricalRoot<Self, Stake>;
	type SessionHandler = <SessionKeys as OpaqueKeys>::KeyTypeIdProviders;
	type Keys = SessionKeys;
	type DisablingStrategy = UpToLimitWithReEnablingDisablingStrategy;
	type WeightInfo = pallet_session::weights::SubstrateWeight<Runtime>;
	type Currency = Balances;
	type KeyDeposit = KeyDeposit;
}

/// A validator's identification says nothing: what it can be slashed for is looked up when it is.
pub struct Nothing;

impl Convert<AccountId, Option<()>> for Nothing {
	fn convert(_: AccountId) -> Option<()> {
		Some(())
	}
}

impl pallet_session::historical::Config for Runtime {
	type RuntimeEvent = RuntimeEvent;
	type FullIdentification = ();
	type FullIdentificationOf = Nothing;
}
