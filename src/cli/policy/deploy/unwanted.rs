//! The requests of `eventcast policy revoke`: from the command line or a list, checked before any
//! call.

use super::bulk::{BulkItem as _, RequestedItems};
use super::journal::key;
use super::list::{ListColumns, ListPosition, ListRow};
use super::report::ItemFailure;
use super::{SeenPolicies, bulk, targets, unfit};
use crate::channel::limits::CLIENT_ID_BYTES;
use crate::policy::deploy::plan::PolicyRevocation;
use crate::policy::deploy::target::{AttachmentTarget, PolicyName};

pub(super) const COLUMNS: ListColumns = ListColumns {
    known: &["name", "targets", "disconnect", "policy"],
    needed: &["name"],
};

/// The revocation of one policy, and the clients whose connections end.
pub(super) struct RevocationItem {
    pub(super) place: ListPosition,
    pub(super) revocation: Option<PolicyRevocation>,
    pub(super) disconnect: Vec<String>,
}

impl RevocationItem {
    /// The key by which a journal identifies it. `sessions` says what happens to sessions and
    /// wills.
    pub(super) fn key(&self, delete: bool, sessions: (bool, bool)) -> String {
        let targets = self.revocation.as_ref().and_then(|revocation| {
            let targets = revocation.targets.as_ref()?;
            Some(
                targets
                    .iter()
                    .map(|target| target.as_str())
                    .collect::<Vec<_>>(),
            )
        });
        key(&(self.name(), targets, delete, &self.disconnect, sessions))
    }
}

impl bulk::BulkItem for RevocationItem {
    /// Empty when only connections end.
    fn name(&self) -> &str {
        let revocation = self.revocation.as_ref();
        revocation.map_or("", |revocation| revocation.name.as_str())
    }

    fn place(&self) -> &ListPosition {
        &self.place
    }

    fn targets(&self) -> impl Iterator<Item = &AttachmentTarget> {
        let revocation = self.revocation.as_ref();
        let targets = revocation.and_then(|revocation| revocation.targets.as_ref());
        targets.into_iter().flatten()
    }
}

/// The revocations of a list, each checked by itself and against those before it.
pub(super) fn from_list(
    rows: RequestedItems<ListRow>,
    delete: bool,
) -> RequestedItems<RevocationItem> {
    let mut once = SeenPolicies::default();
    let mut checked = |row: ListRow| {
        let item = item(&row, delete)?;
        if row.name.is_empty() {
            return Ok(item);
        }
        once.check(&row).map(|()| item)
    };
    rows.into_iter()
        .map(|row| row.and_then(&mut checked))
        .collect()
}

/// Reads the request of one line, or of the command line.
pub(super) fn item(row: &ListRow, delete: bool) -> Result<RevocationItem, Box<ItemFailure>> {
    let place = &row.place;
    if row.name.is_empty() && row.disconnect.is_empty() {
        let help = "name a policy to revoke, or a client to disconnect";
        return Err(place.failure("", "", "there is nothing to revoke".into(), help));
    }
    for client in &row.disconnect {
        if client.is_empty() || client.starts_with('$') || client.len() > CLIENT_ID_BYTES {
            let what = format!("the client id `{client}` is none that can be disconnected");
            let help = "a client id has 1 to 128 bytes and does not begin with `$`";
            return Err(place.failure(&row.name, client, what, help));
        }
    }
    let revocation = if row.name.is_empty() {
        None
    } else {
        let named = targets(&row.targets, &row.name, place)?;
        Some(PolicyRevocation {
            name: PolicyName::parse(&row.name)
                .map_err(|bad| unfit(&bad, &row.name, &row.name, place))?,
            targets: (!named.is_empty()).then_some(named),
            delete,
        })
    };
    Ok(RevocationItem {
        place: place.clone(),
        revocation,
        disconnect: row.disconnect.clone(),
    })
}
