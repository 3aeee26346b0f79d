//! Which settings of Caffe's layers are heeded. Any other would change what a network computes without a word.

use super::prototxt::{Message, Value};

/// What a setting may be.
enum May {
    /// Read where the layer is converted, once.
    Once,
    /// The same, any number of times; or of no consequence when a network runs.
    Be,
    /// One of these: what the conversion takes for granted.
    OnlyBe(&'static [&'static str]),
}

type Settings = &'static [(&'static str, May)];

/// The message with the settings of a kind of layer, and what may stand in it (Caffe's caffe.proto, with the
/// SSD branch's layers).
const KNOWN: [(&str, &str, Settings); 14] = [
    (
        "Convolution",
        "convolution_param",
        &[
            ("num_output", May::Once),
            ("kernel_size", May::Once),
            ("stride", May::Once),
            ("pad", May::Once),
            ("dilation", May::Once),
            ("group", May::Once),
            ("bias_term", May::Once),
            ("axis", May::OnlyBe(&["1"])),
            ("weight_filler", May::Be),
            ("bias_filler", May::Be),
            ("engine", May::Be),
        ],
    ),
    ("ReLU", "relu_param", &[("negative_slope", May::OnlyBe(&["0", "0.0"])), ("engine", May::Be)]),
    (
        "Pooling",
        "pooling_param",
        &[
            ("pool", May::Once),
            ("kernel_size", May::Once),
            ("stride", May::Once),
            ("pad", May::Once),
            ("round_mode", May::OnlyBe(&["CEIL", "0"])),
            ("engine", May::Be),
        ],
    ),
    ("Eltwise", "eltwise_param", &[("operation", May::Once), ("coeff", May::OnlyBe(&["1", "1.0"]))]),
    (
        "Normalize",
        "norm_param",
        &[
            ("across_spatial", May::Once),
            ("channel_shared", May::OnlyBe(&["false"])),
            ("eps", May::OnlyBe(&["1e-10"])),
            ("scale_filler", May::Be),
        ],
    ),
    ("Permute", "permute_param", &[("order", May::Be)]),
    ("Flatten", "flatten_param", &[("axis", May::OnlyBe(&["1"])), ("end_axis", May::OnlyBe(&["-1"]))]),
    ("Concat", "concat_param", &[("axis", May::OnlyBe(&["1", "2"]))]),
    ("Reshape", "reshape_param", &[("shape", May::Be)]),
    ("Softmax", "softmax_param", &[("axis", May::OnlyBe(&["2"])), ("engine", May::Be)]),
    (
        "PriorBox",
        "prior_box_param",
        &[
            ("min_size", May::Be),
            ("max_size", May::Be),
            ("aspect_ratio", May::Be),
            ("variance", May::Be),
            ("flip", May::Once),
            ("clip", May::Once),
            ("step", May::Once),
            ("offset", May::Once),
        ],
    ),
    (
        "DetectionOutput",
        "detection_output_param",
        &[
            ("num_classes", May::Once),
            ("background_label_id", May::Once),
            ("nms_param", May::Be),
            ("keep_top_k", May::Once),
            ("confidence_threshold", May::Once),
            ("share_location", May::OnlyBe(&["true"])),
            ("code_type", May::OnlyBe(&["CENTER_SIZE", "2"])),
            ("variance_encoded_in_target", May::OnlyBe(&["false"])),
            ("save_output_param", May::Be),
        ],
    ),
    (
        "BatchNorm",
        "batch_norm_param",
        &[
            ("eps", May::Once),
            ("use_global_stats", May::OnlyBe(&["true"])),
            ("moving_average_fraction", May::Be),
        ],
    ),
    (
        "Scale",
        "scale_param",
        &[
            ("bias_term", May::OnlyBe(&["true"])),
            ("axis", May::OnlyBe(&["1"])),
            ("num_axes", May::OnlyBe(&["1"])),
            ("filler", May::Be),
            ("bias_filler", May::Be),
        ],
    ),
];

/// Refuses a layer with a setting that is not heeded.
pub fn check(layer: &Message) -> Result<(), String> {
    let kind = layer.word("type").unwrap_or_default();
    let settings =
        layer.fields().filter(|(name, value)| name.ends_with("_param") && matches!(value, Value::Message(_)));
    for (name, value) in settings {
        let known = KNOWN.iter().find(|(of, param, _)| *of == kind && *param == name);
        let Some((_, _, known)) = known else {
            return Err(format!("`{name}` is not known in layers of type `{kind}`"));
        };
        let Value::Message(message) = value else { continue };
        for (field, value) in message.fields() {
            let may = known.iter().find(|(name, _)| *name == field).map(|(_, may)| may);
            match (may, value) {
                (None, _) => return Err(format!("`{field}` in `{name}` is not known")),
                (Some(May::Once), _) if message.fields().filter(|(name, _)| *name == field).count() > 1 => {
                    return Err(format!("`{field}` in `{name}` is given more than once"));
                }
                (Some(May::OnlyBe(words)), Value::Word(word)) if !words.contains(&word.as_str()) => {
                    return Err(format!(
                        "`{field}: {word}` in `{name}` is not known, only {}",
                        words.join(" or ")
                    ));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(layer: &str) -> Result<(), String> {
        check(&Message::parse(layer)?)
    }

    #[test]
    fn what_would_change_the_answer_unheeded_is_refused() {
        for (layer, reason) in [
            (
                "type: 'Convolution' convolution_param { stride_h: 2 stride_w: 2 }",
                "`stride_h` in `convolution_param` is not known",
            ),
            (
                "type: 'Convolution' convolution_param { pad_h: 1 }",
                "`pad_h` in `convolution_param` is not known",
            ),
            (
                "type: 'Convolution' convolution_param { kernel_size: 1 kernel_size: 3 }",
                "`kernel_size` in `convolution_param` is given more than once",
            ),
            (
                "type: 'ReLU' relu_param { negative_slope: 0.1 }",
                "`negative_slope: 0.1` in `relu_param` is not known, only 0 or 0.0",
            ),
            (
                "type: 'Eltwise' eltwise_param { coeff: 1 coeff: -1 }",
                "`coeff: -1` in `eltwise_param` is not known, only 1 or 1.0",
            ),
            ("type: 'ReLU' power_param { scale: 2 }", "`power_param` is not known in layers of type `ReLU`"),
        ] {
            assert_eq!(checked(layer), Err(reason.to_owned()), "{layer}");
        }
    }

    #[test]
    fn what_is_heeded_or_of_no_consequence_passes() {
        for layer in [
            "type: 'Convolution' param { lr_mult: 1 } convolution_param { kernel_size: 3 weight_filler { type: 'msra' } }",
            "type: 'Eltwise' eltwise_param { operation: SUM coeff: 1 coeff: 1.0 }",
            "type: 'PriorBox' prior_box_param { aspect_ratio: 2 aspect_ratio: 3 flip: true }",
        ] {
            assert_eq!(checked(layer), Ok(()), "{layer}");
        }
    }
}
