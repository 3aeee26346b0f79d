//! How long to wait before the next try.

use std::time::Duration;

/// Doubles from a first delay up to a longest one, and starts again after a success.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// The first failure waits `first`, later ones twice as long each, never longer than `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// Failures since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Notes a success.
    pub fn succeed(&mut self) {
        self.failures = 0;
    }

    /// Notes a failure and tells how long to wait.
    pub fn fail(&mut self) -> Duration {
        let factor = 2u32.saturating_pow(self.failures);
        self.failures = self.failures.saturating_add(1);
        self.first.saturating_mul(factor).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_start_again_after_a_success() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(100), ms(500));
        assert_eq!(
            [backoff.fail(), backoff.fail(), backoff.fail(), backoff.fail()],
            [ms(100), ms(200), ms(400), ms(500)]
        );
        backoff.succeed();
        assert_eq!(backoff.fail(), ms(100));
    }

    #[test]
    fn ten_thousand_failures_do_not_overflow() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        for _ in 0..10_000 {
            assert!(backoff.fail() <= Duration::from_secs(60));
        }
    }
}
