//! Pictures whose faces are known, in the layouts of WIDER FACE (Yang et al., 2016).

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use ferroflow_vision::geometry::Rect;
use serde::{Deserialize, Serialize};

/// Which faces count. WIDER FACE's levels contain each other: hard has all of medium, medium all of easy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Large, plain faces.
    Easy,
    /// Those and middling ones.
    Medium,
    /// Those and small or hidden ones.
    Hard,
    /// Every valid face.
    All,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Easy => "easy",
            Self::Medium => "medium",
            Self::Hard => "hard",
            Self::All => "all",
        })
    }
}

/// A face and the levels at which it counts.
#[derive(Clone, Debug, PartialEq)]
pub struct AnnotatedFace {
    /// In pixels of a picture of [`AnnotatedImage::size`].
    pub box_in_image: Rect,
    /// Levels at which it counts; none for invalid faces.
    pub levels: Vec<Level>,
}

/// A picture and its faces.
#[derive(Clone, Debug, PartialEq)]
pub struct AnnotatedImage {
    /// The file.
    pub path: PathBuf,
    /// Width and height in pixels in which the boxes are, where the file may have been stretched since.
    pub size: Option<(f32, f32)>,
    /// Its faces.
    pub faces: Vec<AnnotatedFace>,
}

/// A data set.
#[derive(Clone, Debug, PartialEq)]
pub struct AnnotatedSet {
    /// Levels that the set knows.
    pub levels: Vec<Level>,
    /// Its pictures.
    pub images: Vec<AnnotatedImage>,
}

/// The official list of the validation set.
const LIST: &str = "wider_face_val_bbx_gt.txt";

impl AnnotatedSet {
    /// Reads a folder: `boxes.json` beside `images/`, or WIDER FACE's `wider_face_val_bbx_gt.txt`, there or in
    /// `wider_face_split/`, with the pictures in `WIDER_val/images/` or `images/`.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        if !folder.is_dir() {
            bail!("{} is not a folder", folder.display());
        }
        let read = |path: &Path| fs::read_to_string(path).with_context(|| path.display().to_string());
        let boxes = folder.join("boxes.json");
        if boxes.is_file() {
            return Self::from_json(&read(&boxes)?, &folder.join("images"))
                .with_context(|| boxes.display().to_string());
        }
        let Some(list) = [folder.join(LIST), folder.join("wider_face_split").join(LIST)]
            .into_iter()
            .find(|path| path.is_file())
        else {
            bail!("{} has neither boxes.json nor {LIST}", folder.display());
        };
        let images = [folder.join("WIDER_val/images"), folder.join("images")];
        let images = images.into_iter().find(|path| path.is_dir()).unwrap_or_else(|| folder.to_owned());
        Self::from_list(&read(&list)?, &images).with_context(|| list.display().to_string())
    }

    /// Reads `boxes.json`: for each picture its size before it was stretched, the boxes in it, and which of them are
    /// invalid, easy, medium and hard.
    fn from_json(text: &str, folder: &Path) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Entry {
            orig_w: f32,
            orig_h: f32,
            boxes_xywh_orig: Vec<[f32; 4]>,
            invalid: Vec<u8>,
            easy: Vec<usize>,
            medium: Vec<usize>,
            hard: Vec<usize>,
        }
        let entries: BTreeMap<String, Entry> = serde_json::from_str(text)?;
        let mut images = Vec::new();
        for (name, entry) in entries {
            let faces = entry.boxes_xywh_orig.len();
            if entry.invalid.len() != faces {
                bail!("{name}: {faces} boxes, but {} flags in `invalid`", entry.invalid.len());
            }
            let lists =
                [(Level::Easy, &entry.easy), (Level::Medium, &entry.medium), (Level::Hard, &entry.hard)];
            for (level, list) in lists {
                if let Some(index) = list.iter().find(|&&index| index >= faces) {
                    bail!("{name}: `{level}` names box {index} of {faces}");
                }
            }
            let face = |(index, (&[x, y, width, height], &invalid)): (usize, (&[f32; 4], &u8))| {
                let listed = lists.iter().filter(|(_, list)| list.contains(&index)).map(|(level, _)| *level);
                let mut levels: Vec<Level> = listed.chain([Level::All]).collect();
                levels.retain(|_| invalid == 0);
                AnnotatedFace { box_in_image: Rect::new(x, y, width, height), levels }
            };
            images.push(AnnotatedImage {
                path: folder.join(&name),
                size: Some((entry.orig_w, entry.orig_h)),
                faces: entry.boxes_xywh_orig.iter().zip(&entry.invalid).enumerate().map(face).collect(),
            });
        }
        Ok(Self { levels: vec![Level::Easy, Level::Medium, Level::Hard, Level::All], images })
    }

    /// Reads the official list: a file name, the number of faces, and a line for each: x, y, width, height, blur,
    /// expression, illumination, invalid, occlusion, pose. A picture without faces has one line of zeros all
    /// the same.
    fn from_list(text: &str, folder: &Path) -> anyhow::Result<Self> {
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).peekable();
        let mut images = Vec::new();
        while let Some((_, name)) = lines.next() {
            let (number, count) = lines.next().with_context(|| format!("it ends after {name}"))?;
            let count: usize = count
                .trim()
                .parse()
                .with_context(|| format!("line {}: `{count}` is no number of faces", number + 1))?;
            let mut faces = Vec::new();
            for _ in 0..count {
                let (number, line) =
                    lines.next().with_context(|| format!("it ends among the faces of {name}"))?;
                let fields: Result<Vec<f32>, _> = line.split_whitespace().map(str::parse).collect();
                let fields = fields.with_context(|| format!("line {}: `{line}`", number + 1))?;
                let &[x, y, width, height, _, _, _, invalid, ..] = fields.as_slice() else {
                    bail!("line {}: a face has ten numbers, found {}", number + 1, fields.len());
                };
                let levels = if invalid == 0.0 { vec![Level::All] } else { Vec::new() };
                faces.push(AnnotatedFace { box_in_image: Rect::new(x, y, width, height), levels });
            }
            if count == 0 {
                lines.next_if(|(_, line)| line.split_whitespace().all(|field| field == "0"));
            }
            images.push(AnnotatedImage { path: folder.join(name.trim()), size: None, faces });
        }
        if images.is_empty() {
            bail!("it names no picture");
        }
        Ok(Self { levels: vec![Level::All], images })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = r#"{"a.jpg": {"orig_w": 640, "orig_h": 480, "boxes_xywh_orig": [[1, 2, 3, 4], [5, 6, 7, 8], [0, 0, 0, 0]],
        "invalid": [0, 0, 1], "easy": [0], "medium": [0], "hard": [0, 1]}}"#;

    #[test]
    fn boxes_and_levels_are_read_from_json() {
        let set = AnnotatedSet::from_json(ENTRY, Path::new("images")).unwrap();
        let [image] = &set.images[..] else { panic!("{set:?}") };
        assert_eq!((image.path.as_path(), image.size), (Path::new("images/a.jpg"), Some((640.0, 480.0))));
        let levels: Vec<_> = image.faces.iter().map(|face| face.levels.clone()).collect();
        assert_eq!(
            levels,
            [
                vec![Level::Easy, Level::Medium, Level::Hard, Level::All],
                vec![Level::Hard, Level::All],
                vec![]
            ]
        );
    }

    #[test]
    fn json_that_is_broken_or_contradicts_itself_says_where() {
        let error = |text: &str| format!("{:#}", AnnotatedSet::from_json(text, Path::new("")).unwrap_err());
        assert!(error("{\"a.jpg\": 3}").contains("line 1 column"));
        assert_eq!(error(&ENTRY.replace("[0, 1]}", "[0, 9]}")), "a.jpg: `hard` names box 9 of 3");
        assert_eq!(error(&ENTRY.replace("[0, 0, 1]", "[0]")), "a.jpg: 3 boxes, but 1 flags in `invalid`");
    }

    #[test]
    fn the_official_list_is_read_with_pictures_that_have_no_face() {
        let text = "0--Parade/a.jpg\n2\n449 330 122 149 0 0 0 0 0 0 \n1 2 3 4 0 0 0 1 0 0 \n1--Riot/b.jpg\n0\n0 0 0 0 0 0 0 0 0 0 \n2--X/c.jpg\n1\n5 6 7 8 0 0 0 0 0 0\n";
        let set = AnnotatedSet::from_list(text, Path::new("images")).unwrap();
        let faces: Vec<_> = set.images.iter().map(|image| image.faces.len()).collect();
        assert_eq!((faces, set.levels), (vec![2, 0, 1], vec![Level::All]));
        assert_eq!(set.images[0].faces[0].box_in_image, Rect::new(449.0, 330.0, 122.0, 149.0));
        assert!(set.images[0].faces[1].levels.is_empty());
        assert_eq!(set.images[2].path, Path::new("images/2--X/c.jpg"));
    }

    #[test]
    fn a_list_that_is_broken_says_where() {
        let error = |text: &str| format!("{:#}", AnnotatedSet::from_list(text, Path::new("")).unwrap_err());
        assert_eq!(error(""), "it names no picture");
        assert_eq!(error("a.jpg\n"), "it ends after a.jpg");
        assert_eq!(error("a.jpg\n2\n1 2 3 4 0 0 0 0 0 0\n"), "it ends among the faces of a.jpg");
        assert!(error("a.jpg\nb.jpg\n").starts_with("line 2: `b.jpg` is no number of faces"));
        assert_eq!(error("a.jpg\n1\n1 2 3\n"), "line 3: a face has ten numbers, found 3");
    }
}
