//! Campaigns: promises that hold for any seed, each tried with as many as there is time for.
//!
//! `cargo test` tries a small fixed sample of every campaign; `cargo bench --bench campaign -- kill --seeds 200` tries
//! many and keeps a record in `benches/runs/`. Both run this code. A seed decides what is drawn, so that one that
//! failed can be tried again; what the machine makes of the time in between, it does not.
//!
//! A campaign is a file here and a line in [`CAMPAIGNS`]. It panics where its promise is broken. It is a `mod.rs` for
//! the reason that the rig is one.

#![allow(dead_code, reason = "the tests use the samples, the program does not")]

mod chains;
mod commands;
mod draw;
mod failover;
mod kill;
mod moments;
mod requests;
pub mod rollback;
mod shop;

use std::pin::Pin;

pub use draw::Draw;

/// The programs that a campaign runs, as cargo has built them for whoever includes this.
pub const BACKUP: &str = env!("CARGO_BIN_EXE_backup");
pub const RESTORE: &str = env!("CARGO_BIN_EXE_restore");
pub const MONGOTAR: &str = env!("CARGO_BIN_EXE_mongotar");

/// What came of a seed, in a few words for the record.
pub type Trial = Pin<Box<dyn Future<Output = String> + Send>>;

/// A promise, and how it is tried.
pub struct Campaign {
    pub name: &'static str,
    /// What no seed may break.
    pub promise: &'static str,
    /// The seeds that `cargo test` tries.
    pub sample: &'static [u64],
    pub trial: fn(u64) -> Trial,
}

pub const CAMPAIGNS: &[Campaign] = &[
    chains::CAMPAIGN,
    commands::CAMPAIGN,
    failover::CAMPAIGN,
    kill::CAMPAIGN,
    moments::CAMPAIGN,
    requests::CAMPAIGN,
    rollback::CAMPAIGN,
];

/// One seed; a broken promise is the panic's message.
pub async fn tried(campaign: &Campaign, seed: u64) -> Result<String, String> {
    let trial = tokio::spawn((campaign.trial)(seed)).await;
    trial.map_err(|error| match error.try_into_panic() {
        Ok(panic) => match panic.downcast::<String>() {
            Ok(text) => *text,
            Err(panic) => panic.downcast_ref::<&str>().unwrap_or(&"a panic").to_string(),
        },
        Err(error) => error.to_string(),
    })
}
