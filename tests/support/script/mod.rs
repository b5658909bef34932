//! Scenarios: what the gateway must do, told as a story in `tests/scenarios/*.txt` and played on the real engine.
//!
//! Nothing sleeps: time jumps from what is due to what is due (a message, the end of a batch, the engine's own deadline).
//! The first lines tell the world, one thing a line:
//!
//! ```text
//! zone Asia/Shanghai
//! start 2026-10-01T00:00:00+08:00
//! linger 5s                                   # how long a batch stays open; 5s if not told
//! place b15 building
//! place b15-301 household in b15
//! meter bulk bulk at b15 pulse 10L hourly 3000L monthly 1000t silent 24h digits 8 max 100m3/h serial A1 topic water/b15/main
//! sensor rope at b15-301 silent 24h topic leak/301                   # a contact, a button, a door …: it sends flags
//! season 11-01 03-31                                                 # when the compound is heated
//! valve v1 at b15-301 topic heat/v1                                  # sends heat/v1/supply, …/return, …/position
//! room r1 at b15-301 topic room/301                                  # sends its temperature; `outdoor`: that of the weather
//! meter kitchen sub at b15-301 pulses pulse 1L topic pulses/301      # `pulses`: the source counts; `mean 15m`: it tells a mean flow
//! ```
//!
//! Then come steps. Each may begin with a time: `+2h` (after the start), `2026-10-31T23:50` (the compound's wall clock) or RFC 3339;
//! without one it happens at once. The time is the true one; meters' clocks are right, the gateway's own may be wrong.
//!
//! ```text
//! +15m water/b15/main 338.304 m3              # a message that tells its own time
//! +2h  water/b15/main 338.310 m3 at +30m      # … a late one
//! +15m water/b15/main 338.304 m3 no-time      # … one without a time
//! +15m water/b15/main refused                 # … one that cannot be decoded
//! +1h  leak/301 flags wet,battery_low         # what a sensor says of itself and its place; `flags none`
//! +1h  offline leak/301 | online leak/301     # whether it is there, says its broker
//! +0   flow water/b15/main 489 L/h every 15m for 9d [day-night | at-home] [plus 1390 L/h] [no-time] [arrive +10d [newest-first]]
//!                                             # a register that rises from where it stood; other lines go on beside it
//! +0   warm heat/v1 supply 50degC return 33degC open 60% every 15m for 9d [frozen]      # a valve; with `frozen` without a sensor's noise
//! +0   steady room/301 19.5 degC every 1h for 3d                      # one value again and again
//! +1h  disconnect | connect                   # the broker keeps what was not acknowledged and sends it (again)
//! +1h  clock -1h | right | unsure | sure      # the gateway's own clock
//! +1h  commit [unacknowledged]                # closes the batch now; the acknowledgements get lost
//! +1h  checkpoint | crash | restart           # a restart stops in order: commit, checkpoint, start
//! +1h  set bulk serial B7                     # what the config says from the next start on
//! +1h  accept last by 王 [note …] | close no.1 by 王 [as-not-a-leak] because 修好      # with `refused CODE` before `by` if it must be refused
//! +3d  amend bulk replaced at +2d end 100.2m3 start 0m3 by 王 because 换表      # … see `Run::amend` for all that can be stated
//! +3d  amend undo 1 by 王 because 写错了
//! ```
//!
//! And what is wanted. At its end a scenario must have named every incident, every joining and every end of one: what no line
//! wanted is a failure.
//!
//! ```text
//! want +7h incident leak_hourly_limit bulk opened | joined | again | cleared | closed [historic] [grown]
//!                                             # in the minute up to +7h; `want +7h..+9h …` in that window
//! want none                                   # no incident so far that was not wanted above
//! want stored 10 duplicate 2 rejected conflict 1 in-flight 0          # of this process; `want source water/b15/main stored 3`
//! want row water/b15/main +15m 338.304 m3 [unsure] [arrival] [ahead]
//! want rows 12
//! want bulk month 2026-10 352.1 t             # to the digits that are written
//! want bulk steps reset 1 late 2              # those not named are not looked at
//! want bulk register 338.310 m3 | flow 489 L/h | silent | heard
//! want open 1
//! want last detected | accepted by 王 | closed by 王 | closed by meter | points bulk flat | start +1h..+2h | findings 2
//! want last says leak_hourly_limit bulk seen 2.20 m3             # an argument of its newest statement
//! ```
//!
//! Every scenario is played twice more, with the connection made anew after every commit and with a crash after every commit: both
//! must end in the same events and the same checkpoint, which are also those of the first run unless it has messages without a
//! time of their own (which of them count as sent again depends on the reconnects, by design).

mod run;
mod want;
mod words;
mod world;

pub use run::{End, Mode, play};
