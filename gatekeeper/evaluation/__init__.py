"""How well the exported model does on test units: metrics, each with confidence limits over units."""

from gatekeeper.evaluation.masks import evaluate_masks
from gatekeeper.evaluation.onnx_model import predict, predict_masks
from gatekeeper.evaluation.timing import estimate_limits
from gatekeeper.evaluation.utility import evaluate, limits_in_all

__all__ = ["estimate_limits", "evaluate", "evaluate_masks", "limits_in_all", "predict", "predict_masks"]
