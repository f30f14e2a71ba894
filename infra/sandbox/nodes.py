"""Every node class the sandbox knows."""

from infra.sandbox import nodes_files, nodes_image, nodes_sampling, nodes_sandbox
from infra.sandbox.node import catalogue

NODES = catalogue(
    (*nodes_image.CLASSES, *nodes_files.CLASSES, *nodes_sampling.CLASSES, *nodes_sandbox.CLASSES)
)
