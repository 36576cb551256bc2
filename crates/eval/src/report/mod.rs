//! Tables, plots and pages from predictions.
