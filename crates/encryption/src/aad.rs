//! What a sealed field is bound to.

use uuid::Uuid;

/// The place of a sealed field. It is authenticated with the ciphertext, so a
/// value moved to another workspace, table, column, row or person does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aad<'a> {
    /// The workspace that the row belongs to.
    pub workspace: Uuid,
    /// The table's name.
    pub table: &'a str,
    /// The column's name.
    pub column: &'a str,
    /// The row's id.
    pub row: Uuid,
    /// The person whom the field is about, whose data key seals it.
    pub subject: Uuid,
}

impl Aad<'_> {
    /// The canonical bytes: every part carries its length, so that no two
    /// places have the same bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(5 * 4 + 48 + self.table.len() + self.column.len());
        for part in [
            self.workspace.as_bytes().as_slice(),
            self.table.as_bytes(),
            self.column.as_bytes(),
            self.row.as_bytes(),
            self.subject.as_bytes(),
        ] {
            // Table and column names are constants of a few bytes.
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }
}
