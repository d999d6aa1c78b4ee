//! What a macOS binary of a release must be: checked from its bytes, on any system.
//!
//! - It loads nothing but the libraries and frameworks in [`LIBRARIES`], and each symbol that it lacks is bound to one.
//! - Its signature is whole: see [`super::signature`].

use object::macho::{
    CPU_TYPE_ARM64, CPU_TYPE_X86_64, LC_CODE_SIGNATURE, LC_LAZY_LOAD_DYLIB, LC_LOAD_DYLIB,
    LC_LOAD_UPWARD_DYLIB, LC_LOAD_WEAK_DYLIB, LC_REEXPORT_DYLIB, LC_RPATH, LoadCommandType,
    MachHeader64, N_UNDF,
};
use object::read::macho::{LoadCommandData, LoadCommandVariant, MachHeader as _, Nlist as _};
use object::{Endianness, read::Error as ReadError};

use crate::dist::signature::{self, Signature};

/// Everything of the system that the binary may load.
const LIBRARIES: &[&str] = &[
    "/usr/lib/libSystem.B.dylib",
    "/usr/lib/libiconv.2.dylib",
    "/usr/lib/libcharset.1.dylib",
    "/System/Library/Frameworks/Hypervisor.framework/Hypervisor",
    "/System/Library/Frameworks/Hypervisor.framework/Versions/A/Hypervisor",
    "/System/Library/Frameworks/CoreFoundation.framework/Versions/A/CoreFoundation",
    "/System/Library/Frameworks/Security.framework/Versions/A/Security",
];

/// What is wrong with a binary.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file cannot be read as a 64-bit Mach-O.
    #[error("it is no 64-bit Mach-O: {0}")]
    Malformed(#[from] ReadError),
    /// It is for another processor.
    #[error("it is for CPU type {0:#x}")]
    Processor(u32),
    /// It loads what is not in the table.
    #[error("it loads {0}, which is not in the table of system libraries")]
    Library(String),
    /// It looks for libraries in a place of its own.
    #[error("it has the search path {0}")]
    SearchPath(String),
    /// A symbol comes from no library that is loaded.
    #[error("the symbol {0} is in no library that it loads")]
    Symbol(String),
    /// There is no signature.
    #[error("it is not signed")]
    Unsigned,
    /// The signature is not what it should be.
    #[error("its signature: {0}")]
    Signature(#[from] signature::Fault),
}

/// What was found in a binary that is as it should be.
#[derive(Debug)]
pub struct Facts {
    /// The libraries that it loads.
    pub libraries: Vec<String>,
    /// How many symbols come from them.
    pub symbols: usize,
    /// Its signature.
    pub signature: Signature,
}

/// Checks a binary for `arch`, which must be signed with these entitlements.
pub fn check(bytes: &[u8], arch: &str, entitlements: &[u8]) -> Result<Facts, Fault> {
    let header = MachHeader64::<Endianness>::parse(bytes, 0)?;
    let endian = header.endian()?;
    let wanted = if arch == "aarch64" {
        CPU_TYPE_ARM64
    } else {
        CPU_TYPE_X86_64
    };
    if header.cputype(endian) != wanted {
        return Err(Fault::Processor(header.cputype(endian).0));
    }
    let mut libraries = Vec::new();
    let mut signed = None;
    let mut symbols = None;
    let mut commands = header.load_commands(endian, bytes, 0)?;
    while let Some(command) = commands.next()? {
        if let Some(name) = loaded(command, endian)? {
            libraries.push(allowed(name)?);
        }
        match command.variant()? {
            LoadCommandVariant::LinkeditData(data) if command.cmd() == LC_CODE_SIGNATURE => {
                signed = Some((data.dataoff.get(endian), data.datasize.get(endian)));
            }
            LoadCommandVariant::Symtab(table) => symbols = Some(table),
            LoadCommandVariant::Rpath(path) if command.cmd() == LC_RPATH => {
                return Err(Fault::SearchPath(text(command.string(endian, path.path)?)));
            }
            _ => {}
        }
    }
    let mut bound = 0;
    if let Some(table) = symbols {
        let table = table.symbols::<MachHeader64<Endianness>, _>(endian, bytes)?;
        for symbol in table.iter() {
            let kind = symbol.n_type();
            if kind.is_stab() || kind.typ() != N_UNDF {
                continue;
            }
            let library = usize::from(symbol.n_desc(endian).0 >> 8);
            if library == 0 || library > libraries.len() {
                return Err(Fault::Symbol(text(symbol.name(endian, table.strings())?)));
            }
            bound += 1;
        }
    }
    let (offset, size) = signed.ok_or(Fault::Unsigned)?;
    let signature = signature::check(bytes, offset, size, entitlements)?;
    Ok(Facts {
        libraries,
        symbols: bound,
        signature,
    })
}

/// The library that a command loads, if that is what it does.
fn loaded<'a>(
    command: LoadCommandData<'a, Endianness>,
    endian: Endianness,
) -> Result<Option<&'a [u8]>, ReadError> {
    const LOADING: &[LoadCommandType] = &[
        LC_LOAD_DYLIB,
        LC_LOAD_WEAK_DYLIB,
        LC_REEXPORT_DYLIB,
        LC_LAZY_LOAD_DYLIB,
        LC_LOAD_UPWARD_DYLIB,
    ];
    match command.variant()? {
        LoadCommandVariant::Dylib(library) if LOADING.contains(&command.cmd()) => {
            command.string(endian, library.dylib.name).map(Some)
        }
        _ => Ok(None),
    }
}

fn allowed(name: &[u8]) -> Result<String, Fault> {
    let name = text(name);
    if LIBRARIES.contains(&name.as_str()) {
        Ok(name)
    } else {
        Err(Fault::Library(name))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
