//! Where lines go.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, File},
    io::{self, Write},
    os::fd::BorrowedFd,
    path::{Path, PathBuf},
    sync::Mutex,
};

use crate::lock::lock;

/// The files that elements of this program are writing.
static WRITTEN: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A file that no other element of this program may write, until dropped.
pub struct Claim(PathBuf);

impl Claim {
    fn new(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        if !lock(&WRITTEN).insert(path.clone()) {
            let reason = "another element writes it: give each a location of its own";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, reason));
        }
        Ok(Self(path))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&WRITTEN).remove(&self.0);
    }
}

/// An open destination.
pub enum Outlet {
    /// A regular file, renamed to its name when it is complete.
    File {
        /// The temporary file. Each line is in it at once: who looks while a camera runs sees what there is, and a kill
        /// loses none.
        file: File,
        /// Its path.
        part: PathBuf,
        /// Its name once complete.
        path: PathBuf,
        /// What a stream that did not end left under the name that this one would have had.
        older: Option<PathBuf>,
        /// Bytes that a file without any record has.
        header: u64,
        /// Keeps others from it.
        claim: Claim,
    },
    /// A device, a pipe or a descriptor: each line is out at once.
    Stream(Box<dyn Write + Send>),
    /// Standard output, likewise.
    Stdout(io::Stdout),
}

impl Outlet {
    /// Opens a path. Regular files are written beside their name until [`Outlet::finish`], and never over an
    /// older part: that may be all that is left of hours. A link stays one, and what it leads to is written.
    pub fn open(path: &Path) -> io::Result<Self> {
        if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            return Ok(Self::Stream(Box::new(File::options().write(true).open(path)?)));
        }
        let path = &if path.is_symlink() { path.canonicalize()? } else { path.to_owned() };
        let claim = Claim::new(path)?;
        let (mut older, mut count) = (None, 0);
        loop {
            let part = part_beside(path, count);
            match File::create_new(&part) {
                Ok(file) => {
                    if let Err(error) = claim_part(&file, &part, path) {
                        let _ = fs::remove_file(part);
                        return Err(error);
                    }
                    return Ok(Self::File { file, part, path: path.to_owned(), older, header: 0, claim });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => older = Some(part),
                Err(error) => return Err(error),
            }
            count += 1;
        }
    }

    /// The newest part that lay there before, of a stream that did not end.
    pub fn older(&self) -> Option<&Path> {
        match self {
            Self::File { older, .. } => older.as_deref(),
            Self::Stream(_) | Self::Stdout(_) => None,
        }
    }

    /// Duplicates the descriptor of this number, so that closing ours leaves the caller's open.
    pub fn descriptor(number: i32) -> io::Result<Self> {
        // SAFETY: it is borrowed for nothing but this call, in which one that is not open is an error.
        #[allow(unsafe_code)]
        let caller = unsafe { BorrowedFd::borrow_raw(number) };
        Ok(Self::Stream(Box::new(File::from(caller.try_clone_to_owned()?))))
    }

    /// Standard output.
    pub fn stdout() -> Self {
        Self::Stdout(io::stdout())
    }

    /// Whether it is standard output.
    pub const fn is_stdout(&self) -> bool {
        matches!(self, Self::Stdout(_))
    }

    /// Writes whole lines.
    pub fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::File { file, .. } => file.write_all(lines),
            Self::Stream(stream) => stream.write_all(lines).and_then(|()| stream.flush()),
            Self::Stdout(stream) => stream.write_all(lines).and_then(|()| stream.flush()),
        }
    }

    /// Writes what stands before all records, and alone is not worth keeping.
    pub fn write_header(&mut self, text: &[u8]) -> io::Result<()> {
        if let Self::File { header, .. } = self {
            *header = text.len() as u64;
        }
        self.write(text)
    }

    /// Leaves a file under its temporary name, which it answers. One without any record is removed: a stream
    /// that fails at once, again and again, would leave as many.
    pub fn abandon(self) -> Option<PathBuf> {
        let Self::File { part, header, claim: _claim, .. } = self else { return None };
        if fs::metadata(&part).is_ok_and(|metadata| metadata.len() > header) {
            return Some(part);
        }
        let _ = fs::remove_file(&part);
        None
    }

    /// Completes a file: everything on disk, then the name. One without any record never takes the place of
    /// another: of a camera that did not come, a recording of the day before.
    pub fn finish(self) -> io::Result<()> {
        match self {
            Self::File { file, part, path, header, claim: _claim, .. } => {
                file.sync_all()?;
                if file.metadata()?.len() <= header && path.exists() {
                    return fs::remove_file(part);
                }
                fs::rename(part, path)
            }
            Self::Stream(mut stream) => stream.flush(),
            Self::Stdout(mut stream) => stream.flush(),
        }
    }
}

/// Where a file is written until it is complete; `count` tells the parts of one process from each other.
fn part_beside(path: &Path, count: u32) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    let process = std::process::id();
    name.push(if count == 0 { format!(".{process}.part") } else { format!(".{process}-{count}.part") });
    path.with_file_name(name)
}

/// Keeps other processes from writing the same file: each holds the lock of its part, and who comes later finds it held.
fn claim_part(file: &File, part: &Path, path: &Path) -> io::Result<()> {
    // Where files cannot be locked, nobody is kept.
    let _ = file.try_lock();
    let (Some(folder), Some(name), Some(own)) = (part.parent(), path.file_name(), part.file_name()) else {
        return Ok(());
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let is_part = |other: &OsStr| {
        let rest = other.as_encoded_bytes().strip_prefix(name.as_encoded_bytes());
        other != own && rest.is_some_and(|rest| rest.starts_with(b".") && rest.ends_with(b".part"))
    };
    let began = |file: io::Result<fs::Metadata>| file.and_then(|file| file.created()).ok();
    // A folder may be one to write into and not to list.
    let others = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    for other in others.filter(|other| is_part(&other.file_name())) {
        let is_held = File::open(other.path())
            .is_ok_and(|other| matches!(other.try_lock_shared(), Err(fs::TryLockError::WouldBlock)));
        // Of two that begin at once, one goes on.
        if is_held && (began(other.metadata()), other.file_name().as_os_str()) < (began(file.metadata()), own)
        {
            let reason = "another process writes it: give each a location of its own";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, reason));
        }
    }
    Ok(())
}
