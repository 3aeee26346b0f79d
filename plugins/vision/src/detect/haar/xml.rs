//! Reads OpenCV's cascade files (`<cascade type_id="opencv-cascade-classifier">`, OpenCV 2.4 and later).

use roxmltree::{Document, Node as Element, ParsingOptions};

use crate::{detect::DetectError, model::ModelFile};

use super::cascade::{Branch, Cascade, Feature, Node, Tree, WeightedRect};

/// Most XML nodes in a file: OpenCV's largest has 200,000.
const MOST_NODES: u32 = 4_000_000;

/// Reads a model's file.
pub fn read(model: &ModelFile) -> Result<Cascade, DetectError> {
    let text = std::fs::read_to_string(&model.path).map_err(|error| error.to_string());
    let cascade = text.and_then(|text| parse(&text));
    cascade.map_err(|reason| DetectError::Cascade { path: model.path.clone(), reason })
}

/// Reads a cascade from the text of a file, or says what it is instead.
pub fn parse(text: &str) -> Result<Cascade, String> {
    let options = ParsingOptions { nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options)
        .map_err(|error| format!("not an XML file, or cut short ({error})"))?;
    let root = document.root_element();
    if !root.has_tag_name("opencv_storage") {
        let name = root.tag_name().name();
        return Err(format!("the outermost element is `{name}`, `opencv_storage` was expected"));
    }
    let cascade = child(root, "cascade").map_err(|_| {
        "no `cascade` element: files of OpenCV before 2.4 must be trained or converted again with a later one"
            .to_owned()
    })?;
    let kind = text_of(cascade, "featureType")?;
    if kind != "HAAR" {
        return Err(format!("its features are {kind}, only HAAR is known"));
    }
    let size = (number(cascade, "width")?, number(cascade, "height")?);
    let features = items(child(cascade, "features")?).map(feature).collect::<Result<Vec<_>, _>>()?;
    let stages = items(child(cascade, "stages")?)
        .enumerate()
        .map(|(index, element)| stage(element).map_err(|reason| format!("stage {index}: {reason}")))
        .collect::<Result<Vec<_>, _>>()?;
    if let Ok(promised) = number::<usize>(cascade, "stageNum")
        && promised != stages.len()
    {
        return Err(format!("{} stages found, it promises {promised}", stages.len()));
    }
    Cascade::new(size, stages, features)
}

fn stage(element: Element) -> Result<(f32, Vec<Tree>), String> {
    let trees = items(child(element, "weakClassifiers")?).map(tree).collect::<Result<_, _>>()?;
    // OpenCV reads numbers as doubles and then narrows them.
    let threshold: f64 = number(element, "stageThreshold")?;
    Ok((threshold as f32, trees))
}

fn tree(element: Element) -> Result<Tree, String> {
    let numbers: Vec<f64> = numbers(child(element, "internalNodes")?)?;
    if !numbers.len().is_multiple_of(4) {
        return Err(format!("`internalNodes` holds {} numbers, four a node are needed", numbers.len()));
    }
    let nodes = numbers.as_chunks::<4>().0.iter().map(|&[left, right, feature, threshold]| {
        let index = |value: f64| value as usize;
        // Above zero a node of the tree, else a leaf.
        let branch =
            |value: f64| if value > 0.0 { Branch::Node(index(value)) } else { Branch::Leaf(index(-value)) };
        Node {
            feature: index(feature),
            threshold: threshold as f32,
            left: branch(left),
            right: branch(right),
        }
    });
    let leaves = self::numbers(child(element, "leafValues")?)?;
    Ok(Tree { nodes: nodes.collect(), leaves: leaves.into_iter().map(|leaf: f64| leaf as f32).collect() })
}

fn feature(element: Element) -> Result<Feature, String> {
    let rects = items(child(element, "rects")?).map(|element| {
        let numbers: Vec<f64> = numbers(element)?;
        let &[x, y, width, height, weight] = numbers.as_slice() else {
            return Err(format!("a rectangle has {} numbers, five are needed", numbers.len()));
        };
        let side = |value: f64| match value {
            0.0..=1e6 => Ok(value as usize),
            _ => Err(format!("a rectangle has a side or corner of {value}")),
        };
        Ok(WeightedRect {
            x: side(x)?,
            y: side(y)?,
            width: side(width)?,
            height: side(height)?,
            weight: weight as f32,
        })
    });
    let mut rects = rects.collect::<Result<Vec<_>, _>>()?;
    // OpenCV, too, passes by a third rectangle that weighs nothing.
    rects.pop_if(|last| last.weight == 0.0);
    let tilted = child(element, "tilted").is_ok_and(|tilted| tilted.text().map(str::trim) == Some("1"));
    Ok(Feature { rects, tilted })
}

fn child<'a, 'input>(parent: Element<'a, 'input>, name: &str) -> Result<Element<'a, 'input>, String> {
    let found = parent.children().find(|element| element.has_tag_name(name));
    found.ok_or_else(|| format!("`{}` has no `{name}`", parent.tag_name().name()))
}

/// The members of a list.
fn items<'a, 'input>(list: Element<'a, 'input>) -> impl Iterator<Item = Element<'a, 'input>> {
    list.children().filter(|element| element.has_tag_name("_"))
}

fn text_of<'a>(parent: Element<'a, '_>, name: &str) -> Result<&'a str, String> {
    Ok(child(parent, name)?.text().unwrap_or_default().trim())
}

fn number<T: std::str::FromStr>(parent: Element, name: &str) -> Result<T, String> {
    let text = text_of(parent, name)?;
    text.parse().map_err(|_| format!("`{name}` is `{text}`, a number was expected"))
}

fn numbers<T: std::str::FromStr>(element: Element) -> Result<Vec<T>, String> {
    let read = |word: &str| word.parse().map_err(|_| format!("`{word}` is not a number"));
    element.text().unwrap_or_default().split_ascii_whitespace().map(read).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Two stages: a stump, and a tree of two nodes with a tilted feature.
    const SMALL: &str = r#"<?xml version="1.0"?>
<opencv_storage><cascade type_id="opencv-cascade-classifier"><stageType>BOOST</stageType>
<featureType>HAAR</featureType><height>8</height><width>10</width><stageNum>2</stageNum>
<stages>
<_><maxWeakCount>1</maxWeakCount><stageThreshold>-1.5</stageThreshold><weakClassifiers>
<_><internalNodes>0 -1 0 0.25</internalNodes><leafValues>-1. 1.</leafValues></_></weakClassifiers></_>
<_><maxWeakCount>1</maxWeakCount><stageThreshold>0.5</stageThreshold><weakClassifiers>
<_><internalNodes>1 0 0 0.25 -1 -2 1 -0.5</internalNodes><leafValues>0.1 0.2 0.3</leafValues></_></weakClassifiers></_>
</stages><features>
<_><rects><_>0 0 4 4 -1.</_><_>0 0 2 4 2.</_></rects></_>
<_><rects><_>4 1 2 3 -1.</_><_>4 1 1 3 2.</_></rects><tilted>1</tilted></_>
</features></cascade></opencv_storage>"#;

    fn refusal(from: &str, to: &str) -> String {
        assert!(SMALL.contains(from));
        parse(&SMALL.replace(from, to)).unwrap_err()
    }

    #[test]
    fn stumps_trees_and_tilted_features_are_read() {
        let cascade = parse(SMALL).unwrap();
        assert_eq!((cascade.width, cascade.height), (10, 8));
        assert_eq!(cascade.stages[0].threshold, -1.5 - 1e-5);
        assert_eq!(cascade.trees[0].nodes[0].left, Branch::Leaf(0));
        assert_eq!(cascade.trees[0].nodes[0].right, Branch::Leaf(1));
        assert_eq!(cascade.trees[1].nodes[0].left, Branch::Node(1));
        assert!(cascade.features[1].tilted && !cascade.features[0].tilted);
    }

    #[test]
    fn what_is_no_cascade_says_so() {
        let refusals = [
            refusal("</cascade>", ""),
            refusal("opencv_storage", "svg"),
            parse("<opencv_storage><haarcascade_frontalface/></opencv_storage>").unwrap_err(),
            refusal("HAAR", "LBP"),
            refusal("<width>10", "<width>ten"),
            refusal("<width>10", "<width>99999"),
            refusal("<stageNum>2", "<stageNum>3"),
            refusal("0 -1 0 0.25<", "0 -1 0<"),
            refusal("0 -1 0 0.25", "0 -1 7 0.25"),
            refusal("0 -1 0 0.25", "0 -9 0 0.25"),
            refusal("1 0 0 0.25", "0 5 0 0.25"),
            refusal("0.1 0.2 0.3", "0.1 NaN 0.3"),
            refusal("0 0 4 4 -1.", "8 0 4 4 -1."),
            refusal("0 0 4 4 -1.", "-1 0 4 4 -1."),
            refusal("0 0 2 4 2.", "0 0 2 4"),
            refusal("4 1 2 3 -1.", "1 1 2 3 -1."),
        ];
        insta::assert_snapshot!(refusals.join("\n"));
    }

    proptest! {
        #[test]
        fn a_file_cut_short_is_refused(at in 0..SMALL.len()) {
            prop_assert!(parse(&SMALL[..at]).is_err());
        }

        #[test]
        fn any_changed_byte_is_read_or_refused(at in 0..SMALL.len(), byte in 32u8..127) {
            let mut bytes = SMALL.as_bytes().to_vec();
            bytes[at] = byte;
            if let Ok(cascade) = parse(std::str::from_utf8(&bytes).unwrap()) {
                prop_assert!(!cascade.stages.is_empty());
            }
        }
    }
}
