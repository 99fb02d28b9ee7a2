//! Conflicts and drift: what an operator should hear of long after it happened.

use redb::{ReadableTable, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::Store;
use super::error::{StoreError, Trouble};
use super::tables::{self, INCIDENTS, existing};
use crate::model::{Epoch, RelPath};

/// How many are kept; the oldest go first.
const KEPT: u64 = 10_000;

/// What happened to a path.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum IncidentKind {
    /// This node wrote it and lost the set's role before anybody acknowledged it.
    Conflict,
    /// Somebody else than syncd changed it on a replica.
    Drift,
}

/// Something that happened to a path behind syncd's back.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Incident {
    /// What.
    pub kind: IncidentKind,
    /// The set.
    pub set: String,
    /// The path.
    pub path: RelPath,
    /// When it was found, in milliseconds since 1970.
    pub at_unix_ms: u64,
    /// The epoch it was found in.
    pub epoch: Epoch,
    /// Where what stood there is kept, below the set's root; none when there was no content.
    pub copy: Option<RelPath>,
}

impl Store {
    /// Records an incident, durably.
    ///
    /// # Errors
    /// [`StoreError`] when it is not durable.
    pub fn record_incident(&self, incident: &Incident) -> Result<(), StoreError> {
        self.write(|txn| add(txn, std::slice::from_ref(incident)))
    }

    /// The incidents of `set`, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn incidents(&self, set: &str) -> Result<Vec<Incident>, StoreError> {
        self.read(|txn| {
            let Some(table) = existing(txn.open_table(INCIDENTS))? else {
                return Ok(Vec::new());
            };
            let mut found = Vec::new();
            for row in table.iter()? {
                let incident: Incident = tables::decode(row?.1.value())?;
                if incident.set == set {
                    found.push(incident);
                }
            }
            Ok(found)
        })
    }
}

/// Adds incidents under the next numbers and drops what is too old.
pub(super) fn add(txn: &WriteTransaction, incidents: &[Incident]) -> Result<(), Trouble> {
    let mut table = txn.open_table(INCIDENTS)?;
    let mut next = table.last()?.map_or(0, |(n, _)| n.value().saturating_add(1));
    for incident in incidents {
        table.insert(next, &*tables::encode(incident)?)?;
        next = next.saturating_add(1);
    }
    table.retain_in(..next.saturating_sub(KEPT), |_, _| false)?;
    Ok(())
}
