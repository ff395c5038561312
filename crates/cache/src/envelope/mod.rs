//! How an entry looks outside of memory: on the disk and in the shared tier.
//!
//! ```text
//!   0  magic "MstC"          4    84  key digest     32
//!   4  format version        1   116  nonce          12   zero when not encrypted
//!   5  flags                 1   128  tags        8 × n
//!   6  number of tags        2        body              compressed, then encrypted
//!   8  generation            8        checksum        8   XXH64 of all before it
//!  16  version (stamp)       8
//!  24  position in the shared order 8
//!  32  loaded at             8   µs since the Unix epoch
//!  40  fresh until           8
//!  48  of use until          8
//!  56  fresh for             8   µs, so that a stepping clock cannot extend it
//!  64  of use for            8
//!  72  the load took         4   µs
//!  76  length as stored      4
//!  80  length of the value   4
//! ```
//!
//! All numbers are little-endian. Encryption is AES-256-GCM over the body; the
//! header with its tags is authenticated with it.

mod codec;
mod seal;

pub(crate) use codec::{Envelope, decode, encode};
pub use seal::EncryptionKey;
pub(crate) use seal::Sealer;
