"""`bitladder serve`: a packed model behind HTTP, by FastAPI and uvicorn; no torch where kernels run it."""
