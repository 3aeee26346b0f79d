//! Items through workers and out again in order, with back-pressure: no more are on the way than the workers need.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use anyhow::anyhow;
use crossbeam_channel::bounded;

/// Items on the way for each worker: one in work and one that waits at either side.
const ON_THE_WAY: usize = 3;

/// Takes each item through one of `workers` threads and hands results on in the order of the items.
///
/// Each worker has its own state from `open`, such as a detector. The first error, of an item or from `take`, ends
/// it all; of two items that fail, the earlier one's is told, whichever thread was faster.
pub fn in_order<T, R, W>(
    items: impl Iterator<Item = anyhow::Result<T>> + Send,
    workers: usize,
    open: impl Fn() -> anyhow::Result<W> + Sync,
    work: impl Fn(&mut W, T) -> anyhow::Result<R> + Sync,
    mut take: impl FnMut(R) -> anyhow::Result<()>,
) -> anyhow::Result<()>
where
    T: Send,
    R: Send,
{
    let workers = workers.max(1);
    let (give_pass, passes) = bounded::<()>(workers * ON_THE_WAY);
    let (send_item, items_to_do) = bounded::<(usize, anyhow::Result<T>)>(workers);
    let (send_result, results) = bounded::<(usize, anyhow::Result<R>)>(workers * ON_THE_WAY);
    let (open, work) = (&open, &work);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for item in items.enumerate() {
                // A pass for each item on the way; taken back when its result is handed on.
                if give_pass.send(()).is_err() || send_item.send(item).is_err() {
                    break;
                }
            }
        });
        for _ in 0..workers {
            let (items_to_do, send_result) = (items_to_do.clone(), send_result.clone());
            scope.spawn(move || {
                let mut state = None;
                for (index, item) in items_to_do {
                    let attempt = catch_unwind(AssertUnwindSafe(|| {
                        let state = match &mut state {
                            Some(state) => state,
                            None => state.insert(open()?),
                        };
                        work(state, item?)
                    }));
                    let result = attempt.unwrap_or_else(|panic| Err(anyhow!("a bug: {}", reason(&*panic))));
                    if send_result.send((index, result)).is_err() {
                        break;
                    }
                }
            });
        }
        drop((items_to_do, send_result));
        // Owned here, so that they go on an error, which ends the workers and the feeder.
        let (results, passes) = (results, passes);
        let mut early = BTreeMap::new();
        let mut next = 0;
        for (index, result) in &results {
            early.insert(index, result);
            while let Some(result) = early.remove(&next) {
                take(result?)?;
                next += 1;
                let _ = passes.recv();
            }
        }
        Ok(())
    })
}

/// What a panic said.
pub fn reason(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a worker panicked".into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use super::*;

    fn collect(
        workers: usize,
        work: impl Fn(usize) -> anyhow::Result<usize> + Sync,
    ) -> anyhow::Result<Vec<usize>> {
        let mut out = Vec::new();
        in_order(
            (0..100).map(Ok),
            workers,
            || Ok(()),
            |(), item| work(item),
            |item| {
                out.push(item);
                Ok(())
            },
        )?;
        Ok(out)
    }

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let slow_first = |item: usize| {
            std::thread::sleep(Duration::from_micros(500 - 5 * item as u64));
            Ok(item * 2)
        };
        assert_eq!(collect(4, slow_first).unwrap(), (0..100).map(|item| item * 2).collect::<Vec<_>>());
    }

    #[test]
    fn the_first_failing_item_is_told_and_nothing_hangs() {
        let fail = |item: usize| if item >= 50 { Err(anyhow!("item {item}")) } else { Ok(item) };
        assert_eq!(collect(3, fail).unwrap_err().to_string(), "item 50");
    }

    #[test]
    fn a_worker_that_panics_is_an_error() {
        let error = collect(2, |item| if item == 7 { panic!("seven") } else { Ok(item) }).unwrap_err();
        assert_eq!(error.to_string(), "a bug: seven");
    }

    #[test]
    fn a_slow_taker_holds_the_items_back() {
        let begun = AtomicUsize::new(0);
        let items = (0..100).map(|item| {
            begun.fetch_add(1, Ordering::SeqCst);
            Ok(item)
        });
        let mut taken = 0;
        in_order(
            items,
            2,
            || Ok(()),
            |(), item: usize| Ok(item),
            |_| {
                taken += 1;
                assert!(begun.load(Ordering::SeqCst) <= taken + 2 * ON_THE_WAY + 2, "too far ahead");
                std::thread::sleep(Duration::from_micros(200));
                Ok(())
            },
        )
        .unwrap();
        assert_eq!(taken, 100);
    }
}
