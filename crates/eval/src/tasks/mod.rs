//! The tasks: what is asked, and how it is scored.
