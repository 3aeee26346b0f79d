//! What is measured of a direction.

use anyhow::Context as _;
use ferroflow_learn::{
    evaluation::Spread,
    fidelity::{
        Distances, Features, Measures, Nearest, Neighbours, Shares, Similarity, Structure, frechet_distance,
        greatest_similarities, kernel_distance, real_faces_above,
    },
    ssim,
};
use ferroflow_vision::translation::FaceTranslator;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{BATCH, class::Class, networks::Networks};
use crate::{
    batch::{
        Context,
        data::picture::{Gray, encode_png},
    },
    report::{data_uri::data_uri, fidelity::Translation},
};

/// How often sets are drawn and compared.
const DRAWS: usize = 10;

/// The faces of a class that are measured: as they are, translated, and back.
pub struct Ways {
    real: Vec<u8>,
    translated: Vec<u8>,
    returned: Vec<u8>,
}

impl Ways {
    /// Translates them there and back.
    pub fn translate(
        source: &Class,
        there: &mut FaceTranslator,
        back: &mut FaceTranslator,
        context: &Context,
    ) -> anyhow::Result<Self> {
        let real = source.drawn_pixels();
        let (mut translated, mut returned) = (Vec::new(), Vec::new());
        for faces in real.chunks(BATCH * source.size.0 * source.size.1) {
            context.check()?;
            let some = there.translate_gray(faces)?;
            returned.extend(back.translate_gray(&some)?);
            translated.extend(some);
        }
        Ok(Self { real, translated, returned })
    }

    /// Some of them for the page.
    pub fn pictures(&self, source: &Class, shown: &[usize]) -> anyhow::Result<Vec<Translation>> {
        let (width, height) = source.size;
        let picture = |pixels: &[u8], face: usize| {
            let pixels = pixels.get(face * width * height..(face + 1) * width * height);
            let picture = Gray { width, height, pixels: pixels.unwrap_or_default().to_vec() };
            anyhow::Ok(data_uri("png", &encode_png(&picture)?))
        };
        let one = |&face: &usize| {
            let number = source.drawn.get(face).and_then(|at| source.numbers.get(*at));
            Ok(Translation {
                row: number.copied().unwrap_or_default(),
                real: picture(&self.real, face)?,
                translated: picture(&self.translated, face)?,
                returned: picture(&self.returned, face)?,
            })
        };
        shown.iter().map(one).collect()
    }
}

/// Measures the faces of `source` that were translated to `target`.
pub fn measure(
    source: &Class,
    target: &Class,
    ways: &Ways,
    networks: &mut Networks,
    random: &mut ChaCha8Rng,
) -> anyhow::Result<Measures> {
    networks.knows(&target.name)?;
    let features = networks.features(&ways.translated)?;
    let translated = Features { values: &features, dimensions: target.dimensions };
    let called = networks.classes(&ways.translated)?;
    let share = |called: &[String]| {
        called.iter().filter(|name| **name == target.name).count() as f64 / called.len().max(1) as f64
    };
    let sample = (target.drawn.len() / 2).min(source.drawn.len());
    let [frechet, kernel] = distances(source, target, translated, sample, random).context("the features")?;
    Ok(Measures {
        from: source.name.clone(),
        to: target.name.clone(),
        faces: source.drawn.len(),
        real_faces: target.drawn.len(),
        training_faces: target.training.len(),
        called_target: Shares {
            translated: share(&called),
            real: share(&target.called),
            source: share(&source.called),
        },
        sample,
        draws: DRAWS,
        dimensions: target.dimensions,
        frechet,
        kernel,
        structure: structure(source, ways)?,
        nearest: nearest(target, translated, ways)?,
    })
}

/// Frechet and kernel distances between sets of one size, drawn anew each time.
fn distances(
    source: &Class,
    target: &Class,
    translated: Features<'_>,
    sample: usize,
    random: &mut ChaCha8Rng,
) -> anyhow::Result<[Distances; 2]> {
    let mut found = [const { [const { Vec::new() }; 3] }; 2];
    let mut real = target.drawn.clone();
    let mut faces: Vec<usize> = (0..source.drawn.len()).collect();
    for _ in 0..DRAWS {
        real.shuffle(random);
        faces.shuffle(random);
        let of_source: Vec<usize> = faces[..sample].iter().map(|face| source.drawn[*face]).collect();
        let sets = [
            translated.select(&faces[..sample]),
            target.features().select(&real[sample..2 * sample]),
            source.features().select(&of_source),
        ];
        let half = target.features().select(&real[..sample]);
        let set = |values| Features { values, dimensions: target.dimensions };
        for (at, values) in sets.iter().enumerate() {
            found[0][at].push(frechet_distance(set(values), set(&half))?);
            found[1][at].push(kernel_distance(set(values), set(&half))?);
        }
    }
    Ok(found.map(|found| {
        let [translated, real, source] = found.map(|values| Spread::of(&values));
        Distances { translated, real, source }
    }))
}

/// What is left of the structure of a face.
fn structure(source: &Class, ways: &Ways) -> anyhow::Result<Structure> {
    let (width, height) = source.size;
    let mean = |other: &[u8]| {
        let values = ssim::of_gray(&ways.real, other, width, height)?;
        anyhow::Ok(values.iter().copied().map(f64::from).sum::<f64>() / values.len().max(1) as f64)
    };
    // Each face with the next one.
    let mut others = ways.real.clone();
    others.rotate_left(width * height);
    Ok(Structure {
        returned: mean(&ways.returned)?,
        translated: mean(&ways.translated)?,
        others: mean(&others)?,
    })
}

/// The nearest training faces of the target class.
fn nearest(target: &Class, translated: Features<'_>, ways: &Ways) -> anyhow::Result<Nearest> {
    let pixels = |pixels: &[u8]| pixels.iter().map(|pixel| f32::from(*pixel)).collect::<Vec<f32>>();
    let size = target.size.0 * target.size.1;
    let training = target.features().select(&target.training);
    let training = Features { values: &training, dimensions: target.dimensions };
    let real = target.features().select(&target.drawn);
    let real = Features { values: &real, dimensions: target.dimensions };
    let training_pixels = pixels(&target.pixels_of(&target.training));
    let training_pixels = Features { values: &training_pixels, dimensions: size };
    let real_pixels = pixels(&target.drawn_pixels());
    let real_pixels = Features { values: &real_pixels, dimensions: size };
    let translated_pixels = pixels(&ways.translated);
    let translated_pixels = Features { values: &translated_pixels, dimensions: size };
    let none = vec![None; translated.rows()];
    let own: Vec<_> = target.drawn.iter().map(|face| target.training.binary_search(face).ok()).collect();
    let similarities = |rows, pictures, own: &[Option<usize>]| {
        let mut cosines = greatest_similarities(rows, training, own, Similarity::Cosine)?;
        let mut correlations =
            greatest_similarities(pictures, training_pixels, own, Similarity::Correlation)?;
        cosines.sort_by(f32::total_cmp);
        correlations.sort_by(f32::total_cmp);
        anyhow::Ok([cosines, correlations])
    };
    let of_real = similarities(real, real_pixels, &own)?;
    let of_translated = similarities(translated, translated_pixels, &none)?;
    // Where all real faces but a hundredth end.
    let limits =
        of_real.each_ref().map(|sorted| sorted.iter().rev().nth(real_faces_above(sorted.len())).copied());
    let very_near = |sorted: &[f32], limit: Option<f32>| {
        sorted.iter().rev().take_while(|similarity| limit.is_some_and(|limit| **similarity > limit)).count()
    };
    let neighbours = |[cosines, correlations]: &[Vec<f32>; 2]| Neighbours {
        median_distance: 1.0 - median(cosines),
        least_distance: 1.0 - cosines.last().copied().map_or(0.0, f64::from),
        median_correlation: median(correlations),
        greatest_correlation: correlations.last().copied().map_or(0.0, f64::from),
        very_near_by_features: very_near(cosines, limits[0]),
        very_near_by_pixels: very_near(correlations, limits[1]),
    };
    Ok(Nearest { translated: neighbours(&of_translated), real: neighbours(&of_real) })
}

/// The middle of sorted values, or the mean of the two in the middle.
fn median(sorted: &[f32]) -> f64 {
    let at = |index: usize| sorted.get(index).copied().map_or(0.0, f64::from);
    match sorted.len() {
        0 => 0.0,
        count if count % 2 == 1 => at(count / 2),
        count => (at(count / 2 - 1) + at(count / 2)) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use rand::SeedableRng;

    use super::*;

    const SIDE: usize = 12;

    /// Faces of slow waves, whose features are the means of their first lines.
    fn class(name: &str, faces: usize, speed: f64) -> Class {
        let pixel = |face: usize, at: usize| {
            let (x, y) = ((at % SIDE) as f64, (at / SIDE) as f64);
            (128.0 + 100.0 * (x * speed + face as f64).sin() * (y * speed * 0.7 + face as f64 * 2.1).cos())
                as u8
        };
        let pixels: Vec<u8> =
            (0..faces).flat_map(|face| (0..SIDE * SIDE).map(move |at| pixel(face, at))).collect();
        let mean = |line: &[u8]| line.iter().map(|pixel| f32::from(*pixel)).sum::<f32>() / SIDE as f32;
        let features =
            pixels.chunks_exact(SIDE * SIDE).flat_map(|face| face.chunks_exact(SIDE).take(3).map(mean));
        Class {
            name: name.to_owned(),
            size: (SIDE, SIDE),
            drawn: (0..faces).collect(),
            training: (faces / 2..faces).collect(),
            numbers: (0..faces as i64).collect(),
            features: features.collect(),
            pixels,
            dimensions: 3,
            called: vec![name.to_owned(); faces],
        }
    }

    fn random() -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(3)
    }

    #[test]
    fn faces_that_were_not_changed_are_as_far_as_before() {
        let (source, target) = (class("a", 30, 0.3), class("b", 24, 0.5));
        let features = source.features();
        for distances in distances(&source, &target, features, 12, &mut random()).unwrap() {
            assert_eq!(distances.translated.mean, distances.source.mean);
            assert_eq!(distances.translated.deviation, distances.source.deviation);
            assert!(distances.source.deviation > 0.0 && distances.real.mean < distances.source.mean);
        }
        let real = source.drawn_pixels();
        let ways = Ways { translated: real.clone(), returned: real.clone(), real };
        let structure = structure(&source, &ways).unwrap();
        assert!((structure.returned - 1.0).abs() < 1e-6 && (structure.translated - 1.0).abs() < 1e-6);
        assert!(structure.others < 0.9, "{structure:?}");
    }

    #[test]
    fn a_face_learnt_by_heart_is_found_and_real_ones_leave_out_themselves() {
        let (source, target) = (class("a", 6, 0.3), class("b", 24, 0.5));
        let mut translated = source.drawn_pixels();
        let mut features = source.features.clone();
        let copy = target.pixels_of(&[20]);
        translated[2 * SIDE * SIDE..3 * SIDE * SIDE].copy_from_slice(&copy);
        features[6..9].copy_from_slice(&target.features().select(&[20]));
        let of = Features { values: &features, dimensions: 3 };
        let ways = Ways { real: source.drawn_pixels(), returned: translated.clone(), translated };
        let nearest = nearest(&target, of, &ways).unwrap();
        assert!(nearest.translated.least_distance < 1e-6, "{nearest:?}");
        assert!(nearest.translated.greatest_correlation > 1.0 - 1e-5, "{nearest:?}");
        assert!(nearest.translated.median_correlation < 0.999);
        assert!(nearest.real.greatest_correlation < 1.0 - 1e-5 && nearest.real.least_distance > 0.0);
        // One that was not trained on may stand beside its copy; here half of them are not, and have none.
        assert!(nearest.real.median_distance >= nearest.real.least_distance);
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(
            [median(&[]), median(&[3.0]), median(&[1.0, 2.0]), median(&[1.0, 2.0, 9.0])],
            [0.0, 3.0, 1.5, 2.0]
        );
    }
}
