"""Networks that map inputs to features, and the parts they are made of."""

from quickstudy.nets.adapter import Adapter
from quickstudy.nets.conv4 import Conv4
from quickstudy.nets.gin import GIN
from quickstudy.nets.head import SharedLinear
from quickstudy.nets.item_table import ItemTable
from quickstudy.nets.leading import Leading
from quickstudy.nets.metric import Metric
from quickstudy.nets.mlp import MLP
from quickstudy.nets.norm import Centre, Norm, calibrate, replace_batch_norm
from quickstudy.nets.resnet12 import ResNet12
from quickstudy.nets.tail import Tail
from quickstudy.nets.traits import width
from quickstudy.nets.transformer import Transformer

__all__ = [
    "GIN",
    "MLP",
    "Adapter",
    "Centre",
    "Conv4",
    "ItemTable",
    "Leading",
    "Metric",
    "Norm",
    "ResNet12",
    "SharedLinear",
    "Tail",
    "Transformer",
    "calibrate",
    "replace_batch_norm",
    "width",
]
