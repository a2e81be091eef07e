# CPU by default:        docker build -t pinnlab .
# On an NVIDIA machine:  docker build -t pinnlab --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .
# To keep what it writes: docker run --rm -v "$PWD:/work" pinnlab fit -c burgers
FROM python:3.11-slim
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# g++ is what compiled training needs on a CPU.
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/pinnlab
RUN pip install --no-cache-dir "torch>=2.11,<2.14" --index-url ${TORCH_INDEX}
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY pinnlab pinnlab
COPY recipes recipes
RUN pip install --no-cache-dir .
WORKDIR /work
ENTRYPOINT ["pinnlab"]
CMD ["list"]
