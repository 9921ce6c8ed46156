# The policy server, without torch, from a clone:
#   docker build -f docker/deploy.Dockerfile -t hgrpo-serve .
#   docker run --rm -p 8000:8000 -v "$PWD/policies:/policies:ro" -v "$PWD/token:/run/token:ro" \
#       hgrpo-serve /policies/policy.onnx --host 0.0.0.0 --token-file /run/token
# Without arguments it serves a policy of the zoo inside the container alone.
FROM python:3.11-slim-bookworm

WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY hgrpo_errors.py hgrpo_fields.py hgrpo_files.py hgrpo_imports.py hgrpo_signals.py ./
COPY hgrpo_control hgrpo_control
COPY policies policies
COPY robots robots
COPY sim2real sim2real
RUN pip install --no-cache-dir -c constraints.txt '.[serve]'

RUN useradd --create-home --uid 1000 pilot
USER pilot
WORKDIR /home/pilot
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
ENTRYPOINT ["hgrpo", "serve"]
CMD ["zoo:quadrotor-hover"]
