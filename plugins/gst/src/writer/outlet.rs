//! Where lines go.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

/// An open destination.
pub enum Outlet {
    /// A regular file, renamed to its name when it is complete.
    File {
        /// The temporary file.
        writer: BufWriter<File>,
        /// Its path.
        part: PathBuf,
        /// Its name once complete.
        path: PathBuf,
    },
    /// A device, a pipe, a descriptor or standard output: each line is out at once.
    Stream(Box<dyn Write + Send>),
}

impl Outlet {
    /// Opens a path. Regular files are written beside their name until [`Outlet::finish`].
    pub fn open(path: &Path) -> io::Result<Self> {
        if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            return Ok(Self::Stream(Box::new(File::options().write(true).open(path)?)));
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let part = path.with_file_name(name);
        let writer = BufWriter::new(File::create(&part)?);
        Ok(Self::File { writer, part, path: path.to_owned() })
    }

    /// Duplicates the descriptor of this number, so that closing ours leaves the caller's open.
    pub fn descriptor(number: i32) -> io::Result<Self> {
        let path = format!("/proc/self/fd/{number}");
        Ok(Self::Stream(Box::new(File::options().append(true).open(path)?)))
    }

    /// Standard output.
    pub fn stdout() -> Self {
        Self::Stream(Box::new(io::stdout()))
    }

    /// Writes whole lines.
    pub fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::File { writer, .. } => writer.write_all(lines),
            Self::Stream(stream) => stream.write_all(lines).and_then(|()| stream.flush()),
        }
    }

    /// Leaves a file under its temporary name, and answers that name if there is anything in it.
    pub fn abandon(self) -> Option<PathBuf> {
        match self {
            Self::File { mut writer, part, .. } => {
                // The disk may be full, which has been told before.
                let _ = writer.flush();
                fs::metadata(&part).is_ok_and(|metadata| metadata.len() > 0).then_some(part)
            }
            Self::Stream(_) => None,
        }
    }

    /// Completes a file: everything on disk, then the name.
    pub fn finish(self) -> io::Result<()> {
        match self {
            Self::File { writer, part, path } => {
                let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
                file.sync_all()?;
                fs::rename(part, path)
            }
            Self::Stream(mut stream) => stream.flush(),
        }
    }
}
