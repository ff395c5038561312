//! Issue, rotate, verify and revoke credentials; roles and permissions.
