//! Normalisations that become part of the convolution before them.

use super::draft::Draft;
use crate::proto::TensorProto;

/// Makes each `BatchNormalization` that alone takes what a convolution gives part of its weights and bias, which is
/// what runtimes do as well and what rounding must come after. Others stay.
pub(super) fn normalisations(draft: &mut Draft<'_>) {
    let takers = draft.takers();
    let mut gone = Vec::new();
    for at in 0..draft.nodes.len() {
        let Some(conv) = draft.nodes.get(at).filter(|node| node.op() == "Conv") else { continue };
        let Some(value) = conv.output().filter(|value| !draft.is_kept(value)) else { continue };
        let Some(&[next]) = takers.get(value).map(Vec::as_slice) else { continue };
        let Some((weights, bias, output)) = folded(draft, at, next) else { continue };
        let name = |part: &str| draft.name(&output, part);
        let (weights, bias) = (
            TensorProto::floats(name("folded_weights"), &weights.0, &weights.1),
            TensorProto::floats(name("folded_bias"), &[bias.len()], &bias),
        );
        let (weights, bias) = (draft.add(weights), draft.add(bias));
        if let Some(conv) = draft.nodes.get_mut(at).map(super::draft::Node::change) {
            conv.input.truncate(1);
            conv.input.extend([weights, bias]);
            conv.output = vec![output];
        }
        gone.push(next);
    }
    let mut at = 0;
    draft.nodes.retain(|_| {
        at += 1;
        !gone.contains(&(at - 1))
    });
}

/// Sides and values of weights, a bias, and the name of the normalised value.
type Folded = ((Vec<usize>, Vec<f32>), Vec<f32>, String);

/// What the convolution's weights and bias become, if the next node is a normalisation of constants over what
/// it gives.
fn folded(draft: &Draft<'_>, conv: usize, next: usize) -> Option<Folded> {
    let (conv, norm) = (draft.nodes.get(conv)?, draft.nodes.get(next)?);
    let is_in_training = norm.int("training_mode", 0) != 0 || norm.int("spatial", 1) != 1;
    if norm.op() != "BatchNormalization" || is_in_training || norm.input(0) != conv.output() {
        return None;
    }
    let (sides, mut weights) = draft.floats(conv.input(1)?)?;
    let outputs = *sides.first().filter(|outputs| **outputs > 0)?;
    let parameter = |at: usize| {
        let (_, values) = draft.floats(norm.input(at)?)?;
        (values.len() == outputs).then_some(values)
    };
    let (scale, shift, mean, variance) = (parameter(1)?, parameter(2)?, parameter(3)?, parameter(4)?);
    let mut bias = match conv.input(2) {
        None => vec![0.0; outputs],
        Some(name) => draft.floats(name).map(|(_, values)| values).filter(|bias| bias.len() == outputs)?,
    };
    let epsilon = norm.float("epsilon", 1e-5);
    let each = weights.len() / outputs;
    let channels =
        weights.chunks_mut(each.max(1)).zip(&mut bias).zip(&scale).zip(&shift).zip(&mean).zip(&variance);
    for (((((weights, bias), scale), shift), mean), variance) in channels {
        let factor = scale / (variance + epsilon).sqrt();
        weights.iter_mut().for_each(|weight| *weight *= factor);
        *bias = (*bias - mean) * factor + shift;
    }
    let is_number = weights.iter().chain(&bias).all(|value| value.is_finite());
    Some(((sides, weights), bias, norm.output()?.to_owned())).filter(|_| is_number)
}
