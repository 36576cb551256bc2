//! The tasks, judged by what stands in their texts: solvers that know nothing of how these were made.

mod longbench;
mod needle;
mod padded;
mod ppl;
mod ruler;
mod solvers;
mod support;
