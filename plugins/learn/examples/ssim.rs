//! The structural similarity of pairs of gray pictures, each a line of two numbers: over gray levels of 0 to 255, and
//! as the cycle loss sees it, over values of -1 to 1: `ssim width height first.gray second.gray`. Both files hold
//! pictures of that size one behind the other, a byte a pixel. `benches/ssim.py` compares what it prints with
//! scikit-image.

use burn::backend::Flex;
use burn::tensor::{ElementConversion, Tensor, TensorData};
use ferroflow_learn::ssim::{Ssim, of_gray};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, width, height, first, second] = arguments.as_slice() else {
        return Err("usage: ssim width height first.gray second.gray".into());
    };
    let (width, height): (usize, usize) = (width.parse()?, height.parse()?);
    let (first, second) = (std::fs::read(first)?, std::fs::read(second)?);
    let gray = of_gray(&first, &second, width, height)?;
    let device = Default::default();
    let ssim = Ssim::<Flex>::new(height, width, 2.0, &device);
    let tensor = |pixels: &[u8]| {
        let values: Vec<f32> = pixels.iter().map(|pixel| f32::from(*pixel) / 127.5 - 1.0).collect();
        Tensor::from_data(TensorData::new(values, [1, 1, height, width]), &device)
    };
    let size = width * height;
    for ((x, y), gray) in first.chunks_exact(size).zip(second.chunks_exact(size)).zip(gray) {
        let loss = ssim.index(tensor(x), tensor(y)).into_scalar().elem::<f32>();
        println!("{gray:.7} {loss:.7}");
    }
    Ok(())
}
