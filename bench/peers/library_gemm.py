"""Measures the rate of a large bf16 matrix product in the library that PyTorch uses."""

import json
import time

import torch


def main() -> None:
    m, n, k = 4096, 8192, 8192
    a = torch.randn(m, k, device="cuda", dtype=torch.bfloat16)
    b = torch.randn(n, k, device="cuda", dtype=torch.bfloat16)
    for _ in range(5):
        a @ b.T
    torch.cuda.synchronize()
    rates = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(20):
            a @ b.T
        torch.cuda.synchronize()
        rates.append(2 * m * n * k * 20 / (time.perf_counter() - began) / 1e12)
    print(
        json.dumps({"library": f"torch {torch.__version__}", "tflop_s": round(sorted(rates)[2], 1)})
    )


if __name__ == "__main__":
    main()
