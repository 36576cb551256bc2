//! cuBLASLt, the library of matrix products, loaded when it is needed.
//!
//! What is called here has had the same signatures since version 11.

use std::ffi::{c_int, c_void};
use std::path::Path;

use libloading::Library;

use crate::{CudaError, library};

/// Where the library is looked for, in this order, if no path is given.
const NAMES: [&str; 5] = [
    "libcublasLt.so",
    "libcublasLt.so.13",
    "libcublasLt.so.12",
    "/usr/local/cuda/lib64/libcublasLt.so",
    "/opt/cuda/lib64/libcublasLt.so",
];

/// `CUBLAS_COMPUTE_32F`.
const COMPUTE_F32: c_int = 68;
/// `CUDA_R_32F` and `CUDA_R_16BF`.
const TYPE_F32: c_int = 0;
const TYPE_BF16: c_int = 14;
/// `CUBLASLT_MATMUL_DESC_TRANSA`, and `CUBLAS_OP_T` for it.
const TRANSPOSE_A: c_int = 3;
const TRANSPOSED: c_int = 1;
/// `CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES`.
const MOST_WORKSPACE: c_int = 1;

type Handle = *mut c_void;
/// A way of computing a product, `cublasLtMatmulAlgo_t`.
type Algorithm = [u64; 8];

/// `cublasLtMatmulHeuristicResult_t`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Proposal {
    algorithm: Algorithm,
    workspace: usize,
    state: c_int,
    waves: f32,
    _reserved: [c_int; 4],
}

type Create = unsafe extern "C" fn(*mut Handle) -> c_int;
type Destroy = unsafe extern "C" fn(Handle) -> c_int;
type CreateDescription = unsafe extern "C" fn(*mut Handle, c_int, c_int) -> c_int;
type CreateLayout = unsafe extern "C" fn(*mut Handle, c_int, u64, u64, i64) -> c_int;
type Set = unsafe extern "C" fn(Handle, c_int, *const c_void, usize) -> c_int;
type Propose = unsafe extern "C" fn(
    Handle,
    Handle,
    Handle,
    Handle,
    Handle,
    Handle,
    Handle,
    c_int,
    *mut Proposal,
    *mut c_int,
) -> c_int;
type Multiply = unsafe extern "C" fn(
    Handle,
    Handle,
    *const f32,
    *const c_void,
    Handle,
    *const c_void,
    Handle,
    *const f32,
    *const c_void,
    Handle,
    *mut c_void,
    Handle,
    *const Algorithm,
    *mut c_void,
    usize,
    *mut c_void,
) -> c_int;

/// The library, with a handle of its own.
#[derive(Debug)]
pub(crate) struct Blas {
    handle: Handle,
    calls: Calls,
    /// The functions live as long as this.
    _library: Library,
}

#[derive(Clone, Copy, Debug)]
struct Calls {
    destroy: Destroy,
    create_description: CreateDescription,
    set_description: Set,
    destroy_description: Destroy,
    create_layout: CreateLayout,
    destroy_layout: Destroy,
    create_preference: Create,
    set_preference: Set,
    destroy_preference: Destroy,
    propose: Propose,
    multiply: Multiply,
}

// SAFETY: a handle of cuBLASLt may be used from any thread, and by several at a time.
unsafe impl Send for Blas {}
// SAFETY: as above.
unsafe impl Sync for Blas {}

/// The sizes of a product `y [n][rows] = x [n][cols] w^T`, `w` being `[rows][cols]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sizes {
    pub(crate) n: usize,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    /// Whether `y` is in `f32`, and not in `bf16`.
    pub(crate) wide: bool,
}

/// A product of certain sizes, ready to be computed.
#[derive(Debug)]
pub(crate) struct Plan {
    description: Handle,
    weight: Handle,
    input: Handle,
    output: Handle,
    algorithm: Algorithm,
    calls: Calls,
}

// SAFETY: descriptions are only read once they are made.
unsafe impl Send for Plan {}

/// Where a product's numbers are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operands {
    pub(crate) weight: u64,
    pub(crate) input: u64,
    pub(crate) output: u64,
    /// Whether the product is added to what is in `output`.
    pub(crate) added: bool,
}

impl Blas {
    /// Loads the library, from `path` if one is given.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, CudaError> {
        let (library, calls, create) =
            library::load(path, &NAMES, open).map_err(|tried| CudaError::NoBlas { tried })?;
        let mut handle = std::ptr::null_mut();
        // SAFETY: the signature is the library's, the place is ours.
        succeeded("opening cuBLASLt", unsafe { create(&mut handle) })?;
        Ok(Blas { handle, calls, _library: library })
    }

    /// A product of these sizes, with at most `workspace` bytes to work in.
    pub(crate) fn plan(&self, sizes: Sizes, workspace: usize) -> Result<Plan, CudaError> {
        let Sizes { n, rows, cols, wide } = sizes;
        let what = "planning a product";
        let output = if wide { TYPE_F32 } else { TYPE_BF16 };
        let mut plan = Plan {
            description: std::ptr::null_mut(),
            weight: std::ptr::null_mut(),
            input: std::ptr::null_mut(),
            output: std::ptr::null_mut(),
            algorithm: [0; 8],
            calls: self.calls,
        };
        let calls = &self.calls;
        let (n, rows, cols) = (n as u64, rows as u64, cols as u64);
        // SAFETY: each call gets places of ours, descriptions that were made before, and values of the size it reads.
        // The library's matrices are column by column, so ours are transposed to it.
        unsafe {
            succeeded(what, (calls.create_description)(&mut plan.description, COMPUTE_F32, TYPE_F32))?;
            let transposed = std::ptr::from_ref(&TRANSPOSED).cast();
            succeeded(what, (calls.set_description)(plan.description, TRANSPOSE_A, transposed, size_of::<c_int>()))?;
            succeeded(what, (calls.create_layout)(&mut plan.weight, TYPE_BF16, cols, rows, cols as i64))?;
            succeeded(what, (calls.create_layout)(&mut plan.input, TYPE_BF16, cols, n, cols as i64))?;
            succeeded(what, (calls.create_layout)(&mut plan.output, output, rows, n, rows as i64))?;
        }
        plan.algorithm = self.propose(&plan, workspace)?;
        Ok(plan)
    }

    /// The way that the library thinks fastest.
    fn propose(&self, plan: &Plan, workspace: usize) -> Result<Algorithm, CudaError> {
        let (what, calls) = ("planning a product", &self.calls);
        let mut preference = std::ptr::null_mut();
        let (mut proposal, mut found) = (Proposal::default(), 0);
        // SAFETY: as in `plan`; the preference is destroyed once, after its last use.
        let outcome = unsafe {
            succeeded(what, (calls.create_preference)(&mut preference))?;
            let most = std::ptr::from_ref(&workspace).cast();
            let set = (calls.set_preference)(preference, MOST_WORKSPACE, most, size_of::<usize>());
            let proposed = (calls.propose)(
                self.handle,
                plan.description,
                plan.weight,
                plan.input,
                plan.output,
                plan.output,
                preference,
                1,
                &mut proposal,
                &mut found,
            );
            (calls.destroy_preference)(preference);
            if set != 0 { set } else { proposed }
        };
        succeeded(what, outcome)?;
        if found < 1 {
            return Err(CudaError::Driver { what, reason: "cuBLASLt has no way for these sizes".into() });
        }
        succeeded(what, proposal.state)?;
        Ok(proposal.algorithm)
    }

    /// Computes a product on a stream.
    ///
    /// # Safety
    /// The operands are as long as the plan's sizes say; `workspace` has as many bytes as it was planned with.
    pub(crate) unsafe fn multiply(
        &self,
        plan: &Plan,
        operands: Operands,
        (workspace, bytes): (u64, usize),
        stream: *mut c_void,
    ) -> Result<(), CudaError> {
        let (one, kept) = (1.0f32, if operands.added { 1.0f32 } else { 0.0 });
        let pointer = |address: u64| address as *const c_void;
        // SAFETY: as the caller promises.
        let outcome = unsafe {
            (self.calls.multiply)(
                self.handle,
                plan.description,
                &one,
                pointer(operands.weight),
                plan.weight,
                pointer(operands.input),
                plan.input,
                &kept,
                pointer(operands.output),
                plan.output,
                pointer(operands.output).cast_mut(),
                plan.output,
                &plan.algorithm,
                pointer(workspace).cast_mut(),
                bytes,
                stream,
            )
        };
        succeeded("a product", outcome)
    }
}

impl Drop for Blas {
    fn drop(&mut self) {
        // SAFETY: made by this library, and used no more.
        unsafe { (self.calls.destroy)(self.handle) };
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        // SAFETY: each was made by this library, or never; the library outlives its plans (`Products`).
        unsafe {
            if !self.description.is_null() {
                (self.calls.destroy_description)(self.description);
            }
            for layout in [self.weight, self.input, self.output] {
                if !layout.is_null() {
                    (self.calls.destroy_layout)(layout);
                }
            }
        }
    }
}

fn open(name: &Path) -> Result<(Library, Calls, Create), libloading::Error> {
    // SAFETY: the library's initialisation has no requirements; the signatures are those of its header, and the
    // functions are kept no longer than the library.
    unsafe {
        let library = Library::new(name)?;
        let calls = Calls {
            destroy: *library.get(b"cublasLtDestroy\0")?,
            create_description: *library.get(b"cublasLtMatmulDescCreate\0")?,
            set_description: *library.get(b"cublasLtMatmulDescSetAttribute\0")?,
            destroy_description: *library.get(b"cublasLtMatmulDescDestroy\0")?,
            create_layout: *library.get(b"cublasLtMatrixLayoutCreate\0")?,
            destroy_layout: *library.get(b"cublasLtMatrixLayoutDestroy\0")?,
            create_preference: *library.get(b"cublasLtMatmulPreferenceCreate\0")?,
            set_preference: *library.get(b"cublasLtMatmulPreferenceSetAttribute\0")?,
            destroy_preference: *library.get(b"cublasLtMatmulPreferenceDestroy\0")?,
            propose: *library.get(b"cublasLtMatmulAlgoGetHeuristic\0")?,
            multiply: *library.get(b"cublasLtMatmul\0")?,
        };
        let create: Create = *library.get(b"cublasLtCreate\0")?;
        Ok((library, calls, create))
    }
}

/// Status 0 is success; 3 is memory that could not be had, 8 and 14 what the device cannot do.
fn succeeded(what: &'static str, status: c_int) -> Result<(), CudaError> {
    match status {
        0 => Ok(()),
        other => Err(CudaError::Driver { what, reason: format!("cuBLASLt status {other}") }),
    }
}
