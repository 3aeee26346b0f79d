#!/usr/bin/env bash
# Packs programs that check and time all CUDA code, with their models and pictures, into target/gpu-check: copy that folder to
# a CUDA machine and run ./run.sh there. GStreamer and OpenCV are needed here only, to make the pictures.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=target/gpu-check
home=${FERROFLOW_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/ferroflow}

cargo build --release -p ferroflow-vision --example gpu_check
# With the whole workspace's features, so that nothing is compiled twice; benches have a hash in their names.
built=$(cargo build --release --workspace --example train_check --bench step --bench cyclegan --message-format=json)
rm -rf "$folder" && mkdir -p "$folder/home"
cp target/release/examples/gpu_check benches/{classifier,cyclegan}_torch.py "$folder/"
python3 -c '
import json, shutil, sys
for line in map(json.loads, sys.stdin):
    if line.get("executable"):
        shutil.copy(line["executable"], sys.argv[1] + "/" + line["target"]["name"])
' "$folder" <<< "$built"
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
set -uo pipefail
cd "$(dirname "$0")"
export FERROFLOW_HOME=$PWD/home FERROFLOW_MANIFEST=$PWD/home/manifest.toml
# Each is told of, whatever became of the one before, and none takes all the time there is; the worst exit code is the answer.
worst=0
tell() { echo "== $*" && timeout 300 "$@" || { code=$?; ((code > worst)) && worst=$code; }; }
device=cuda
for ((at = 1; at < $#; at++)); do [[ ${!at} != --device ]] || { at=$((at + 1)) && device=${!at}; }; done
tell ./train_check --device "$device"
# Steps of training, and beside them PyTorch's where it is installed.
tell ./step --bench --device "$device"
tell ./cyclegan --bench --device "$device"
if python3 -c 'import torch' 2> /dev/null; then
    tell python3 classifier_torch.py --device "$device"
    tell python3 cyclegan_torch.py --device "$device"
else
    echo "PyTorch is not installed: its steps are left out"
fi
tell ./gpu_check "$@" ./*.ppm
exit "$worst"
RUN
chmod +x "$folder/run.sh"
du -sh "$folder"
echo "copy $folder to a CUDA machine and run ./run.sh there"
