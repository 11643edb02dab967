# VideoThinker on a CPU. Build it here, then run any command, with your folder in the container:
#   docker build -t videothinker .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" videothinker demo
FROM python:3.11-slim

# torch's own index has wheels without CUDA, a tenth of the size.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
COPY recipes recipes
COPY models models
RUN pip install --no-cache-dir --index-url "$TORCH_INDEX" "$(grep '^torch==' constraints.txt)" && \
    pip install --no-cache-dir -c constraints.txt . && \
    useradd --create-home user
USER user
WORKDIR /data
ENV OMP_NUM_THREADS=1 HOME=/data USER=user
ENTRYPOINT ["videothinker"]
CMD ["help"]
