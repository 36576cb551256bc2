//! NVRTC, the compiler of kernels, loaded when it is needed.

use std::ffi::{CString, c_char, c_int, c_void};
use std::path::Path;

use libloading::Library;

use crate::source::{HEADERS, Source};
use crate::{CudaError, library};

/// Where the library is looked for, in this order, if no path is given.
const NAMES: [&str; 5] = [
    "libnvrtc.so",
    "libnvrtc.so.13",
    "libnvrtc.so.12",
    "/usr/local/cuda/lib64/libnvrtc.so",
    "/opt/cuda/lib64/libnvrtc.so",
];

type Program = *mut c_void;
type Create = unsafe extern "C" fn(
    *mut Program,
    *const c_char,
    *const c_char,
    c_int,
    *const *const c_char,
    *const *const c_char,
) -> c_int;
type Compile = unsafe extern "C" fn(Program, c_int, *const *const c_char) -> c_int;
type Size = unsafe extern "C" fn(Program, *mut usize) -> c_int;
type Read = unsafe extern "C" fn(Program, *mut c_char) -> c_int;
type Destroy = unsafe extern "C" fn(*mut Program) -> c_int;
type Version = unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int;

/// The compiler.
#[derive(Debug)]
pub struct Nvrtc {
    create: Create,
    compile: Compile,
    log_size: Size,
    log: Read,
    cubin_size: Size,
    cubin: Read,
    destroy: Destroy,
    version: (i32, i32),
    /// The functions above live as long as this.
    _library: Library,
}

/// A compiled kernel file.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Machine code.
    pub cubin: Vec<u8>,
    /// What the compiler said, with registers and spills of every kernel.
    pub log: String,
}

impl Nvrtc {
    /// Loads the library, from `path` if one is given.
    ///
    /// # Errors
    /// [`CudaError::NoCompiler`].
    pub fn load(path: Option<&Path>) -> Result<Self, CudaError> {
        library::load(path, &NAMES, Self::open).map_err(|tried| CudaError::NoCompiler { tried })
    }

    fn open(name: &Path) -> Result<Self, libloading::Error> {
        // SAFETY: NVRTC's initialisation has no requirements; the signatures are those of its header, unchanged since
        // version 11.1, and the functions are kept no longer than the library.
        unsafe {
            let library = Library::new(name)?;
            let (mut major, mut minor) = (0, 0);
            let version: Version = *library.get(b"nvrtcVersion\0")?;
            version(&mut major, &mut minor);
            Ok(Nvrtc {
                create: *library.get(b"nvrtcCreateProgram\0")?,
                compile: *library.get(b"nvrtcCompileProgram\0")?,
                log_size: *library.get(b"nvrtcGetProgramLogSize\0")?,
                log: *library.get(b"nvrtcGetProgramLog\0")?,
                cubin_size: *library.get(b"nvrtcGetCUBINSize\0")?,
                cubin: *library.get(b"nvrtcGetCUBIN\0")?,
                destroy: *library.get(b"nvrtcDestroyProgram\0")?,
                version: (major, minor),
                _library: library,
            })
        }
    }

    /// The compiler's version.
    pub fn version(&self) -> (i32, i32) {
        self.version
    }

    /// Compiles `source` for `arch`, such as `sm_90`.
    ///
    /// # Errors
    /// [`CudaError::Compile`] with what the compiler said.
    pub fn compile(&self, source: &Source, arch: &str) -> Result<Compiled, CudaError> {
        let failed = |log: String| CudaError::Compile { file: source.file, arch: arch.to_owned(), log };
        let text = |s: &str| CString::new(s).map_err(|_| failed("a zero byte in the source".into()));
        let (code, file) = (text(source.text)?, text(source.file)?);
        let headers = HEADERS.iter().map(|(_, code)| text(code)).collect::<Result<Vec<_>, _>>()?;
        let names = HEADERS.iter().map(|(name, _)| text(name)).collect::<Result<Vec<_>, _>>()?;
        let options = source.options(arch).iter().map(|o| text(o)).collect::<Result<Vec<_>, _>>()?;
        let pointers = |all: &[CString]| all.iter().map(|s| s.as_ptr()).collect::<Vec<_>>();
        let (headers, names, options) = (pointers(&headers), pointers(&names), pointers(&options));

        let mut program: Program = std::ptr::null_mut();
        // SAFETY: all strings end with zero and live until the end of this function, the counts are theirs.
        let created = unsafe {
            (self.create)(
                &mut program,
                code.as_ptr(),
                file.as_ptr(),
                headers.len() as c_int,
                headers.as_ptr(),
                names.as_ptr(),
            )
        };
        if created != 0 {
            return Err(failed(format!("nvrtcCreateProgram returned {created}")));
        }
        // SAFETY: the program was just created, and is destroyed once, after its last use.
        let (compiled, log, cubin) = unsafe {
            let compiled = (self.compile)(program, options.len() as c_int, options.as_ptr());
            let log = read(program, self.log_size, self.log);
            let cubin = if compiled == 0 { read(program, self.cubin_size, self.cubin) } else { Vec::new() };
            (self.destroy)(&mut program);
            (compiled, log, cubin)
        };
        let log = String::from_utf8_lossy(log.strip_suffix(&[0]).unwrap_or(&log)).into_owned();
        if compiled != 0 || cubin.is_empty() { Err(failed(log)) } else { Ok(Compiled { cubin, log }) }
    }
}

/// What `fill` writes, as long as `size` says; empty if either fails.
///
/// # Safety
/// Both are functions of the library that `program` is of, which exists.
unsafe fn read(program: Program, size: Size, fill: Read) -> Vec<u8> {
    let mut length = 0;
    // SAFETY: as the caller promises; `fill` writes `length` bytes.
    unsafe {
        if size(program, &mut length) != 0 {
            return Vec::new();
        }
        let mut bytes = vec![0; length];
        if fill(program, bytes.as_mut_ptr().cast()) != 0 {
            return Vec::new();
        }
        bytes
    }
}
