"""Packs ONNX Runtime Web's binary for reports that decode: after `npm ci`, python ui/ort.py."""

import lzma
from pathlib import Path

HERE = Path(__file__).parent
NAME = "ort-wasm-simd-threaded.wasm"
packed = lzma.compress((HERE / "node_modules/onnxruntime-web/dist" / NAME).read_bytes(), preset=9 | lzma.PRESET_EXTREME)
target = HERE.parent / "src/legato/explorer/_ort" / f"{NAME}.xz"
target.parent.mkdir(exist_ok=True)
target.write_bytes(packed)
print(f"wrote {target.name}, {len(packed):,} bytes")
