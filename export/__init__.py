"""Networks → bundles: one ONNX engine per stage, and what is needed to trust them."""

from edge_vss.export.checkpoint import exported_checkpoint
from edge_vss.export.exported import Exported
from edge_vss.export.foreign import exported_model
from edge_vss.export.network import ExportedNetwork, export_network, export_whole, network_schedules, torch_functions
from edge_vss.export.parity import Parity, cost_of_cutting, stage_parity

__all__ = [
    "Exported",
    "ExportedNetwork",
    "Parity",
    "cost_of_cutting",
    "export_network",
    "export_whole",
    "exported_checkpoint",
    "exported_model",
    "network_schedules",
    "stage_parity",
    "torch_functions",
]
