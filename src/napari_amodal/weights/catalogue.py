"""What the networks need: each weight's size, licence and source, as published."""

from __future__ import annotations

from dataclasses import dataclass

from napari_amodal.errors import CallError


@dataclass(frozen=True)
class Licence:
    """The terms that a weight is published under, which whoever gets it accepts.

    Attributes
    ----------
    name : str
    url : str
        Where the terms can be read.
    remark : str
        What a person should know before accepting them; may be empty.
    """

    name: str
    url: str
    remark: str = ""


@dataclass(frozen=True)
class HubSource:
    """A repository of the Hugging Face Hub."""

    repository: str

    @property
    def page(self) -> str:
        return f"https://huggingface.co/{self.repository}"


@dataclass(frozen=True)
class ManualSource:
    """A page from which a person takes the files, for ``weights import``."""

    page: str
    files: str


@dataclass(frozen=True)
class Part:
    """Files that belong together inside a weight's folder.

    Attributes
    ----------
    name : str
        What it is, in words.
    choices : tuple of str
        Names inside the folder of which one is needed, the best first. What is fetched or imported
        is always stored under the first, so that nobody need know of the others.
    optional : bool
        Fetched with the rest, but the weight can be used without it.
    """

    name: str
    choices: tuple[str, ...]
    optional: bool = False


@dataclass(frozen=True)
class Mark:
    """What a description (JSON) inside a weight's folder says, by which networks are told apart.

    Attributes
    ----------
    file, key : str
    values : tuple of str
        One of them is what it says.
    """

    file: str
    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Weight:
    """One thing to get.

    Attributes
    ----------
    name : str
    title : str
    stages : tuple of str
        The stages that need it, as people know them.
    size : int
        Bytes, approximately: as published, or four times the parameters.
    licence : Licence
    source : HubSource or ManualSource
    parts : tuple of Part
    file : str or None
        The one file that is the weight; None if its folder is.
    marks : tuple of Mark
    """

    name: str
    title: str
    stages: tuple[str, ...]
    size: int
    licence: Licence
    source: HubSource | ManualSource
    parts: tuple[Part, ...]
    file: str | None = None
    marks: tuple[Mark, ...] = ()


def _file(name: str) -> Part:
    return Part(name, (name,))


def _network(folder: str, stem: str, *, optional: bool = False) -> Part:
    return Part(
        f"{folder}'s network",
        (f"{folder}/{stem}.safetensors", f"{folder}/{stem}.fp16.safetensors"),
        optional,
    )


_APACHE = Licence("Apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0")
_NON_COMMERCIAL = Licence(
    "CC-BY-NC-4.0", "https://creativecommons.org/licenses/by-nc/4.0/", "no commercial use"
)
_OPENRAIL = Licence(
    "CreativeML OpenRAIL-M",
    "https://huggingface.co/spaces/CompVis/stable-diffusion-license",
    "forbids some uses (attachment A) and asks to pass the same terms on",
)
_COCOCO = Licence(
    "none stated",
    "https://github.com/zibojia/COCOCO",
    "its repository names no licence that we know of: look there, or ask its authors",
)

#: A network of transformers' layout.
_TRANSFORMERS = (
    _file("config.json"),
    _file("model.safetensors"),
    Part("how pictures are prepared", ("preprocessor_config.json",), optional=True),
)


def _sam(size: str, repository: str, parameters: float) -> Weight:
    return Weight(
        name=f"sam2.1-{size}",
        title=f"SAM 2.1, {size.replace('-', ' ')}: follows objects through a video",
        stages=("tracker sam2", "completer cococo"),
        size=round(4 * parameters * 1e6),
        licence=_APACHE,
        source=HubSource(f"facebook/{repository}"),
        parts=_TRANSFORMERS,
        marks=(Mark("config.json", "model_type", ("sam2_video", "sam2")),),
    )


def _depth(size: str, parameters: float, licence: Licence) -> Weight:
    return Weight(
        name=f"depth-anything-v2-{size}",
        title=f"Depth Anything V2, {size}: depth from one picture",
        stages=("reasoner depth",),
        size=round(4 * parameters * 1e6),
        licence=licence,
        source=HubSource(f"depth-anything/Depth-Anything-V2-{size.capitalize()}-hf"),
        parts=_TRANSFORMERS,
        marks=(Mark("config.json", "model_type", ("depth_anything",)),),
    )


_STABLE_DIFFUSION = Weight(
    name="stable-diffusion-inpainting",
    title="Stable Diffusion 1.5 inpainting: text encoder, picture encoder and decoder",
    stages=("completer cococo",),
    size=2_140_000_000,  # this repository has half precision only; in full precision 4.3 GB
    licence=_OPENRAIL,
    source=HubSource("stable-diffusion-v1-5/stable-diffusion-inpainting"),
    parts=(
        _file("vae/config.json"),
        _network("vae", "diffusion_pytorch_model"),
        _file("text_encoder/config.json"),
        _network("text_encoder", "model"),
        _file("tokenizer/vocab.json"),
        _file("tokenizer/merges.txt"),
        _file("tokenizer/tokenizer_config.json"),
        Part("special tokens", ("tokenizer/special_tokens_map.json",), optional=True),
        _file("scheduler/scheduler_config.json"),
        Part("unet/config.json", ("unet/config.json",), optional=True),
        _network("unet", "diffusion_pytorch_model", optional=True),
    ),
    marks=(
        Mark("vae/config.json", "_class_name", ("AutoencoderKL",)),
        Mark("text_encoder/config.json", "model_type", ("clip_text_model",)),
    ),
)

_COCOCO_UNET = Weight(
    name="cococo",
    title="CoCoCo: the video inpainting network",
    stages=("completer cococo",),
    size=5_860_000_000,
    licence=_COCOCO,
    source=ManualSource("https://github.com/zibojia/COCOCO", "model_0.pth ... model_3.pth"),
    parts=(_file("cococo_unet.safetensors"),),
    file="cococo_unet.safetensors",
)

#: Every weight by its name.
CATALOGUE: dict[str, Weight] = {
    weight.name: weight
    for weight in (
        _sam("tiny", "sam2.1-hiera-tiny", 38.9),
        _sam("small", "sam2.1-hiera-small", 46.0),
        _sam("base-plus", "sam2.1-hiera-base-plus", 80.8),
        _sam("large", "sam2.1-hiera-large", 224.4),
        _depth("small", 24.8, _APACHE),
        _depth("base", 97.5, _NON_COMMERCIAL),
        _depth("large", 335.3, _NON_COMMERCIAL),
        _STABLE_DIFFUSION,
        _COCOCO_UNET,
    )
}


def find_weight(name: str) -> Weight:
    """The weight of a name.

    Raises
    ------
    CallError
        There is none of that name.
    """
    if name not in CATALOGUE:
        raise CallError(f"there are no weights {name!r}: choose from {', '.join(CATALOGUE)}")
    return CATALOGUE[name]


def size_told(size: int) -> str:
    """A number of bytes as people read it (decimal, as hubs tell it)."""
    if size < 1_000_000:
        return f"{size / 1e3:.0f} kB"
    return f"{size / 1e6:.0f} MB" if size < 1_000_000_000 else f"{size / 1e9:.1f} GB"
