//! What follows a change in its own time: the store gets it, and memory that it took goes back.

use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{sleep, sleep_until};

use super::stopped;

/// How long changes gather before the store gets them.
const SAVE_AFTER: Duration = Duration::from_secs(3);

/// How long nothing may have changed before memory is tidied.
const QUIET: Duration = Duration::from_secs(2);

/// Fewer changes than this leave nothing behind that is worth it.
const MANY: usize = 4096;

/// What is looked after.
pub(crate) trait Kept {
    /// Hands the store what it does not have; returns of how many entries.
    fn save(&self) -> impl Future<Output = usize> + Send;

    /// Takes no more memory than it needs from now on.
    fn tidy(&self) -> impl Future<Output = ()> + Send;
}

/// Looks after `kept` until `stop` turns true; `changed` is rung when there is something to save.
/// Wakes up for nothing else.
pub(crate) async fn look_after(kept: &impl Kept, changed: &Notify, stop: &mut watch::Receiver<bool>) {
    // What was loaded at the start lies as loosely as what came later.
    let mut loose = MANY;
    let mut quiet = tokio::time::Instant::now() + QUIET;
    loop {
        tokio::select! {
            biased;
            () = stopped(stop) => break,
            () = changed.notified() => {
                tokio::select! {
                    () = stopped(stop) => break,
                    () = sleep(SAVE_AFTER) => {}
                }
                loose = loose.saturating_add(kept.save().await);
                quiet = tokio::time::Instant::now() + QUIET;
            }
            () = sleep_until(quiet), if loose >= MANY => {
                kept.tidy().await;
                loose = 0;
            }
        }
    }
    kept.save().await;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Counted {
        unsaved: AtomicUsize,
        saves: AtomicUsize,
        tidied: AtomicUsize,
    }

    impl Kept for Counted {
        async fn save(&self) -> usize {
            self.saves.fetch_add(1, Ordering::Relaxed);
            self.unsaved.swap(0, Ordering::Relaxed)
        }

        async fn tidy(&self) {
            self.tidied.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Counted {
        fn counts(&self) -> (usize, usize) {
            (self.saves.load(Ordering::Relaxed), self.tidied.load(Ordering::Relaxed))
        }
    }

    /// Runs `script` beside it in paused time: nothing really waits.
    fn with_upkeep(script: impl AsyncFn(&Counted, &Notify)) -> (usize, usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("runtime").block_on(async {
            let (counted, changed) = (Counted::default(), Notify::new());
            let (stop, mut stopped) = watch::channel(false);
            let scripted = async {
                script(&counted, &changed).await;
                let seen = counted.counts();
                stop.send_replace(true);
                seen
            };
            let (seen, ()) = tokio::join!(scripted, look_after(&counted, &changed, &mut stopped));
            assert_eq!(counted.counts().0, seen.0 + 1, "the end saves once more");
            seen
        })
    }

    #[test]
    fn the_start_is_tidied_and_then_nothing_happens() {
        assert_eq!(with_upkeep(async |_, _| sleep(Duration::from_secs(3600)).await), (0, 1));
    }

    #[test]
    fn changes_are_saved_together_and_many_are_tidied_once_it_is_quiet() {
        let seen = with_upkeep(async |counted, changed| {
            sleep(Duration::from_secs(60)).await;
            for _ in 0..10 {
                counted.unsaved.fetch_add(1000, Ordering::Relaxed);
                changed.notify_one();
                sleep(Duration::from_millis(500)).await;
            }
            assert_eq!(counted.counts().1, 1, "not while it goes on");
            sleep(Duration::from_secs(60)).await;
        });
        assert!((2..=4).contains(&seen.0) && seen.1 == 2, "{seen:?}");
    }

    #[test]
    fn a_few_changes_are_saved_and_nothing_more() {
        let seen = with_upkeep(async |counted, changed| {
            sleep(Duration::from_secs(60)).await;
            counted.unsaved.fetch_add(1, Ordering::Relaxed);
            changed.notify_one();
            sleep(Duration::from_secs(60)).await;
        });
        assert_eq!(seen, (1, 1));
    }
}
