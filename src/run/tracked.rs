//! A step's place in memory; a state is written only of what changed.

use std::ops::{Deref, DerefMut};

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// A step's place, and whether it is written down.
#[derive(Clone, Debug)]
pub(crate) struct Tracked<P> {
    step: &'static str,
    place: P,
    is_written: bool,
}

impl<P: Serialize> Tracked<P> {
    /// As it was read.
    pub(crate) fn as_read(step: &'static str, place: P) -> Self {
        Self {
            step,
            place,
            is_written: true,
        }
    }

    /// One that is nowhere written.
    pub(crate) fn new(step: &'static str, place: P) -> Self {
        Self {
            step,
            place,
            is_written: false,
        }
    }

    /// What is to be written, and under which name. It counts as written then: see [`Self::is_not_written`].
    pub(crate) fn take_changed(&mut self) -> Option<(&'static str, Box<RawValue>)> {
        if std::mem::replace(&mut self.is_written, true) {
            return None;
        }
        Some((
            self.step,
            to_raw_value(&self.place).expect("a place has text keys only"),
        ))
    }

    /// It could not be written.
    pub(crate) fn is_not_written(&mut self) {
        self.is_written = false;
    }
}

impl<P> Deref for Tracked<P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.place
    }
}

impl<P> DerefMut for Tracked<P> {
    fn deref_mut(&mut self) -> &mut P {
        self.is_written = false;
        &mut self.place
    }
}
