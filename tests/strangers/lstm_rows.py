"""An LSTM that reads the image row by row."""

from torch import nn


class Rows(nn.Module):
    def __init__(self, layers, hidden, resolution, num_classes, in_channels):
        super().__init__()
        self.rnn = nn.LSTM(in_channels * resolution, hidden, layers, batch_first=True)
        self.norm, self.head = nn.LayerNorm(hidden), nn.Linear(hidden, num_classes)

    def forward(self, x):
        rows = x.transpose(1, 2).flatten(2)
        return self.head(self.norm(self.rnn(rows)[0].mean(1)))


def build(depth, width, resolution, num_classes, in_channels):
    return Rows(max(1, round(2 * depth)), max(4, round(64 * width)), resolution, num_classes, in_channels)
