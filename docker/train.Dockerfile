# Training, evaluation, films and export on CPUs, from a clone:
#   docker build -f docker/train.Dockerfile -t hgrpo-train .
#   docker run --rm -v "$PWD/runs:/home/pilot/runs" hgrpo-train train hybrid-grpo quadrotor-hover --out runs/first
# For NVIDIA GPUs: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130, and docker run --gpus all.
FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install -y --no-install-recommends libegl1 libgl1-mesa-dri libopengl0 \
    && rm -rf /var/lib/apt/lists/*

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY hgrpo_errors.py hgrpo_fields.py hgrpo_files.py hgrpo_imports.py hgrpo_signals.py ./
COPY hgrpo_control hgrpo_control
COPY policies policies
COPY robots robots
COPY sim2real sim2real
RUN pip install --no-cache-dir --extra-index-url "$TORCH_INDEX" -c constraints.txt '.[train]'

# Runs belong to this user, and compiled kernels lie in its home.
RUN useradd --create-home --uid 1000 pilot
USER pilot
WORKDIR /home/pilot
ENTRYPOINT ["hgrpo"]
CMD ["--help"]
