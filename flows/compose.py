"""params.yaml from one choice of each group in conf/, as `dvc exp run -S task=mrpc` composes it, and no more.

`python -m flows.compose [task=mrpc model=minilm data.root=...]` writes the file and checks it; nothing runs.
Without choices it writes the default, which is the committed file. Always from conf/ anew: what was changed
in params.yaml by hand is gone, so numbers that should stay are changed in conf/.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from bitladder import files
from pipeline import paths
from pipeline.params_file import ParamsError, load

CONF = Path("conf")


def compose(overrides: Sequence[str] = (), conf: Path = CONF) -> str:
    """The text of params.yaml: Hydra's composition, resolved and written exactly as DVC does it.

    Raises:
        hydra.errors.HydraException: a group, an option or a key that does not exist; the message lists them.
    """
    import hydra
    from dvc.utils.hydra import load_hydra_plugins
    from omegaconf import OmegaConf

    load_hydra_plugins(str(conf.resolve()))
    with hydra.initialize_config_dir(str(conf.resolve()), version_base=None):
        return OmegaConf.to_yaml(hydra.compose("config", overrides=list(overrides)), resolve=True)


def main(overrides: Sequence[str]) -> int:
    """Write params.yaml and say so; 2 when it is refused. What composes is written all the same."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        files.write_text(paths.PARAMS, compose(overrides))
        params = load(paths.PARAMS)
    except (HydraException, OmegaConfBaseException, ParamsError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    rungs = ", ".join(params.rungs)
    chosen = f"task {params.task.name}, model {params.model.name}, budget {params.budget.name}, rungs {rungs}"
    sys.stdout.write(f"{paths.PARAMS} written: {chosen}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
