//! Draws the [`Screen`] on the terminal: after events, and ten times a second while a step runs.
//!
//! The ticking thread is started by the first step that really runs, so a build that is all cached has none. Invariant:
//! after [`Live::finish`] or drop nothing more is drawn and the cursor is visible.

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use kiln_engine::Event;

use super::screen::{Screen, Size};
use super::{Clock, clock};
use crate::terminal::{self, Terminal};

/// Time between two pictures. Tenths of a second are shown.
const TICK: Duration = Duration::from_millis(100);

/// The display.
pub struct Live {
    shared: Arc<Shared>,
    ticker: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    clock: Clock,
}

struct State {
    screen: Screen,
    built: bool,
    finished: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn draw(&self, state: &mut State) {
        let (width, height) = terminal::size();
        let text = state.screen.draw((self.clock)(), Size { width, height });
        if !text.is_empty() {
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
    }
}

impl Live {
    /// A display that has drawn nothing yet.
    #[must_use]
    pub fn new(terminal: Terminal) -> Self {
        let state = State {
            screen: Screen::new(terminal),
            built: false,
            finished: false,
        };
        let shared = Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            clock: clock(),
        };
        Self {
            shared: Arc::new(shared),
            ticker: Mutex::new(None),
        }
    }

    /// Takes one event.
    pub fn event(&self, event: Event<'_>) {
        let draws = matches!(
            event,
            Event::Waiting { .. }
                | Event::Finished { .. }
                | Event::VmStarting { .. }
                | Event::Status { .. }
        );
        let ticks = draws || matches!(event, Event::Output { .. });
        let mut state = self.shared.state();
        if state.finished {
            return;
        }
        state.built |= matches!(event, Event::Built { .. });
        state.screen.event(event, (self.shared.clock)());
        if draws {
            self.shared.draw(&mut state);
        }
        let running = state.screen.is_running();
        drop(state);
        if ticks || running {
            self.start_ticking();
        }
    }

    fn start_ticking(&self) {
        let mut ticker = self.ticker.lock().unwrap_or_else(PoisonError::into_inner);
        if ticker.is_none() {
            let shared = Arc::clone(&self.shared);
            // Without a thread the picture only changes with events: no reason to fail.
            *ticker = std::thread::Builder::new()
                .name("progress".to_owned())
                .spawn(move || tick(&shared))
                .ok();
        }
    }

    /// Draws the last picture, once.
    pub fn finish(&self) {
        let mut state = self.shared.state();
        if state.finished {
            return;
        }
        state.finished = true;
        state.screen.finish();
        self.shared.draw(&mut state);
        if state.built {
            let summary = state.screen.summary((self.shared.clock)());
            let _ = std::io::stderr().write_all(format!("{summary}\n").as_bytes());
        }
        drop(state);
        terminal::restore();
        self.shared.changed.notify_all();
        let ticker = self
            .ticker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(ticker) = ticker {
            let _ = ticker.join();
        }
    }
}

fn tick(shared: &Shared) {
    let mut state = shared.state();
    while !state.finished {
        state = shared
            .changed
            .wait_timeout(state, TICK)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        if !state.finished && state.screen.is_running() {
            terminal::hide_cursor();
            shared.draw(&mut state);
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.finish();
    }
}
