//! Average precision as the evaluation of WIDER FACE has it (Yang et al., "WIDER FACE: A Face Detection
//! Benchmark", 2016; its tool `eval_tools`, `evaluation.m` and `VOCap.m`): every detection of a data set in
//! order of confidence, matched at an overlap of 0.5, and the area under the interpolated precision-recall
//! curve of PASCAL VOC 2010 and later.
//!
//! The tool samples the curve at 1000 thresholds; here it has a point for each confidence that occurs.

use ferroflow_vision::{face::Detection, geometry::Rect};
use serde::Serialize;

/// Overlap from which a detection is a face's.
const LEAST_OVERLAP: f32 = 0.5;

/// A face to be found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Face {
    /// Where it is, in the coordinates of the detections.
    pub box_in_image: Rect,
    /// False for faces that are neither missed nor found: those outside the difficulty, and invalid ones.
    pub counts: bool,
}

/// Collects detections image by image.
#[derive(Clone, Debug, Default)]
pub struct Judge {
    /// Confidence of each detection that counts, and whether it is the first on its face.
    verdicts: Vec<(f32, bool)>,
    faces: usize,
}

impl Judge {
    /// Judges the detections of one image, in any order.
    ///
    /// A detection belongs to the face it overlaps most. The most confident one of a face that counts is a
    /// hit, all others of it are false, as are those that overlap no face enough; those of a face that does
    /// not count are left out.
    pub fn add(&mut self, detections: &[Detection], faces: &[Face]) {
        self.faces += faces.iter().filter(|face| face.counts).count();
        let mut order: Vec<&Detection> = detections.iter().collect();
        order.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        let mut found = vec![false; faces.len()];
        for Detection { box_in_frame, confidence, .. } in order {
            let overlaps = faces.iter().map(|face| overlap(box_in_frame, &face.box_in_image));
            let best = overlaps.zip(faces).zip(&mut found).max_by(|((a, _), _), ((b, _), _)| a.total_cmp(b));
            let hit = match best {
                Some(((overlap, face), found)) if overlap >= LEAST_OVERLAP => {
                    if !face.counts {
                        continue;
                    }
                    !std::mem::replace(found, true)
                }
                _ => false,
            };
            self.verdicts.push((*confidence, hit));
        }
    }

    /// The curve over all images so far.
    pub fn curve(&self) -> Curve {
        let mut verdicts = self.verdicts.clone();
        verdicts.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (mut hits, mut all) = (0_usize, 0_usize);
        let mut points = Vec::new();
        // Detections of equal confidence come together: their order says nothing.
        for equal in verdicts.chunk_by(|a, b| a.0 == b.0) {
            hits += equal.iter().filter(|(_, hit)| *hit).count();
            all += equal.len();
            let confidence = equal.first().map_or(0.0, |(confidence, _)| *confidence);
            points.push(Point {
                confidence,
                precision: hits as f64 / all as f64,
                recall: hits as f64 / self.faces.max(1) as f64,
            });
        }
        Curve { faces: self.faces, points }
    }
}

/// Precision and recall of the detections from one confidence up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// The least confidence, 0 to 1.
    pub confidence: f32,
    /// Share of the detections that are hits, 0 to 1.
    pub precision: f64,
    /// Share of the faces that are found, 0 to 1.
    pub recall: f64,
}

/// Precision and recall by falling confidence.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Faces that count.
    pub faces: usize,
    /// One point for each confidence that occurs, the greatest first.
    pub points: Vec<Point>,
}

impl Curve {
    /// The area under the curve, 0 to 1, with each precision raised to the greatest at the same or a higher
    /// recall; none where there was no face.
    pub fn average_precision(&self) -> Option<f64> {
        if self.faces == 0 {
            return None;
        }
        let (mut area, mut precision, mut right) = (0.0, 0.0_f64, None);
        for point in self.points.iter().rev() {
            if let Some(right) = right {
                area += (right - point.recall) * precision;
            }
            precision = precision.max(point.precision);
            right = Some(point.recall);
        }
        Some(area + right.unwrap_or(0.0) * precision)
    }

    /// Precision and recall of the detections whose confidence is at least this; none where there are none.
    pub fn at(&self, confidence: f32) -> Option<Point> {
        self.points.iter().take_while(|point| point.confidence >= confidence).last().copied()
    }

    /// The points that lie at least this far from the one before in precision or recall, and the first and the last.
    pub fn thinned(&self, least: f64) -> Vec<Point> {
        let mut points: Vec<Point> = Vec::new();
        for point in &self.points {
            let far = points.last().is_none_or(|last| {
                (point.recall - last.recall).abs() >= least
                    || (point.precision - last.precision).abs() >= least
            });
            if far {
                points.push(*point);
            }
        }
        if let Some(last) = self.points.last().filter(|last| points.last() != Some(last)) {
            points.push(*last);
        }
        points
    }
}

/// Intersection over union as the tool has it: a box of w by h covers w + 1 by h + 1 pixels.
fn overlap(a: &Rect, b: &Rect) -> f32 {
    let width = (a.right().min(b.right()) - a.x.max(b.x) + 1.0).max(0.0);
    let height = (a.bottom().min(b.bottom()) - a.y.max(b.y) + 1.0).max(0.0);
    let area = |rect: &Rect| (rect.width + 1.0) * (rect.height + 1.0);
    let shared = width * height;
    shared / (area(a) + area(b) - shared)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn detection(x: f32, confidence: f32) -> Detection {
        Detection { box_in_frame: Rect::new(x, 0.0, 20.0, 20.0), confidence, landmarks_in_frame: None }
    }

    fn face(x: f32, counts: bool) -> Face {
        Face { box_in_image: Rect::new(x, 0.0, 20.0, 20.0), counts }
    }

    fn curve(detections: &[Detection], faces: &[Face]) -> Curve {
        let mut judge = Judge::default();
        judge.add(detections, faces);
        judge.curve()
    }

    #[test]
    fn the_area_is_that_of_a_curve_by_hand() {
        // By confidence: hit, false, hit, false, hit of four faces.
        let faces = [0.0, 100.0, 200.0, 300.0].map(|x| face(x, true));
        let detections = [(0.0, 0.9), (500.0, 0.8), (100.0, 0.7), (600.0, 0.6), (200.0, 0.5)]
            .map(|(x, c)| detection(x, c));
        let curve = curve(&detections, &faces);
        let precisions: Vec<f64> = curve.points.iter().map(|point| point.precision).collect();
        assert_eq!(precisions, [1.0, 0.5, 2.0 / 3.0, 0.5, 0.6]);
        let area = 0.25 * 1.0 + 0.25 * (2.0 / 3.0) + 0.25 * 0.6;
        assert!((curve.average_precision().unwrap() - area).abs() < 1e-12);
        assert_eq!(curve.at(0.65).unwrap().recall, 0.5);
        assert_eq!(curve.at(0.95), None);
    }

    #[test]
    fn without_faces_there_is_no_average_precision() {
        assert_eq!(curve(&[detection(0.0, 0.5)], &[face(0.0, false)]).average_precision(), None);
    }

    #[test]
    fn a_second_detection_of_a_face_is_false() {
        let curve = curve(&[detection(0.0, 0.9), detection(1.0, 0.8)], &[face(0.0, true)]);
        assert_eq!(curve.points.last().unwrap().precision, 0.5);
    }

    #[test]
    fn a_detection_belongs_to_the_face_it_overlaps_most() {
        // It overlaps both enough, and more the one that does not count.
        let curve = curve(&[detection(0.0, 0.9)], &[face(2.0, true), face(1.0, false)]);
        assert_eq!((curve.faces, curve.points.len()), (1, 0));
    }

    #[test]
    fn small_boxes_overlap_as_in_the_tool() {
        let (a, b) = (Rect::new(0.0, 0.0, 9.0, 9.0), Rect::new(5.0, 0.0, 9.0, 9.0));
        assert_eq!(overlap(&a, &b), 50.0 / 150.0);
        assert_eq!(overlap(&a, &a), 1.0);
    }

    #[test]
    fn a_thinned_curve_keeps_its_ends_and_its_bends() {
        // Precision falls from 1 to 0.001, most of it at the beginning.
        let detections: Vec<_> = (0..1000).map(|index| detection(0.0, index as f32 / 1000.0)).collect();
        let curve = curve(&detections, &[face(0.0, true)]);
        let thin = curve.thinned(0.01);
        assert!(thin.len() < 100, "{}", thin.len());
        assert_eq!((thin.first(), thin.last()), (curve.points.first(), curve.points.last()));
        assert_eq!(thin[..5], curve.points[..5]);
    }

    /// Faces at places that do not overlap, and detections on and off them.
    fn scene() -> impl Strategy<Value = (Vec<Detection>, Vec<Face>)> {
        let faces = prop::collection::vec(any::<bool>(), 1..12);
        let detections = prop::collection::vec((0usize..24, -4f32..4.0, 0u8..10), 0..30);
        (detections, faces).prop_map(|(detections, faces)| {
            let detect = |(place, shift, confidence): (usize, f32, u8)| {
                detection(place as f32 * 50.0 + shift, f32::from(confidence) / 10.0)
            };
            let place = |(index, counts)| face(index as f32 * 50.0, counts);
            (detections.into_iter().map(detect).collect(), faces.into_iter().enumerate().map(place).collect())
        })
    }

    /// `image_eval`, `dataset_pr_info` and `voc_ap` of the tool, step by step, with a threshold for each confidence.
    fn as_the_tool(images: &[(Vec<Detection>, Vec<Face>)]) -> f64 {
        let confidences =
            images.iter().flat_map(|(detections, _)| detections.iter().map(|face| face.confidence));
        let mut thresholds: Vec<f32> = confidences.collect();
        thresholds.sort_by(|a, b| b.total_cmp(a));
        let total = images.iter().flat_map(|(_, faces)| faces).filter(|face| face.counts).count() as f64;
        let (mut recalls, mut precisions) = (vec![0.0], vec![0.0]);
        for threshold in thresholds {
            let (mut proposals, mut recalled) = (0, 0);
            for (detections, faces) in images {
                let mut recall_list = vec![false; faces.len()];
                for detection in detections.iter().filter(|detection| detection.confidence >= threshold) {
                    let mut best = (f32::NEG_INFINITY, 0);
                    for (index, face) in faces.iter().enumerate() {
                        let overlap = overlap(&detection.box_in_frame, &face.box_in_image);
                        if overlap > best.0 {
                            best = (overlap, index);
                        }
                    }
                    let on_a_face = best.0 >= 0.5;
                    if on_a_face && faces[best.1].counts {
                        recall_list[best.1] = true;
                    }
                    proposals += usize::from(!on_a_face || faces[best.1].counts);
                }
                recalled += recall_list.iter().filter(|found| **found).count();
            }
            if proposals > 0 {
                recalls.push(recalled as f64 / total);
                precisions.push(recalled as f64 / proposals as f64);
            }
        }
        recalls.push(1.0);
        precisions.push(0.0);
        for index in (1..precisions.len()).rev() {
            precisions[index - 1] = precisions[index - 1].max(precisions[index]);
        }
        (1..recalls.len()).map(|index| (recalls[index] - recalls[index - 1]) * precisions[index]).sum()
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_tool(images in prop::collection::vec(scene(), 1..4)) {
            let mut judge = Judge::default();
            images.iter().for_each(|(detections, faces)| judge.add(detections, faces));
            if let Some(area) = judge.curve().average_precision() {
                prop_assert!((area - as_the_tool(&images)).abs() < 1e-9);
            }
        }

        #[test]
        fn it_is_between_none_and_all((detections, faces) in scene()) {
            let curve = curve(&detections, &faces);
            if let Some(area) = curve.average_precision() {
                prop_assert!((0.0..=1.0 + 1e-12).contains(&area));
                let best = curve.points.last().map_or(0.0, |point| point.recall);
                prop_assert!(area <= best + 1e-12);
            }
            prop_assert!(curve.points.is_sorted_by(|a, b| a.confidence > b.confidence && a.recall <= b.recall));
        }

        #[test]
        fn perfect_detections_give_one_and_none_give_zero((_, faces) in scene()) {
            let perfect: Vec<_> =
                faces.iter().enumerate().map(|(index, _)| detection(index as f32 * 50.0, 0.1 * index as f32)).collect();
            let full = curve(&perfect, &faces).average_precision();
            let empty = curve(&[], &faces).average_precision();
            match faces.iter().any(|face| face.counts) {
                true => prop_assert!((full.unwrap() - 1.0).abs() < 1e-12 && empty == Some(0.0)),
                false => prop_assert!(full.is_none() && empty.is_none()),
            }
        }

        #[test]
        fn order_does_not_matter((mut detections, mut faces) in scene()) {
            let before = curve(&detections, &faces);
            detections.reverse();
            faces.reverse();
            prop_assert_eq!(before, curve(&detections, &faces));
        }

        #[test]
        fn detections_of_faces_that_do_not_count_change_nothing((detections, faces) in scene(), confidence in 0f32..1.0) {
            let before = curve(&detections, &faces);
            let mut more = detections;
            let ignored = faces.iter().filter(|face| !face.counts);
            more.extend(ignored.map(|face| detection(face.box_in_image.x, confidence)));
            prop_assert_eq!(before, curve(&more, &faces));
        }

        #[test]
        fn a_false_detection_never_helps((detections, faces) in scene(), confidence in 0f32..1.0) {
            let before = curve(&detections, &faces).average_precision();
            let mut more = detections;
            more.push(detection(-500.0, confidence));
            prop_assert!(curve(&more, &faces).average_precision() <= before);
        }
    }
}
