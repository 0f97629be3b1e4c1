# The server without a run: docker run -v ./runs:/runs:ro -v serving:/serving -p 8000:8000 IMAGE
# Keys first: docker run -v serving:/serving IMAGE keys create --tenant acme --data-dir /serving
# A CPU build of torch makes it far smaller: --build-arg TORCH_INDEX=URL of an index that has one.
FROM python:3.12-slim
ARG TORCH_INDEX

WORKDIR /app
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY src src
RUN pip install --no-cache-dir --constraint constraints.txt ${TORCH_INDEX:+--index-url $TORCH_INDEX} torch \
 && pip install --no-cache-dir --constraint constraints.txt '.[postgres]' \
 && useradd --system --create-home quickstudy \
 && install -d -o quickstudy /serving

USER quickstudy
VOLUME /serving
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz')"]
ENTRYPOINT ["quickstudy"]
CMD ["serve", "/runs/glyphs", "--host", "0.0.0.0", "--data-dir", "/serving"]
