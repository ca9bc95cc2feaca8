"""A packed model as a graph that stock ONNX Runtime runs: docs/onnx.md. Needs the extra `onnx`."""
