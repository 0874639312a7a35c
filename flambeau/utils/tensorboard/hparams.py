"""The settings and results of a run as TensorBoard's table of runs reads them."""

from __future__ import annotations

from typing import Any

from .summary import _metadata, _value

__all__ = ["summaries"]


def summaries(hparams: dict[str, Any], metrics: dict[str, Any], domains: dict[str, list]) -> list:
    """Three entries: which settings and results there are, the settings of this run, and that it has ended."""
    from google.protobuf.struct_pb2 import ListValue, Value
    from tensorboard.plugins.hparams.api_pb2 import Experiment, HParamInfo, MetricInfo, MetricName, Status
    from tensorboard.plugins.hparams.plugin_data_pb2 import (
        HParamsPluginData,
        SessionEndInfo,
        SessionStartInfo,
    )  # fmt: skip

    from ...tensor.tensor import Tensor

    start = SessionStartInfo()
    infos = []
    for name, value in hparams.items():
        if value is None:
            continue
        if isinstance(value, Tensor):
            value = value.item()
        if isinstance(value, bool):
            kind, start.hparams[name].bool_value = "DATA_TYPE_BOOL", value
        elif isinstance(value, (int, float)):
            kind, start.hparams[name].number_value = "DATA_TYPE_FLOAT64", value
        elif isinstance(value, str):
            kind, start.hparams[name].string_value = "DATA_TYPE_STRING", value
        else:
            raise ValueError("value should be one of int, float, str, bool, or torch.Tensor")
        choices = None
        if name in domains:
            field = {"DATA_TYPE_BOOL": "bool_value", "DATA_TYPE_STRING": "string_value"}.get(
                kind, "number_value"
            )
            choices = ListValue(values=[Value(**{field: choice}) for choice in domains[name]])
        infos.append(HParamInfo(name=name, type=kind, domain_discrete=choices))
    results = [MetricInfo(name=MetricName(tag=tag)) for tag in metrics]
    experiment = Experiment(hparam_infos=infos, metric_infos=results)
    end = SessionEndInfo(status=Status.Value("STATUS_SUCCESS"))
    parts = (
        ("_hparams_/experiment", HParamsPluginData(experiment=experiment, version=0)),
        ("_hparams_/session_start_info", HParamsPluginData(session_start_info=start, version=0)),
        ("_hparams_/session_end_info", HParamsPluginData(session_end_info=end, version=0)),
    )
    return [_value(tag=tag, metadata=_metadata("hparams", data.SerializeToString())) for tag, data in parts]
