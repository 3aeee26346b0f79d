//! Which files of models an element reads, whichever element it is: what comes out of it depends on them.

use std::path::PathBuf;

use ferroflow_vision::model::ModelError;
use gst::{prelude::*, subclass::prelude::*};

use crate::{expression::Expression, facedetect::FaceDetect, session::UsesModels, translate::Translate};

/// The files of the models that the element would open as it is set now, with their cards; nothing for
/// elements without models and those that are not ours.
pub fn files(element: &gst::Element) -> Option<Result<Vec<PathBuf>, ModelError>> {
    let user = user::<FaceDetect>(element)
        .or_else(|| user::<Expression>(element))
        .or_else(|| user::<Translate>(element))?;
    Some(user.model_files())
}

/// The element as one of this kind that uses models, if it is one.
fn user<T>(element: &gst::Element) -> Option<&dyn UsesModels>
where
    T: IsA<gst::Element> + ObjectSubclassIsExt<Subclass: UsesModels>,
{
    Some(element.downcast_ref::<T>()?.imp())
}
