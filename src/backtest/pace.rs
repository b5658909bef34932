//! How much of a processor a back-test takes: half of one at most, in small pieces, so that whoever has something to do waits for it a few
//! milliseconds. A service may not lower its own priority where the system forbids such calls, so it rests instead.

use std::time::{Duration, Instant};

/// Rested is after so much work, for as long as the work took.
const PIECE: Duration = Duration::from_millis(10);
/// However long a piece took (a disk may be slow), a rest is no longer than this.
const LONGEST: Duration = Duration::from_millis(100);

pub struct Pace {
    since: Instant,
}

impl Pace {
    pub fn new() -> Pace {
        Pace { since: Instant::now() }
    }

    /// Asked every few hundred rows: rests where it is time to.
    pub fn step(&mut self) {
        let worked = self.since.elapsed();
        if worked >= PIECE {
            std::thread::sleep(worked.min(LONGEST));
            self.since = Instant::now();
        }
    }
}
