"""A trained model as files that other programs run: ONNX (https://onnx.ai), one file each for encoder and decoder; a folder of
diffusers' AutoencoderKL (`write_diffusers`), where its net is that.

`write_onnx(space, folder)` writes the pair; `decoder_bytes(space)` is the decoder alone, for a page that decodes images
itself. Needs onnx, onnxscript and onnxruntime: pip install '.[onnx]' in a checkout. Not covered: draws, densities, other
formats.
"""

from legato.exported.diffusers_folder import write_diffusers
from legato.exported.pair import Exported, decoder_bytes, encoder_bytes, write_onnx

__all__ = ["Exported", "decoder_bytes", "encoder_bytes", "write_diffusers", "write_onnx"]
