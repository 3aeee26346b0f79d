//! The recipe of a cross-validation.

use serde::{Deserialize, Serialize};

use crate::classifier;
use crate::error::LearnError;

/// Into how many parts the rows are divided, and how their networks are trained. `Default` is the recipe that
/// was measured on FER2013.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Into how many parts the rows are divided; each part is judged by a network that learnt from the
    /// others. From 2.
    pub folds: usize,
    /// How each network is trained. Its label smoothing keeps it from being sure of wrong labels.
    pub network: classifier::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self { folds: 4, network: classifier::Settings::default() }
    }
}

impl Settings {
    /// Refuses what cannot be trained with.
    ///
    /// # Errors
    /// If a setting is out of its range; it is named.
    pub fn check(&self) -> Result<(), LearnError> {
        if self.folds < 2 {
            let (name, value) = ("folds", self.folds.to_string());
            return Err(LearnError::Setting { name, value, needed: "2 or more are needed" });
        }
        self.network.check()
    }
}
