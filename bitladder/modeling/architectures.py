"""Other encoders as BERTs: how the config and the tensors of each are said in BERT's own words, exactly.

RoBERTa (Liu et al., arXiv:1907.11692), XLM-RoBERTa (Conneau et al., arXiv:1911.02116), DistilBERT (Sanh et
al., arXiv:1910.01108) and ELECTRA (Clark et al., arXiv:2003.10555) compute what BERT does, with tables, names
and heads of their own. `REGISTRY` has an entry for each, and everything after it knows BERTs alone:

    positions     RoBERTa counts them from behind its padding id: the rows before that are never looked up
    segments      RoBERTa's table has one row. DistilBERT has no table: it is given one row, the mean of the
                  positions, which is taken off them; their sum is what it was, to float's last digit
    head          a dense layer, a function and an output, on the first token: BERT's pooler and classifier.
                  The function is tanh in BERT and RoBERTa, ReLU in DistilBERT, GELU in ELECTRA

Neither torch nor transformers is imported: params.yaml is checked by what a config.json says.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

# In a BERT's config.json: the function behind the pooler, where it is not tanh.
POOLER_ACT_KEY = "bitladder_pooler_act"
Values = Mapping[str, Any]
State = Mapping[str, Any]  # tensors of torch, by name

POSITIONS = "bert.embeddings.position_embeddings.weight"
SEGMENTS = "bert.embeddings.token_type_embeddings.weight"
# What a BERT's config.json says of what it computes.
SHAPE = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
    "hidden_act",
    "layer_norm_eps",
)
_SAME = (
    *SHAPE,
    "initializer_range",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "pad_token_id",
)
_LABELS = ("id2label", "label2id", "problem_type", "num_labels")
# BERT's own defaults, for what an old config.json leaves out.
DEFAULTS = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
}
# transformers rebuilds these or ties them to other tensors; of a task's model nobody reads the others.
_LEFT_OUT = re.compile(
    r"(.*\.)?embeddings\.(position_ids|token_type_ids)|.*\.decoder\.(weight|bias)|vocab_projector\.weight"
)
# What it would take, of encoders that people have.
_NEEDED = {
    "albert": "layers that share weights, and a projection behind its word table",
    "camembert": "an entry like RoBERTa's, whose layers it has",
    "convbert": "convolutions beside attention",
    "deberta": "attention to relative positions",
    "deberta-v2": "attention to relative positions",
    "mobilebert": "bottlenecks around each layer",
    "modernbert": "rotary positions and gated feed-forward layers",
    "mpnet": "attention scores with a bias by distance",
    "longformer": "attention within a window",
    "xlnet": "attention to relative positions",
}


class ArchitectureError(ValueError):
    """A model that cannot be said as a BERT."""

    exit_code = 2


@dataclass(frozen=True)
class Architecture:
    """One kind of encoder.

    Attributes:
        title: its name in messages.
        prefix: what the names of its encoder's tensors begin with.
        keys: BERT's keys of config.json that are called otherwise, each with that name.
        constants: keys of BERT's config.json that are the same in every model of this kind.
        renames: patterns of tensor names, after the prefix became BERT's, and what each becomes.
        pooler_act: the function in its classification head.
        skips_positions: positions are counted from behind the padding id.
    """

    title: str
    prefix: str
    keys: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    renames: tuple[tuple[str, str], ...] = ()
    pooler_act: str = "tanh"
    skips_positions: bool = False


_DENSE_HEAD = (
    (r"^classifier\.dense\.", "bert.pooler.dense."),
    (r"^classifier\.out_proj\.", "classifier."),
)
_ROBERTA_MASKED_WORDS = (
    (r"^lm_head\.dense\.", "cls.predictions.transform.dense."),
    (r"^lm_head\.layer_norm\.", "cls.predictions.transform.LayerNorm."),
    (r"^lm_head\.bias", "cls.predictions.bias"),
)
_DISTILBERT_LAYERS = (
    (r"^bert\.transformer\.layer\.", "bert.encoder.layer."),
    (r"\.attention\.q_lin\.", ".attention.self.query."),
    (r"\.attention\.k_lin\.", ".attention.self.key."),
    (r"\.attention\.v_lin\.", ".attention.self.value."),
    (r"\.attention\.out_lin\.", ".attention.output.dense."),
    (r"\.sa_layer_norm\.", ".attention.output.LayerNorm."),
    (r"\.ffn\.lin1\.", ".intermediate.dense."),
    (r"\.ffn\.lin2\.", ".output.dense."),
    (r"\.output_layer_norm\.", ".output.LayerNorm."),
    (r"^pre_classifier\.", "bert.pooler.dense."),
    (r"^vocab_transform\.", "cls.predictions.transform.dense."),
    (r"^vocab_layer_norm\.", "cls.predictions.transform.LayerNorm."),
    (r"^vocab_projector\.bias", "cls.predictions.bias"),
)

REGISTRY: dict[str, Architecture] = {
    "bert": Architecture("BERT", "bert."),
    "roberta": Architecture(
        "RoBERTa", "roberta.", renames=(*_DENSE_HEAD, *_ROBERTA_MASKED_WORDS), skips_positions=True
    ),
    "xlm-roberta": Architecture(
        "XLM-RoBERTa", "roberta.", renames=(*_DENSE_HEAD, *_ROBERTA_MASKED_WORDS), skips_positions=True
    ),
    "distilbert": Architecture(
        "DistilBERT",
        "distilbert.",
        keys={
            "hidden_size": "dim",
            "num_hidden_layers": "n_layers",
            "num_attention_heads": "n_heads",
            "intermediate_size": "hidden_dim",
            "hidden_act": "activation",
            "hidden_dropout_prob": "dropout",
            "attention_probs_dropout_prob": "attention_dropout",
        },
        constants={"type_vocab_size": 1, "layer_norm_eps": 1e-12, "num_hidden_layers": 6},
        renames=_DISTILBERT_LAYERS,
        pooler_act="relu",
    ),
    "electra": Architecture("ELECTRA", "electra.", renames=_DENSE_HEAD, pooler_act="gelu"),
}


def of(values: Values) -> Architecture:
    """The entry for a config.json.

    Raises:
        ArchitectureError: there is none, or the model has a part that no BERT has; it says which.
    """
    kind = values.get("model_type")
    found = REGISTRY.get(str(kind))
    if found is None:
        known = ", ".join(one.title for one in REGISTRY.values())
        needed = _NEEDED.get(str(kind))
        why = f"it would need {needed}" if needed else "no entry in bitladder/modeling/architectures.py"
        raise ArchitectureError(f"model_type {kind!r} cannot be taken: {why}; {known} can")
    if (positions := values.get("position_embedding_type", "absolute")) not in (None, "absolute"):
        raise ArchitectureError(
            f"position_embedding_type {positions!r} cannot be taken: it would need attention to relative "
            "positions; absolute ones can"
        )
    hidden, width = values.get("hidden_size", 768), values.get("embedding_size")
    if width is not None and width != hidden:
        raise ArchitectureError(
            f"embedding_size {width} with hidden_size {hidden} cannot be taken: it would need a projection "
            f"behind the tables; an {found.title} whose sizes are equal can (base)"
        )
    return found


def bert_config(values: Values) -> dict[str, Any]:
    """What a BERT's config.json says of the same model; a BERT's own stays as it is.

    Raises:
        ArchitectureError: as `of`.
    """
    own = of(values)
    if values["model_type"] == "bert":
        return dict(values)
    found: dict[str, Any] = {"model_type": "bert"}
    for key in _SAME:
        name = own.keys.get(key, key)
        if name in values:
            found[key] = values[name]
        elif (default := own.constants.get(key, DEFAULTS.get(key))) is not None:
            found[key] = default
    found |= {
        key: own.constants[key] for key in ("type_vocab_size", "layer_norm_eps") if key in own.constants
    }
    if own.skips_positions:
        found["max_position_embeddings"] -= _first_position(values)
    found |= {key: values[key] for key in _LABELS if key in values}
    found["architectures"] = [_as_bert(name) for name in values.get("architectures") or ()]
    is_classifier = any(name.endswith("ForSequenceClassification") for name in found["architectures"])
    if own.pooler_act != "tanh" and is_classifier:
        found[POOLER_ACT_KEY] = own.pooler_act
    return found


def bert_name(name: str, own: Architecture) -> str:
    """What a BERT calls a tensor of this name; old BERTs say gamma and beta, bare ones lack the prefix."""
    name = name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
    if name.startswith(own.prefix):
        name = f"bert.{name.removeprefix(own.prefix)}"
    elif name.split(".")[0] in ("embeddings", "encoder", "pooler", "transformer"):
        name = f"bert.{name}"
    for pattern, replacement in own.renames:
        name = re.sub(pattern, replacement, name)
    return name


def bert_shapes(shapes: Mapping[str, tuple[int, ...]], values: Values) -> dict[str, tuple[int, ...]]:
    """Names and shapes that `bert_state` would give, of the names and shapes in a file's header."""
    own = of(values)
    found = {bert_name(name, own): shapes[name] for name in _read(shapes, own)}
    if own.skips_positions and POSITIONS in found:
        rows, *rest = found[POSITIONS]
        found[POSITIONS] = (rows - _first_position(values), *rest)
    if own.constants.get("type_vocab_size") == 1 and POSITIONS in found:
        found[SEGMENTS] = (1, *found[POSITIONS][1:])
    return found


def bert_state(state: State, values: Values) -> dict[str, Any]:
    """The tensors of a BERT that puts out the same, of a checkpoint's tensors and its config.json.

    Raises:
        ArchitectureError: as `of`.
    """
    own = of(values)
    found = {bert_name(name, own): state[name] for name in _read(state, own)}
    if own.skips_positions and POSITIONS in found:
        found[POSITIONS] = found[POSITIONS][_first_position(values) :].clone()
    if own.constants.get("type_vocab_size") == 1 and POSITIONS in found:
        mean_1E = found[POSITIONS].double().mean(dim=0, keepdim=True).to(found[POSITIONS].dtype)
        found[SEGMENTS], found[POSITIONS] = mean_1E, found[POSITIONS] - mean_1E
    return found


def _read(names: Collection[str], own: Architecture) -> list[str]:
    """Those that are the model's own: neither rebuilt, nor tied to another one, nor beside the head."""
    has_dense_head = own.prefix != "bert." and any(name.startswith("classifier.dense.") for name in names)
    beside = f"{own.prefix}pooler."  # old files have it, though the head reads the first token itself
    return [
        name
        for name in names
        if not _LEFT_OUT.fullmatch(name) and not (has_dense_head and name.startswith(beside))
    ]


def _first_position(values: Values) -> int:
    """The row of a RoBERTa's position table that its first token has."""
    padding = values.get("pad_token_id")
    return (1 if padding is None else int(padding)) + 1


def _as_bert(name: str) -> str:
    """`BertForSequenceClassification` of `RobertaForSequenceClassification`."""
    head = re.search(r"(For[A-Z]\w*|Model)$", name)
    return f"Bert{head[0]}" if head else name
