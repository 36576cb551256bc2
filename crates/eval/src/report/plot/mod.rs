//! Figures, written by hand as SVG: it is text, and a reader needs nothing but a browser.
//!
//! Every figure has a title and a description for those who cannot see it, text in the reader's own light or dark
//! scheme, and lines that differ in colour, dashes and markers.

pub mod axis;
pub mod heat_map;
pub mod line_chart;
pub mod looks;
pub mod marker;
pub mod memory;
pub mod quality;
pub mod svg;
