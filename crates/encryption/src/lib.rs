//! Envelope encryption of fields, blind indexes and the key-management seam.
