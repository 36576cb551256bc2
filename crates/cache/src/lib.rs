//! What is kept of the past, and in how many bytes?
