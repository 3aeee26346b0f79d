#!/usr/bin/env bash
# Packs a program that checks all CUDA code, with its models and pictures, into target/gpu-check: copy that folder to a CUDA
# machine and run ./run.sh there. GStreamer and OpenCV are needed here only, to make the pictures.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=target/gpu-check
home=${FERROFLOW_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/ferroflow}

cargo build --release -p ferroflow-vision --example gpu_check
rm -rf "$folder" && mkdir -p "$folder/home"
cp target/release/examples/gpu_check "$folder/"
cp "$home"/*.onnx "$home"/libonnxruntime.so "$folder/home/"
cp /usr/share/opencv4/haarcascades/haarcascade_frontalface_default.xml "$folder/home/"
# Cascades are files of a Debian package; there they lie beside the models.
sed 's#/usr/share/opencv4/haarcascades/#home/#' models/manifest.toml > "$folder/home/manifest.toml"
for size in 640x360 1280x720; do
    caps="video/x-raw,format=RGB,width=${size%x*},height=${size#*x}"
    gst-launch-1.0 -q filesrc location="$home/expressions.jpg" ! jpegdec ! videoconvert ! videoscale ! "$caps" ! \
        pnmenc ! filesink location="$folder/faces-$size.ppm"
    gst-launch-1.0 -q filesrc location="$home/woman.mp4" ! decodebin ! videoconvert ! videoscale ! "$caps" ! \
        identity eos-after=2 ! pnmenc ! filesink location="$folder/woman-$size.ppm"
done
cat > "$folder/run.sh" <<'RUN'
#!/usr/bin/env bash
# ONNX Runtime's CUDA build: ORT_DYLIB_PATH=/path/to/libonnxruntime.so (its libonnxruntime_providers_*.so beside it), CUDA's
# libraries, NVRTC and cuDNN on LD_LIBRARY_PATH.
set -euo pipefail
cd "$(dirname "$0")"
export FERROFLOW_HOME=$PWD/home FERROFLOW_MANIFEST=$PWD/home/manifest.toml
exec ./gpu_check "$@" ./*.ppm
RUN
chmod +x "$folder/run.sh"
du -sh "$folder"
echo "copy $folder to a CUDA machine and run ./run.sh there"
