//! What people have stated about meters, as the store holds it.

use crate::domain::amendment::{Entries, Entry};
use crate::store::ReadError;

/// The ledger of these bodies ([`crate::store::Reader::ledger`]). One that this version cannot read is an error: to leave it out would change
/// volumes without a word.
pub fn entries(bodies: Vec<String>) -> Result<Entries, ReadError> {
    let read = |body: String| {
        serde_json::from_str::<Entry>(&body).map_err(|e| ReadError::Unknown { what: "entry of the ledger", found: format!("{e}: {body}") })
    };
    Ok(Entries::new(bodies.into_iter().map(read).collect::<Result<Vec<_>, _>>()?))
}
