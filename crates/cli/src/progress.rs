//! A line on standard error while something takes longer than a second; on a terminal only.

use std::io::{Write as _, stderr};
use std::time::Duration;

use tokio::time::{Instant, interval_at};

use crate::config::Config;

/// Before the line appears: most things are done by then.
const PATIENCE: Duration = Duration::from_secs(1);

/// Waits for `work`, and says `what` is waited for when it takes long.
pub(crate) async fn while_waiting<T>(
    config: &Config,
    what: &str,
    work: impl Future<Output = T>,
) -> T {
    if !config.terminals.error {
        return work.await;
    }
    let start = Instant::now();
    let mut ticks = interval_at(start + PATIENCE, Duration::from_secs(1));
    let mut shown = false;
    tokio::pin!(work);
    let done = loop {
        tokio::select! {
            done = &mut work => break done,
            _ = ticks.tick() => {
                shown = true;
                draw(&format!("\r\u{1b}[K{what} … {} s", start.elapsed().as_secs()));
            }
        }
    };
    if shown {
        draw("\r\u{1b}[K");
    }
    done
}

fn draw(text: &str) {
    let mut err = stderr().lock();
    // A progress line that cannot be written is not missed.
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}
