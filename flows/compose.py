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
    return _compose(overrides, conf)[0]


def _compose(overrides: Sequence[str], conf: Path) -> tuple[str, dict[str, str]]:
    """The text, and which option of each group it was made from."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    with initialize_config_dir(str(conf.resolve()), version_base=None):
        both = compose(config_name="config", overrides=list(overrides), return_hydra_config=True)
    config = OmegaConf.masked_copy(both, [str(key) for key in both if key != "hydra"])
    OmegaConf.resolve(config)
    return OmegaConf.to_yaml(config), dict(both.hydra.runtime.choices)


def main(overrides: Sequence[str]) -> int:
    """Write params.yaml and say so; 2 when it is refused. What composes is written all the same."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        text, choices = _compose(overrides, CONF)
        files.write_text(paths.PARAMS, text)
        load(paths.PARAMS)
    except (HydraException, OmegaConfBaseException, ParamsError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    groups = [group for group in ("task", "model", "ladder", "budget", "experiment") if choices.get(group)]
    chosen = ", ".join(f"{group} {choices[group]}" for group in groups)
    sys.stdout.write(f"{paths.PARAMS} written: {chosen}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
