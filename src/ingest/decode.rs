//! Payload bytes to [`Reading`](crate::domain::reading::Reading) or [`Refused`](crate::domain::reading::Refused). Pure.
