# The server without a run: docker run -v ./runs:/runs:ro -v serving:/serving -p 8000:8000 IMAGE
# Keys first: docker run -v serving:/serving IMAGE keys create --tenant acme --data-dir /serving
FROM python:3.12-slim

WORKDIR /app
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY src src
RUN pip install --no-cache-dir torch --index-url https://download.pytorch.org/whl/cpu \
 && pip install --no-cache-dir '.[postgres]' \
 && useradd --system --create-home quickstudy \
 && install -d -o quickstudy /serving

USER quickstudy
VOLUME /serving
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz')"]
ENTRYPOINT ["quickstudy"]
CMD ["serve", "/runs/glyphs", "--host", "0.0.0.0", "--data-dir", "/serving"]
