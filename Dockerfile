# A machine of a pool (docs/machines.md): the project at one commit, with a worker that takes stages.
FROM python:3.11-slim

RUN useradd --create-home --uid 1000 bitladder && install -d -o bitladder /project
WORKDIR /project
USER bitladder
ENV PATH=/home/bitladder/.local/bin:$PATH PYTHONUNBUFFERED=1

# The libraries first: they change less often than the code.
COPY --chown=bitladder constraints.txt pyproject.toml README.md LICENSE ./
COPY --chown=bitladder bitladder bitladder
RUN pip install --no-cache-dir --user -c constraints.txt '.[machines,runtime]'
COPY --chown=bitladder . .
# .git stays outside the image; DVC does not look for it then. PYTHONPATH has the code of the clone come first.
RUN dvc config --local core.no_scm true
ENV PYTHONPATH=/project

# Data, models, states: what is lost with the container is in DVC's remote.
VOLUME ["/project/.dvc/cache", "/project/.bitladder"]
CMD ["bitladder", "worker"]
