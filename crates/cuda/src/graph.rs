//! Work that is captured once and done again and again, and how long it takes.

use cudarc::driver::sys::{CUevent_flags, CUgraphInstantiate_flags, CUstreamCaptureMode};
use cudarc::driver::{CudaEvent, CudaGraph};

use crate::error::While;
use crate::{CudaError, Device};

/// Work to be done again and again with the same buffers: one launch instead of many.
pub struct Graph {
    graph: CudaGraph,
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Graph").finish_non_exhaustive()
    }
}

impl Graph {
    /// Captures what `work` asks the device to do. The buffers that it uses must live as long as the graph is launched;
    /// it must not allocate, copy or wait.
    ///
    /// # Errors
    /// Those of `work`, and what the driver says.
    pub fn capture(device: &Device, work: impl FnOnce() -> Result<(), CudaError>) -> Result<Self, CudaError> {
        let stream = device.stream();
        let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        stream.begin_capture(mode).during("capturing")?;
        let done = work();
        let graph = stream.end_capture(CUgraphInstantiate_flags(0)).during("capturing");
        done?;
        let graph = graph?.ok_or(CudaError::Driver { what: "capturing", reason: "nothing was captured".into() })?;
        graph.upload().during("capturing")?;
        Ok(Graph { graph })
    }

    /// Does the work once more.
    ///
    /// # Errors
    /// What the driver says.
    pub fn launch(&self) -> Result<(), CudaError> {
        self.graph.launch().during("launching a graph")
    }
}

/// Measures time on the device.
#[derive(Debug)]
pub struct Stopwatch {
    start: CudaEvent,
    end: CudaEvent,
}

impl Stopwatch {
    /// One for `device`.
    ///
    /// # Errors
    /// What the driver says.
    pub fn new(device: &Device) -> Result<Self, CudaError> {
        let event = || {
            let context = device.stream().context();
            context.new_event(Some(CUevent_flags::CU_EVENT_DEFAULT)).during("making an event")
        };
        Ok(Stopwatch { start: event()?, end: event()? })
    }

    /// Seconds between the device's beginning and its end of what `work` asks it to do.
    ///
    /// # Errors
    /// Those of `work`, and what the driver says.
    pub fn time(&self, device: &Device, work: impl FnOnce() -> Result<(), CudaError>) -> Result<f64, CudaError> {
        self.start.record(device.stream()).during("measuring time")?;
        work()?;
        self.end.record(device.stream()).during("measuring time")?;
        Ok(f64::from(self.start.elapsed_ms(&self.end).during("measuring time")?) / 1e3)
    }
}
