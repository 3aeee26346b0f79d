//! Blocks of the backbone that learn as well.

use anyhow::{Context as _, bail};
use ferroflow_learn::head::Unfrozen;
use ferroflow_onnx::{LastConvolutions, last_convolutions};

use crate::nodes::features::backbone::Backbone;

/// The backbone's convolutions from a block on, and the maps that the first of them takes.
pub struct Blocks {
    last: LastConvolutions,
    height: usize,
    width: usize,
}

impl Blocks {
    /// From the block of this name on, if the features, so many for a face, are what it takes.
    pub fn of(backbone: &Backbone, block: &str, dimensions: usize) -> anyhow::Result<Self> {
        let last = last_convolutions(&backbone.bytes, block)
            .with_context(|| format!("`unfreeze` = \"{block}\" with {}", backbone.path().display()))?;
        if backbone.layer.as_deref() != Some(&last.from) {
            let found = match &backbone.layer {
                Some(layer) => format!("of `{layer}`"),
                None => "of its only output".to_owned(),
            };
            bail!(
                "with `unfreeze` = \"{block}\" the features must be of `{}`, what the block takes, and they are {found}: give `features` layer = \"{}\"",
                last.from,
                last.from
            );
        }
        let inputs = last.convolutions.first().map_or(0, |first| first.inputs);
        let input = &backbone.card.input;
        let Some((height, width)) = maps(input.height, input.width, inputs, dimensions) else {
            bail!(
                "with `unfreeze` = \"{block}\" features are {inputs} maps of a face of {}x{} pixels, halved some times: {dimensions} numbers are none",
                input.width,
                input.height
            );
        };
        Ok(Self { last, height, width })
    }

    /// As the library takes them.
    pub fn unfrozen(&self) -> Unfrozen<'_> {
        Unfrozen { convolutions: &self.last.convolutions, height: self.height, width: self.width }
    }

    /// The initialisers with the kernels that learn.
    pub fn kernels(&self) -> Vec<&str> {
        self.last.convolutions.iter().map(|convolution| convolution.kernel_name.as_str()).collect()
    }
}

/// Lines and columns of so many maps with so many numbers in all, if halving a picture, rounded down, leads to such.
fn maps(mut height: usize, mut width: usize, channels: usize, numbers: usize) -> Option<(usize, usize)> {
    while height > 0 && width > 0 {
        if height * width * channels == numbers {
            return Some((height, width));
        }
        (height, width) = (height / 2, width / 2);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::maps;

    #[test]
    fn maps_are_those_of_a_picture_that_was_halved() {
        assert_eq!(maps(48, 48, 512, 4608), Some((3, 3)));
        assert_eq!(maps(224, 100, 64, 64 * 56 * 25), Some((56, 25)));
        assert_eq!(maps(48, 48, 512, 512), Some((1, 1)));
        assert_eq!(maps(48, 48, 512, 4609), None);
        assert_eq!(maps(48, 48, 512, 2048), None);
    }
}
