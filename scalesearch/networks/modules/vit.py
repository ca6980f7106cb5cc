"""The vision transformer as a torch module, with timm's parameter names and initialisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from scalesearch.networks.base import Task
from scalesearch.networks.families.vit import ViTConfig
from scalesearch.networks.modules.blocks import DropPath
from scalesearch.networks.modules.convnext import Mlp
from scalesearch.networks.spec import NetworkSpec

NORM_EPS = 1e-6


class PatchEmbed(nn.Module):
    """One token for each patch: [N, in_channels, H, W] to [N, patches, dim], row by row."""

    def __init__(self, in_channels: int, dim: int, patch_px: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, dim, patch_px, patch_px)

    def forward(self, x: Tensor) -> Tensor:
        """A convolution without overlap."""
        y: Tensor = self.proj(x)
        return y.flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Self-attention: [N, tokens, dim] to the same shape, `dim // head_dim` heads."""

    def __init__(self, dim: int, head_dim: int) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """softmax(Q K^T / sqrt(head_dim)) V of every head, then a projection."""
        # [N, tokens, 3 * dim] to three of [N, heads, tokens, head_dim]
        qkv = self.qkv(x).reshape(*x.shape[:2], 3, -1, self.head_dim).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(*qkv.unbind(0))
        y: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return y


class Block(nn.Module):
    """Attention, then an MLP, each normalised first and added to its input. [N, tokens, dim] to the same shape."""

    def __init__(self, dim: int, head_dim: int, inner: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.attn = Attention(dim, head_dim)
        self.drop_path1 = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.mlp = Mlp(dim, inner)
        self.drop_path2 = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Two residual branches."""
        x = x + self.drop_path1(self.attn(self.norm1(x)))
        branch: Tensor = self.drop_path2(self.mlp(self.norm2(x)))
        return x + branch


class VisionTransformer(nn.Module):
    """Images [N, in_channels, px, px] to logits [N, num_classes].

    There is one learned position for each patch, so the network takes images of `spec.resolution_px` only.
    """

    def __init__(self, config: ViTConfig, spec: NetworkSpec, task: Task) -> None:
        super().__init__()
        dim, depth, patches = spec.stem_width, spec.depths[0], (spec.resolution_px // config.patch_px) ** 2
        rates = [config.stochastic_depth * index / depth for index in range(depth)]
        self.patch_embed = PatchEmbed(task.in_channels, dim, config.patch_px)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, patches + 1, dim))
        self.blocks = nn.Sequential(*(Block(dim, config.head_dim, spec.widths[0], rate) for rate in rates))
        self.norm = nn.LayerNorm(dim, eps=NORM_EPS)
        self.head_drop = nn.Dropout(config.dropout)
        self.head = nn.Linear(dim, task.num_classes)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.normal_(self.cls_token, std=1e-6)
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Logits from the class token, without softmax."""
        x = self.patch_embed(x)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1) + self.pos_embed
        x = self.norm(self.blocks(x))
        logits: Tensor = self.head(self.head_drop(x[:, 0]))
        return logits

    def no_weight_decay(self) -> set[str]:
        """Parameters that weight decay should leave alone, by timm's convention."""
        return {"pos_embed", "cls_token"}

    def stage_paths(self) -> dict[str, list[str]]:
        """Stage name -> paths of the submodules in it; the class token and the positions are in none."""
        return {"stem": ["patch_embed"], "0": ["blocks"], "head": ["norm", "head_drop", "head"]}


def initialise(module: nn.Module) -> None:
    """Initialise one layer as timm does: linear weights normal with deviation 0.02, biases 0.

    The patch embedding, a convolution, keeps torch's own initialisation.

    Source: `init_weights_vit_timm` of timm.
    """
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
