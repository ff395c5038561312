//! All SQL of Mainstay: the database manager and the repositories.
