//! The real binary against a real broker and a real disk, from outside.

mod crash;
mod harness;
mod lifecycle;
mod payloads;
mod publisher;
mod tls;
