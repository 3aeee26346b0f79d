//! The Haar detector on a CUDA device: pyramid, integral images, cascade and grouping stay there; the frame
//! goes in, faces come out. Answers are those of the CPU.

#[cfg(test)]
mod emulated;
mod search;

use ferroflow_cuda::{CudaDevice, CudaError};

use self::search::Search;
use super::{answers, cascade::Cascade, shape, xml};
use crate::{
    detect::{DetectError, DetectorConfig, FaceDetector},
    face::Detection,
    frame::{Frame, Plane},
    model::ModelFile,
};

const SOURCE: &str = include_str!("haar.cu");

/// The detector. It looks at luma alone: of planar formats the plane is uploaded, of packed ones a gray copy.
pub struct CudaHaar {
    cascade: Cascade,
    name: String,
    index: u32,
    config: DetectorConfig,
    device: CudaDevice,
    search: Search<CudaDevice>,
    gray: Vec<u8>,
}

impl CudaHaar {
    /// Reads the cascade's XML file and opens device `index`.
    pub fn open(model: &ModelFile, config: &DetectorConfig, index: u32) -> Result<Self, DetectError> {
        let cascade = xml::read(model)?;
        let mut device = CudaDevice::open(index, SOURCE, &search::KERNELS)?;
        let search = Search::new(&mut device, &cascade, search::ANSWERS)?;
        let (name, config) = (model.name.clone(), config.clone());
        Ok(Self { cascade, name, index, config, device, search, gray: Vec::new() })
    }

    fn look(&mut self, luma: Plane<'_>, size: (usize, usize)) -> Result<(), CudaError> {
        let shape = shape(&self.cascade, &self.config, size);
        self.search.run(&mut self.device, &self.cascade, luma, shape, self.config.min_neighbors)
    }
}

impl FaceDetector for CudaHaar {
    fn detect(&mut self, frame: &Frame<'_>, faces: &mut Vec<Detection>) -> Result<(), DetectError> {
        faces.clear();
        let size = (frame.width(), frame.height());
        match frame.luma_plane() {
            Some(plane) => self.look(plane, size)?,
            None => {
                let mut gray = std::mem::take(&mut self.gray);
                frame.write_gray(&mut gray);
                let looked = self.look(Plane { data: &gray, stride: size.0 }, size);
                self.gray = gray;
                looked?;
            }
        }
        answers(self.search.faces(), size, &self.config, faces);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("{} on cuda:{} ({})", self.name, self.index, self.device.name())
    }
}
