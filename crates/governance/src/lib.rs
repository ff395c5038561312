//! Decide and explain: policies, guards, budgets.
