//! x
/// x
#[derive(Clone, Debug)]
pub struct Posterior {}
/// x
pub fn posterior() {}
