//! What settings must keep to.

use crate::error::LearnError;

/// A setting's name, its value, whether that will do, and what would.
pub(crate) type Rule = (&'static str, String, bool, &'static str);

/// The error for the first rule that is broken.
pub(crate) fn check(rules: impl IntoIterator<Item = Rule>) -> Result<(), LearnError> {
    match rules.into_iter().find(|(_, _, holds, _)| !holds) {
        Some((name, value, _, needed)) => Err(LearnError::Setting { name, value, needed }),
        None => Ok(()),
    }
}

/// `least` is 1 or 2.
pub(crate) fn at_least(name: &'static str, value: usize, least: usize) -> Rule {
    let needed = if least == 1 { "1 or more are needed" } else { "2 or more are needed" };
    (name, value.to_string(), value >= least, needed)
}

/// 0 or more, less than 1.
pub(crate) fn part(name: &'static str, value: f64) -> Rule {
    (name, value.to_string(), (0.0..1.0).contains(&value), "0 or more and less than 1 is needed")
}

/// From 0 to 1.
pub(crate) fn whole(name: &'static str, value: f32) -> Rule {
    (name, value.to_string(), (0.0..=1.0).contains(&value), "a number from 0 to 1 is needed")
}

/// From 0.
pub(crate) fn from_zero(name: &'static str, value: f64) -> Rule {
    (name, value.to_string(), value >= 0.0 && value.is_finite(), "a number from 0 is needed")
}

/// Above 0.
pub(crate) fn above_zero(name: &'static str, value: f64) -> Rule {
    (name, value.to_string(), value > 0.0 && value.is_finite(), "a number above 0 is needed")
}
